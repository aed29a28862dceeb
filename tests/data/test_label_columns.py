"""Columns of labels: which values are labels, and how other values are reported."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.cli.main import main
from freeal_hf.data.label_columns import LabelColumn, load_label_map
from freeal_hf.data.texts import read_data
from freeal_hf.errors import InputError
from freeal_hf.kinds.human_labels import read_human_labels
from freeal_hf.loop.annotators import build_annotators
from freeal_hf.tasks import NO_LABEL, TextClassification, TokenClassification, load_task, task_from_dict

BINARY = TextClassification(["0", "1"])
TASK = TextClassification(["very  good", "bad"])


def ids(task, values):
    return LabelColumn(task, "Column 'llm'").ids(values)


# ---- Values ----


@pytest.mark.parametrize(
    "one", [1, 1.0, "1", "1.0", " 1 ", "1.00", "1e0", True, "True", np.int64(1), np.float32(1), np.bool_(True)]
)
def test_numbers_are_compared_with_labels_by_value(one):
    assert ids(BINARY, [one]) == [1]


@pytest.mark.parametrize("other", ["10", "0.1", "1.5", "-1", "11", "1 or 0", "label 1", "1st", "²", "１st"])
def test_another_number_and_a_number_in_a_text_are_not_labels(other):
    assert ids(BINARY, [other]) == [NO_LABEL]


@pytest.mark.parametrize(
    "missing", [None, "", "  ", float("nan"), np.float32("nan"), pd.NA, pd.NaT, "nan", "None", "NULL", "<NA>"]
)
def test_missing_values_are_not_reported(missing, caplog):
    column = LabelColumn(BINARY, "Column 'llm'")
    assert column.ids([missing]) == [NO_LABEL]
    column.check()
    assert not caplog.records


def test_a_label_can_have_the_name_of_a_missing_value():
    assert ids(TextClassification(["none", "some"]), ["None", None]) == [0, NO_LABEL]


@given(st.sampled_from(["very good", "Very\tGood", " VERY \n good ", "very\u00a0good", "very\u2003 good"]))
def test_blanks_and_case_are_ignored(value):
    assert ids(TASK, [value]) == [0]


def test_equivalent_unicode_texts_are_the_same_label():
    task = TextClassification(["cafe\u0301", "bar"])
    assert ids(task, ["caf\u00e9", "CAFE\u0301"]) == [0, 0]


@given(
    st.sampled_from(["not ", "non-", "un", "very ", "{", "no label: "]),
    st.sampled_from(["", "}", " (not)", ", maybe"]),
)
def test_a_label_is_never_found_inside_a_value(before, after):
    assert ids(TextClassification(["good", "bad"]), [f"{before}good{after}"]) == [NO_LABEL]


# ---- Report ----


def test_values_that_are_not_labels_are_reported_with_counts(caplog):
    column = LabelColumn(TASK, "Column 'llm'")
    with caplog.at_level(logging.WARNING, logger="freeal_hf"):
        column.ids(["bad"] * 6 + ["not bad"] * 3)
        column.ids(["so so"])
        column.check()
    [record] = caplog.records
    assert "Column 'llm': 4 of 10 values are not labels" in record.getMessage()
    assert "'not bad' (3 rows), 'so so' (1 row)" in record.getMessage()
    assert "--label-map" in record.getMessage()


@pytest.mark.parametrize("num_matched", [0, 1])
def test_a_column_with_almost_no_labels_is_refused(num_matched):
    column = LabelColumn(TASK, "Column 'llm'")
    column.ids(["bad"] * num_matched + ["poor"] * 20)
    with pytest.raises(InputError, match=r"Column 'llm'.*'poor' \(20 rows\).*'very good', 'bad'.*--label-map"):
        column.check()


def test_a_run_reports_values_that_are_not_labels_before_it_trains(caplog):
    rows = {"id": ["a", "b", "c"], "text": ["x", "y", "z"], "llm": ["bad", "awful", None]}
    with caplog.at_level(logging.WARNING, logger="freeal_hf"):
        build_annotators("column:llm", TASK, Dataset.from_dict(rows), {}, None, is_alone=True)
    assert "'awful' (1 row)" in caplog.text


def test_gold_that_is_not_a_label_is_reported_and_counts_as_missing(caplog):
    rows = {"text": ["x", "y"], "gold": ["bad", "awful"]}
    with caplog.at_level(logging.WARNING, logger="freeal_hf"):
        data = read_data(Dataset.from_dict(rows), TASK, gold_column="gold")
    assert data["gold"][:] == [1, NO_LABEL]
    assert "'awful' (1 row)" in caplog.text


def test_a_human_label_that_is_not_a_label_is_an_error():
    rows = pd.DataFrame({"text": ["x", "y"], "label": ["bad", "awful"]})
    with pytest.raises(InputError, match=r"'awful' \(1 row\) is not a label of the task.*--label-map"):
        read_human_labels(rows, TASK)


def test_a_class_label_of_a_dataset_is_read_by_its_name():
    features = Features(
        {"id": Value("string"), "text": Value("string"), "llm": ClassLabel(names=["bad", "very good"])}
    )
    data = Dataset.from_dict({"id": ["a", "b"], "text": ["x", "y"], "llm": [0, 1]}, features=features)
    [annotator] = build_annotators("column:llm", TASK, data, {}, None, is_alone=True)
    assert annotator.annotator.answers == {"a": "bad", "b": "very good"}


# ---- Label map ----

MAP = {"5 stars": "very good", "1": "BAD", "no": "bad"}


def test_a_mapped_value_is_read_as_its_label():
    task = TASK.with_label_map(MAP)
    assert ids(task, ["5  Stars", "1.0", "No", "very good", "4 stars"]) == [0, 1, 1, 0, NO_LABEL]


def test_a_label_map_is_stored_with_the_task(tmp_path):
    task = TASK.with_label_map(MAP)
    task.save(tmp_path / "task.yaml")
    assert load_task(tmp_path / "task.yaml") == task == task_from_dict(task.to_dict())
    assert load_task(tmp_path / "task.yaml").label_of("5 stars") == 0
    assert task != TASK


def test_an_unknown_label_in_a_label_map_is_refused():
    with pytest.raises(InputError, match="label 'great', but the labels of the task are 'very good', 'bad'"):
        TASK.with_label_map({"5 stars": "great"})


@pytest.mark.parametrize(
    "label_map", [{"bad": "very good"}, {"x": "bad", " X": "very good"}, {"1": "bad", "1.0": "very good"}]
)
def test_a_label_map_with_two_labels_for_a_value_is_refused(label_map):
    with pytest.raises(InputError, match="already"):
        TASK.with_label_map(label_map)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("map.yaml", "5 stars: very good\n1: BAD\nno: bad\n"),
        ("map.json", json.dumps(MAP)),
        ("map.csv", "5 stars,very good\n1,BAD\nno,bad\n"),
        ("map.csv", "\ufeffvalue;label\n5 stars;very good\n1;BAD\nno;bad\n"),
        ("map.tsv", "value\tlabel\n5 stars\tvery good\n1\tBAD\n\nno\tbad\n"),
    ],
)
def test_a_label_map_is_read_from_yaml_json_or_csv(name, content, tmp_path):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert load_label_map(tmp_path / name) == MAP


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("map.yaml", "[a, b]", "value: label"),
        ("map.yaml", "a: [b]", "value: label"),
        ("map.yaml", "a: b: c", "not valid YAML"),
        ("map.csv", "a,b,c\n", "two columns"),
        ("map.csv", "a,b\na,c\n", "'a' two labels"),
        ("map.csv", None, "cannot be read"),
    ],
)
def test_a_label_map_in_another_form_is_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        load_label_map(tmp_path / name)


def test_an_entity_task_does_not_accept_a_label_map(tmp_path, capsys):
    TokenClassification(["PER"]).save(tmp_path / "task.yaml")
    (tmp_path / "map.csv").write_text("a,PER\n")
    options = ["--data", "x.csv", "--task", str(tmp_path / "task.yaml"), "--label-map", str(tmp_path / "map.csv")]
    assert main(["run", *options, "--output-dir", str(tmp_path / "run")]) == 1
    assert "cannot use --label-map" in capsys.readouterr().err
