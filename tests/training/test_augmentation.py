import csv
import json
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, MarianConfig, MarianMTModel, MarianTokenizer

from freeal_hf import read_data
from freeal_hf.cli.main import main
from freeal_hf.errors import InputError
from freeal_hf.training.augmentation import BackTranslation, MaskedSubstitution, TokenDropout, augment

ENGLISH, FRENCH, OTHER_ENGLISH = (
    ["old", "new", "apple", "pear"],
    ["vieille", "neuve", "pomme", "poire"],
    ["aged", "fresh", "apple", "pear"],
)
TEXTS = [" ".join(pair) for pair in product(ENGLISH[:2], ENGLISH[2:])]
VIEWS = [" ".join(pair) for pair in product(OTHER_ENGLISH[:2], OTHER_ENGLISH[2:])]


def translator(folder, words, translations):
    """A tiny Marian with a real sentencepiece tokenizer that has learnt to translate pairs of words one by one."""
    import sentencepiece

    folder.mkdir()
    lines = [" ".join(pair) for side in (words, translations) for pair in product(side, side)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(folder / "spm"),
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    names = ["</s>", "<unk>", *(pieces.id_to_piece(i) for i in range(3, pieces.get_piece_size())), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    spm = str(folder / "spm.model")
    tokenizer = MarianTokenizer(spm, spm, str(folder / "vocab.json"), source_lang="a", target_lang="b")
    pad = tokenizer.pad_token_id
    torch.manual_seed(0)
    model = MarianMTModel(
        MarianConfig(
            vocab_size=len(names),
            d_model=32,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=64,
            dropout=0.0,
            init_std=0.1,  # larger than usual: such a small model then soon learns where to look
            pad_token_id=pad,
            eos_token_id=0,
            decoder_start_token_id=pad,
            forced_eos_token_id=None,
        )
    )
    sources = [" ".join(pair) for pair in product(words, words)]
    targets = [" ".join(pair) for pair in product(translations, translations)]
    batch = tokenizer(sources, padding=True, return_tensors="pt")
    labels = tokenizer(text_target=targets, padding=True, return_tensors="pt")["input_ids"]
    labels[labels == pad] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(60):
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("marian")
    return translator(folder / "en-fr", ENGLISH, FRENCH), translator(folder / "fr-en", FRENCH, OTHER_ENGLISH)


@pytest.fixture(scope="module")
def masked_model(student_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("masked") / "model"
    tokenizer = AutoTokenizer.from_pretrained(student_folder)
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    torch.manual_seed(0)
    config = BertConfig.from_pretrained(student_folder, vocab_size=len(tokenizer))
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


class Recording:
    """Answers from a table and remembers what it was asked; may be killed after some batches."""

    def __init__(self, views=None, batches=10**9):
        self.views, self.batches, self.asked = views or {}, batches, []

    def __call__(self, texts):
        if not self.batches:
            raise KeyboardInterrupt
        self.batches -= 1
        self.asked.extend(texts)
        return [self.views.get(text, f"view of {text}") for text in texts]

    def fingerprint(self):
        return {"method": "table"}


def test_back_translation_says_the_same_in_other_words(pair):
    assert BackTranslation(*pair)(TEXTS) == VIEWS


def test_back_translation_in_bfloat16_does_too(pair):
    assert BackTranslation(*pair, dtype="bfloat16")(TEXTS) == VIEWS


def test_equal_texts_are_augmented_once():
    augmenter = Recording()
    found = augment(["a b", "c d", "a b"], augmenter)
    assert found.views == ["view of a b", "view of c d", "view of a b"]
    assert sorted(augmenter.asked) == ["a b", "c d"]


def test_batches_hold_texts_of_like_length():
    augmenter = Recording()
    augment(["long " * 9, "s", "long " * 8, "t"], augmenter, batch_size=2)
    assert [len(text) for text in augmenter.asked] == [45, 40, 1, 1]


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        ("", "empty"),
        ("The  Old apple", "the same as its text"),
        ("a new pear", "the same as another text"),
        ("so " * 40, "much longer than its text"),
    ],
)
def test_a_view_that_is_none_is_left_out_and_counted(view, reason):
    found = augment(["the old apple", "a new pear"], Recording({"the old apple": view}))
    assert found.views == ["", "view of a new pear"]
    assert found.failures == {reason: 1}
    assert "1 of 2 (50.0%)" in str(found)


def test_a_stopped_augmentation_goes_on_without_doing_anything_twice(tmp_path):
    texts, journal = [f"text {i}" for i in range(10)], tmp_path / "views.jsonl"
    first, second = Recording(batches=2), Recording()
    with pytest.raises(KeyboardInterrupt):
        augment(texts, first, batch_size=3, journal=journal)
    assert augment(texts, second, batch_size=3, journal=journal).views == [f"view of {text}" for text in texts]
    assert sorted(first.asked + second.asked) == texts


def test_a_journal_that_breaks_off_in_a_line_is_read_up_to_there(tmp_path):
    journal = tmp_path / "views.jsonl"
    augment(["a", "b"], Recording(), batch_size=1, journal=journal)
    journal.write_bytes(journal.read_bytes()[:-5])
    again = Recording()
    for _ in range(2):
        assert augment(["a", "b"], again, journal=journal).views == ["view of a", "view of b"]
    assert len(again.asked) == 1


def test_the_journal_of_another_augmentation_is_refused(tmp_path):
    journal = tmp_path / "views.jsonl"
    augment(["a b c"], TokenDropout(), journal=journal)
    with pytest.raises(InputError, match="another augmentation"):
        augment(["a b c"], TokenDropout(share=0.5), journal=journal)


@given(words=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=20), share=st.floats(0.01, 0.99))
def test_token_dropout_keeps_the_order_and_at_least_one_word(words, share):
    kept = TokenDropout(share=share)([" ".join(words)])[0].split()
    rest = iter(words)
    assert kept
    assert all(word in rest for word in kept)


