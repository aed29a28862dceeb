"""An entity task, and sentences with gold tags and tags of which some are missed."""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset

from freeal_hf import Annotation, AnnotationRequest, Annotator, TokenClassification
from freeal_hf.data.spans import Span
from tests.conftest import FILLERS, FRUIT, TOOLS

TASK = TokenClassification({"fruit": "something to eat", "tool": "something to work with"}, "What is named?")
TYPES = {**dict.fromkeys(FRUIT, "fruit"), **dict.fromkeys(TOOLS, "tool")}


def make_sentences() -> Dataset:
    """60 sentences: `tokens`, `gold`, and `noisy`, which misses every fifth entity."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        tokens = rng.choice([*FILLERS, *FRUIT, *TOOLS], size=rng.integers(3, 9)).tolist()
        gold = [f"B-{TYPES[word]}" if word in TYPES else "O" for word in tokens]
        noisy = ["O" if rng.random() < 0.2 else tag for tag in gold]
        rows.append({"tokens": tokens, "gold": gold, "noisy": noisy})
    return Dataset.from_list(rows)


class KnowingAnnotator(Annotator):
    """Knows every entity, and remembers what it was asked."""

    batch_size = 8
    kinds = frozenset({TokenClassification.type})

    def __init__(self) -> None:
        self.asked: list[AnnotationRequest] = []

    async def annotate(self, task: TokenClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        self.asked.extend(requests)
        return [Annotation(0, spans=_found(request.words)) for request in requests]


def _found(words: Sequence[str]) -> tuple[Span, ...]:
    return tuple(Span(i, i + 1, TYPES[word]) for i, word in enumerate(words) if word in TYPES)
