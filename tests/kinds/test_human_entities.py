"""Sentences with human entities."""

import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import FreeAL, FreeALConfig, LoopConfig
from freeal_hf.cli.main import main
from freeal_hf.data.labels_csv import write_csv
from freeal_hf.data.sentences import spans_in_text
from freeal_hf.data.spans import Span
from freeal_hf.errors import InputError
from freeal_hf.kinds.entity_corpus import collect
from freeal_hf.kinds.human_entities import with_human_labels
from freeal_hf.kinds.human_labels import read_human_labels
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.task_labels import normal_form
from tests.conftest import QUICK_TRAINING
from tests.entities import TASK, KnowingAnnotator, make_sentences

QUICK = {**QUICK_TRAINING, "num_train_epochs": 3, "warm_up_epochs": 1, "report_to": "none", "max_length": 64}


@pytest.fixture(scope="module")
def sentences():
    return make_sentences()


@pytest.fixture
def annotator():
    return KnowingAnnotator()


@pytest.fixture
def run(sentences, annotator, student_folder, tmp_path):
    def run(human_labels=(), *, num_rounds=1, **options):
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK)
        data = kind_of(TASK).read_rows(sentences, gold_column="gold")
        loop = FreeAL(TASK, annotator, str(student_folder), args, LoopConfig(num_rounds=num_rounds, refine="all"))
        return loop.run(data, human_labels=human_labels, **options)

    return run


@pytest.fixture(scope="module")
def said(sentences):
    """What a person says of six sentences, against what is plainly right: only their word can explain it."""
    swapped = {"B-fruit": "B-tool", "B-tool": "B-fruit", "O": "O"}
    rows = sentences.select(range(6))
    return Dataset.from_dict(
        {"tokens": rows["tokens"], "tags": [[swapped[tag] for tag in tags] for tags in rows["gold"]]}
    )


def rows_of(result, said):
    wanted = {tuple(tokens): tags for tokens, tags in zip(said["tokens"], said["tags"], strict=True)}
    rows = [(row, wanted[tuple(row["tokens"])]) for row in result.dataset if tuple(row["tokens"]) in wanted]
    assert len(rows) >= len(said)
    return rows


def texts_of(said):
    return {" ".join(tokens) for tokens in said["tokens"]}


def test_human_entities_are_final_clean_and_noted(run, said):
    for row, tags in rows_of(run(said), said):
        assert [TASK.tags[i] for i in row["label"]] == tags
        assert (row["is_clean"], row["label_confidence"], row["note"]) == (True, 1.0, "labelled by a person")


def test_sentences_with_human_entities_are_annotated_as_others_to_show_the_errors_of_the_annotator(
    run, said, annotator
):
    run(said, num_rounds=2)
    asked = Counter(request.text for request in annotator.asked)
    assert texts_of(said) <= asked.keys()
    assert set(asked.values()) == {2}


def test_sentences_with_human_entities_are_the_demonstrations_of_round_0(run, said, annotator):
    run(said)
    for shot in annotator.asked[0].demonstrations:
        tokens = shot.text.split()
        tags = said["tags"][said["tokens"][:].index(tokens)]
        assert shot.entities == tuple((word, tag[2:]) for word, tag in zip(tokens, tags, strict=True) if tag != "O")
    assert annotator.asked[0].demonstrations


def test_the_student_is_trained_on_human_entities_as_trusted(sentences, said):
    data = kind_of(TASK).read_rows(sentences)
    corpus = with_human_labels(collect(data), data, TASK, read_human_labels(said, TASK))
    taught = kind_of(TASK).training_set(corpus, kind_of(TASK).no_answers(corpus))
    trusted = taught.filter(lambda row: row["is_trusted"])
    assert [[TASK.tags[i] for i in ids] for ids in trusted["label"]] == said["tags"][:]
    assert all(set(ids) == {-1} for ids in taught.filter(lambda row: not row["is_trusted"])["label"])


def test_a_correction_is_used_in_the_next_round_and_kept(run, said, annotator):
    run()
    asked = len(annotator.asked)
    run(said, num_rounds=2)
    shown = {shot.text for request in annotator.asked[asked:] for shot in request.demonstrations}
    assert shown & texts_of(said)
    for row, tags in rows_of(run(num_rounds=3), said):
        assert [TASK.tags[i] for i in row["label"]] == tags
        assert -1 not in row["annotator_label"]