def test_masked_substitution_changes_the_share_of_words_that_it_was_told(masked_model):
    text = "the old apple was on the new red table near"
    view = MaskedSubstitution(masked_model, share=0.3)([text])[0]
    assert sum(old != new for old, new in zip(text.split(), view.split(), strict=True)) == 3


def test_masked_substitution_does_not_depend_on_the_other_texts_of_the_batch(masked_model):
    augmenter, texts = MaskedSubstitution(masked_model, share=0.4), ["the old apple on the table", "a saw"]
    assert augmenter(texts) == [augmenter([text])[0] for text in texts]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BackTranslation("nowhere/none", "nowhere/none"), "'nowhere/none' cannot be loaded"),
        (lambda: TokenDropout(share=1.0), "share is 1.0"),
        (lambda: augment(["a"], Recording(), batch_size=0), "batch_size is 0"),
    ],
)
def test_what_cannot_work_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def run_augment(data, output, *more):
    return main(["augment", "--data", str(data), "--output", str(output), *more])


def test_the_command_adds_a_column_that_the_loop_reads(pair, tmp_path, capsys):
    data, output = tmp_path / "data.csv", tmp_path / "augmented.csv"
    data.write_text("text;gold;n;n\nold apple;fruit;01;\n;fruit;;\nnew pear;fruit;;\n")
    assert run_augment(data, output, "--forward-model", pair[0], "--backward-model", pair[1]) == 0
    assert output.read_text().splitlines()[:2] == ["text,gold,n,n,augmented_text", "old apple,fruit,01,,aged apple"]
    rows = list(csv.DictReader(output.open()))
    assert [row["augmented_text"] for row in rows] == ["aged apple", "", "fresh pear"]
    assert [row["gold"] for row in rows] == ["fruit"] * 3
    assert read_data(output)["augmented_text"][0] == "aged apple"
    assert "0 of 2 (0.0%) have no view" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"data.csv", "augmented.csv"}


def test_cells_that_a_spreadsheet_would_execute_are_written_harmless_and_read_back(tmp_path):
    data, output = tmp_path / "data.csv", tmp_path / "augmented.csv"
    data.write_text("text,more\n=1+1 is two,@SUM(1)\n")
    assert run_augment(data, output, "--method", "token-dropout") == 0
    row = next(csv.reader(output.read_text().splitlines()[1:]))
    assert row[:2] == ["'=1+1 is two", "'@SUM(1)"]
    assert read_data(output)["text"][0] == "=1+1 is two"


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ("text\na b c\n", ["--share", "2"], "share is 2.0"),
        ("text\na b c\n", ["--text-columns", "body"], "no column 'body'"),
        ("text,augmented_text\na b c,a c\n", [], "has a column 'augmented_text' already"),
    ],
)
def test_bad_input_ends_with_one_clear_line_and_no_file(content, more, message, tmp_path, capsys):
    data, output = tmp_path / "data.csv", tmp_path / "augmented.csv"
    data.write_text(content)
    assert run_augment(data, output, "--method", "token-dropout", *more) == 1
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_token_dropout_writes_no_view_of_a_text_of_blanks() -> None:
    made = augment(["", "  ", "the order came on time"], TokenDropout(share=0.5))
    assert made.views[:2] == ["", ""] and made.views[2]
