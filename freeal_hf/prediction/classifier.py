"""Predicts the labels of texts with a trained student."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from freeal_hf.data.counting import counted
from freeal_hf.data.spreadsheets import harmless
from freeal_hf.data.texts import TextRow, is_usable, stream_texts
from freeal_hf.errors import InputError
from freeal_hf.prediction.predictor import Predictor
from freeal_hf.training.thresholds import thresholds_of


def load_student(model: str | Path, batch_size: int, *, labels_words: bool) -> tuple[Any, Any]:
    """Loads a saved student, on the accelerator if there is one, and its tokenizer.

    Args:
        model (`str` or `Path`): The folder or Hub id of the student.
        batch_size (`int`): The batch size that will be used, which is checked first.
        labels_words (`bool`): Whether it must be a token classifier; otherwise a sequence classifier.

    Returns:
        `tuple[PreTrainedModel, PreTrainedTokenizerBase]`: The model in evaluation mode, and its tokenizer.

    Raises:
        InputError: If there is no such model, or the batch size is below 1.
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be at least 1.")
    from accelerate import PartialState
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

    head = AutoModelForTokenClassification if labels_words else AutoModelForSequenceClassification
    try:
        loaded, tokenizer = head.from_pretrained(str(model)).eval(), AutoTokenizer.from_pretrained(str(model))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{str(model)!r} cannot be loaded as a {'token' if labels_words else 'text'} classifier; give the folder "
            f"of a student (OUTPUT_DIR/student) or a Hub id. transformers says: {str(error).splitlines()[0]}"
        ) from error
    # Some tokenizers do not know the maximum length of their model.
    positions = getattr(loaded.config, "max_position_embeddings", None) or tokenizer.model_max_length
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return loaded.to(PartialState().device), tokenizer


class Classifier:
    """A trained student that labels texts, on the accelerator if there is one.

    Args:
        model (`str` or `Path`): The folder or Hub id of a sequence classifier.
        batch_size (`int`, *optional*, defaults to 64): The number of texts in a forward pass.

    Raises:
        InputError: If there is no such model, or the batch size is below 1.

    Example:

        ```python
        classifier = Classifier("runs/demo/student")
        classifier.probabilities(["Where is my parcel?"])  # shape [1, number of labels]
        ```
    """

    def __init__(self, model: str | Path, *, batch_size: int = 64) -> None:
        self._model, self._tokenizer = load_student(model, batch_size, labels_words=False)
        self.batch_size = batch_size
        self.label_names: list[str] = [self._model.config.id2label[i] for i in range(self._model.config.num_labels)]

    @property
    def has_label_sets(self) -> bool:
        """Whether a text can have any number of labels."""
        return self._model.config.problem_type == "multi_label_classification"

    @property
    def thresholds(self) -> np.ndarray:
        """The probability above which each label is predicted, if a text can have any number of labels; `[labels]`."""
        return thresholds_of(self._model.config)

    @property
    def max_labels(self) -> int | None:
        """The maximum number of labels of a text; `None` if there is no limit."""
        found: int | None = self._model.config.to_dict().get("max_labels")
        return found

    @property
    def text_columns(self) -> list[str]:
        """The columns from which the training texts were joined; `["text"]` if there was only one."""
        return list(getattr(self._model.config, "text_columns", None) or ["text"])

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Predicts the probability of each label for each text.

        Args:
            texts (`Sequence[str]`): The texts. Longer texts than the student reads are truncated.

        Returns:
            `np.ndarray` of shape `[texts, labels]`: The probabilities, with columns in the order of `label_names`.
            Rows sum to 1, unless a text can have any number of labels.
        """
        return self._predict(texts, with_embeddings=False)[0]

    def probabilities_and_embeddings(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Predicts probabilities as `probabilities` does, and computes the embeddings of the texts.

        Args:
            texts (`Sequence[str]`): The texts. Longer texts than the student reads are truncated.

        Returns:
            `tuple[np.ndarray, np.ndarray]`: The probabilities, shape `[texts, labels]`, and the embeddings, shape
            `[texts, hidden size]`: the mean of the last hidden state over the tokens of a text.
        """
        return self._predict(texts, with_embeddings=True)

    def _predict(self, texts: Sequence[str], *, with_embeddings: bool) -> tuple[np.ndarray, np.ndarray]:
        logits, embeddings = forward(
            self._model, self._tokenizer, texts, self.batch_size, with_embeddings=with_embeddings
        )
        probabilities = expit(logits) if self.has_label_sets else softmax(logits, axis=-1)
        return probabilities.astype(float), embeddings


