"""An annotator without LLM and network, which compares embeddings of texts, descriptions and demonstrations."""

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
    """Gives a text the label whose description and demonstrations have the most similar sentence embeddings.

    The score of a label is the cosine similarity of the text and the description of the label, averaged with the mean
    similarity of its demonstrations in the request, if there are any. The confidence is the softmax of the scores. Its
    temperature was chosen on the demo data, and is the same for all data.

    In an entity task it finds spans that are similar to the description of a type, to the terms in it, or to entities
    that a person marked in the demonstrations. This is weak; see `freeal_hf.annotators.candidates`.

    Args:
        model (`str`, *optional*, defaults to `"sentence-transformers/all-MiniLM-L6-v2"`): A sentence-transformers
            model. The default is loaded from the package of `freeal-hf[demo]` if it is installed, and otherwise from
            the Hub.
        temperature (`float`, *optional*, defaults to 0.06): The temperature of the softmax over cosine similarities.
        batch_size (`int`, *optional*, defaults to 256): The number of texts in a call.

    Raises:
        AnnotatorError: If sentence-transformers is not installed or the model cannot be loaded.

    Example:

        >>> import asyncio
        >>> from freeal_hf import AnnotationRequest, TextClassification
        >>> task = TextClassification({"fruit": "a fruit to eat", "tool": "a tool to work with"})
        >>> annotator = EmbeddingAnnotator()
        >>> [answer] = asyncio.run(annotator.annotate(task, [AnnotationRequest("a ripe plum")]))
        >>> task.label_names[answer.label]
        'fruit'
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
                f"The embedding model {model!r} cannot be loaded ({type(error).__name__}). Without a network, "
                "install the default model as a package: pip install 'freeal-hf[demo]'."
                f"{offline_hint()}"
            ) from error
        self.model = self.name = model
        self.temperature = temperature
        self.batch_size = batch_size
        self._embeddings: dict[str, np.ndarray] = {}

    def fingerprint(self, task: Task, request: AnnotationRequest) -> Mapping[str, Any]:
        """Returns the complete request: model, label descriptions, demonstrations and text."""
        compared = prompts_of(task).compared(request, self.temperature)
        return {"annotator": "embedding", "model": self.model, **compared}

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels the texts. A text with equal scores for several labels gets no label."""
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
