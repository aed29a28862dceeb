"""What a sample of a training set can be: a text, a word, or a pair of a text and one of several labels."""

from datasets import Dataset, IterableDataset

from freeal_hf.training.data import has_label_lists
from freeal_hf.training.samples.base import SampleKind, TrainingSet
from freeal_hf.training.samples.pairs import MULTI_LABEL, PairSamples
from freeal_hf.training.samples.texts import TextSamples
from freeal_hf.training.samples.words import WordSamples
from freeal_hf.training.token_data import has_words

__all__ = ["PairSamples", "SampleKind", "TextSamples", "TrainingSet", "WordSamples", "sample_kind_of"]


def sample_kind_of(dataset: Dataset | IterableDataset | None, problem_type: str | None = None) -> type[SampleKind]:
    """Returns what the samples of a dataset are.

    Args:
        dataset (`Dataset` or `IterableDataset`, *optional*): The dataset, with the standard column names.
        problem_type (`str`, *optional*): The `problem_type` in the configuration of the student.

    Returns:
        `type[SampleKind]`: Words if the dataset has a column `tokens`, pairs of a text and a label if each text has a
        list of labels or if the student was built for them, and texts otherwise.

    Example:

        >>> sample_kind_of(Dataset.from_dict({"text": ["a"], "labels": [[0.0, 1.0]]})).__name__
        'PairSamples'
    """
    if dataset is not None and has_words(dataset):
        return WordSamples
    if problem_type == MULTI_LABEL or (isinstance(dataset, Dataset) and has_label_lists(dataset)):
        return PairSamples
    return TextSamples
