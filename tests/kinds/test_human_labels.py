import json
import re
import unicodedata
from collections import Counter

import numpy as np
import pytest
import yaml
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import FreeAL, FreeALConfig, LoopConfig, TextClassification, read_data
from freeal_hf.cli.main import main
from freeal_hf.data.human_labels import HumanLabel, as_stored, from_stored
from freeal_hf.data.row_ids import fingerprint
from freeal_hf.errors import InputError
from freeal_hf.kinds.human_labels import read_human_labels
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.kinds.text_corpus import distinct_texts, with_human_labels
from freeal_hf.loop.folder import RunFolder
from tests.conftest import QUICK_TRAINING


@pytest.fixture
def run(task, annotator, student_folder, tmp_path):
    def run(data, human_labels=(), *, annotator=annotator, num_rounds=1, allow_new_texts=False, **loop):
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
        loop = FreeAL(task, annotator, str(student_folder), args, LoopConfig(num_rounds=num_rounds, **loop))
        return loop.run(data, human_labels=human_labels, allow_new_texts=allow_new_texts)

    return run


@pytest.fixture
def said(corpus):
    """What a person says of six texts, against what is plainly right: only their word can explain it."""
    other = {"fruit": "tool", "tool": "fruit"}
    rows = corpus.select(range(6))
    return Dataset.from_dict({"text": rows["text"], "label": [other[gold] for gold in rows["gold"]]})


def rows_of(result, texts):
    return [row for row in result.dataset if row["text"] in set(texts)]


def test_a_human_label_is_final_clean_and_marked(run, corpus, said):
    result = run(corpus, said)
    by_text = dict(zip(said["text"], said["label"], strict=True))
    names = result.dataset.features["label"].names
    for row in rows_of(result, said["text"]):
        assert names[row["label"]] == by_text[row["text"]]
        assert (row["is_clean"], row["label_confidence"], row["note"]) == (True, 1.0, "labelled by a person")


@pytest.mark.parametrize(("refine", "times"), [("all", 2), ("none", 1)])
def test_texts_with_a_human_label_are_annotated_as_others_to_show_the_errors_of_the_annotator(
    run, corpus, said, annotator, refine, times
):
    result = run(corpus, said, num_rounds=2, refine=refine)
    asked = Counter(request.text for request in annotator.asked)
    assert {asked[text] for text in corpus["text"]} == {times}
    names = result.dataset.features["annotator_label"].names
    gold = dict(zip(corpus["text"], corpus["gold"], strict=True))
    answers = {row["text"]: names[row["annotator_label"]] for row in rows_of(result, said["text"])}
    assert answers == {text: gold[text] for text in said["text"]}


def test_no_text_with_a_human_label_is_its_own_demonstration(run, corpus, said, annotator):
    run(corpus, said)
    for request in annotator.asked:
        assert request.text not in {shot.text for shot in request.demonstrations}


def test_at_most_200_texts_with_a_human_label_are_annotated(run, task, annotator, student_folder, tmp_path):
    texts = [f"an apple or a pear, number {i}" for i in range(230)]
    data = read_data(Dataset.from_dict({"text": texts}))
    run(data, Dataset.from_dict({"text": texts[:210], "label": ["fruit"] * 210}), allow_doubtful_answers=True)
    asked = {request.text for request in annotator.asked}
    assert len(asked & set(texts[:210])) == 200
    assert set(texts[210:]) <= asked


def test_examples_that_are_not_in_the_data_are_not_annotated(run, corpus, annotator):
    example = Dataset.from_dict({"text": ["a quince in a basket"], "label": ["fruit"]})
    run(corpus, example, allow_new_texts=True)
    assert "a quince in a basket" not in {request.text for request in annotator.asked}


def test_human_labels_are_the_demonstrations_of_round_0(run, corpus, said, annotator, task):
    run(corpus, said)
    other = next(request for request in annotator.asked if request.text not in said["text"])
    shown = {(shot.text, task.label_names[shot.label]) for shot in other.demonstrations}
    assert shown == set(zip(said["text"], said["label"], strict=True))


def test_a_correction_is_used_in_the_next_round_and_kept(run, corpus, said, annotator):
    run(corpus)
    asked = len(annotator.asked)
    run(corpus, said, num_rounds=2)
    assert said["text"][0] in {shot.text for request in annotator.asked[asked:] for shot in request.demonstrations}
    last = run(corpus, num_rounds=3)
    assert {row["note"] for row in rows_of(last, said["text"])} == {"labelled by a person"}
    assert all(row["annotator_label"] >= 0 for row in rows_of(last, said["text"]))


