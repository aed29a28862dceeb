"""The annotator that finds entities with a GLiNER model."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Annotator
from freeal_hf.annotators.prompts.entities import passage_text
from freeal_hf.annotators.prompts.grounding import ground
from freeal_hf.annotators.prompts.labels import label_texts
from freeal_hf.data.spans import Span
from freeal_hf.errors import AnnotatorError, InputError, offline_hint
from freeal_hf.tasks import Task, TokenClassification

_MARGIN = 4  # words; GLiNER's own words are not always those of the text


class GLiNERAnnotator(Annotator):
    """Finds entities with an encoder that was trained for any types of entities. It needs no LLM and no training.

    It gets the name of each type without underscores, because it was trained with short names. A long text is divided
    into passages. Its scores are not reported.

    Args:
        model (`str`): A GLiNER model (needs `freeal-hf[gliner]`); a model id or a folder.
        threshold (`float`, *optional*, defaults to 0.5): The score from which a span is an entity.
        described (`bool`, *optional*, defaults to `False`): Whether it gets the descriptions in place of the names.
        device (`str`, *optional*): The device, such as `"cuda:1"`. By default a GPU is used if there is one.
        batch_size (`int`, *optional*, defaults to 16): The number of texts in a call.

    Raises:
        AnnotatorError: If the model cannot be loaded, or gliner is not installed.
        InputError: If the threshold is not between 0 and 1.
    """

    concurrency = 1
    is_free = True
    kinds = frozenset({TokenClassification.type})

    def __init__(
        self,
        model: str,
        *,
        threshold: float = 0.5,
        described: bool = False,
        device: str | None = None,
        batch_size: int = 16,
    ) -> None:
        if not 0 < threshold < 1:
            raise InputError(f"threshold is {threshold!r}; it must be between 0 and 1.")
        self.model = self.name = model
        self.threshold = threshold
        self.described = described
        self.batch_size = batch_size
        self._model = _loaded(model, device)

    def fingerprint(self, task: Task, request: AnnotationRequest) -> Mapping[str, Any]:
        """Returns the complete request: model, types, threshold, text and words."""
        return {
            "annotator": "gliner",
            "model": self.model,
            "types": self._types(task),
            "threshold": self.threshold,
            "text": request.text,
            "words": list(request.words),
        }

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Finds the entities of the texts."""
        return await asyncio.to_thread(self._annotate, task, requests)

    def _annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        types = self._types(task)
        names = dict(zip(types, task.label_names, strict=True))
        size = max(1, self._model.config.max_len - _MARGIN)
        bounds = [(i, a, a + size) for i, one in enumerate(requests) for a in range(0, len(one.words), size)]
        texts = [passage_text(requests[i], a, min(b, len(requests[i].words))) for i, a, b in bounds]
        found = self._model.inference(texts, types, threshold=self.threshold, batch_size=self.batch_size)
        spans: list[list[Span]] = [[] for _ in requests]
        dropped = [0] * len(requests)
        for (i, start, end), entities in zip(bounds, found, strict=True):
            named = [(entity["text"], names[entity["label"]]) for entity in entities]
            placed = ground(named, requests[i].words[start:end])
            spans[i] += [Span(start + span.start, start + span.end, span.type) for span in placed.spans]
            dropped[i] += placed.num_dropped
        return [
            Annotation(0, spans=tuple(some), num_dropped=count) for some, count in zip(spans, dropped, strict=True)
        ]

    def _types(self, task: Task) -> list[str]:
        return label_texts(task) if self.described else [name.replace("_", " ") for name in task.label_names]


def _loaded(model: str, device: str | None) -> Any:
    import torch

    try:
        from gliner import GLiNER
    except ImportError as error:
        raise AnnotatorError(f"The model {model!r} needs gliner: pip install 'freeal-hf[gliner]'.") from error
    try:
        loaded = GLiNER.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise AnnotatorError(
            f"The GLiNER model {model!r} cannot be loaded ({type(error).__name__}: {error}).{offline_hint()}"
        ) from error
    return loaded.to(device or ("cuda:0" if torch.cuda.is_available() else "cpu")).eval()
