"""Run folders of former versions: `config.yaml` with sections, and without.

`tests/stored_runs` holds the first round of a run. It was killed before the second one; there are no final files.
"""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from freeal_hf.cli.main import main
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop.folder import RunFolder
from tests.conftest import save_student

pytestmark = pytest.mark.slow

STORED = Path(__file__).parents[1] / "stored_runs"
FORMS = ["flat", "nested"]
COMMAND = [
    *("run", "--data", "data.csv", "--text-columns", "body", "--gold-column", "gold", "--labels", "fruit,tool"),
    *("--annotator", "column:llm", "--student", "student", "--output-dir", "run", "--num-train-epochs", "7"),
    *("--warm-up-epochs", "4", "--per-device-train-batch-size", "8", "--learning-rate", "2e-3"),
    *("--min-train-steps", "0", "--disable-tqdm", "true"),
]


@pytest.fixture(params=FORMS)
def stored(request, tmp_path, monkeypatch):
    """The folder `run` of a killed run in the current folder, with its data and student beside it."""
    shutil.copytree(STORED / request.param, tmp_path / "run")
    shutil.copy(STORED / "data.csv", tmp_path)
    save_student(tmp_path / "student")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def test_both_forms_hold_the_same_options():
    flat, nested = (RunFolder(STORED / form).config().options() for form in FORMS)
    same = set(flat) & set(nested) - {"data_fingerprint"}
    assert {"data", "text_columns", "task", "annotator", "student", "num_rounds", "learning_rate"} <= same
    assert {name: flat[name] for name in same} == {name: nested[name] for name in same}


@pytest.mark.parametrize("command", [COMMAND, ["run", "run/config.yaml"]], ids=["options", "config.yaml"])
def test_a_stored_run_continues_after_its_finished_round_and_is_written_in_sections(stored, command):
    first = (stored / "round-0" / "labels.parquet").read_bytes()
    assert main([*command, "--num-rounds", "2"]) == 0
    assert (stored / "round-0" / "labels.parquet").read_bytes() == first
    assert [record["round"] for record in json.loads((stored / "metrics.json").read_text())] == [0, 1]
    config = yaml.safe_load((stored / "config.yaml").read_text())
    assert config["data"] == {"data": "data.csv", "text_columns": ["body"], "gold_column": "gold"}
    assert config["training"]["learning_rate"] == 2e-3
    assert config["loop"]["num_rounds"] == 2
    assert (
        read_labels(stored / "labels.parquet")["id"][:] == read_labels(stored / "round-0" / "labels.parquet")["id"][:]
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("--shots", "3"), "shots was 10 and is now 3"),
        (("--seed", "7"), "seed was None and is now 7"),
        (("--gold-column", "llm"), "gold_column was 'gold' and is now 'llm'"),
    ],
)
def test_a_stored_run_with_other_options_is_refused_with_the_remedy(stored, changed, message, capsys):
    assert main([*COMMAND, *changed]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "pass --resume to continue in it or --overwrite" in error