def test_newer_human_entities_replace_older_ones(run, said, sentences):
    run(said)
    changed = Dataset.from_dict({"tokens": said["tokens"][:1], "tags": sentences["gold"][:1]})
    for row, tags in rows_of(run(changed, num_rounds=2), changed):
        assert [TASK.tags[i] for i in row["label"]] == tags


def test_a_finished_run_needs_another_round_for_new_human_entities(run, said):
    run()
    with pytest.raises(InputError, match="--num-rounds 2"):
        run(said)


def test_a_new_example_is_shown_and_trained_on_but_not_in_the_output(run, sentences, annotator):
    places = [{"start": 9, "end": 14, "type": "fruit", "text": "melon", "confidence": 0.9}]
    examples = Dataset.from_dict({"text": ["we ate a melon!", "nothing here"], "spans": [places, []]})
    result = run(examples, num_rounds=2, allow_new_texts=True)
    assert len(result.dataset) == len(sentences)
    shown = {(shot.text, shot.entities) for shot in annotator.asked[0].demonstrations}
    assert shown == {("we ate a melon!", (("melon", "fruit"),)), ("nothing here", ())}
    kept = [json.loads(line) for line in (result.output_dir / "round-1/demonstrations.jsonl").open()]
    assert {"we ate a melon!", "nothing here"} <= {shot["text"] for shot in kept if shot["source"] == "human"}
    assert run(num_rounds=3).rounds[-1]["round"] == 2


def test_a_sentence_that_is_too_long_for_a_demonstration_is_trained_on(run, annotator):
    tokens = ["the"] * 600 + ["apple"]
    run(Dataset.from_dict({"tokens": [tokens], "tags": [["O"] * 600 + ["B-fruit"]]}), allow_new_texts=True)
    assert annotator.asked[0].demonstrations == ()


def test_sentences_without_an_annotator_answer_do_not_lower_its_score(run, sentences):
    right = Dataset.from_dict({"tokens": sentences["tokens"][:30], "tags": sentences["gold"][:30]})
    record = run(right).rounds[0]
    assert record["annotator_f1"] == 1.0
    assert record["annotator_accuracy"] == 1.0


# ---- What is read ----

RAW = Dataset.from_dict({"id": ["1", "2", "3"], "text": ["Eat an apple-pie!", "", "the  old saw"]})


def marked(columns, data=RAW):
    rows = kind_of(TASK).read_rows(data, id_column="id")
    return with_human_labels(collect(rows), rows, TASK, read_human_labels(Dataset.from_dict(columns), TASK))


APPLE = [{"start": 7, "end": 12, "type": "fruit"}]


@pytest.mark.parametrize(
    "columns",
    [
        {"id": ["1"], "tags": [["O", "O", "B-fruit", "O", "O", "O"]]},
        {"id": ["1"], "label": ['["O", "O", "B-fruit", "O", "O", "O"]']},
        {"id": ["1"], "spans": [APPLE]},
        {"text": ["Eat an apple-pie!"], "spans": [json.dumps(APPLE)]},
        {"text": ["Eat an apple-pie!"], "entities": [[{**APPLE[0], "text": "apple"}]]},
        {"tokens": [["Eat", "an", "apple", "-", "pie", "!"]], "tags": [["O", "O", "B-fruit", "O", "O", "O"]]},
        {"tokens": [["Eat", "an", "apple", "-", "pie", "!"]], "text": ["Eat an apple-pie!"], "spans": [APPLE]},
    ],
)
def test_tags_and_places_are_read_by_id_text_or_words_from_lists_and_from_json(columns):
    assert marked(columns).marked == [[Span(2, 3, "fruit")], None]


@pytest.mark.parametrize(
    ("text", "start", "end"), [("the old saw\r\n", 8, 11), ("  the  old\tsaw", 11, 14), ("the\u00a0old saw", 8, 11)]
)
def test_positions_are_counted_in_the_given_text_even_with_other_blanks(text, start, end):
    columns = {"text": [text], "spans": [[{"start": start, "end": end, "type": "tool"}]]}
    assert marked(columns).marked == [None, [Span(2, 3, "tool")]]