def forward(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    batch_size: int,
    *,
    with_embeddings: bool,
    max_length: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the logits and embeddings of texts. Texts of similar length are in the same batch.

    Args:
        model (`PreTrainedModel`): A sequence classifier, or an encoder without a head.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        texts (`Sequence[str]`): The texts.
        batch_size (`int`): The number of texts in a forward pass.
        with_embeddings (`bool`): Whether to compute embeddings.
        max_length (`int`, *optional*): The number of tokens after which texts are truncated. Defaults to that of the
            tokenizer.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: The logits, shape `[texts, labels]`, and the embeddings, shape `[texts, hidden
        size]`: the mean of the last hidden state over the tokens of a text. `labels` is 0 without a head, and `hidden
        size` is 0 without `with_embeddings`.
    """
    import torch

    width = model.config.hidden_size if with_embeddings else 0
    embeddings = np.zeros((len(texts), width), dtype=np.float32)
    logits = np.zeros((len(texts), 0), dtype=np.float32)
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(texts), batch_size):
        rows = by_length[start : start + batch_size]
        inputs = tokenizer(
            [texts[i] for i in rows], truncation=True, max_length=max_length, padding=True, return_tensors="pt"
        )
        with torch.inference_mode():
            outputs = model(**inputs.to(model.device), output_hidden_states=with_embeddings)
        if "logits" in outputs:
            if not start:
                logits = np.zeros((len(texts), outputs.logits.shape[-1]), dtype=np.float32)
            logits[rows] = outputs.logits.float().cpu().numpy()
        if with_embeddings:
            states, mask = outputs.hidden_states[-1].float(), inputs["attention_mask"].unsqueeze(-1)
            embeddings[rows] = ((states * mask).sum(1) / mask.sum(1)).cpu().numpy()
    return logits, embeddings


@dataclass(frozen=True)
class Columns:
    """The columns of a file of predictions.

    The columns are `id, text, label, confidence`, then `label_2, confidence_2, ...` up to `top_k`, then optionally
    `probability_<label>` for each label and `embedding` (a JSON list), then `note`.

    Args:
        names (`Sequence[str]`): The names of the labels, by id.
        top_k (`int`, *optional*, defaults to 1): The number of most probable labels to write for each text.
        all_probabilities (`bool`, *optional*, defaults to `False`): Whether to write the probability of each label.
        embeddings (`bool`, *optional*, defaults to `False`): Whether to write the embedding of each text.

    Raises:
        InputError: If `top_k` is not between 1 and the number of labels.

    Example:

        >>> Columns(["no", "yes"], top_k=2).header
        ['id', 'text', 'label', 'confidence', 'label_2', 'confidence_2', 'note']
    """

    names: Sequence[str]
    top_k: int = 1
    all_probabilities: bool = False
    embeddings: bool = False

    def __post_init__(self) -> None:
        count = len(self.names)
        if not 1 <= self.top_k <= count:
            raise InputError(f"top_k is {self.top_k}; the student has {counted(count, 'label')}, so use 1 to {count}.")

    @property
    def first_rank(self) -> int:
        """The number of the first of the `top_k` labels whose columns have a number; the first is `label`."""
        return 2

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        ranks = range(self.first_rank, self.top_k + 1) if self.top_k > 1 else ()
        ranked = [name for rank in ranks for name in (f"label_{rank}", f"confidence_{rank}")]
        all_of_them = [f"probability_{name}" for name in self.names] if self.all_probabilities else []
        embedding = ["embedding"] if self.embeddings else []
        return ["id", "text", "label", "confidence", *ranked, *all_of_them, *embedding, "note"]

    def predicted(self, probabilities: np.ndarray) -> list[str]:
        """Returns the most probable labels and their probabilities, for the probabilities of a text."""
        best = np.argsort(-probabilities, kind="stable")[: self.top_k]
        return [cell for label in best for cell in (self.names[label], f"{probabilities[label]:.6f}")]

    def cells(self, probabilities: np.ndarray, embedding: np.ndarray) -> list[str]:
        """Returns the cells between the text and the note.

        Args:
            probabilities (`np.ndarray` of shape `[labels]`): The probability of each label.
            embedding (`np.ndarray` of shape `[hidden size]`): The embedding.

        Returns:
            `list[str]`: The cells.
        """
        cells = self.predicted(probabilities)
        cells += [f"{value:.6f}" for value in probabilities] if self.all_probabilities else []
        return cells + ([json.dumps([round(value, 6) for value in embedding.tolist()])] if self.embeddings else [])


class LabelPredictor(Predictor[TextRow]):
    """A classifier that labels the rows of a file.

    Args:
        classifier (`Classifier`): The student.
        columns (`Columns`): What is written.
    """

    def __init__(self, classifier: Classifier, columns: Columns) -> None:
        self.classifier, self.text_columns = classifier, classifier.text_columns
        self.columns, self.header = columns, columns.header

    def read(self, source: Any, **options: Any) -> Iterable[Sequence[TextRow]]:
        return stream_texts(source, **options)

    def cells(self, rows: Sequence[TextRow]) -> list[list[str]]:
        usable = [i for i, row in enumerate(rows) if is_usable(row.note)]
        cells = [[""] * (len(self.header) - 3) for _ in rows]
        texts = [rows[i].text for i in usable]
        if self.columns.embeddings:
            probabilities, embeddings = self.classifier.probabilities_and_embeddings(texts)
        else:
            probabilities, embeddings = self.classifier.probabilities(texts), np.zeros((len(texts), 0))
        for i, row_probabilities, embedding in zip(usable, probabilities, embeddings, strict=True):
            cells[i] = self.columns.cells(row_probabilities, embedding)
        found = ([row.id, row.text, *middle, row.note or ""] for row, middle in zip(rows, cells, strict=True))
        return [list(map(harmless, row)) for row in found]