def test_a_finished_run_needs_another_round_for_new_human_labels(run, corpus, said):
    run(corpus)
    with pytest.raises(InputError, match="--num-rounds 2"):
        run(corpus, said)


def test_a_newer_human_label_replaces_an_older_one(run, corpus, said):
    run(corpus, said)
    changed = Dataset.from_dict({"text": said["text"][:1], "label": corpus["gold"][:1]})
    row = rows_of(run(corpus, changed, num_rounds=2), said["text"][:1])[0]
    assert row["label"] == ["fruit", "tool"].index(corpus["gold"][0])


def test_a_new_example_is_shown_but_not_in_the_output(run, corpus, annotator):
    examples = Dataset.from_dict({"text": ["melon near the door", "old saw"], "label": ["fruit", "tool"]})
    result = run(corpus, examples, num_rounds=2, allow_new_texts=True)
    assert len(result.dataset) == len(corpus)
    assert {shot.text for shot in annotator.asked[0].demonstrations} == set(examples["text"])
    selected = [json.loads(line) for line in (result.output_dir / "round-0/demonstrations.jsonl").open()]
    assert "human" in {shot["source"] for shot in selected}


def test_a_round_that_was_stopped_starts_again_with_the_new_labels(run, corpus, said):
    first = run(corpus, num_rounds=2)
    (first.output_dir / "round-1" / "metrics.json").unlink()
    assert {row["note"] for row in rows_of(run(corpus, said, num_rounds=2), said["text"])} == {"labelled by a person"}


def test_texts_without_an_annotator_answer_do_not_lower_its_score(run, corpus):
    right = Dataset.from_dict({"text": corpus["text"][:40], "label": corpus["gold"][:40]})
    result = run(corpus, right)
    asked = [row for row in result.dataset if row["annotator_label"] >= 0]
    correct = np.mean([row["annotator_label"] == row["gold"] for row in asked])
    assert result.rounds[0]["annotator_accuracy"] == pytest.approx(correct)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"], "label": ["stone"]}, "'stone'.*not a label of the task"),
        ({"text": ["a"], "answer": ["tool"]}, "no column 'label'"),
        ({"body": ["a"], "label": ["tool"]}, "needs the column 'id' or 'text'"),
        ({"text": [""], "label": ["tool"]}, "row 1 has a label but no text"),
        ({"id": ["1"], "label": ["tool"], "label_confidence": [0.4]}, "no person has checked"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(task, columns, message):
    with pytest.raises(InputError, match=message):
        read_human_labels(Dataset.from_dict(columns), task)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["77"], "label": ["tool"]}, "row 1: no row of the data has the id '77'"),
        ({"text": ["a", "b"], "label": ["tool", "fruit"]}, "row 1: 2 of 2 human labels match no text.*'a', 'b'"),
    ],
)
def test_labels_that_do_not_match_the_data_are_refused_before_the_first_call(run, corpus, annotator, columns, message):
    with pytest.raises(InputError, match=message):
        run(corpus, Dataset.from_dict(columns))
    assert annotator.asked == []


def test_rows_without_a_label_are_left_out(task):
    found = read_human_labels(Dataset.from_dict({"id": ["1", "2"], "label": ["", "tool"]}), task)
    assert [(item.id, item.label) for item in found] == [("2", 1)]


def test_the_command_line_reads_csv_and_json_together(corpus, student_folder, tmp_path):
    corpus.select_columns(["text"]).to_csv(tmp_path / "data.csv")
    (tmp_path / "labels.csv").write_text(f"text,label\n{corpus['text'][0]},fruit\n")
    (tmp_path / "examples.json").write_text(json.dumps([{"text": "old saw", "label": "tool"}]))
    training = [f"--{key.replace('_', '-')}={value}" for key, value in QUICK_TRAINING.items()]
    command = [
        *("run", "--data", str(tmp_path / "data.csv"), "--labels", "fruit,tool", "--num-rounds", "1"),
        *("--human-labels", str(tmp_path / "labels.csv"), "--examples", str(tmp_path / "examples.json")),
        *("--student", str(student_folder), "--output-dir", str(tmp_path / "run"), *training),
    ]
    assert main(command) == 0
    row = read_labels(tmp_path / "run" / "labels.parquet")[0]
    assert (row["label"], row["note"]) == (0, "labelled by a person")
    shown = (tmp_path / "run" / "round-0" / "generated.jsonl").read_text()
    assert "old saw" in shown