def test_places_are_counted_in_a_text_whose_words_are_those_of_the_data():
    data = Dataset.from_dict({"id": ["1"], "tokens": [["东京", "塔", "!"]]})
    columns = {
        "text": ["东京塔!"],
        "tokens": [["东京", "塔", "!"]],
        "spans": [[{"start": 2, "end": 3, "type": "tool"}]],
    }
    assert marked(columns, data).marked == [[Span(1, 2, "tool")]]


# No character of a spreadsheet's cell may be lost. Lone surrogates are no text, and Parquet has no place for them.
ANY_TEXT = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("张グ서กำ🗼👩🏽\u200d\u05d0\u0301 ,="))
)


@given(st.lists(ANY_TEXT, min_size=1, max_size=4, unique_by=normal_form), st.data())
def test_entities_of_any_text_come_back_from_labels_csv(texts, data):
    rows = kind_of(TASK).read_rows(Dataset.from_dict({"text": ["some words", *texts]}))
    spans = []
    for words in rows["tokens"]:
        bounds = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=6)))
        spans.append([Span(a, b, "fruit") for a, b in zip(bounds[::2], bounds[1::2], strict=False)])
    parts = zip(spans, rows["tokens"], rows["token_starts"], strict=True)
    written = rows.select_columns(["id", "text"]).add_column("spans", [spans_in_text(*part) for part in parts])
    with tempfile.TemporaryDirectory() as folder:
        usable = written.select([i for i, words in enumerate(rows["tokens"]) if words])
        write_csv(Path(folder, "labels.csv"), usable, cell=kind_of(TASK).cell)
        read = read_human_labels(Path(folder, "labels.csv"), TASK)
    corpus = with_human_labels(collect(rows), rows, TASK, read)
    assert [corpus.marked[i] for i in corpus.index_of_row if i >= 0] == [
        found for found, words in zip(spans, rows["tokens"], strict=True) if words
    ]


def test_all_sentences_with_the_same_normal_form_get_the_entities():
    data = Dataset.from_dict({"id": ["1", "2", "3"], "text": ["caf\u00e9 saw", "cafe\u0301  saw", "cafe saw"]})
    columns = {"text": [" caf\u00e9 saw "], "tags": [["O", "B-tool"]]}
    assert marked(columns, data).marked == [[Span(1, 2, "tool")], [Span(1, 2, "tool")], None]


@pytest.mark.parametrize("columns", [{"text": ["new saw"]}, {"tokens": [["new", "saw"]]}])
def test_a_sentence_that_is_not_in_the_data_is_refused_unless_new_ones_are_allowed(columns):
    with pytest.raises(InputError, match=r"1 of 1 human labels match no text.*'new saw'.*--allow-new-texts"):
        marked({**columns, "tags": [["O", "B-tool"]]})


def test_the_files_of_a_run_are_read_once_a_person_has_taken_the_confidences_out(run, tmp_path):
    result = run()
    labels = read_labels(result.output_dir / "labels.parquet")
    with pytest.raises(InputError, match="no person has checked"):
        read_human_labels(labels, TASK)
    data = kind_of(TASK).read_rows(make_sentences())
    expected = [[Span(i, i + 1, TASK.tags[tag][2:]) for i, tag in enumerate(row) if tag] for row in labels["label"]]
    labels.select_columns(["id", "label"]).to_parquet(tmp_path / "tags.parquet")
    labels.select_columns(["id", "spans"]).to_json(tmp_path / "spans.jsonl")
    for name in ("tags.parquet", "spans.jsonl"):
        corpus = with_human_labels(collect(data), data, TASK, read_human_labels(tmp_path / name, TASK))
        assert [corpus.marked[i] for i in corpus.index_of_row] == expected


