"""An audit: a person labels random texts of a finished run, and the answers measure how many labels are right.

The run is the one that the web app opens as an example. Its gold labels stand for the person.

Usage: python examples/audit.py
"""

import csv
import zipfile
from importlib.resources import as_file, files
from pathlib import Path

from datasets import Dataset

from freeal_hf import RunFolder, draw_audit, load_task, note_audit, score_audit

with as_file(files("freeal_hf.demo") / "finished_run.zip") as path, zipfile.ZipFile(path) as archive:
    archive.extractall("runs/audited")
folder = RunFolder("runs/audited/run")
task = load_task(str(files("freeal_hf.demo") / "task.yaml"))
labels = Dataset.from_parquet(str(folder / "labels.parquet"))

sheet = Path(draw_audit(folder, task, 100))  # audit.csv with the columns id, text, label

# A person would fill in the column "label" with a spreadsheet, or with `freeal-hf audit RUN_DIR --terminal`.
rows = labels.to_pandas().set_index("id")
with sheet.open(encoding="utf-8-sig", newline="") as file:
    answers = list(csv.DictReader(file))
for answer in answers:
    answer["label"] = task.label_names[rows.loc[answer["id"], "gold"]]
with sheet.open("w", encoding="utf-8-sig", newline="") as file:
    writer = csv.DictWriter(file, answers[0])
    writer.writeheader()
    writer.writerows(answers)

found = score_audit(folder, task)
note_audit(folder, task, found)  # also writes the result to metrics.json and report.html
print(f"{found.answered} answers: {found.accuracy:.0%} of the labels are right ({found.low:.0%} to {found.high:.0%})")
print(f"In truth it is {(rows['label'] == rows['gold']).mean():.0%}.")
