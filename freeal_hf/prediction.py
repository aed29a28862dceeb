"""Labels new texts with a finished student."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from freeal_hf.errors import InputError
from freeal_hf.inputs import TextRow, is_usable
from freeal_hf.run_folder import write_atomically


class Classifier:
    """A saved student, ready to label texts.

    Args:
        model (`str` or `Path`): Folder or Hub id of a sequence classifier.
        batch_size (`int`, *optional*, defaults to 64): Texts in one forward pass.

    Raises:
        InputError: If there is no such model, or the batch size is below 1.
    """

    def __init__(self, model: str | Path, *, batch_size: int = 64) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be at least 1.")
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            self._model = AutoModelForSequenceClassification.from_pretrained(str(model)).eval()
            self._tokenizer = AutoTokenizer.from_pretrained(str(model))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{str(model)!r} is no text classifier that can be loaded; give the folder of a student "
                f"(OUTPUT_DIR/student) or a Hub id. transformers says: {str(error).splitlines()[0]}"
            ) from error
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
        import torch

        found = np.zeros((len(texts), len(self.label_names)))
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(texts), self.batch_size):
            rows = by_length[start : start + self.batch_size]
            inputs = self._tokenizer([texts[i] for i in rows], truncation=True, padding=True, return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**inputs.to(self._model.device)).logits
            found[rows] = logits.float().softmax(-1).cpu().numpy()
        return found


def write_predictions(
    path: Path,
    classifier: Classifier,
    texts: Iterable[Sequence[TextRow]],
    *,
    top_k: int = 1,
    all_probabilities: bool = False,
) -> tuple[int, int]:
    """Labels texts and writes a CSV file; both in pieces, so that memory does not grow with the number of texts.

    Columns: `id, text, label, confidence`, then `label_2, confidence_2, ...` up to `top_k`, then
    `probability_<label>` for every label if wanted, then `note`. The file is there when it is whole.

    Args:
        path (`Path`): The file.
        classifier (`Classifier`): The student.
        texts (`Iterable[Sequence[TextRow]]`): Rows, in pieces of any size; unusable ones get no label.
        top_k (`int`, *optional*, defaults to 1): Likeliest labels to write for each text.
        all_probabilities (`bool`, *optional*, defaults to `False`): Whether to write the probability of every label.

    Returns:
        `tuple[int, int]`: Texts that were labelled, and rows.

    Raises:
        InputError: If `top_k` is not between 1 and the number of labels.
        OSError: If the file cannot be written.
    """
    names = classifier.label_names
    if not 1 <= top_k <= len(names):
        raise InputError(f"top_k is {top_k}; the student knows {len(names)} labels, so choose 1 to {len(names)}.")
    header = ["id", "text", "label", "confidence"]
    for rank in range(2, top_k + 1):
        header += [f"label_{rank}", f"confidence_{rank}"]
    header += [f"probability_{name}" for name in names] if all_probabilities else []
    labelled = count = 0

    def write(partial: Path) -> None:
        nonlocal labelled, count
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*header, "note"])
            for rows in texts:
                usable = [i for i, row in enumerate(rows) if is_usable(row.note)]
                cells: list[list[Any]] = [[""] * (len(header) - 2) for _ in rows]
                for i, probabilities in zip(
                    usable, classifier.probabilities([rows[i].text for i in usable]), strict=True
                ):
                    cells[i] = _cells(probabilities, names, top_k, all_probabilities)
                for row, found in zip(rows, cells, strict=True):
                    writer.writerow([row.id, row.text, *found, row.note or ""])
                labelled, count = labelled + len(usable), count + len(rows)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)
    return labelled, count


def _cells(probabilities: np.ndarray, names: Sequence[str], top_k: int, all_probabilities: bool) -> list[str]:
    best = np.argsort(-probabilities, kind="stable")[:top_k]
    cells = [cell for label in best for cell in (names[label], f"{probabilities[label]:.6f}")]
    return cells + ([f"{probability:.6f}" for probability in probabilities] if all_probabilities else [])
