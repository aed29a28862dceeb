import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import MultiLabelClassification, TextClassification, load_task
from freeal_hf.errors import InputError

NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=20),
    min_size=2,
    max_size=8,
    unique_by=str.casefold,
).filter(lambda names: all(name.strip() for name in names))


def test_labels_keep_their_order():
    task = TextClassification(["b", "a"])
    assert task.label_names == ["b", "a"]
    assert task.label2id == {"b": 0, "a": 1}
    assert task.id2label == {0: "b", 1: "a"}


def test_a_mapping_gives_descriptions():
    task = TextClassification({"yes": "the writer agrees", "no": None})
    assert task.descriptions == {"yes": "the writer agrees", "no": ""}


@pytest.mark.parametrize(
    "labels",
    [
        "[{name: ham, description: from a friend}, {name: spam}]",
        "[{label: ham, description: from a friend}, spam]",
        "[{id: 0, name: ham, description: from a friend}, {id: 1, name: spam, description: }]",
        "[{ham: from a friend}, {spam: }]",
        "{ham: {description: from a friend}, spam: {}}",
        "{ham: from a friend, spam: }",
    ],
)
def test_labels_can_have_several_forms(labels, tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(f"labels: {labels}\n")
    assert load_task(path).descriptions == {"ham": "from a friend", "spam": ""}


@given(names=NAMES, description=st.text(max_size=40))
def test_a_task_is_unchanged_after_yaml(names, description, tmp_path_factory):
    task = TextClassification({name: name * 2 for name in names}, description=description)
    path = tmp_path_factory.mktemp("task") / "task.yaml"
    task.save(path)
    assert load_task(path) == task


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "a"], "'a' is given 2 times"),
        (["a", " "], "empty"),
        (["a\nb", "c"], "line break"),
        (["a"], "at least two"),
        ([], "at least two"),
        (["Yes", "yes"], "differ only in case"),
        (["not spam", "NotSpam"], "differ only in case"),
        (["a", 1], "not a string"),
        ({True: "", False: ""}, "not a string"),
        ("positive", "must be a list"),
        ({"a": 3, "b": ""}, "description of label 'a'"),
        ([{"name": "a"}, {"name": "a"}], "'a' is given 2 times"),
        ([{"name": "a", "text": "x"}, "b"], "Label 1, .*unknown field 'text'"),
        ([{"description": "x", "id": 0}, "b"], "Label 1, .*has 0 names"),
        ([{"name": "a", "label": "b"}, "b"], "Label 1, .*has 2 names"),
        ([{"name": "a", "id": 1}, {"name": "b", "id": 2}], "'a' has the id 1 but is number 0"),
        ([{"name": "a", "description": ["x"]}, "b"], "description of label 'a'"),
        ([{"name": 1}, {"name": 2}], "not a string"),
        ([["a", "b"]], "is a list"),
        ([{"name": ["a"]}, "b"], "name of label 1"),
        ({"a": {"description": "x", "examples": "y"}, "b": ""}, "description of label 'a'"),
    ],
)
def test_invalid_labels_are_refused_with_their_name(labels, message):
    with pytest.raises(InputError, match=message):
        TextClassification(labels)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("labels: [a, b]\nlabel: c\n", "no field 'label'"),
        ("description: x\n", "no `labels`"),
        ("- a\n- b\n", "must be a mapping"),
        ("labels: [a, b\n", "not valid YAML"),
        ("type: regression\nlabels: [a, b]\n", "'regression' is not supported"),
    ],
)
def test_an_invalid_task_file_is_refused(content, message, tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        load_task(path)


def test_a_missing_task_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no task file .*nowhere\.yaml"):
        load_task(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("value", "label"),
    [("1.0", 1), ("1", 1), ("+1e0", 1), ("-0", 0), ("0.5", -1), ("1_0", -1), ("nan", -1), ("10", -1), ("", -1)],
)
def test_a_number_is_the_label_with_the_same_value(value, label):
    assert TextClassification(["0", "1"]).label_of(value) == label


def test_an_ambiguous_number_is_only_the_label_of_the_same_form():
    task = TextClassification(["1", "01"])
    assert [task.label_of("1"), task.label_of("01"), task.label_of("1.0")] == [0, 1, -1]


@pytest.mark.parametrize(
    "value", ["caf\u00e9 cr\u00e8me", "cafe\u0301  CRE\u0300ME ", "\tCaf\u00e9\u00a0cr\u00e8me\r\n"]
)
def test_a_value_matches_a_label_in_any_unicode_form_case_and_spacing(value):
    assert TextClassification(["tea", "cafe\u0301 cr\u00e8me"]).label_of(value) == 1


@pytest.mark.parametrize("value", ["non-spam", "not spam", "spam!", "spam ham", "spa m", "spams"])
def test_a_label_is_not_searched_inside_a_value(value):
    assert TextClassification(["spam", "ham"]).label_of(value) == -1


def test_instructions_are_kept_in_yaml_and_with_a_label_map(tmp_path):
    task = TextClassification(["a1", "b1"], "Which one?", instructions=["Is it a or b?\r\n", "Choose."])
    assert task.instructions == ("Is it a or b?", "Choose.")
    task.save(tmp_path / "task.yaml")
    assert load_task(tmp_path / "task.yaml") == task
    assert task.with_label_map({"x": "a1"}).instructions == task.instructions
    assert task.with_instructions(["Decide."]).instructions == (*task.instructions, "Decide.")
    assert task != TextClassification(["a1", "b1"], "Which one?")


@pytest.mark.parametrize(
    ("description", "instructions", "message"),
    [
        ("", ["Which one?"], "the task has no description"),
        ("Which one?", "Choose.", "must be a list"),
        ("Which one?", ["Choose.", " "], "each must be a wording"),
        ("Which one?", [3], "each must be a wording"),
        ("Which one?", ["Which one? "], "is repeated"),
        ("Which one?", ["Choose.", "Choose."], "is repeated"),
    ],
)
def test_invalid_instructions_are_refused(description, instructions, message):
    with pytest.raises(InputError, match=message):
        TextClassification(["a1", "b1"], description, instructions=instructions)


MULTI = MultiLabelClassification(["toxic", "threat", "insult"])


@given(st.sets(st.integers(0, 2)), st.sampled_from([None, ";", "|", ",", " + "]))
def test_joined_labels_are_read_back_with_any_separator(labels, separator):
    task = MultiLabelClassification(MULTI.label_names, label_separator=separator)
    assert task.labels_of(task.joined(sorted(labels))) == tuple(sorted(labels))


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("toxic", (0,)),
        ("THREAT , toxic", (0, 1)),
        ('["insult", "toxic"]', (0, 2)),
        ("['insult']", (2,)),
        ("[]", ()),
        ("(none)", ()),
        ("", None),
        ("toxic;rude", None),
        ("(no answer)", None),
    ],
)
def test_a_cell_of_several_labels_is_read_whole_or_not_at_all(value, labels):
    assert MULTI.labels_of(value) == labels


def test_a_label_map_says_what_means_none_of_the_labels():
    task = MULTI.with_label_map({"": "(none)", "clean": "(none)", "rude": "toxic"})
    assert (task.labels_of(""), task.labels_of("clean"), task.labels_of("rude;threat")) == ((), (), (0, 1))
    assert MultiLabelClassification.from_dict(task.to_dict()) == task


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_labels": 4}, "max_labels is 4; it must be a whole number from 1 to 3"),
        ({"label_separator": "x"}, "'toxic' contains the label separator 'x'"),
        ({"labels": ["(none)", "b"]}, "cannot be used"),
        ({"label_map": {"toxic": "(none)"}}, "already means 'toxic'"),
    ],
)
def test_a_multi_label_task_that_cannot_be_read_is_refused(arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        MultiLabelClassification(**{"labels": MULTI.label_names, **arguments})
