"""The prompts for any number of labels for each text."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.special import expit

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Generation, GenerationRequest
from freeal_hf.annotators.constraints import schema_fields
from freeal_hf.annotators.final_answer import final_answer
from freeal_hf.annotators.logprobs import flag_probabilities, tokens_of
from freeal_hf.annotators.pacing import Reason
from freeal_hf.annotators.prompts.base import Alternatives, Annotate, Complete, Embed, Limits, TaskPrompts, fitting
from freeal_hf.annotators.prompts.label_set_answers import parse_labels
from freeal_hf.annotators.prompts.label_sets import (
    constrain_list,
    flag_schema,
    flag_start,
    label_set_messages,
    list_schema,
    writing_messages,
    writing_schema,
)
from freeal_hf.annotators.prompts.labels import Message, cut_text, in_order, label_texts
from freeal_hf.annotators.question import Completion
from freeal_hf.annotators.requests import usage_of
from freeal_hf.annotators.samples import combined_label_sets
from freeal_hf.data.label_columns import is_no_answer
from freeal_hf.data.label_sets import LabelSetColumn
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL, Demonstration, MultiLabelClassification

_NEUTRAL = "a text about something else"


class MultiLabelPrompts(TaskPrompts[MultiLabelClassification]):
    """The prompts for any number of labels from a list for each text."""

    writing_start = '{"texts": [{"text": "'

    @property
    def usual_answer_tokens(self) -> int:  # type: ignore[override]
        """With a truth value for each label: `{"...": true, "...": false}`."""
        return 4 + 6 * self.task.num_labels

    def messages(self, request: AnnotationRequest) -> list[Message]:
        return label_set_messages(self.task, request)

    def asked(self, request: AnnotationRequest, limits: Limits) -> dict[str, Any]:
        names = in_order(self.task.label_names, request.order)
        return {
            "messages": self._messages(request, limits, limits.max_text_length),
            "schema": flag_schema(names) if limits.coded else list_schema(names, self.task.max_labels),
            "max_tokens": limits.max_list_tokens,
            "logprobs": limits.coded,
        }

    async def ask(self, complete: Complete, request: AnnotationRequest, limits: Limits) -> Annotation:
        """Requests the labels of a text. A text that is too long for the model is halved until it fits.

        If probabilities are wanted, the model writes a truth value for each label, whose log-probabilities are read.
        """
        names = in_order(self.task.label_names, request.order)
        constrain: Any = partial(constrain_list, names=names, max_labels=self.task.max_labels)
        if limits.coded:
            constrain = partial(schema_fields, name="labels", schema=flag_schema(names))

        async def call(length: int) -> Completion:
            messages = self._messages(request, limits, length)
            return await complete("labels", limits.max_list_tokens, messages, constrain, 5 if limits.coded else 0)

        completion, length = await fitting(call, request.text, limits.max_text_length)
        return replace(self._read(completion, limits), is_cut=length < len(request.text))

    def alternatives(self) -> Alternatives:
        """Returns the beginning of the answer for each label, first with `false` and then with `true`.

        The probability of a label is that of `true`, given that the model writes one of them after the name of the
        label. Each label is decided by itself, as if it were the first.
        """
        return Alternatives(
            [flag_start(name, applies) for name in self.task.label_names for applies in (False, True)],
            are_whole=False,
            messages=partial(label_set_messages, self.task, as_flags=True),
            read=lambda scores: self._decided(expit(scores[1::2] - scores[::2])),
        )

    def combined(self, answers: Sequence[Annotation]) -> Annotation:
        return combined_label_sets(answers, self.task.num_labels)

    def in_words(self, request: AnnotationRequest, answer: Annotation) -> str:
        return ", ".join(self.task.label_names[i] for i in answer.labels or ()) or "none of the labels"

    def writing(self, request: GenerationRequest) -> tuple[list[Message], dict[str, Any]]:
        return writing_messages(self.task, request), writing_schema(self.task)

    def written(self, completion: Completion, request: GenerationRequest) -> Generation:
        texts = self._written(completion.text)[: request.num_texts]
        return Generation(
            tuple(text for text, _ in texts),
            labels=tuple(labels for _, labels in texts),
            **usage_of([completion]),
        )

    def confirmed(self, candidates: Sequence[Demonstration], annotate: Annotate) -> list[Demonstration]:
        """Returns the texts that have their requested label and to which the annotator gives all their written labels.

        Texts to which it gives other labels are left out.
        """
        shots = [
            shot
            for shot in candidates
            if shot.labels is not None and (shot.label in shot.labels or (shot.label == NO_LABEL and not shot.labels))
        ]
        answers = dict(annotate([AnnotationRequest(shot.text) for shot in shots]))
        return [shot for i, shot in enumerate(shots) if answers[i].labels == shot.labels]

    def check_column(self, answers: Mapping[str, str], name: str) -> None:
        if "" not in self.task.label_map and all(map(is_no_answer, answers.values())):
            raise InputError(f"Column {name!r} is empty; fill it in, or give another column.")
        labels = LabelSetColumn(self.task, f"Column {name!r}")
        labels.ids(answers.values())
        labels.check()

    def from_column(self, value: str, name: str, request: AnnotationRequest) -> Annotation:
        labels, most = self.task.labels_of(value), self.task.max_labels
        if labels is None and is_no_answer(value):
            return Annotation(NO_LABEL, reason=f"column {name!r} is empty")
        if self.task.is_no_answer(value):
            return Annotation(NO_LABEL, answer=value, reason=f"column {name!r}: no answer")
        if labels is None or (most is not None and len(labels) > most):
            return Annotation(NO_LABEL, answer=value, reason=f"column {name!r}: not a label")
        return Annotation(0, answer=value, labels=labels)

    def compared(self, request: AnnotationRequest, temperature: float) -> dict[str, Any]:
        return {
            "temperature": temperature,
            "labels": label_texts(self.task),
            "neutral": self._neutral,
            "rule": "half of the nearest",
            "max_labels": self.task.max_labels,
            "demonstrations": [[shot.text, list(shot.labels or ())] for shot in request.demonstrations],
            "text": request.text,
        }

    def nearest(self, requests: Sequence[AnnotationRequest], embed: Embed, temperature: float) -> list[Annotation]:
        """Labels each text with the labels that are nearer to it than the neutral text, and nearly as near as the
        nearest label.

        How similar an unrelated text is differs from text to text and from label to label. The other labels and the
        neutral text show this for each text, without gold and without the other texts of a batch. In the softmax of
        the similarities, a label needs more than the probability of the neutral text, and more than half of that of
        the nearest other label. Demonstrations with and without the label count as much as its description. The method
        is weak, because a similarity does not show that a label applies.
        """
        labels = [*label_texts(self.task), self._neutral]
        shown = {shot.text for request in requests for shot in request.demonstrations}
        embed([*labels, *(request.text for request in requests), *sorted(shown)])
        described = embed(labels)
        return [self._nearest(request, described, embed, temperature) for request in requests]

    @property
    def _neutral(self) -> str:
        return self.task.description or _NEUTRAL

    def _nearest(
        self, request: AnnotationRequest, described: np.ndarray, embed: Embed, temperature: float
    ) -> Annotation:
        [text] = embed([request.text])
        *scores, neutral = (described @ text).tolist()
        shots = request.demonstrations
        near = embed([shot.text for shot in shots]) @ text if shots else np.zeros(0)
        gains = []
        for label, score in enumerate(scores):
            has = np.array([label in (shot.labels or ()) for shot in shots], dtype=bool)
            others = max(other for i, other in enumerate(scores) if i != label)
            gain = score - max(neutral, others - temperature * math.log(2))
            if has.any() and not has.all():
                gain = (gain + float(near[has].max() - near[~has].max())) / 2
            gains.append(gain)
        return self._decided(expit(np.array(gains) / temperature))

    def _decided(self, probabilities: np.ndarray) -> Annotation:
        """Returns the most probable labels, of those that are more probable than not."""
        # Rounded because the last digits depend on the other texts in the batch.
        rounded = tuple(round(float(p), 5) for p in probabilities)
        ranked = sorted(range(len(rounded)), key=lambda label: -rounded[label])
        found = tuple(sorted(label for label in ranked[: self.task.max_labels] if rounded[label] > 0.5))
        return Annotation(0, probabilities=rounded, labels=found)

    def scored(self, scores: np.ndarray, *, are_calibrated: bool) -> list[Annotation]:
        """Gives each text the labels with a score above one half."""
        found = [self._decided(row) for row in scores]
        return found if are_calibrated else [replace(one, probabilities=None) for one in found]

    def _messages(self, request: AnnotationRequest, limits: Limits, length: int) -> list[Message]:
        text, _ = cut_text(request.text, length)
        return label_set_messages(self.task, replace(request, text=text), as_flags=limits.coded)

    def _read(self, completion: Completion, limits: Limits) -> Annotation:
        labels, unusable = parse_labels(completion.text, self.task, self.task.max_labels)
        probabilities = None
        if labels is not None and limits.coded:
            tokens = tokens_of(completion.tokens, final_answer(completion.text).text)
            probabilities = flag_probabilities(tokens, self.task.label_names) if tokens else None
        reason: Reason | None = "cut-off answer" if unusable and completion.is_cut_off else unusable
        if labels is None and completion.is_filtered:
            reason = "content filter"
        return Annotation(
            NO_LABEL if labels is None else 0,
            probabilities=probabilities,
            reason=reason,
            answer=completion.text,
            labels=labels,
            **usage_of([completion]),
        )

    def _written(self, answer: str | None) -> list[tuple[str, tuple[int, ...]]]:
        """Returns the written texts with their labels. A text with an unknown label is left out."""
        text = final_answer(answer).text
        try:
            items = json.loads(text[text.find("{") : text.rfind("}") + 1])["texts"]
            written = [
                (str(item["text"]).strip(), parse_labels(json.dumps(item["labels"]), self.task, self.task.max_labels))
                for item in items
            ]
        except (ValueError, KeyError, TypeError):
            return []
        found = {text: parsed.labels for text, parsed in written if text and parsed.labels is not None}
        return list(found.items())
