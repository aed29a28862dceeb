"""A loss of your own: generalized cross-entropy (Zhang and Sabuncu, NeurIPS 2018), with a fifth of wrong labels.

Usage: python examples/custom_loss.py
"""

import csv
import random
from importlib.resources import files

import numpy as np
from datasets import Dataset

from freeal_hf import FreeALConfig, FreeALTrainer, Objective

QUESTION, PROBLEM = "product_question", "damaged_or_wrong_item"


class GeneralizedCrossEntropy(Objective):
    """`(1 - p ** q) / q`, with the probability p of the label: between cross-entropy (q = 0) and 1 - p (q = 1)."""

    def __init__(self, q=0.7):
        self.q = q

    def parts(self, batch, args):
        probability = (batch.logits[0].softmax(-1) * batch.targets).sum(-1)
        return {"gce_loss": (batch.weights * (1 - probability.clamp_min(1e-6) ** self.q) / self.q).sum()}


random.seed(0)
with (files("freeal_hf.demo") / "shop_messages.csv").open(encoding="utf-8") as file:
    messages = [row for row in csv.DictReader(file) if row["gold"] in (QUESTION, PROBLEM)][:160]
truth = [int(row["gold"] == PROBLEM) for row in messages]
noisy = [1 - label if random.random() < 0.2 else label for label in truth]

trainer = FreeALTrainer(
    "sentence-transformers/all-MiniLM-L6-v2",
    FreeALConfig(output_dir="runs/loss", num_train_epochs=6, learning_rate=1e-4, report_to="none"),
    train_dataset=Dataset.from_dict({"text": [row["text"] for row in messages], "label": noisy}),
    class_names=[QUESTION, PROBLEM],
    objective=GeneralizedCrossEntropy(),
)
trainer.train()

clean = trainer.selection.is_clean
right = np.array(truth) == noisy
print(f"{right.mean():.0%} of the labels are right.")
print(f"{clean.mean():.0%} are selected as clean, and {right[clean].mean():.0%} of these are right.")