def test_a_table_without_labels_is_warned_about(task, caplog):
    assert read_human_labels(Dataset.from_dict({"id": ["1", "2"], "label": ["", ""]}), task) == []
    assert "'label' is empty in every row" in caplog.text


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("text,label\nschön,fruit\n", "utf-8"),
        ("\ufefftext;label\r\nschön;fruit\r\n", "utf-8"),
        ("text;label\nschön;fruit\n", "cp1252"),
        ("text\tlabel\nschön\tfruit\n", "utf-16"),
        ('"text ";"label"\n"schön";"fruit"\n', "cp1252"),
    ],
)
def test_a_csv_file_is_read_in_its_own_layout(content, encoding, task, tmp_path):
    path = tmp_path / "said.csv"
    path.write_bytes(content.encode(encoding))
    [label] = read_human_labels(path, task)
    assert (label.text, task.label_names[label.label]) == ("schön", "fruit")


def test_a_layout_that_cannot_be_detected_can_be_named(task, tmp_path):
    path = tmp_path / "said.csv"
    path.write_bytes("text:label\nтекст:fruit\n".encode("cp1251"))
    [label] = read_human_labels(path, task, delimiter=":", encoding="cp1251")
    assert label.text == "текст"


# ---- Which text a label is about ----


def entered(task, texts, columns, **options):
    rows = read_data(Dataset.from_dict({"text": texts}))
    said = read_human_labels(Dataset.from_dict(columns), task, **options)
    return with_human_labels(distinct_texts(rows), rows, said)


def test_a_text_that_was_drawn_at_random_keeps_its_probability_with_a_new_label(task):
    rows = read_data(Dataset.from_dict({"text": ["one", "two", "three"]}))
    corpus = distinct_texts(rows)
    drawn = HumanLabel(0, id=rows["id"][1], probability=0.25)
    first = with_human_labels(corpus, rows, [drawn, HumanLabel(1, id=rows["id"][2])])
    known = [from_stored(json.loads(json.dumps(as_stored(label)))) for label in first.human_labels]
    assert known == first.human_labels
    later = with_human_labels(corpus, rows, [HumanLabel(1, id=rows["id"][1])], known)
    for found in (first, later):
        assert np.array_equal(found.inclusion, [np.nan, 0.25, np.nan], equal_nan=True)
    assert later.human.tolist() == [-1, 1, 1]


def test_without_a_random_sample_no_text_has_a_probability(task):
    assert entered(task, ["one", "two"], {"text": ["one"], "label": ["fruit"]}).inclusion is None


BLANKS = st.text(" \t\r\n\u00a0\u2003\u3000", min_size=1, max_size=3)


@given(
    words=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1), min_size=1, max_size=5),
    blanks=st.lists(BLANKS, min_size=6, max_size=6),
    form=st.sampled_from(["NFC", "NFD"]),
)
def test_a_text_is_found_with_other_blanks_line_ends_and_unicode_form(words, blanks, form):
    changed = blanks[0] + "".join(word + blank for word, blank in zip(words, blanks[1:], strict=False))
    columns = {"text": [unicodedata.normalize(form, changed)], "label": ["fruit"]}
    corpus = entered(TextClassification(["fruit", "tool"]), [" ".join(words), "another text\x00"], columns)
    assert corpus.human.tolist() == [0, -1]
    assert corpus.human_rows == (1, 0)


def test_texts_with_the_same_normal_form_all_get_the_label(task):
    columns = {"text": ["old saw"], "label": ["tool"]}
    assert entered(task, ["old saw", "old  saw\r\n", "Old saw"], columns).human.tolist() == [1, 1, -1]


def test_two_labels_of_texts_with_the_same_normal_form_are_refused(task):
    with pytest.raises(InputError, match=r"row 1 and .* row 2 give the same text two labels"):
        entered(task, ["old saw", "old  saw"], {"text": ["old saw", "old  saw "], "label": ["tool", "fruit"]})


def test_an_id_with_the_text_of_another_row_is_refused(task):
    ids = read_data(Dataset.from_dict({"text": ["old saw", "melon"]}))["id"][:]
    columns = {"id": ids, "text": [" old  saw", "melon, ripe"], "label": ["tool", "fruit"]}
    assert entered(task, ["old saw", "melon"], columns).human.tolist() == [1, 0]
    with pytest.raises(InputError, match=r"row 1 has the id .* and the text of another row"):
        entered(task, ["old saw", "melon"], {**columns, "id": ids[::-1]})


