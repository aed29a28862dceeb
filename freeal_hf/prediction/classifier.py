"""Labels new texts with a finished student."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freeal_hf.data.files import write_atomically
from freeal_hf.data.spreadsheets import harmless
from freeal_hf.data.texts import TextRow, is_usable
from freeal_hf.errors import InputError


def load_student(model: str | Path, batch_size: int, *, labels_words: bool) -> tuple[Any, Any]:
    """Loads a saved student onto the accelerator, where there is one, and its tokenizer.

    Args:
        model (`str` or `Path`): Folder or Hub id.
        batch_size (`int`): Texts that it will be given at once; checked first.
        labels_words (`bool`): Whether it must be a token classifier, not a sequence classifier.

    Returns:
        The model, ready to predict, and its tokenizer.

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
            f"{str(model)!r} is no {'token' if labels_words else 'text'} classifier that can be loaded; give the "
            f"folder of a student (OUTPUT_DIR/student) or a Hub id. transformers says: {str(error).splitlines()[0]}"
        ) from error
    # Not every tokenizer says how much its model reads.
    positions = getattr(loaded.config, "max_position_embeddings", None) or tokenizer.model_max_length
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return loaded.to(PartialState().device), tokenizer


class Classifier:
    """A saved student, ready to label texts, on the accelerator where there is one.

    Args:
        model (`str` or `Path`): Folder or Hub id of a sequence classifier.
        batch_size (`int`, *optional*, defaults to 64): Texts in one forward pass.

    Raises:
        InputError: If there is no such model, or the batch size is below 1.
    """

    def __init__(self, model: str | Path, *, batch_size: int = 64) -> None:
        self._model, self._tokenizer = load_student(model, batch_size, labels_words=False)
        self.batch_size = batch_size
        self.label_names: list[str] = [self._model.config.id2label[i] for i in range(self._model.config.num_labels)]

    @property
    def text_columns(self) -> list[str]:
        """Columns that its texts were joined from, as its folder remembers them; `["text"]` where they were not."""
        return list(getattr(self._model.config, "text_columns", None) or ["text"])

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Probability of every label for every text.

        Args:
            texts (`Sequence[str]`): The texts; what exceeds the student's length is cut off.

        Returns:
            `np.ndarray` of shape `(len(texts), num_labels)`: Rows sum to one, columns in the order of `label_names`.
        """
        return self._predict(texts, with_embeddings=False)[0]

    def probabilities_and_embeddings(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities as in `probabilities`, and the student's embeddings of the texts.

        Args:
            texts (`Sequence[str]`): The texts; what exceeds the student's length is cut off.

        Returns:
            `tuple[np.ndarray, np.ndarray]`: Probabilities, and means of the last hidden states over each text's
            tokens, of shape `(len(texts), hidden size)`.
        """
        return self._predict(texts, with_embeddings=True)

    def _predict(self, texts: Sequence[str], *, with_embeddings: bool) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities, and embeddings: of no width unless they are wanted."""
        import torch

        found = np.zeros((len(texts), len(self.label_names)))
        width = self._model.config.hidden_size if with_embeddings else 0
        embeddings = np.zeros((len(texts), width), dtype=np.float32)
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(texts), self.batch_size):
            rows = by_length[start : start + self.batch_size]
            inputs = self._tokenizer([texts[i] for i in rows], truncation=True, padding=True, return_tensors="pt")
            with torch.inference_mode():
                outputs = self._model(**inputs.to(self._model.device), output_hidden_states=with_embeddings)
            found[rows] = outputs.logits.float().softmax(-1).cpu().numpy()
            if with_embeddings:
                states, mask = outputs.hidden_states[-1].float(), inputs["attention_mask"].unsqueeze(-1)
                embeddings[rows] = ((states * mask).sum(1) / mask.sum(1)).cpu().numpy()
        return found, embeddings


@dataclass(frozen=True)
class Columns:
    """What predictions are written for each text.

    Columns: `id, text, label, confidence`, then `label_2, confidence_2, ...` up to `top_k`, then
    `probability_<label>` for every label if wanted, `embedding` (a JSON list) if wanted, then `note`.

    Args:
        names (`Sequence[str]`): Names of the labels, by id.
        top_k (`int`, *optional*, defaults to 1): Likeliest labels to write for each text.
        all_probabilities (`bool`, *optional*, defaults to `False`): Whether to write the probability of every label.
        embeddings (`bool`, *optional*, defaults to `False`): Whether to write the student's embedding of each text.

    Raises:
        InputError: If `top_k` is not between 1 and the number of labels.
    """

    names: Sequence[str]
    top_k: int = 1
    all_probabilities: bool = False
    embeddings: bool = False

    def __post_init__(self) -> None:
        count = len(self.names)
        if not 1 <= self.top_k <= count:
            raise InputError(f"top_k is {self.top_k}; the student knows {count} labels, so choose 1 to {count}.")

    @property
    def header(self) -> list[str]:
        """Names of the columns."""
        ranked = [name for rank in range(2, self.top_k + 1) for name in (f"label_{rank}", f"confidence_{rank}")]
        all_of_them = [f"probability_{name}" for name in self.names] if self.all_probabilities else []
        embedding = ["embedding"] if self.embeddings else []
        return ["id", "text", "label", "confidence", *ranked, *all_of_them, *embedding, "note"]

    def cells(self, probabilities: np.ndarray, embedding: np.ndarray) -> list[str]:
        """What stands between text and note."""
        best = np.argsort(-probabilities, kind="stable")[: self.top_k]
        cells = [cell for label in best for cell in (self.names[label], f"{probabilities[label]:.6f}")]
        cells += [f"{value:.6f}" for value in probabilities] if self.all_probabilities else []
        return cells + ([json.dumps([round(value, 6) for value in embedding.tolist()])] if self.embeddings else [])


def labelled_rows(classifier: Classifier, rows: Sequence[TextRow], columns: Columns) -> list[list[str]]:
    """The rows of the predictions' file, harmless for spreadsheets; unusable texts get no label.

    Args:
        classifier (`Classifier`): The student.
        rows (`Sequence[TextRow]`): The texts.
        columns (`Columns`): What to write.
    """
    usable = [i for i, row in enumerate(rows) if is_usable(row.note)]
    cells = [[""] * (len(columns.header) - 3) for _ in rows]
    texts = [rows[i].text for i in usable]
    if columns.embeddings:
        probabilities, embeddings = classifier.probabilities_and_embeddings(texts)
    else:
        probabilities, embeddings = classifier.probabilities(texts), np.zeros((len(texts), 0))
    for i, row_probabilities, embedding in zip(usable, probabilities, embeddings, strict=True):
        cells[i] = columns.cells(row_probabilities, embedding)
    found = ([row.id, row.text, *middle, row.note or ""] for row, middle in zip(rows, cells, strict=True))
    return [list(map(harmless, row)) for row in found]


def write_predictions(
    path: Path, classifier: Classifier, texts: Iterable[Sequence[TextRow]], columns: Columns
) -> tuple[int, int]:
    """Labels texts and writes a CSV file; both in pieces, so that memory does not grow with the number of texts.

    The file is there when it is whole.

    Args:
        path (`Path`): The file.
        classifier (`Classifier`): The student.
        texts (`Iterable[Sequence[TextRow]]`): Rows, in pieces of any size; unusable ones get no label.
        columns (`Columns`): What to write.

    Returns:
        `tuple[int, int]`: Texts that were labelled, and rows.

    Raises:
        OSError: If the file cannot be written.
    """
    labelled = count = 0

    def write(partial: Path) -> None:
        nonlocal labelled, count
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns.header)
            for rows in texts:
                writer.writerows(labelled_rows(classifier, rows, columns))
                labelled, count = labelled + sum(is_usable(row.note) for row in rows), count + len(rows)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)
    return labelled, count
