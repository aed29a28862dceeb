import numpy as np
import pytest
from datasets import Dataset

from freeal_hf.training.data import TRAIN_COLUMNS
from freeal_hf.training.token_data import tokenize_words, window_words


@pytest.fixture(scope="module")
def pieces():
    """A tokenizer that splits every word into its characters."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import BertProcessing
    from transformers import PreTrainedTokenizerFast

    letters = [mark + letter for letter in "abcdefgh" for mark in ("", "##")]
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters])}
    backend = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = BertNormalizer(), Whitespace()
    backend.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def test_a_word_is_scored_at_its_first_sub_word_only(pieces):
    windows, _ = window_words([["abc", "d", "ef"]], pieces, 16)
    assert windows[0]["words"] == [-1, 0, -1, -1, 1, 2, -1, -1]


@pytest.mark.parametrize("length", [1, 7, 60, 500])
def test_every_word_of_a_long_sentence_is_scored_once(length, pieces):
    words = [["abcd"[: 1 + i % 4] for i in range(length)], ["a"]]
    windows, sentences = window_words(words, pieces, 12)
    for sentence, row in enumerate(words):
        scored = [
            word
            for window, of in zip(windows, sentences, strict=True)
            for word in window["words"]
            if of == sentence and word >= 0
        ]
        assert scored == list(range(len(row)))
    assert max(len(window["input_ids"]) for window in windows) <= 12


def test_a_word_that_the_tokenizer_drops_is_scored_all_the_same(pieces):
    windows, _ = window_words([["a", "\u200b", "b"]], pieces, 16)
    assert [word for word in windows[0]["words"] if word >= 0] == [0, 1, 2]


def test_words_are_numbered_through_all_sentences_and_keep_their_labels(pieces):
    dataset = Dataset.from_dict({"tokens": [["ab", "c"], ["d"]], "label": [[1, -1], [0]]})
    rows, sentences = tokenize_words(dataset, pieces, 16, TRAIN_COLUMNS, num_classes=3, no_label=-1)
    assert rows["sample_index"][:] == [[-1, 0, -1, 1, -1], [-1, 2, -1]]
    assert rows["labels"][:] == [[-100, 1, -100, -1, -100], [-100, 0, -100]]
    assert np.array_equal(sentences, [0, 1])


@pytest.mark.parametrize(
    ("words", "labels", "message"),
    [([["a"], []], [[0], []], "row 1 has no words"), ([["a", "b"]], [[0]], "row 0 has 2 words but 1 label:")],
)
def test_words_and_labels_that_do_not_go_together_are_refused(words, labels, message, pieces):
    with pytest.raises(ValueError, match=message):
        rows = Dataset.from_dict({"tokens": words, "label": labels})
        tokenize_words(rows, pieces, 16, TRAIN_COLUMNS, num_classes=3)