def test_a_text_that_is_not_in_the_data_is_an_example_only_if_that_is_allowed(task):
    columns = {"text": ["old saw", "melon"], "label": ["tool", "fruit"]}
    with pytest.raises(InputError, match=r"row 2: 1 of 2 human labels match no text.*'melon'.*--allow-new-texts"):
        entered(task, ["old saw"], columns)
    corpus = entered(task, ["old saw"], columns, allow_new_texts=True)
    assert list(corpus.texts) == ["old saw", "melon"]
    assert corpus.human_rows == (1, 1)


def test_a_text_with_the_apostrophe_for_spreadsheets_is_found(task):
    assert entered(task, ["-saw", "x"], {"text": ["'-saw"], "label": ["tool"]}).human.tolist() == [1, -1]


def test_the_command_line_reports_matches_and_takes_new_texts_only_with_an_option(
    corpus, student_folder, tmp_path, capsys, caplog
):
    corpus.select_columns(["text"]).to_csv(tmp_path / "data.csv")
    content = f"text;label\r\n{corpus['text'][0]} ;fruit\r\nsäge;tool\r\n"
    (tmp_path / "said.csv").write_bytes(content.encode("cp1252"))
    training = [f"--{key.replace('_', '-')}={value}" for key, value in QUICK_TRAINING.items()]
    command = [
        *("run", "--data", str(tmp_path / "data.csv"), "--labels", "fruit,tool", "--num-rounds", "1"),
        *("--human-labels", str(tmp_path / "said.csv"), "--student", str(student_folder)),
        *("--output-dir", str(tmp_path / "run"), *training),
    ]
    assert main(command) == 1
    assert "1 of 2 human labels match no text of the data, for example 'säge'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    with caplog.at_level("INFO"):
        assert main([*command, "--allow-new-texts"]) == 0
    assert "Human labels: 1 of 2 match a text of the data; 1 do not" in caplog.text
    assert RunFolder(tmp_path / "run").config().data.allow_new_texts is True


def as_former(result):
    """Makes a run's folder what it was when ids made from texts had no letter before them."""
    config = yaml.safe_load((result.output_dir / "config.yaml").read_text())
    (result.output_dir / "columns.parquet").unlink()
    for path in result.output_dir.rglob("*.parquet"):
        rows = read_labels(path)
        if "id" not in rows.column_names:
            continue
        ids = [sample.removeprefix("t") for sample in rows["id"]]
        rows.remove_columns("id").add_column("id", ids).to_parquet(str(path))
        if path.name == "input.parquet":
            config["data_fingerprint"] = fingerprint(Dataset.from_dict({"id": ids}))
    for path in result.output_dir.rglob("*.jsonl"):
        path.write_text(re.sub(r'"id": "t([0-9a-f]{16})', r'"id": "\1', path.read_text()))
    (result.output_dir / "config.yaml").write_text(yaml.safe_dump(config))


def test_a_run_with_ids_of_an_earlier_version_keeps_its_ids(run, corpus, said, annotator):
    examples = Dataset.from_dict({"text": ["melon near the door", "old saw"], "label": ["fruit", "tool"]})
    data = corpus.remove_columns([name for name in ("id", "note") if name in corpus.column_names])
    first = run(data, examples, num_rounds=1, allow_new_texts=True)
    assert all(sample.startswith("t") for sample in first.dataset["id"])
    as_former(first)
    ids = read_labels(first.output_dir / "labels.parquet")["id"][:]
    by_id = Dataset.from_dict(
        {"id": [ids[data["text"][:].index(text)] for text in said["text"]], "label": said["label"]}
    )
    result = run(data, by_id, num_rounds=2)
    assert result.dataset["id"][:] == ids
    assert not any(sample.startswith("t") for sample in ids)
    assert {row["note"] for row in rows_of(result, said["text"])} == {"labelled by a person"}
    assert len(result.rounds) == 2


def test_a_file_with_a_header_and_no_rows_is_warned_about(task, tmp_path, caplog):
    (tmp_path / "human.csv").write_text("text,label\n")
    assert read_human_labels(tmp_path / "human.csv", task) == []
    assert "has a header and no rows" in caplog.text
