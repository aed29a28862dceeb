import json

import numpy as np
import pytest
from datasets import load_dataset

from freeal_hf.cli.main import main
from tests.conftest import QUICK_TRAINING


@pytest.fixture
def biased(corpus, tmp_path):
    """A folder with texts of which an annotator took some about fruit for texts about tools, and with the task."""
    answers = ["tool" if row["gold"] == "tool" or sum(map(ord, row["text"])) % 3 == 0 else "fruit" for row in corpus]
    corpus.add_column("answer", answers).to_csv(tmp_path / "data.csv", index=False)
    (tmp_path / "task.yaml").write_text("labels: [fruit, tool]\n", encoding="utf-8")
    return tmp_path


def labels_of_run(folder, student_folder, *options):
    """Runs one round and returns the record of the round and the share of the label fruit."""
    output = folder / f"run-{len(options)}"
    given = [
        *("run", "--data", str(folder / "data.csv"), "--task", str(folder / "task.yaml")),
        *("--annotator", "column:answer", "--gold-column", "gold", "--student", str(student_folder)),
        *("--num-rounds", "1", "--output-dir", str(output), *options),
    ]
    main([*given, *(f"--{name.replace('_', '-')}={value}" for name, value in QUICK_TRAINING.items())])
    (record,) = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    labels = load_dataset("csv", data_files=str(output / "labels.csv"), split="train")["label"]
    return record, np.mean([name == "fruit" for name in labels])


def test_known_shares_move_the_final_labels_of_a_run_towards_them(biased, student_folder):
    _, without = labels_of_run(biased, student_folder)
    record, share = labels_of_run(biased, student_folder, "--class-shares", "fruit=0.9,tool=0.1")
    assert record["class_shares_given"]
    assert record["most_labels_right"] == pytest.approx(min(share, 0.9) + min(1 - share, 0.1))
    assert without < share <= 0.9