def test_an_empty_list_means_no_entity_and_an_empty_cell_no_human_label():
    assert marked({"id": ["1", "3"], "spans": ["[]", ""]}).marked == [[], None]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["1"], "label": ["fruit"]}, "row 1, column 'label': 'fruit' is not a list"),
        ({"id": ["1"], "answer": ["x"]}, "needs one column of human entities.*has none"),
        ({"id": ["1"], "tags": [["O"]], "spans": [[]]}, "needs one column.*has 'tags', 'spans'"),
        ({"body": ["a"], "tags": [["O"]]}, "needs a column 'id', 'tokens' or 'text'"),
        ({"text": [""], "tags": [["O"]]}, "row 1 has entities but no text"),
        ({"id": [""], "tags": [["O"]]}, "row 1 has entities but no id"),
        ({"id": ["1"], "spans": [["apple"]]}, "row 1: 'apple' is not an entity; write each entity as"),
        ({"id": ["3"], "spans": [[{"start": 9, "end": 12, "label": "tool"}]]}, "`freeal-hf convert` reads the files"),
        ({"id": ["1"], "spans": [[{"start": [4, 13], "end": [6, 16], "type": "fruit"}]]}, "several parts .* Mark its"),
        ({"id": ["7"], "spans": [[]]}, "row 1: no row of the data has the id '7'"),
        ({"id": ["2"], "spans": [[]]}, "row 1: row '2' cannot be labelled: the text is empty"),
        ({"id": ["3"], "tags": [["O"]]}, "row 1: 1 tag for 3 words"),
        ({"id": ["3"], "tags": [["O", "O", "B-stone"]]}, "'B-stone' is not a tag of the task"),
        ({"id": ["3"], "tags": [["O", "O", "I-tool"]]}, "'I-tool' at word 3 does not continue an entity"),
        (
            {"id": ["3"], "tokens": [["an", "old", "saw"]], "tags": [["O"] * 3]},
            "the words .* differ from those of the data",
        ),
        ({"id": ["3"], "text": ["an old saw"], "spans": [[]]}, "the text 'an old saw' differs from that of the data"),
        ({"id": ["3"], "spans": [[{"start": 9, "end": 12, "type": "stone"}]]}, "has the type 'stone'"),
        ({"id": ["3"], "spans": [[{"start": 9, "end": 99, "type": "tool"}]]}, r"'saw' \(9 to 99\) does not begin and"),
        ({"id": ["3"], "spans": [[{"start": 6, "end": 12, "type": "tool"}]]}, "'ld saw' .* does not begin and end"),
        (
            {"id": ["3"], "spans": [[{"start": 9, "end": 12, "type": "tool", "text": "saws"}]]},
            "'saw' .* differs from its .text. 'saws'",
        ),
        (
            {"id": ["3"], "spans": [[{"start": s, "end": 12, "type": "tool"} for s in (5, 9)]]},
            "overlap; keep one of them",
        ),
        (
            {"id": ["3", "3"], "tags": [["O"] * 3, ["O", "O", "B-tool"]]},
            "row 1 and .* row 2 mark the same sentence differently",
        ),
    ],
)
def test_invalid_human_entities_are_refused_with_place_and_remedy(columns, message):
    with pytest.raises(InputError, match=message):
        marked(columns)


def test_invalid_human_entities_are_refused_before_the_first_call(run, annotator, tmp_path):
    with pytest.raises(InputError, match="1 tag for 2 words"):
        run(Dataset.from_dict({"tokens": [["old", "saw"]], "tags": [["O"]]}), allow_new_texts=True)
    assert annotator.asked == []
    assert not (tmp_path / "run").exists()


def test_the_command_line_reads_human_entities_from_csv_and_examples_from_json(sentences, student_folder, tmp_path):
    TASK.save(tmp_path / "task.yaml")
    sentences.to_json(tmp_path / "data.jsonl")
    tags = json.dumps(["O"] * len(sentences["tokens"][0])).replace('"', '""')
    (tmp_path / "marked.csv").write_text(f'text,tags\n{" ".join(sentences["tokens"][0])},"{tags}"\n')
    example = {"text": "an old saw", "entities": [{"start": 7, "end": 10, "type": "tool"}]}
    (tmp_path / "examples.json").write_text(json.dumps([example]))
    training = [f"--{key.replace('_', '-')}={value}" for key, value in QUICK.items()]
    command = [
        *("run", "--data", str(tmp_path / "data.jsonl"), "--task", str(tmp_path / "task.yaml"), "--num-rounds", "1"),
        *("--annotator", "column:noisy", "--student", str(student_folder), "--output-dir", str(tmp_path / "run")),
        *("--human-labels", str(tmp_path / "marked.csv"), "--examples", str(tmp_path / "examples.json"), *training),
    ]
    assert main(command) == 0
    row = read_labels(tmp_path / "run" / "labels.parquet")[0]
    assert (set(row["label"]), row["note"]) == ({0}, "labelled by a person")
    shown = [json.loads(line) for line in (tmp_path / "run" / "round-0" / "generated.jsonl").open()]
    assert [["saw", "tool"]] in [shot.get("entities") for shot in shown]
