"""Tokenization of sentences of words for token classification.

A word is scored at its first sub-word. A sentence that is too long for the student is split into overlapping windows,
and each word is scored in the first window that contains it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Dataset, Features, IterableDataset, Value
from datasets import Sequence as ListFeature
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from freeal_hf.data.counting import counted
from freeal_hf.errors import InputError
from freeal_hf.training.data import EVAL_COLUMNS, IGNORED, NO_LABEL, columns_of, label_ids

_LONGEST_OVERLAP = 32


def has_words(dataset: Dataset | IterableDataset) -> bool:
    """Whether a dataset holds sentences of words with one label for each word (it has a column `tokens`)."""
    return "tokens" in columns_of(dataset)


def words_and_labels(dataset: Dataset, num_classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the labels of all words of a dataset.

    Args:
        dataset (`Dataset`): A dataset with the column `tokens` and optionally `label`.
        num_classes (`int`): The number of classes.

    Returns:
        `tuple[NDArray, NDArray]`: The label of each word, shape `[words]` (-1 for no label), and the number of words
        in each sentence, shape `[sentences]`.

    Raises:
        InputError: If a sentence has no words or not one label for each word, or a label is not a class number.
    """
    sentences = dataset["tokens"]
    for row, words in enumerate(sentences):
        if not words:
            raise InputError(f"row {row} has no words: leave empty sentences out")
        if (missing := next((i for i, word in enumerate(words) if not isinstance(word, str)), None)) is not None:
            raise InputError(f"row {row} has {words[missing]!r} as word {missing} of `tokens`, which is not a text")
    lengths = np.array([len(words) for words in sentences], dtype=np.int64)
    if "label" not in dataset.column_names:
        return np.full(int(lengths.sum()), NO_LABEL), lengths
    found: list[int] = []
    for row, (labels, length) in enumerate(zip(dataset["label"], lengths, strict=True)):
        labels = [None] * int(length) if labels is None else labels
        if len(labels) != length:
            raise InputError(
                f"row {row} has {counted(int(length), 'word')} but {counted(len(labels), 'label')}: "
                "each word needs one (-1 = none)"
            )
        found += label_ids(labels, num_classes, row=row)
    return np.array(found, dtype=np.int64), lengths


def window_words(
    words: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[list[dict[str, Any]], list[int]]:
    """Tokenizes sentences and splits them into windows.

    Args:
        words (`Sequence[Sequence[str]]`): The words of each sentence.
        tokenizer (`PreTrainedTokenizerBase`): A fast tokenizer, which knows the word of each sub-word.
        max_length (`int`): The maximum number of sub-words in a window, with special tokens.

    Returns:
        `tuple[list[dict], list[int]]`: The windows, and the number of the sentence of each window. A window has
        `input_ids`, `attention_mask` and `words`: the number of the word at its first sub-word, and -1 at all other
        sub-words. Each word is scored in exactly one window.

    Raises:
        InputError: If the tokenizer is slow.
    """
    if not tokenizer.is_fast:
        raise InputError(f"{type(tokenizer).__name__} is a slow tokenizer: token classification needs a fast one")
    # A word that consists of control characters has no sub-word, and would get no prediction.
    pieces = tokenizer([list(sentence) for sentence in words], is_split_into_words=True, add_special_tokens=False)
    sentences = []
    for number, row in enumerate(words):
        seen = set(pieces.word_ids(number))
        sentences.append([word if i in seen else str(tokenizer.unk_token) for i, word in enumerate(row)])
    encoded = tokenizer(
        sentences,
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        stride=min(_LONGEST_OVERLAP, max_length // 4),
        return_overflowing_tokens=True,
    )
    windows: list[dict[str, Any]] = []
    sentence_of_window = [int(i) for i in encoded["overflow_to_sample_mapping"]]
    previous, scored = -1, -1
    for window, sentence in enumerate(sentence_of_window):
        if sentence != previous:
            previous, scored = sentence, -1
        numbers = []
        for word in encoded.word_ids(window):
            is_first = word is not None and word > scored
            scored = word if is_first else scored
            numbers.append(word if is_first else -1)
        windows.append(
            {
                "input_ids": encoded["input_ids"][window],
                "attention_mask": encoded["attention_mask"][window],
                "words": numbers,
            }
        )
    return windows, sentence_of_window


def tokenize_words(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase | None,
    max_length: int,
    columns: Sequence[str],
    *,
    num_classes: int,
    no_label: int = IGNORED,
) -> tuple[Dataset, NDArray[np.int64]]:
    """Converts sentences of words to the windows that the student reads.

    Args:
        dataset (`Dataset`): A dataset with the column `tokens` and optionally `label` (one for each word; -1 = none).
        tokenizer (`PreTrainedTokenizerBase`): A fast tokenizer.
        max_length (`int`): The maximum number of sub-words in a window.
        columns (`Sequence[str]`): The columns to keep.
        num_classes (`int`): The number of classes.
        no_label (`int`, *optional*, defaults to -100): The value of `labels` for a word without a label.

    Returns:
        `tuple[Dataset, NDArray]`: The windows with those of `columns` that can be made, and the number of the sentence
        of each window, shape `[windows]`. `sample_index` is the number of a word among all words of the dataset. Where
        a sub-word is not scored, `sample_index` is -1 and `labels` is -100.

    Raises:
        InputError: If there is no fast tokenizer, or words and labels do not match.
    """
    if tokenizer is None:
        raise InputError("a dataset with `tokens` needs a tokenizer: pass processing_class=")
    labels, lengths = words_and_labels(dataset, num_classes)
    labels = np.where(labels == NO_LABEL, no_label, labels)
    windows, sentences = window_words(dataset["tokens"], tokenizer, max_length)
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    rows: dict[str, list[Any]] = {"input_ids": [], "attention_mask": [], "labels": [], "sample_index": []}
    for window, sentence in zip(windows, sentences, strict=True):
        numbers = np.array(window["words"])
        index = np.where(numbers >= 0, numbers + starts[sentence], -1)
        rows["input_ids"].append(window["input_ids"])
        rows["attention_mask"].append(window["attention_mask"])
        rows["sample_index"].append(index.tolist())
        rows["labels"].append(np.where(numbers >= 0, labels[index], IGNORED).tolist())
    if "label" not in dataset.column_names:
        del rows["labels"]
    features = Features({name: ListFeature(Value("int64")) for name in rows})
    kept = [name for name in columns if name in rows]
    return Dataset.from_dict(rows, features=features).select_columns(kept), np.array(sentences, dtype=np.int64)


def tokenize_word_stream(
    dataset: IterableDataset, tokenizer: PreTrainedTokenizerBase | None, max_length: int, *, num_classes: int
) -> IterableDataset:
    """Converts a stream of sentences to a stream of the windows that the student reads.

    Args:
        dataset (`IterableDataset`): A dataset with the column `tokens` and optionally `label`.
        tokenizer (`PreTrainedTokenizerBase`): A fast tokenizer.
        max_length (`int`): The maximum number of sub-words in a window.
        num_classes (`int`): The number of classes.

    Returns:
        `IterableDataset`: The windows with those of `EVAL_COLUMNS` that can be made.
    """

    def encode(batch: dict[str, list[Any]]) -> dict[str, Any]:
        rows = Dataset.from_dict({name: batch[name] for name in ("tokens", "label") if name in batch})
        return tokenize_words(rows, tokenizer, max_length, EVAL_COLUMNS, num_classes=num_classes)[0].to_dict()

    return dataset.map(encode, batched=True, remove_columns=columns_of(dataset))
