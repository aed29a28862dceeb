"""How the options of the commands are understood."""

import pytest

from freeal_hf.annotators.registry import columns_of, split_specs
from freeal_hf.cli.main import main
from freeal_hf.config import TaskConfig
from freeal_hf.data.configured import task_of
from freeal_hf.errors import InputError

QUESTION = "What did you like, and why?"


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(f'"{QUESTION}",label,"a ""b"""\nthe food,good,x\nthe soup,bad,y\n')
    return path


def test_a_column_annotator_can_have_a_name_with_commas():
    assert split_specs(f'embedding + column:label,"{QUESTION}"') == ["embedding", "column:label", f"column:{QUESTION}"]
    assert columns_of([f'column:"{QUESTION}"']) == [QUESTION]


def run(data, *more):
    return main(["run", "--data", str(data), "--labels", "good,bad", "--estimate", *map(str, more)])


def test_the_remedy_for_a_column_name_with_commas_works(data, capsys):
    assert run(data, "--text-columns", "What did you like") == 1
    assert "or give it alone (--text-columns" in capsys.readouterr().err
    assert run(data, "--text-columns", f'"{QUESTION}",label') == 0
    assert run(data, "--text-columns", QUESTION, "--text-columns", "label") == 0


def test_the_layout_options_of_the_corpus_are_not_those_of_the_test_data(tmp_path):
    data, test = tmp_path / "data.csv", tmp_path / "test.csv"
    data.write_bytes("text;label\nприем;good\nобед;bad\n".encode("cp1251"))
    test.write_text("text,label\nsuppe,good\nbrühe,bad\n", encoding="utf-8")
    options = ("--delimiter", ";", "--encoding", "cp1251", "--gold-column", "label", "--test-data", test)
    assert run(data, *options) == 0


@pytest.mark.parametrize(
    ("option", "kind"), [(("--test-data",), "test"), (("--human-labels",), "human"), (("--examples",), "human")]
)
def test_an_error_about_another_file_names_its_own_option(option, kind, tmp_path, capsys):
    data, other = tmp_path / "data.csv", tmp_path / "other.csv"
    data.write_text("text,label\nприем,good\nобед,bad\n", encoding="utf-8")
    other.write_bytes("text,label\nприем,good\nобед,bad\n".encode("cp1251"))
    options = (*option, other, "--gold-column", "label")
    assert run(data, *options) == 1
    assert f"--{kind}-encoding" in capsys.readouterr().err
    assert run(data, *options, f"--{kind}-encoding", "cp1251") == 0


def test_test_data_have_their_own_quoting_option(tmp_path, capsys):
    data, other = tmp_path / "data.csv", tmp_path / "other.tsv"
    data.write_text("text,label\nsoup,good\nmeal,bad\n")
    other.write_text('label\ttext\ngood\t"soup\nbad\tmeal"\n')
    options = ("--test-data", other, "--gold-column", "label")
    assert run(data, *options) == 1
    assert "give --test-quoting none" in capsys.readouterr().err
    assert run(data, *options, "--test-quoting", "none") == 0


def test_test_data_that_equal_the_data_are_refused(data, capsys):
    assert run(data, "--text-columns", QUESTION, "--test-data", data) == 1
    assert "--test-split" in capsys.readouterr().err


def test_test_data_can_be_another_split(tmp_path):
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text("text,label\nsoup,good\nmeal,bad\n")
    options = ("--gold-column", "label", "--test-data", tmp_path)
    assert run(tmp_path, *options) == 1
    assert run(tmp_path, *options, "--test-split", "test") == 0


def test_an_error_about_human_labels_names_no_option_that_does_not_exist(tmp_path, capsys):
    data, folder = tmp_path / "data.csv", tmp_path / "human"
    data.write_text("text,label\nsoup,good\nmeal,bad\n")
    folder.mkdir()
    for name in ("validation", "test"):
        (folder / f"{name}.csv").write_text("text,label\nsoup,good\n")
    assert run(data, "--human-labels", folder) == 1
    error = capsys.readouterr().err
    assert "give the path of a file" in error
    assert "split" not in error.partition("has the splits")[2]


@pytest.mark.parametrize(("of_file", "given"), [("colour=red", "concurrency=3"), ("concurrency=3", "colour=red")])
def test_annotator_options_of_the_command_line_are_added_to_those_of_the_file(of_file, given, data, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text(
        f"data: {data}\ntext_columns: label\nlabels: good,bad\nannotator: endpoint:org/model\n"
        f"annotator_option: [{of_file}]\n"
    )
    assert main(["run", str(config), "--annotator-option", given, "--estimate"]) == 1
    assert "no option 'colour'" in capsys.readouterr().err


def test_multi_label_is_for_labels_and_a_separator_is_for_tasks_with_several_labels():
    task = task_of(TaskConfig(labels="a,b", multi_label=True, label_separator=" / "))
    assert (task.type, task.labels_of("a / b")) == ("multi-label-classification", (0, 1))
    with pytest.raises(InputError, match="--multi-label is for --labels"):
        task_of(TaskConfig(task={"labels": ["a", "b"]}, multi_label=True))
    with pytest.raises(InputError, match="has no field 'label_separator'"):
        task_of(TaskConfig(labels="a,b", label_separator=";"))
