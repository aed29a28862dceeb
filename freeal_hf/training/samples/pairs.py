"""A sample is a pair of a text and a label, which applies to the text or not (multi-label classification).

The logit z of a label is read as the logits (0, z) of the classes "no" and "yes". Their softmax is the sigmoid of z,
and their cross-entropy is the binary cross-entropy. Soft targets, mixup and consistency therefore need no other
formulae, and a text can have a clean label and a noisy one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from datasets import ClassLabel, Dataset, IterableDataset
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from freeal_hf.data.counting import counted
from freeal_hf.errors import InputError
from freeal_hf.tasks import MultiLabelClassification
from freeal_hf.training.data import EVAL_COLUMNS, IGNORED, NO_LABEL, TRAIN_COLUMNS, ids_of, is_trusted_of, tokenize
from freeal_hf.training.samples.base import Floats, Integers, SampleKind, TrainingSet
from freeal_hf.training.selection import Selection, SelectionRules, select_clean_groups
from freeal_hf.training.thresholds import choose_threshold, decided, thresholds_of

MULTI_LABEL = "multi_label_classification"
"""The `problem_type` of a student that gives each text any number of labels."""

# A mixture of two components that is fitted to fewer losses is arbitrary, and so is the threshold of fewer texts.
_FEWEST_IN_GROUP = 10


class PairSamples(SampleKind):
    """Each text has any number of labels. The sample `i * labels + k` is the text `i` with the label `k`."""

    problem_type = MULTI_LABEL
    holds_out_by_default = True

    @property
    def num_classes(self) -> int:
        """See [`SampleKind.num_classes`]. The classes are 0 (the label does not apply) and 1 (it does)."""
        return 2

    @property
    def task(self) -> MultiLabelClassification:
        """See [`SampleKind.task`]."""
        return MultiLabelClassification(self.label_names)

    # ---- Data ----

    def training_set(
        self,
        dataset: Dataset,
        tokenizer: PreTrainedTokenizerBase | None,
        max_length: int,
        *,
        no_label: int = NO_LABEL,
    ) -> TrainingSet:
        """See [`SampleKind.training_set`]."""
        rows = self._tokenized(dataset, tokenizer, max_length, TRAIN_COLUMNS, no_label)
        labels = np.array(rows["labels"], dtype=np.int64).reshape(-1)
        labels = np.where(labels == IGNORED, NO_LABEL, labels)
        is_trusted = is_trusted_of(dataset)
        if is_trusted.ndim == 1:
            is_trusted = np.repeat(is_trusted, len(self.label_names))
        unknown = np.full(len(labels), np.nan)
        return TrainingSet(self, rows, ids_of(dataset), labels, is_trusted.reshape(-1), unknown, np.arange(len(rows)))

    def evaluation_set(
        self, dataset: Dataset | IterableDataset, tokenizer: PreTrainedTokenizerBase | None, max_length: int
    ) -> Any:
        """See [`SampleKind.evaluation_set`]."""
        return self._tokenized(dataset, tokenizer, max_length, EVAL_COLUMNS, IGNORED)

    def _tokenized(
        self,
        dataset: Dataset | IterableDataset,
        tokenizer: PreTrainedTokenizerBase | None,
        max_length: int,
        columns: Sequence[str],
        no_label: int,
    ) -> Any:
        read = label_ids_read if has_label_ids(dataset) else label_values
        read_label = partial(read, num_labels=len(self.label_names), no_label=no_label)
        return tokenize(dataset, tokenizer, max_length, columns, num_classes=self.num_classes, read_label=read_label)

    # ---- Student ----

    def logits(self, logits: Tensor) -> Tensor:
        """See [`SampleKind.logits`]. A text has the logits (0, z) for each label, shape `[rows, labels, 2]`."""
        return torch.stack([torch.zeros_like(logits), logits], dim=-1)

    def places(self, index: Tensor) -> Tensor:
        """See [`SampleKind.places`]. The shape is `[rows, labels]`."""
        count = len(self.label_names)
        return index[:, None] * count + torch.arange(count, device=index.device)

    def conclude(self, config: Any, probabilities: Floats, held_out: Integers) -> Integers:
        """See [`SampleKind.conclude`]. The thresholds of the labels become a part of the configuration.

        The threshold of a label is chosen on the texts whose answer for it is held out, because the student is surer
        of the others. If few of these have the label, it is chosen on all texts.
        """
        yes = self._by_text(probabilities[:, 1])
        config.thresholds = [
            choose_threshold(found[known != NO_LABEL] if (known == 1).sum() >= _FEWEST_IN_GROUP else found)
            for found, known in zip(yes.T, self._by_text(held_out).T, strict=True)
        ]
        return decided(yes, thresholds_of(config)).astype(np.int64).reshape(-1)

    # ---- Selection ----

    def groups(self, labels: Integers) -> tuple[Integers, list[str]]:
        """See [`SampleKind.groups`]. Each label has a group of texts that have it, and one of those that do not.

        If few texts have a label, these texts and those of other such labels are one group.
        """
        count = len(self.label_names)
        groups = np.where(labels == NO_LABEL, NO_LABEL, 2 * self.questions(len(labels)) + labels)
        names = [f"{number}/{answer}" for number in range(count) for answer in ("no", "yes")]
        sizes = np.bincount(groups[groups >= 0], minlength=2 * count)
        is_small = sizes < _FEWEST_IN_GROUP
        for answer in (0, 1):
            small = np.flatnonzero(is_small & (np.arange(2 * count) % 2 == answer) & (sizes > 0))
            if len(small) > 1:
                groups[np.isin(groups, small)] = small[0]
        return groups, names

    def questions(self, count: int) -> Integers:
        """See [`SampleKind.questions`]. Each label is a question."""
        return np.arange(count) % len(self.label_names)

    def probe(self, embeddings: NDArray[np.float32], labels: Integers, seed: int) -> Floats:
        """See [`SampleKind.probe`]. There is one classifier for each label."""
        columns = self._by_text(labels).T
        found = np.stack([super(PairSamples, self).probe(embeddings, column, seed) for column in columns], axis=1)
        least = 1 / (2 * len(embeddings))
        return np.clip(found, least, 1 - least).reshape(-1, 2)

    def slips(self, samples: TrainingSet, held_out: Floats) -> float:
        """See [`SampleKind.slips`]. A label that few texts have says too little about its errors."""
        return 1.0

    def select(
        self, samples: TrainingSet, losses: Floats, average: Floats, rules: SelectionRules
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """See [`SampleKind.select`]."""
        confidences = np.take_along_axis(average, np.maximum(samples.labels, 0)[:, None], axis=1)[:, 0]
        return select_clean_groups(losses, self.groups(samples.labels)[0], confidences, rules)

    def selection(self, samples: TrainingSet, found: Selection) -> Selection:
        """See [`SampleKind.selection`]. All values have the shape `[texts, labels]`."""
        return replace(
            found,
            labels=self._by_text(found.labels),
            losses=self._by_text(found.losses),
            posterior=self._by_text(found.posterior),
            is_clean=self._by_text(found.is_clean),
            predictions=self._by_text(found.predictions),
            probabilities=self._by_text(found.probabilities[:, 1]),
        )

    def _by_text(self, values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(-1, len(self.label_names))


def has_label_ids(dataset: Dataset | IterableDataset) -> bool:
    """Returns whether the labels of a text are a list of class numbers, and not one value for each label.

    Args:
        dataset (`Dataset` or `IterableDataset`): The dataset. The type of its column decides: a list of `ClassLabel`.
    """
    features: Mapping[str, Any] = dataset.features or {}
    feature = features.get("labels", features.get("label"))
    return isinstance(getattr(feature, "feature", None), ClassLabel)


def label_ids_read(value: Any, row: int, column: str, *, num_labels: int, no_label: int) -> list[float]:
    """Converts a list of class numbers to one value for each label.

    Args:
        value (`Any`): The class numbers of the labels that apply; `None` if there is no answer.
        row (`int`): The row, for error messages.
        column (`str`): The name of the column, for error messages.
        num_labels (`int`): The number of labels.
        no_label (`int`): The value for "no answer".

    Returns:
        `list[float]`: 1 for each label that applies and 0 for the others, or `no_label` for each label.

    Raises:
        InputError: If a value is not a class number.

    Example:

        >>> label_ids_read([2, 0], 0, "labels", num_labels=3, no_label=-1)
        [1.0, 0.0, 1.0]
    """
    if value is None:
        return [float(no_label)] * num_labels
    found = [0.0] * num_labels
    for number in value:
        if not 0 <= number < num_labels:
            raise InputError(
                f"row {row} has {number!r} in `{column}`: the class numbers of its labels must be between 0 and "
                f"{num_labels - 1}; use an empty list for a text without labels, and None for no answer"
            )
        found[number] = 1.0
    return found


def label_values(value: Any, row: int, column: str, *, num_labels: int, no_label: int) -> list[float]:
    """Checks the labels of a text, one value for each label.

    Args:
        value (`Any`): A list of 1 (the label applies), 0 (it does not) and -1, -100, `None` or NaN (no answer); or
            `None` if there is no answer for any label.
        row (`int`): The row, for error messages.
        column (`str`): The name of the column, for error messages.
        num_labels (`int`): The number of labels.
        no_label (`int`): The value for "no answer".

    Returns:
        `list[float]`: The values; `no_label` where there is no answer.

    Raises:
        InputError: If the value is not such a list.

    Example:

        >>> label_values([True, 0.0, None], 0, "labels", num_labels=3, no_label=-1)
        [1.0, 0.0, -1.0]
    """
    if value is None or value != value:
        return [float(no_label)] * num_labels
    if not isinstance(value, (list, tuple)):
        raise InputError(
            f"row {row} has {value!r} as `{column}`, but the student gives a text any number of labels: use a list of "
            f"{counted(num_labels, 'value')}, 1 if the label applies and 0 if it does not"
        )
    if len(value) != num_labels:
        raise InputError(
            f"row {row} has {counted(len(value), 'value')} in `{column}`, but the student has "
            f"{counted(num_labels, 'label')}: use one value for each, 1 if it applies and 0 if it does not. Lists of "
            "class numbers need a column of the type Sequence(ClassLabel(names=[...]))"
        )
    return [_label_value(item, row, column, no_label) for item in value]


def _label_value(value: Any, row: int, column: str, no_label: int) -> float:
    if value is None or value != value:
        return float(no_label)
    if isinstance(value, (bool, int, float, np.number)):
        if value in (NO_LABEL, IGNORED):
            return float(no_label)
        if value in (0, 1):
            return float(value)
    raise InputError(
        f"row {row} has {value!r} in `{column}`: use 1 for a label that applies, 0 for one that does not, and -1 for "
        "no answer"
    )
