"""The step Results, without its looks: what a finished round holds, what a person corrects, what is taken home."""

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import entities
from freeal_hf.errors import InputError
from freeal_hf.round_files import read_labels
from freeal_hf.run_folder import LABELS, LABELS_CSV, METRICS, REPORT, STUDENT, read_json
from freeal_hf.tasks import NO_LABEL
from store import Run

if TYPE_CHECKING:
    import pandas as pd

PARQUET, CSV, REPORT_PAGE, STUDENT_ZIP = "Parquet", "CSV", "Report", "Student"
DOWNLOADS = (PARQUET, CSV, REPORT_PAGE, STUDENT_ZIP)

# What a spreadsheet reads as the beginning of a formula. Source: OWASP, CSV Injection.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@dataclass(frozen=True)
class Results:
    """A finished round.

    Args:
        labels (`DataFrame`): The rows of `labels.parquet`, labels by name; of entities what `entities.as_frame` gives.
        rounds (`list[dict]`): The metrics of each round.
        label_names (`list[str]`): The labels, or the types of entities.
    """

    labels: "pd.DataFrame"
    rounds: list[dict[str, Any]]
    label_names: list[str]


def load_results(run: Run) -> Results:
    """Reads the results at the top of a run's folder."""
    dataset = read_labels(run.output / LABELS)
    rounds = read_json(run.output / METRICS)
    if run.finds_entities:
        return Results(entities.as_frame(dataset), rounds, list(run.task["labels"]))
    frame = dataset.to_pandas()
    names = dataset.features["label"].names
    for column, feature in dataset.features.items():
        if hasattr(feature, "names"):
            frame[column] = [None if i == NO_LABEL else feature.names[i] for i in frame[column]]
    corrected = read_corrections(run)
    frame["correction"] = [corrected.get(sample) for sample in frame["id"]]
    return Results(frame, rounds, names)


def disputed(labels: "pd.DataFrame") -> "pd.DataFrame":
    """The rows on which annotator and student differ, the least sure first, each text once."""
    differs = labels["annotator_label"].notna() & labels["student_label"].notna()
    differs &= labels["annotator_label"] != labels["student_label"]
    return labels[differs].sort_values("label_confidence", kind="stable").drop_duplicates("text")


def read_corrections(run: Run) -> dict[str, str]:
    """Labels that a person gave, by the id of the text."""
    if not run.corrections.is_file():
        return {}
    with run.corrections.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["label"] for row in csv.DictReader(file)}


def correct(run: Run, sample: str, label: str | None, label_names: Sequence[str], ids: Sequence[str]) -> int:
    """Notes a person's label of a text, or takes it back.

    Args:
        run (`Run`): The run.
        sample (`str`): Id of the text.
        label (`str`, *optional*): Its label; `None` takes the correction back.
        label_names (`Sequence[str]`): The task's labels.
        ids (`Sequence[str]`): Ids of the texts of the run.

    Returns:
        `int`: Corrections in all.

    Raises:
        InputError: If there is no such text or label.
    """
    if run.finds_entities:
        raise InputError("Entities cannot be corrected by hand here yet.")
    if sample not in set(ids):
        raise InputError("Choose a text first.")
    if label is not None and label not in label_names:
        raise InputError(f"{label!r} is no label of the task; its labels are {', '.join(label_names)}.")
    found = read_corrections(run)
    found.pop(sample, None)
    if label is not None:
        found[sample] = label
    with run.corrections.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label"])
        writer.writerows(found.items())
    return len(found)


def export(run: Run, kind: str) -> Path:
    """A file to take home, in the run's folder.

    Args:
        run (`Run`): A run with results.
        kind (`str`): One of `DOWNLOADS`.
    """
    if kind not in DOWNLOADS:
        raise InputError(f"There is no download {kind!r}; choose one of {', '.join(DOWNLOADS)}.")
    if not run.has_results:
        raise InputError("No round is finished yet; there is nothing to take home.")
    if kind == PARQUET:
        return run.output / LABELS
    if kind == REPORT_PAGE:
        return run.output / REPORT
    if kind == CSV:
        path = run.folder / LABELS_CSV
        text = (run.output / LABELS_CSV).read_text(encoding="utf-8")
        path.write_text(escape_formulas(text), encoding="utf-8", newline="")
        return path
    path = run.folder / "student.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted((run.output / STUDENT).rglob("*")):
            # training_args.bin is a pickle that names paths of this machine.
            if file.is_file() and file.suffix != ".bin":
                archive.write(file, Path("student") / file.relative_to(run.output / STUDENT))
    return path


def escape_formulas(text: str) -> str:
    """The CSV with an apostrophe before each cell that a spreadsheet would execute."""
    cells = csv.reader(io.StringIO(text, newline=""))
    escaped = io.StringIO(newline="")
    writer = csv.writer(escaped)
    writer.writerows([f"'{cell}" if _is_formula(cell) else cell for cell in row] for row in cells)
    return escaped.getvalue()


def _is_formula(cell: str) -> bool:
    if not cell.startswith(_FORMULA_STARTS):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False
