"""The examples run, each as a user runs it, with a tiny student in place of the pretrained one."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.conftest import FILLERS, FRUIT, TOOLS, save_student

EXAMPLES = Path(__file__).parents[1] / "examples"
DEMO = EXAMPLES.parent / "freeal_hf" / "demo"
NOTEBOOKS = ["classify_messages.ipynb", "labels_in_scikit_learn.ipynb"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A tiny student that knows the words of the examples."""
    texts = " ".join(path.read_text() for path in [*EXAMPLES.glob("*.py"), *DEMO.glob("*.csv")])
    words = sorted(set(re.findall(r"\w+|[^\w\s]+", texts)) - {*FRUIT, *TOOLS, *FILLERS})
    return str(save_student(tmp_path_factory.mktemp("student"), words))


def with_tiny(student, name):
    """The text of an example, in which the tiny student learns."""
    text = (EXAMPLES / name).read_text().replace("sentence-transformers/all-MiniLM-L6-v2", student)
    # The embeddings of random weights do not tell which label a text has, which ends a run.
    return text.replace("LoopConfig(num_rounds=1)", "LoopConfig(num_rounds=1, allow_doubtful_answers=True)")


@pytest.fixture
def run(student, tmp_path, monkeypatch, capsys):
    """Runs an example in an empty folder, and returns what it prints."""

    def run(name, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        exec(compile(with_tiny(student, name), name, "exec"), {"__name__": "__main__"})
        return capsys.readouterr().out

    return run


def test_rules_label_some_texts_and_the_student_serves_as_pipeline_and_onnx(run):
    assert "The rules label 101 of 186 messages" in run("custom_annotator.py")
    pytest.importorskip("onnxscript")
    printed = run("serve_student.py", "./runs/rules/student")
    assert float(re.search(r"at most (\S+)\.", printed)[1]) < 1e-4


def test_entities_of_word_lists_are_in_the_final_labels(run):
    printed = run("entities.py")
    assert re.search(r"insulin \(medicine\)", printed)


def test_labels_of_two_systems_are_fused(run):
    assert "150 rows labelled" in run("multi_label.py")


def test_the_interval_of_the_audit_covers_the_truth(run):
    low, high, truth = map(int, re.search(r"\((\d+)% to (\d+)%\)\n.* (\d+)%", run("audit.py")).groups())
    assert low <= truth <= high


def test_a_loss_of_ones_own_trains_a_student(run):
    assert re.search(r"\d+% are selected as clean", run("custom_loss.py"))


def test_the_trainer_alone_writes_to_tensorboard(run, tmp_path):
    pytest.importorskip("tensorboard")
    assert "Accuracy on the test set" in run("trainer_tensorboard.py")
    assert list((tmp_path / "runs" / "trainer" / "logs").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_its_outputs_are_small(name, student, tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.reads(with_tiny(student, name), as_version=4)
    nbclient.NotebookClient(notebook, timeout=250, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert "right" in str(outputs) or "RunResult" in str(outputs)
    assert len(json.dumps(outputs)) < 20_000


def test_every_example_is_described(run):
    """`resume_from_hub.py` is run by tests/hub/test_run_and_resume.py, the package by tests/annotators."""
    described = set(re.findall(r"\]\(([\w.-]+)\)", (EXAMPLES / "README.md").read_text()))
    assert described == {path.name for path in EXAMPLES.iterdir() if path.name not in ("README.md", "runs")}
