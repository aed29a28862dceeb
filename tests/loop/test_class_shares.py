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


def test_known_shares_move_the_final_labels_of_a_run_towards_them(biased, student_folder):
    given = [
        *("run", "--data", str(biased / "data.csv"), "--task", str(biased / "task.yaml")),
        *("--annotator", "column:answer", "--gold-column", "gold", "--student", str(student_folder)),
        *("--num-rounds", "1", "--output-dir", str(biased / "run"), "--class-shares", "fruit=0.9,tool=0.1"),
    ]
    main([*given, *(f"--{name.replace('_', '-')}={value}" for name, value in QUICK_TRAINING.items())])
    (record,) = json.loads((biased / "run" / "metrics.json").read_text(encoding="utf-8"))
    labels = load_dataset("csv", data_files=str(biased / "run" / "labels.csv"), split="train")
    share, answered = (
        np.mean([name == "fruit" for name in labels[column]]) for column in ("label", "annotator_label")
    )
    assert record["class_shares_given"]
    assert record["most_labels_right"] == pytest.approx(min(share, 0.9) + min(1 - share, 0.1))
    assert share > answered + 0.05
