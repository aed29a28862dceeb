"""The annotator that uses an encoder for zero-shot classification: an NLI model, or a GLiClass model."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Annotator
from freeal_hf.annotators.prompts.labels import label_texts
from freeal_hf.annotators.prompts.registry import prompts_of
from freeal_hf.errors import AnnotatorError, InputError, offline_hint
from freeal_hf.tasks import MultiLabelClassification, Task, TextClassification

NEUTRAL = ("N/A", "...", "This is a text.")
"""Texts without content. What a model says about them is the bias of its labels."""

_TINY = 1e-7
_GLICLASS = "GLiClass"

Score = Callable[[Sequence[str], Sequence[str], bool], np.ndarray]
"""Returns the probability of each label for each text, shape `(texts, labels)`. Its arguments are the texts, the names
or descriptions of the labels, and whether the probabilities of a text have a sum of 1."""


class ZeroShotAnnotator(Annotator):
    """Labels texts with an encoder that was trained for zero-shot classification. It needs no LLM and no training.

    The scores of such models are biased towards some labels and far too confident. They are only reported as
    probabilities if the shares of the labels are known: the score of each label is divided by its mean score for texts
    without content, and multiplied by its share (as Liusie et al., 2023, arXiv 2309.04992, do for language models).
    Otherwise texts get labels without a confidence.

    The encoder is one more voter beside a language model: `--annotator endpoint:MODEL --annotator zero-shot:MODEL`.

    Args:
        model (`str`): An NLI model (a sequence classifier with the class "entailment"), or a GLiClass model (needs
            `freeal-hf[gliclass]`); a model id or a folder.
        class_shares (`Mapping[str, float]`, *optional*): The known share of each label, by its name. In a task with
            any number of labels, it is the share of texts that have the label. By default it is that of the run
            (`LoopConfig.class_shares`).
        hypothesis_template (`str`, *optional*, defaults to `"This text is about {}."`): The hypothesis of an NLI
            model, with `{}` in place of the description of a label.
        device (`str`, *optional*): The device, such as `"cuda:1"`. By default a GPU is used if there is one.
        batch_size (`int`, *optional*, defaults to 32): The number of texts in a call.

    Raises:
        AnnotatorError: If the model cannot be loaded, or gliclass is not installed.
        InputError: If the template has no `{}`.
    """

    concurrency = 1
    is_free = True
    takes_class_shares = True
    kinds = frozenset({TextClassification.type, MultiLabelClassification.type})

    def __init__(
        self,
        model: str,
        *,
        class_shares: Mapping[str, float] | None = None,
        hypothesis_template: str = "This text is about {}.",
        device: str | None = None,
        batch_size: int = 32,
    ) -> None:
        if "{}" not in hypothesis_template:
            raise InputError(f"hypothesis_template is {hypothesis_template!r}; it must contain {{}} for the label.")
        self.model = self.name = model
        self.class_shares = class_shares
        self.hypothesis_template = hypothesis_template
        self.batch_size = batch_size
        self._score = _loaded(model, hypothesis_template, device, batch_size)
        self._neutral: dict[tuple[str, ...], np.ndarray] = {}
        self._lock = threading.Lock()

    def fingerprint(self, task: Task, request: AnnotationRequest) -> Mapping[str, Any]:
        """Returns the complete request: model, label descriptions, class shares and text."""
        return {
            "annotator": "zero-shot",
            "model": self.model,
            "task": task.type,
            "labels": label_texts(task),
            "template": self.hypothesis_template,
            "shares": self._shares(task),
            "text": request.text,
        }

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels the texts."""
        return await asyncio.to_thread(self._annotate, task, requests)

    def _annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        prompts, labels, shares = prompts_of(task), label_texts(task), self._shares(task)
        with self._lock:
            scores = self._score([request.text for request in requests], labels, prompts.has_one_label)
            key = (task.type, *labels)
            if shares is not None and key not in self._neutral:
                self._neutral[key] = self._score(NEUTRAL, labels, prompts.has_one_label).mean(axis=0)
        if shares is None:
            return prompts.scored(scores, are_calibrated=False)
        logit = np.log if prompts.has_one_label else _logit
        corrected = logit(_clipped(scores)) - logit(_clipped(self._neutral[key])) + logit(_clipped(np.array(shares)))
        odds = np.exp(corrected)
        found = odds / (odds.sum(axis=1, keepdims=True) if prompts.has_one_label else 1 + odds)
        return prompts.scored(found, are_calibrated=True)

    def _shares(self, task: Task) -> list[float] | None:
        """Returns the shares of the labels in the order of their ids."""
        given = self.class_shares
        if given is None:
            return None
        are_shares = all(0 <= float(share) <= 1 for share in given.values())
        if set(map(str, given)) != set(task.label_names) or not are_shares:
            raise InputError(
                f"class_shares is {dict(given)!r}; it must have a share from 0 to 1 for each of the labels "
                f"{', '.join(map(repr, task.label_names))}."
            )
        return [float(given[name]) for name in task.label_names]


def _clipped(values: np.ndarray) -> np.ndarray:
    return np.clip(values, _TINY, 1 - _TINY)


def _logit(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(values) - np.log1p(-values))


def _loaded(model: str, template: str, device: str | None, batch_size: int) -> Score:
    import torch
    from transformers import PretrainedConfig

    device = device or ("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        if PretrainedConfig.get_config_dict(model)[0].get("model_type") == _GLICLASS:
            return _gliclass(model, device, batch_size)
        return _nli(model, template, device, batch_size)
    except (OSError, ValueError) as error:
        raise AnnotatorError(
            f"The zero-shot model {model!r} cannot be loaded ({type(error).__name__}: {error}).{offline_hint()}"
        ) from error


def _nli(model: str, template: str, device: str, batch_size: int) -> Score:
    from transformers import pipeline

    classify = pipeline("zero-shot-classification", model=model, device=device)
    if classify.entailment_id == -1:
        raise ValueError("it has no class named entailment, so it is not an NLI model")

    def score(texts: Sequence[str], labels: Sequence[str], sum_to_one: bool) -> np.ndarray:
        found = classify(
            list(texts),
            candidate_labels=list(labels),
            hypothesis_template=template,
            multi_label=not sum_to_one,
            batch_size=batch_size,
        )
        scores = [dict(zip(one["labels"], one["scores"], strict=True)) for one in found]
        return np.array([[of[label] for label in labels] for of in scores])

    return score


def _gliclass(model: str, device: str, batch_size: int) -> Score:
    try:
        from gliclass import GLiClassModel, ZeroShotClassificationPipeline
    except ImportError as error:
        raise AnnotatorError(f"The model {model!r} needs gliclass: pip install 'freeal-hf[gliclass]'.") from error
    from transformers import AutoTokenizer

    classify = ZeroShotClassificationPipeline(
        GLiClassModel.from_pretrained(model),
        AutoTokenizer.from_pretrained(model),
        max_classes=1000,
        device=device,
        progress_bar=False,
    )

    def score(texts: Sequence[str], labels: Sequence[str], sum_to_one: bool) -> np.ndarray:
        found = classify(list(texts), list(labels), threshold=0.0, batch_size=batch_size)
        rows = [{one["label"]: one["score"] for one in some} for some in found]
        scores = _clipped(np.array([[row[label] for label in labels] for row in rows]))
        if not sum_to_one:
            return scores
        odds = np.exp(_logit(scores))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    return score
