"""Labels new texts with a finished student."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from freeal_hf.errors import InputError


class Classifier:
    """A saved student, ready to label texts.

    Args:
        model (`str` or `Path`): Folder or Hub id of a sequence classifier.
        batch_size (`int`, *optional*, defaults to 64): Texts in one forward pass.

    Raises:
        InputError: If there is no such model.
    """

    def __init__(self, model: str | Path, *, batch_size: int = 64) -> None:
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
