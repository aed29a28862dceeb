"""An external kind of task can be added, because only the modules of the kinds test the kind of a task."""

import ast
import csv
from pathlib import Path

import pytest

import freeal_hf
from freeal_hf import FreeAL, FreeALConfig, LoopConfig, TextClassification
from freeal_hf.annotators.prompts.registry import PROMPTS
from freeal_hf.annotators.prompts.single_label import SingleLabelPrompts
from freeal_hf.cli.main import main
from freeal_hf.kinds.labels import Measure
from freeal_hf.kinds.registry import KINDS
from freeal_hf.kinds.single_label import SingleLabelKind
from freeal_hf.tasks import TASKS
from tests.conftest import QUICK_TRAINING, KeywordAnnotator

PACKAGE = Path(freeal_hf.__file__).parent
MAY_ASK = ("tasks/", "kinds/", "annotators/prompts/")
CLASSES = {found.__name__ for registry in (TASKS, PROMPTS, KINDS) for found in registry.values()}


def _names(node: ast.AST) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)} | {
        child.attr for child in ast.walk(node) if isinstance(child, ast.Attribute)
    }


def _asks(node: ast.AST) -> bool:
    """Whether a piece of code asks for the kind of a task."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in ("isinstance", "issubclass"):
            return bool(_names(node.args[1]) & CLASSES)
        return node.func.id == "type" and bool(_names(node.args[0]) & {"task", "kind"})
    if isinstance(node, ast.MatchClass):
        return bool(_names(node.cls) & CLASSES)
    if isinstance(node, ast.Compare | ast.match_case):
        constants = {child.value for child in ast.walk(node) if isinstance(child, ast.Constant)}
        is_constant = not constants.isdisjoint(TASKS) if isinstance(node, ast.Compare) else False
        return is_constant or (isinstance(node, ast.Compare) and bool(_names(node) & CLASSES))
    if isinstance(node, ast.MatchValue):
        return isinstance(node.value, ast.Constant) and node.value.value in TASKS
    return False


def questions(source: str) -> list[int]:
    """The lines of a module that ask for the kind of a task."""
    return sorted({node.lineno for node in ast.walk(ast.parse(source)) if _asks(node)})


@pytest.mark.parametrize(
    "line",
    [
        "isinstance(task, TokenClassification)",
        "isinstance(self.task, (str, tasks.TextClassification))",
        "issubclass(type(x), TextClassification | int)",
        "isinstance(kind, EntityKind)",
        "task.type == 'token-classification'",
        "run.task.get('type') == TokenClassification.type",
        "values['type'] in ('text-classification', 'x')",
        "type(task) is Other",
        "match task:\n    case TextClassification(): pass",
        "match task.type:\n    case 'text-classification': pass",
    ],
)
def test_a_test_of_the_kind_of_task_is_detected(line):
    assert questions(f"import x\n\n{line}\n")


@pytest.mark.parametrize("line", ["isinstance(task, str)", "task.type not in annotator.kinds", "WORDS[task.type]"])
def test_other_code_is_not_detected_as_a_test_of_the_kind(line):
    assert not questions(line)


def test_only_modules_of_the_kinds_test_the_kind_of_a_task():
    paths = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    assert len(paths) > 100
    found = [
        f"{path}:{line}"
        for path in paths
        if not path.startswith(MAY_ASK)
        for line in questions((PACKAGE / path).read_text())
    ]
    assert not found


class Verdict(TextClassification):
    """A kind of task of somebody else's."""

    type = "verdict"


class VerdictKind(SingleLabelKind):
    """What differs for it."""

    measure = Measure("accuracy", "justice", "verdicts that are just")

    @classmethod
    def owns_student(cls, config):
        return config.id2label == {0: "innocent", 1: "guilty"}

    def shown(self, label, row):
        return f"The court finds: {super().shown(label, row)}."

    def cell(self, label):
        return f"verdict of {super().cell(label)}"


class Court(KeywordAnnotator):
    """Labels such tasks."""

    kinds = frozenset({Verdict.type})


@pytest.fixture
def with_verdicts(monkeypatch):
    """The kind is registered, as an entry in each registry."""
    monkeypatch.setitem(TASKS, Verdict.type, Verdict)
    monkeypatch.setitem(PROMPTS, Verdict.type, SingleLabelPrompts)
    for name in list(KINDS):  # a student of the new kind could be of a former one, too
        monkeypatch.delitem(KINDS, name)
    monkeypatch.setitem(KINDS, Verdict.type, VerdictKind)


def test_an_external_kind_of_task_runs_reports_audits_and_predicts(
    with_verdicts, corpus, student_folder, tmp_path, capsys
):
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
    task = Verdict(["innocent", "guilty"])
    gold = {"fruit": "innocent", "tool": "guilty"}
    data = corpus.map(lambda row: {"gold": gold[row["gold"]]})
    result = FreeAL(task, Court(), str(student_folder), args, LoopConfig(num_rounds=1)).run(data)
    assert result.task == task
    assert "guilty" in repr(result)
    report = result.report().read_text(encoding="utf-8")
    assert "verdicts that are just (gold)" in report
    assert "The court finds: guilty." in report
    assert main(["audit", str(tmp_path / "run"), "--n", "4"]) == 0
    source, output = tmp_path / "texts.csv", tmp_path / "predictions.csv"
    source.write_text("text\na red apple\n")
    assert main(["predict", "--model", str(result.student), "--data", str(source), "--output", str(output)]) == 0
    [row] = csv.DictReader(output.open())
    assert row["label"] in gold.values()
