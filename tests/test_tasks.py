import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import TextClassification, load_task
from freeal_hf.errors import InputError

NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=20),
    min_size=2,
    max_size=8,
    unique_by=str.casefold,
).filter(lambda names: all(name.strip() for name in names))


def test_labels_keep_the_order_they_are_given_in():
    task = TextClassification(["b", "a"])
    assert task.label_names == ["b", "a"]
    assert task.label2id == {"b": 0, "a": 1}
    assert task.id2label == {0: "b", 1: "a"}


def test_a_mapping_gives_descriptions():
    task = TextClassification({"yes": "the writer agrees", "no": None})
    assert task.descriptions == {"yes": "the writer agrees", "no": ""}


@given(names=NAMES, description=st.text(max_size=40))
def test_a_task_survives_the_trip_through_yaml(names, description, tmp_path_factory):
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
    ],
)
def test_unusable_labels_are_refused_with_their_name(labels, message):
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
def test_an_unusable_task_file_is_refused(content, message, tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        load_task(path)


def test_a_missing_task_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no task file .*nowhere\.yaml"):
        load_task(tmp_path / "nowhere.yaml")
