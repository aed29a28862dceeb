"""The prompts for one label for each text."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.special import softmax

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Generation, GenerationRequest
from freeal_hf.annotators.constraints import constraint_fields
from freeal_hf.annotators.final_answer import final_answer
from freeal_hf.annotators.logprobs import code_probabilities, name_probability, tokens_of
from freeal_hf.annotators.pacing import Reason
from freeal_hf.annotators.prompts.base import Alternatives, Annotate, Complete, Embed, Limits, TaskPrompts, fitting
from freeal_hf.annotators.prompts.label_answers import parse_answer
from freeal_hf.annotators.prompts.label_sets import constrain_list, list_schema
from freeal_hf.annotators.prompts.labels import (
    Message,
    annotation_messages,
    answer_schema,
    answer_text,
    cut_text,
    generation_messages,
    generation_schema,
    in_order,
    label_codes,
    label_texts,
    parse_texts,
)
from freeal_hf.annotators.prompts.plausible import candidate_messages, parse_candidates
from freeal_hf.annotators.question import Completion
from freeal_hf.annotators.requests import usage_of
from freeal_hf.annotators.samples import combined_labels
from freeal_hf.data.label_columns import LabelColumn, is_no_answer
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL, Demonstration, Task, TextClassification


class SingleLabelPrompts(TaskPrompts[TextClassification]):
    """The prompts for one label from a list for each text."""

    usual_answer_tokens = 8  # {"label": "..."}
    has_one_label = True

    def messages(self, request: AnnotationRequest) -> list[Message]:
        return annotation_messages(self.task, request)

    def asked(self, request: AnnotationRequest, limits: Limits) -> dict[str, Any]:
        codes = label_codes(self.task, limits.coded, request.order)
        if limits.candidates:
            return {
                "messages": candidate_messages(self.task, _cut(request, limits.max_text_length)),
                "schema": list_schema(in_order(self.task.label_names, request.order), None),
                "max_tokens": limits.max_tokens * self.task.num_labels,
            }
        return {
            "messages": _messages(self.task, request, limits.coded, limits.max_text_length),
            "schema": answer_schema(in_order(codes, request.order)),
            "max_tokens": limits.max_tokens,
            "logprobs": limits.coded,
        }

    async def ask(self, complete: Complete, request: AnnotationRequest, limits: Limits) -> Annotation:
        """Requests the label of a text. A text that is too long for the model is halved until it fits."""
        if limits.candidates:
            return await self._ask_for_candidates(complete, request, limits)
        codes = in_order(label_codes(self.task, limits.coded, request.order), request.order)
        constrain = partial(constraint_fields, codes=tuple(codes))
        # A few more than there are labels: a letter may come with and without a space or a quote.
        top_logprobs = len(codes) + 3

        async def call(length: int) -> Completion:
            messages = _messages(self.task, request, limits.coded, length)
            return await complete("label", limits.max_tokens, messages, constrain, top_logprobs)

        completion, length = await fitting(call, request.text, limits.max_text_length)
        return _read(completion, self.task, limits.coded, request.order, is_cut=length < len(request.text))

    async def _ask_for_candidates(self, complete: Complete, request: AnnotationRequest, limits: Limits) -> Annotation:
        """Requests all plausible labels. The answer has a label if there is only one, and otherwise the candidates."""
        names = in_order(self.task.label_names, request.order)
        constrain = partial(constrain_list, names=names, max_labels=None)

        async def call(length: int) -> Completion:
            messages = candidate_messages(self.task, _cut(request, length))
            return await complete("labels", limits.max_tokens * len(names), messages, constrain, 0)

        completion, length = await fitting(call, request.text, limits.max_text_length)
        labels, unusable = parse_candidates(completion.text, self.task)
        reason: Reason | None = "cut-off answer" if unusable and completion.is_cut_off else unusable
        if labels is None and completion.is_filtered:
            reason = "content filter"
        is_clear = labels is not None and len(labels) == 1
        return Annotation(
            labels[0] if labels and is_clear else NO_LABEL,
            labels=None if is_clear else labels,
            reason="several candidates" if labels and not is_clear else reason,
            answer=completion.text,
            is_cut=length < len(request.text),
            **usage_of([completion]),
        )

    def alternatives(self) -> Alternatives:
        """Returns the answer of each label. See `TaskPrompts`."""
        return Alternatives(
            [answer_text(name) for name in self.task.label_names],
            are_whole=True,
            messages=self.messages,
            read=lambda log_likelihoods: _best(softmax(log_likelihoods)),
        )

    def combined(self, answers: Sequence[Annotation]) -> Annotation:
        return combined_labels(answers, self.task.num_labels)

    def in_words(self, request: AnnotationRequest, answer: Annotation) -> str:
        return self.task.label_names[answer.label]

    def writing(self, request: GenerationRequest) -> tuple[list[Message], dict[str, Any]]:
        return generation_messages(self.task, request), generation_schema()

    def written(self, completion: Completion, request: GenerationRequest) -> Generation:
        texts = parse_texts(completion.text)[: request.num_texts]
        return Generation(texts, **usage_of([completion]))

    def confirmed(self, candidates: Sequence[Demonstration], annotate: Annotate) -> list[Demonstration]:
        answers = dict(annotate([AnnotationRequest(candidate.text) for candidate in candidates]))
        return [candidate for i, candidate in enumerate(candidates) if answers[i].label == candidate.label]

    def check_column(self, answers: Mapping[str, str], name: str) -> None:
        if all(map(is_no_answer, answers.values())):
            raise InputError(f"Column {name!r} is empty; fill it in, or give another column.")
        labels = LabelColumn(self.task, f"Column {name!r}")
        labels.ids(answers.values())
        labels.check()

    def from_column(self, value: str, name: str, request: AnnotationRequest) -> Annotation:
        label = self.task.label_of(value)
        if label != NO_LABEL:
            return Annotation(label, answer=value)
        if is_no_answer(value):
            return Annotation(NO_LABEL, reason=f"column {name!r} is empty")
        return Annotation(NO_LABEL, answer=value, reason=f"column {name!r}: not a label")

    def compared(self, request: AnnotationRequest, temperature: float) -> dict[str, Any]:
        return {
            "temperature": temperature,
            "labels": label_texts(self.task),
            "demonstrations": [[demonstration.text, demonstration.label] for demonstration in request.demonstrations],
            "text": request.text,
        }

    def nearest(self, requests: Sequence[AnnotationRequest], embed: Embed, temperature: float) -> list[Annotation]:
        """Labels each text with the label whose description and demonstrations are nearest to it."""
        labels = label_texts(self.task)
        shown = {demonstration.text for request in requests for demonstration in request.demonstrations}
        embed([*labels, *(request.text for request in requests), *sorted(shown)])
        described = embed(labels)
        return [_nearest(request, described, embed, temperature) for request in requests]

    def scored(self, scores: np.ndarray, *, are_calibrated: bool) -> list[Annotation]:
        """Gives each text the label with the highest score."""
        found = [_best(row / row.sum()) for row in scores]
        return found if are_calibrated else [replace(one, confidence=None, probabilities=None) for one in found]


def _nearest(request: AnnotationRequest, described: np.ndarray, embed: Embed, temperature: float) -> Annotation:
    [text] = embed([request.text])
    scores = described @ text
    for label in range(len(scores)):
        shots = [shot.text for shot in request.demonstrations if shot.label == label]
        if shots:
            scores[label] = (scores[label] + float(np.mean(embed(shots) @ text))) / 2
    logits = (scores - scores.max()) / temperature
    return _best(np.exp(logits) / np.exp(logits).sum())


def _best(probabilities: np.ndarray) -> Annotation:
    # Rounded because the last digits depend on the other texts in the batch.
    rounded = tuple(round(float(p), 5) for p in probabilities)
    best = [label for label, probability in enumerate(rounded) if probability == max(rounded)]
    if len(best) > 1:  # the first of equally probable labels is not better than the others
        return Annotation(NO_LABEL, reason="several labels", probabilities=rounded)
    return Annotation(label=best[0], confidence=rounded[best[0]], probabilities=rounded)


def _messages(task: Task, request: AnnotationRequest, coded: bool, length: int) -> list[Message]:
    return annotation_messages(task, _cut(request, length), coded=coded)


def _cut(request: AnnotationRequest, length: int) -> AnnotationRequest:
    text, is_cut = cut_text(request.text, length)
    return replace(request, text=text) if is_cut else request


def _read(completion: Completion, task: Task, coded: bool, order: tuple[int, ...], *, is_cut: bool) -> Annotation:
    codes = label_codes(task, coded, order)
    label, unusable = parse_answer(completion.text, task, coded=coded, order=order)
    probabilities = confidence = None
    tokens = tokens_of(completion.tokens, final_answer(completion.text).text) if label != NO_LABEL else ()
    if tokens and codes != task.label_names:
        probabilities = code_probabilities(tokens, codes)
        confidence = probabilities[label] if probabilities else None
    elif tokens:
        confidence = name_probability(tokens, codes[label], codes)
    reason: Reason | None = "cut-off answer" if unusable and completion.is_cut_off else unusable
    if label == NO_LABEL and completion.is_filtered:
        reason = "content filter"
    return Annotation(
        label,
        confidence=confidence,
        probabilities=probabilities,
        reason=reason,
        answer=completion.text,
        is_cut=is_cut,
        **usage_of([completion]),
    )
