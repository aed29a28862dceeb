"""An annotator that labels texts by their words. It is an example of a package that adds an annotator to freeal-hf."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from freeal_hf import Annotation, AnnotationRequest, Annotator, InputError, TextClassification


class KeywordAnnotator(Annotator):
    """Gives a text the label that most of its words belong to.

    Args:
        path (`str`): A file with lines `word: label`.
        ignore_case (`bool`, *optional*, defaults to `True`): Whether `Plum` is the same word as `plum`.

    Raises:
        InputError: If the file cannot be read or a line has another form.
    """

    is_free = True
    batch_size = 100

    def __init__(self, path: str, *, ignore_case: bool = True) -> None:
        self.name = Path(path).name
        self.ignore_case = ignore_case
        self.labels = dict(self._read(path))

    @staticmethod
    def _read(path: str) -> list[tuple[str, str]]:
        try:
            lines = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
            return [(word.strip(), label.strip()) for word, label in (line.split(":") for line in lines)]
        except (OSError, ValueError) as error:
            raise InputError(f"The keywords {path!r} cannot be read ({error}); write lines `word: label`.") from error

    def fingerprint(self, task: TextClassification, request: AnnotationRequest) -> Mapping[str, Any]:
        """Returns everything that an answer depends on. With it, answers are kept in the cache of the run."""
        return {"annotator": "keywords", "labels": self.labels, "case": self.ignore_case, "text": request.text}

    async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels the texts. A text without a known word, or with as many words of two labels, gets no label."""
        unknown = sorted(set(self.labels.values()) - set(task.label_names))
        if unknown:
            raise InputError(f"The keywords have the label {unknown[0]!r}; the task has {task.label_names}.")
        return [self._label(task, request.text) for request in requests]

    def _label(self, task: TextClassification, text: str) -> Annotation:
        words = (text.lower() if self.ignore_case else text).split()
        found = [self.labels[word] for word in words if word in self.labels]
        counts = sorted(((found.count(name), name) for name in set(found)), reverse=True)
        if not counts:
            return Annotation(-1, reason="no known word")
        if len(counts) > 1 and counts[0][0] == counts[1][0]:
            return Annotation(-1, reason="several labels")
        return Annotation(task.label2id[counts[0][1]], confidence=counts[0][0] / len(found))
