"""A sample is a word of a sentence (token classification)."""

from typing import Any

import numpy as np
import torch
from datasets import Dataset, IterableDataset
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerBase

from freeal_hf.tasks import OUTSIDE, TokenClassification
from freeal_hf.training.data import EVAL_COLUMNS, NO_LABEL, TRAIN_COLUMNS, ids_of, is_trusted_of, tokenize
from freeal_hf.training.samples.base import Floats, SampleKind, TrainingSet
from freeal_hf.training.selection import Selection, SelectionRules
from freeal_hf.training.token_data import has_words, tokenize_word_stream, tokenize_words, words_and_labels
from freeal_hf.training.token_selection import corrected_guesses, group_words, select_clean_words


class WordSamples(SampleKind):
    """Each word has one BIO tag. A sentence that is too long for the student is several rows."""

    head = AutoModelForTokenClassification
    starts_with_probe = False
    holds_out = False

    @property
    def outside(self) -> int:
        """See [`SampleKind.outside`]."""
        return self.label_names.index(OUTSIDE) if OUTSIDE in self.label_names else -1

    @property
    def task(self) -> TokenClassification:
        """See [`SampleKind.task`]."""
        types = [name[2:] for name in self.label_names if name.startswith("B-")]
        return TokenClassification(types or self.label_names)

    def training_set(
        self,
        dataset: Dataset,
        tokenizer: PreTrainedTokenizerBase | None,
        max_length: int,
        *,
        no_label: int = NO_LABEL,
    ) -> TrainingSet:
        """See [`SampleKind.training_set`]."""
        labels, num_words = words_and_labels(dataset, self.num_classes)
        rows, text_of_row = tokenize_words(
            dataset, tokenizer, max_length, TRAIN_COLUMNS, num_classes=self.num_classes, no_label=no_label
        )
        is_trusted = np.repeat(is_trusted_of(dataset), num_words)
        words = group_words(labels, num_words, self.label_names)
        unknown = np.full(len(labels), np.nan)
        return TrainingSet(self, rows, ids_of(dataset), labels, is_trusted, unknown, text_of_row, words)

    def evaluation_set(
        self, dataset: Dataset | IterableDataset, tokenizer: PreTrainedTokenizerBase | None, max_length: int
    ) -> Any:
        """See [`SampleKind.evaluation_set`]. Sentences that are already tokenized have a label for each sub-word."""
        if not has_words(dataset):
            return tokenize(dataset, tokenizer, max_length, EVAL_COLUMNS, num_classes=self.num_classes)
        if isinstance(dataset, IterableDataset):
            return tokenize_word_stream(dataset, tokenizer, max_length, num_classes=self.num_classes)
        return tokenize_words(dataset, tokenizer, max_length, EVAL_COLUMNS, num_classes=self.num_classes)[0]

    def warm_up_epochs(self, epochs: float) -> int:
        """See [`SampleKind.warm_up_epochs`]. A student learns tags more slowly than the labels of texts."""
        return max(2, int(epochs) // 2)

    def select(
        self, samples: TrainingSet, losses: Floats, average: Floats, rules: SelectionRules
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """See [`SampleKind.select`]."""
        assert samples.words is not None
        return select_clean_words(losses, samples.labels, average, samples.words, rules)

    def guesses(self, samples: TrainingSet, average: Tensor, posterior: Floats, correction: float) -> Tensor:
        """See [`SampleKind.guesses`]. They are corrected for the entities that the annotator missed."""
        assert samples.words is not None
        corrected = corrected_guesses(average.cpu().numpy(), samples.labels, posterior, samples.words, correction)
        return torch.from_numpy(corrected).to(average)

    def selection(self, samples: TrainingSet, found: Selection) -> Selection:
        """See [`SampleKind.selection`]. The number of words in each sentence is added."""
        assert samples.words is not None
        found.num_words = samples.words.num_words
        return found
