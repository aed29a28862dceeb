"""A sample is a text with one label."""

from typing import Any

import numpy as np
from datasets import Dataset, IterableDataset
from transformers import PreTrainedTokenizerBase

from freeal_hf.tasks import TextClassification
from freeal_hf.training.data import (
    EVAL_COLUMNS,
    IGNORED,
    NO_LABEL,
    TRAIN_COLUMNS,
    candidates_of,
    confidences_of,
    ids_of,
    is_trusted_of,
    tokenize,
)
from freeal_hf.training.samples.base import SampleKind, TrainingSet


class TextSamples(SampleKind):
    """Each text has one label."""

    @property
    def task(self) -> TextClassification:
        """See [`SampleKind.task`]."""
        return TextClassification(self.label_names)

    def training_set(
        self,
        dataset: Dataset,
        tokenizer: PreTrainedTokenizerBase | None,
        max_length: int,
        *,
        no_label: int = NO_LABEL,
    ) -> TrainingSet:
        """See [`SampleKind.training_set`]."""
        rows = tokenize(dataset, tokenizer, max_length, TRAIN_COLUMNS, num_classes=self.num_classes, no_label=no_label)
        labels = np.array(rows["labels"], dtype=np.int64)
        labels = np.where(labels == IGNORED, NO_LABEL, labels)
        is_trusted, confidences = is_trusted_of(dataset), confidences_of(dataset)
        candidates = candidates_of(dataset, self.num_classes)
        if candidates is not None:
            candidates[labels != NO_LABEL] = False
        places = np.arange(len(rows))
        return TrainingSet(self, rows, ids_of(dataset), labels, is_trusted, confidences, places, candidates=candidates)

    def evaluation_set(
        self, dataset: Dataset | IterableDataset, tokenizer: PreTrainedTokenizerBase | None, max_length: int
    ) -> Any:
        """See [`SampleKind.evaluation_set`]."""
        return tokenize(dataset, tokenizer, max_length, EVAL_COLUMNS, num_classes=self.num_classes)
