"""Checks whether the answers of an annotator are usable, before the whole corpus is paid for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Annotator
from freeal_hf.annotators.budget import Budget, Ledger
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.pacing import Candidates, UnusableAnswer
from freeal_hf.annotators.work import annotation_work
from freeal_hf.errors import AnnotatorError
from freeal_hf.tasks import Task

ENOUGH = 50
"""The number of unusable answers, without a usable one, after which the run ends. If a tenth of the answers of an
annotator is usable, this happens in one run of 200."""

CHECKED = 8
"""The number of plain requests before an annotator writes texts. More are sent only if no answer is usable."""

_MOST_SHOWN = 100  # characters of an answer
_NO_ROOM = ("empty answer", "cut-off answer")


class FirstAnswers:
    """Counts the unusable answers of an annotator until one is usable. An answer without entities is usable.

    Attributes:
        has_usable (`bool`): Whether an answer was usable.

    Example:

        >>> first = FirstAnswers()
        >>> first.add(Annotation(-1, reason="not a label", answer="I cannot do that."))
        >>> print(first)
        None of 1 answers of the annotator could be used (not a label: 1). The first is 'I cannot do that.'.
    """

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._example: str | None = None
        self.has_usable = False

    def add(self, answer: Annotation) -> None:
        """Counts an answer."""
        self.has_usable = self.has_usable or answer.is_labelled
        if self.has_usable:
            return
        self._reasons[answer.reason or "no reason given"] += 1
        if self._example is None and answer.reason in get_args(UnusableAnswer):
            self._example = answer.answer

    def watched(self, answers: Iterable[tuple[int, Annotation]]) -> Iterator[tuple[int, Annotation]]:
        """Counts the answers of `driver.run` as they arrive, and yields them."""
        for index, answer in answers:
            self.add(answer)
            yield index, answer

    @property
    def none_usable(self) -> bool:
        """Whether there were answers, and none was usable."""
        return bool(self._reasons) and not self.has_usable

    @property
    def are_hopeless(self) -> bool:
        """Whether there are so many unusable answers that the next ones will probably be unusable too.

        Refused texts, and texts without a label for other reasons of the annotator, are not counted.
        """
        return not self.has_usable and sum(map(self._reasons.__getitem__, get_args(UnusableAnswer))) >= ENOUGH

    def __str__(self) -> str:
        counts = ", ".join(f"{reason}: {count}" for reason, count in self._reasons.most_common(3))
        text = f"None of {sum(self._reasons.values())} answers of the annotator could be used ({counts})."
        if self._example is not None:
            # `repr` escapes control characters of terminals.
            is_long = len(self._example) > _MOST_SHOWN
            text += f" The first is {self._example[:_MOST_SHOWN]!r}{' and so on' if is_long else ''}."
        return text

    def error(self) -> AnnotatorError:
        """Returns the error that ends the run of such an annotator."""
        return AnnotatorError(f"{self} {_remedy(max(self._reasons, key=self._reasons.__getitem__))}")


def check_answers(
    annotator: Annotator,
    task: Task,
    requests: Sequence[AnnotationRequest],
    *,
    cache: AnswerCache | None = None,
    ledger: Ledger | None = None,
    budget: Budget | None = None,
) -> None:
    """Sends a few plain requests before an annotator writes texts, which needs far more tokens.

    `CHECKED` requests are sent, and then `CHECKED` more as long as no answer is usable. The answers are cached and
    recorded in the ledger.

    Args:
        annotator (`Annotator`): The annotator.
        task (`Task`): What is labelled.
        requests (`Sequence[AnnotationRequest]`): Some texts without demonstrations, in random order.
        cache, ledger, budget: As in `driver.run`.

    Raises:
        AnnotatorError: If none of `ENOUGH` answers is usable.
    """
    first = FirstAnswers()
    for start in range(0, len(requests), CHECKED):
        some = requests[start : start + CHECKED]
        for _, answer in run(annotation_work(annotator, task), some, cache=cache, ledger=ledger, budget=budget):
            first.add(answer)
        if first.has_usable:
            return
        if first.are_hopeless:
            raise first.error()


def _remedy(reason: str) -> str:
    """Returns what to do if most answers are unusable for this reason."""
    if reason in _NO_ROOM:
        remedy = (
            "Allow longer answers (--annotator-option max_tokens=1000, for entities generation_max_tokens; a "
            "reasoning model needs some thousands), or use another model."
        )
    elif reason in get_args(Candidates):
        return "Every text has several plausible labels. Describe the labels (--task), or leave candidates=true out."
    elif reason in get_args(UnusableAnswer):
        remedy = (
            "Use a model that follows instructions, or a server that enforces a JSON schema, and describe the "
            "labels (--task)."
        )
    else:
        return "Fix this problem, or use another annotator."
    return (
        f"{remedy} The answers are kept, and the same requests are not sent again. If only the server was changed, "
        "choose another --output-dir."
    )
