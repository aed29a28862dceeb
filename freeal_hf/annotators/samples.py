"""Repeats requests about a text with other orders of the labels, and combines the answers."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, overload

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Annotator
from freeal_hf.annotators.requests import usage_of
from freeal_hf.data.spans import without_overlaps
from freeal_hf.errors import BudgetExceeded
from freeal_hf.tasks import NO_LABEL, Task

Combine = Callable[[Sequence[Annotation]], Annotation]
"""Combines the repeated answers about a text to one annotation."""


class Samples(Sequence[AnnotationRequest]):
    """A sequence of requests in which each request is repeated with each instruction and several orders of the labels.

    The repetitions of a request follow each other. They are created when they are read.

    Args:
        requests (`Sequence[AnnotationRequest]`): One request for each text.
        num_labels (`int`): Number of labels of the task.
        num_samples (`int`, *optional*, defaults to 1): Number of requests about a text with each instruction.
        instructions (`Sequence[str]`, *optional*): The instructions; `""` stands for the description of the task,
            which is the default.
        once (`int`, *optional*, defaults to 0): Number of requests at the start that are not repeated.

    Attributes:
        num_answers (`int`): Number of requests about each text whose requests are repeated.

    Example:

        >>> requests = Samples([AnnotationRequest("a plum")], num_labels=2, num_samples=2)
        >>> [(request.sample, request.order) for request in requests]
        [(0, ()), (1, (1, 0))]
    """

    def __init__(
        self,
        requests: Sequence[AnnotationRequest],
        num_labels: int,
        num_samples: int = 1,
        instructions: Sequence[str] = ("",),
        *,
        once: int = 0,
    ) -> None:
        self.requests, self.num_labels, self.num_samples, self.once = requests, num_labels, num_samples, once
        self.instructions = instructions
        self.num_answers = num_samples * len(self.instructions)

    def __len__(self) -> int:
        return self.once + (len(self.requests) - self.once) * self.num_answers

    @overload
    def __getitem__(self, index: int) -> AnnotationRequest: ...
    @overload
    def __getitem__(self, index: slice) -> list[AnnotationRequest]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        if index < self.once:
            return self.requests[index]
        place, number = divmod(index - self.once, self.num_answers)
        instruction, sample = divmod(number, self.num_samples)
        request = sample_request(self.requests[self.once + place], sample, self.num_labels)
        wording = self.instructions[instruction]
        return replace(request, instruction=wording) if wording else request


def samples_for(
    annotator: Annotator,
    task: Task,
    requests: Sequence[AnnotationRequest],
    num_samples: int,
    instructions: Sequence[str] = ("",),
    *,
    once: int = 0,
) -> Samples:
    """Returns the requests for an annotator. They are only repeated for a language model.

    Args:
        annotator (`Annotator`): The annotator.
        task (`Task`): What is labelled.
        requests (`Sequence[AnnotationRequest]`): One request for each text.
        num_samples (`int`): Number of requests about a text with each instruction.
        instructions (`Sequence[str]`, *optional*), once (`int`, *optional*): As in [`Samples`].

    Example:

        >>> from freeal_hf.annotators.column import ColumnAnnotator
        >>> from freeal_hf.tasks import TextClassification
        >>> task, requests = TextClassification(["fruit", "tool"]), [AnnotationRequest("a plum")]
        >>> len(samples_for(ColumnAnnotator({}, "guess"), task, requests, num_samples=5))
        1
    """
    if not annotator.reads_prompts:
        return Samples(requests, task.num_labels)
    return Samples(requests, task.num_labels, num_samples, instructions, once=once)


def sample_request(request: AnnotationRequest, sample: int, num_labels: int) -> AnnotationRequest:
    """Returns a repetition of a request, with the labels in another order.

    Args:
        request (`AnnotationRequest`): The request.
        sample (`int`): Number of the repetition, from 0. Sample 0 is the request itself.
        num_labels (`int`): Number of labels of the task.
    """
    return replace(request, sample=sample, order=label_order(num_labels, request.text, sample)) if sample else request


def label_order(num_labels: int, text: str, number: int) -> tuple[int, ...]:
    """Returns the order in which a sample shows the labels.

    Models prefer some positions and letters (Zheng et al., ICLR 2024, arXiv 2309.03882). Therefore each label has each
    position once in `num_labels` consecutive samples that begin with a multiple of `num_labels`. Apart from that, the
    order is random, with a seed that is made from the text and the number of the sample.

    Args:
        num_labels (`int`): Number of labels.
        text (`str`): The text.
        number (`int`): Number of the sample, from 0. Sample 0 shows the labels in the order of their ids.

    Returns:
        `tuple[int, ...]`: Label ids.

    Example:

        >>> [label_order(2, "a plum", number) for number in range(2)]
        [(0, 1), (1, 0)]
    """
    block, turns = divmod(number, num_labels)
    # Bytes are hashed alike in every process, and a lone surrogate has no UTF-8 form.
    drawn = random.Random(f"{block} {text}".encode("utf-8", "replace"))
    first, cycle = list(range(num_labels)), list(range(num_labels))
    if block:
        drawn.shuffle(first)
    drawn.shuffle(cycle)
    following = {label: cycle[(place + turns) % num_labels] for place, label in enumerate(cycle)}
    return tuple(following[label] for label in first)


def combined(
    answers: Iterable[tuple[int, Annotation]], num_answers: int, combine: Combine
) -> Iterator[tuple[int, Annotation]]:
    """Combines the answers about each text, as soon as all of them have arrived.

    Args:
        answers (`Iterable[tuple[int, Annotation]]`): Answers to `Samples`, each with the index of its request.
        num_answers (`int`): Number of answers about each text.
        combine (`Callable`): Combines the answers about a text, which are in the order of their samples.

    Yields:
        `tuple[int, Annotation]`: Index of the text, and its annotation.

    Raises:
        BudgetExceeded: If `answers` raises it. Texts with some of their answers are yielded before.

    Example:

        >>> answers = [(0, Annotation(1)), (2, Annotation(0)), (1, Annotation(1)), (3, Annotation(0))]
        >>> found = combined(answers, num_answers=2, combine=lambda some: combined_labels(some, num_labels=2))
        >>> [(text, answer.label) for text, answer in found]
        [(0, 1), (1, 0)]
    """
    if num_answers == 1:
        yield from answers
        return
    unfinished: dict[int, dict[int, Annotation]] = {}
    over: BudgetExceeded | None = None
    try:
        for index, answer in answers:
            place, number = divmod(index, num_answers)
            some = unfinished.setdefault(place, {})
            some[number] = answer
            if len(some) == num_answers:
                yield place, _combined(unfinished.pop(place), combine)
    except BudgetExceeded as error:
        over = error
    for place, some in unfinished.items():
        yield place, _combined(some, combine)
    if over is not None:
        raise over


def combined_labels(answers: Sequence[Annotation], num_labels: int) -> Annotation:
    """Combines repeated answers about a text to their most frequent label.

    The confidence of a label is its share of all answers. Answers without a label are included, so that they lower
    the shares. An answer with probabilities counts for each label by its probability. If an answer only has a
    confidence, the rest of its probability is divided equally among the other labels. Of labels with equal shares, the
    first answered one is used. An answer with several candidates counts for each of them equally; if only such answers
    name the labels with the largest share, these are the candidates. A single answer is returned unchanged.

    Args:
        answers (`Sequence[Annotation]`): The answers, in the order of their samples.
        num_labels (`int`): Number of labels of the task.

    Returns:
        `Annotation`: Its `confidence` is the share of its label, and its `probabilities` are the shares of all labels,
        normalised to a sum of 1.

    Example:

        >>> found = combined_labels([Annotation(1), Annotation(0), Annotation(1), Annotation(-1, reason="refused")], 2)
        >>> found.label, found.confidence
        (1, 0.5)
    """
    if len(answers) == 1:
        return answers[0]
    rows = [_distribution(answer, num_labels) for answer in answers]
    mass = [math.fsum(column) for column in zip(*rows, strict=True)]
    total = math.fsum(mass)
    if total == 0:
        return in_total(answers[0], answers)
    best = [label for label, value in enumerate(mass) if math.isclose(value, max(mass))]
    named = [answer.label for answer in answers if answer.label in best]
    if not named and len(best) > 1:  # no label is chosen because of its id
        if any(answer.candidates for answer in answers):
            return in_total(Annotation(NO_LABEL, reason="several candidates", labels=tuple(best)), answers)
        return in_total(Annotation(NO_LABEL, reason="several labels"), answers)
    label = named[0] if named else best[0]
    found = Annotation(
        label, confidence=mass[label] / len(answers), probabilities=tuple(value / total for value in mass)
    )
    return in_total(found, answers)


def combined_spans(answers: Sequence[Annotation]) -> Annotation:
    """Combines repeated answers about a text to the entities (words and type) that at least half of them contain.

    Of overlapping entities, the one in the most answers is kept, then the longest.

    Args:
        answers (`Sequence[Annotation]`): The answers, in the order of their samples. Unusable answers are not counted.

    Example:

        >>> from freeal_hf.data.spans import Span
        >>> person, place = Span(0, 1, "person"), Span(0, 1, "place")
        >>> combined_spans([Annotation(0, spans=(span,)) for span in (person, place, person)]).spans
        (Span(start=0, end=1, type='person'),)
    """
    said = [answer.spans for answer in answers if answer.spans is not None]
    if not said:
        return in_total(answers[0], answers)
    votes = Counter(span for spans in said for span in spans)
    named = [span for span, number in votes.items() if 2 * number >= len(said)]
    kept = without_overlaps(sorted(named, key=lambda span: (-votes[span], span.start - span.end, span)))
    found = Annotation(0, spans=tuple(kept), num_dropped=sum(answer.num_dropped for answer in answers))
    return in_total(found, answers)


def combined_label_sets(answers: Sequence[Annotation], num_labels: int) -> Annotation:
    """Combines repeated answers about a text to the labels that more than half of them contain.

    An answer with probabilities counts for each label by its probability. Unusable answers are not counted. A single
    answer is returned unchanged.

    Args:
        answers (`Sequence[Annotation]`): The answers, in the order of their samples.
        num_labels (`int`): Number of labels of the task.

    Returns:
        `Annotation`: Its `probabilities` are the share of each label.

    Example:

        >>> some = [Annotation(0, labels=(0, 1)), Annotation(0, labels=(1,)), Annotation(0, labels=())]
        >>> found = combined_label_sets(some, num_labels=2)
        >>> found.labels, [round(p, 2) for p in found.probabilities]
        ((1,), [0.33, 0.67])
    """
    if len(answers) == 1:
        return answers[0]
    rows = [
        answer.probabilities or [float(label in answer.labels) for label in range(num_labels)]
        for answer in answers
        if answer.labels is not None
    ]
    if not rows:
        return in_total(answers[0], answers)
    shares = tuple(math.fsum(column) / len(rows) for column in zip(*rows, strict=True))
    labels = tuple(label for label, share in enumerate(shares) if share > 0.5)
    return in_total(Annotation(0, probabilities=shares, labels=labels), answers)


def in_total(annotation: Annotation, answers: Sequence[Annotation]) -> Annotation:
    """Returns an annotation with the tokens of all answers. It is marked as cut if one of the texts was cut."""
    return replace(annotation, is_cut=any(answer.is_cut for answer in answers), **usage_of(answers))


def _combined(some: dict[int, Annotation], combine: Combine) -> Annotation:
    return combine([some[number] for number in sorted(some)])


def _distribution(answer: Annotation, num_labels: int) -> Sequence[float]:
    if answer.probabilities is not None:
        return answer.probabilities
    if answer.label == NO_LABEL:
        some = answer.candidates
        return [1 / len(some) if label in some else 0.0 for label in range(num_labels)]
    share = 1.0 if answer.confidence is None else answer.confidence
    return [share if label == answer.label else (1 - share) / (num_labels - 1) for label in range(num_labels)]
