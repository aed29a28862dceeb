"""A trainer on its own pushes the student with its card."""

import subprocess
import sys

from huggingface_hub import ModelCard

from tests.hub.conftest import ROOT, hub_environment

SCRIPT = """
import sys
from datasets import ClassLabel, load_dataset
from freeal_hf import FreeALConfig, FreeALTrainer
from freeal_hf.labels.metrics import accuracy

student, data, folder = sys.argv[1:]
rows = load_dataset("parquet", data_files=data, split="train").rename_column("gold", "label")
rows = rows.cast_column("label", ClassLabel(names=["fruit", "tool"]))
args = FreeALConfig(
    output_dir=folder, num_train_epochs=2, warm_up_epochs=1, learning_rate=2e-3, disable_tqdm=True, report_to="none"
)
trainer = FreeALTrainer(
    student, args, train_dataset=rows, eval_dataset=rows.select(range(20)),
    compute_metrics=lambda found: {"accuracy": accuracy(found.predictions.argmax(1), found.label_ids)},
)
trainer.train()
trainer.evaluate()
trainer.push_to_hub(license="mit")
trainer.push_to_hub()
"""


def test_push_to_hub_writes_the_card_of_the_student(hub, corpus, student_folder, tmp_path):
    corpus.to_parquet(tmp_path / "corpus.parquet")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(student_folder), str(tmp_path / "corpus.parquet"), str(tmp_path / "mine")],
        cwd=ROOT,
        env=hub_environment(hub, tmp_path / "home"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    content = hub.read("model", "ada/mine", "README.md").decode()
    card = ModelCard(content)
    assert card.data.license == "mit"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.eval_results[0].metric_type == "accuracy"
    assert "| `learning_rate` | 0.002 |" in card.text
    assert "share of labels selected as clean" in card.text
    assert "| fruit |" in card.text
    assert 'model="ada/mine"' in card.text
    assert str(tmp_path) not in content
