"""The trainer alone, with TensorBoard and a test set. `FreeALTrainer` takes the arguments of transformers' Trainer.

Usage: python examples/trainer_tensorboard.py
       tensorboard --logdir runs/trainer    # pip install tensorboard
"""

import os
from importlib.resources import files

from datasets import ClassLabel, load_dataset

from freeal_hf import FreeALConfig, FreeALTrainer, load_task

os.environ["TENSORBOARD_LOGGING_DIR"] = "runs/trainer/logs"
demo = files("freeal_hf.demo")
names = load_task(str(demo / "task.yaml")).label_names
paths = {"train": str(demo / "shop_messages.csv"), "test": str(demo / "shop_messages_test.csv")}
data = (
    load_dataset("csv", data_files=paths).rename_column("gold", "label").cast_column("label", ClassLabel(names=names))
)
train, test = data["train"].select(range(240)), data["test"].select(range(60))
# Every fifth label is wrong.
train = train.map(
    lambda row, i: {"label": (row["label"] + 1) % len(names) if i % 5 == 0 else row["label"]}, with_indices=True
)

trainer = FreeALTrainer(
    "sentence-transformers/all-MiniLM-L6-v2",
    FreeALConfig(
        output_dir="runs/trainer",
        num_train_epochs=6,
        learning_rate=2e-4,
        eval_strategy="epoch",
        logging_steps=5,
        report_to="tensorboard",
    ),
    train_dataset=train,
    eval_dataset=test,
    compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())},
)
trainer.train()

clean = trainer.selection.is_clean
print(f"Accuracy on the test set: {trainer.evaluate()['eval_accuracy']:.0%}")
print(f"Of the wrong labels, {clean[::5].mean():.0%} are selected as clean; of all labels, {clean.mean():.0%}.")
