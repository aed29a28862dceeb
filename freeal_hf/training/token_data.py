"""From sentences of labelled words to batches: sub-words, windows of long sentences, which piece is which word.

A word is scored at its first sub-word. A sentence that is longer than the student reads becomes several windows that
overlap, and every word is scored in the first one that holds it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Dataset, Features, IterableDataset, Value
from datasets import Sequence as ListFeature
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from freeal_hf.errors import InputError
from freeal_hf.training.data import EVAL_COLUMNS, IGNORED, NO_LABEL, columns_of, label_ids

_LONGEST_OVERLAP = 32


def has_words(dataset: Dataset | IterableDataset) -> bool:
    """Whether a dataset holds sentences of words, each with a label, rather than texts."""
    return "tokens" in columns_of(dataset)


def words_and_labels(dataset: Dataset, num_classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All words of a dataset in a row.

    Args:
        dataset: Columns `tokens` and, where there is one, `label`.
        num_classes: Number of classes.

    Returns:
        Label of every word, shape `[words]` (-1 without a column), and the words in each sentence, shape
        `[sentences]`.

    Raises:
        InputError: A sentence has not as many labels as words, or no word at all, or a label is no class number.
    """
    sentences = dataset["tokens"]
    for row, words in enumerate(sentences):
        if not words:
            raise InputError(f"row {row} has no words: leave empty sentences out")
        if (missing := next((i for i, word in enumerate(words) if not isinstance(word, str)), None)) is not None:
            raise InputError(f"row {row} has {words[missing]!r} as word {missing} of `tokens`, which is no text")
    lengths = np.array([len(words) for words in sentences], dtype=np.int64)
    if "label" not in dataset.column_names:
        return np.full(int(lengths.sum()), NO_LABEL), lengths
    found: list[int] = []
    for row, (labels, length) in enumerate(zip(dataset["label"], lengths, strict=True)):
        labels = [None] * int(length) if labels is None else labels
        if len(labels) != length:
            raise InputError(
                f"row {row} has {length} words but {len(labels)} labels: every word needs one (-1 = none)"
            )
        found += label_ids(labels, num_classes, row=row)
    return np.array(found, dtype=np.int64), lengths


def window_words(
    words: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[list[dict[str, Any]], list[int]]:
    """Tokenize sentences into windows.

    Args:
        words: The sentences.
        tokenizer: A fast tokenizer: it must know which sub-word belongs to which word.
        max_length: Sub-words at most in one window, special tokens counted.

    Returns:
        For each window `input_ids`, `attention_mask` and `words`, the number of the word that each sub-word is the
        first of (-1 for all other sub-words); and the sentence of each window. Every word is in one window.

    Raises:
        InputError: The tokenizer is a slow one.
    """
    if not tokenizer.is_fast:
        raise InputError(f"{type(tokenizer).__name__} cannot tell words apart: token classification needs a fast one")
    # A word of nothing but control characters would have no sub-word, and so no prediction.
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
    """Turn sentences of words into the windows that the student reads.

    Args:
        dataset: Columns `tokens` and, where there is one, `label` (one for each word, -1 = none).
        tokenizer: A fast tokenizer.
        max_length: Sub-words at most in one window.
        columns: Which columns to keep.
        num_classes: Number of classes.
        no_label: What `labels` is where a word has no label.

    Returns:
        The windows with those of `columns` that could be made: `sample_index` is the number of a word among all words
        of the dataset, -1 where a sub-word is not scored; `labels` is -100 there. And the sentence of each window,
        shape `[windows]`.

    Raises:
        InputError: There is no fast tokenizer, or words and labels do not go together.
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
    """Turn a stream of sentences into a stream of the windows that the student reads.

    Args:
        dataset: Columns `tokens` and, where there is one, `label`.
        tokenizer: A fast tokenizer.
        max_length: Sub-words at most in one window.
        num_classes: Number of classes.

    Returns:
        The windows, with `EVAL_COLUMNS` as far as they could be made.
    """

    def encode(batch: dict[str, list[Any]]) -> dict[str, Any]:
        rows = Dataset.from_dict({name: batch[name] for name in ("tokens", "label") if name in batch})
        return tokenize_words(rows, tokenizer, max_length, EVAL_COLUMNS, num_classes=num_classes)[0].to_dict()

    return dataset.map(encode, batched=True, remove_columns=columns_of(dataset))
