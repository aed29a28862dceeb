"""The step Results without Gradio: results of a round, corrections by a person, and downloads."""

import csv
import io
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.cards import student_card
from freeal_hf.data.files import read_json, write_atomically
from freeal_hf.data.human_labels import has_human_label
from freeal_hf.data.labels_csv import write_csv
from freeal_hf.errors import InputError
from freeal_hf.hub.facts import round_facts
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop.folder import COLUMNS, LABELS, LABELS_CSV, METRICS, REPORT, STUDENT, RunFolder
from freeal_hf.tasks import task_from_dict
from freeal_hf.web import checking
from freeal_hf.web.store import FINISHED, Run
from freeal_hf.web.views.registry import view_of

if TYPE_CHECKING:
    import pandas as pd

TABLE, STUDENT_ZIP, REPORT_PAGE, CSV, PARQUET = "Table", "Student", "Report", "CSV", "Parquet"
DOWNLOADS = (TABLE, STUDENT_ZIP, REPORT_PAGE, CSV, PARQUET)

_PROBABLY_RIGHT = 0.5
_CORRECTING = threading.Lock()  # so that simultaneous corrections are all kept


@dataclass(frozen=True)
class Results:
    """The results of a finished round.

    Args:
        labels (`DataFrame`): The rows of `labels.parquet` as `TaskView.frame` returns them.
        rounds (`list[dict]`): The metrics of each round.
        label_names (`list[str]`): The labels, or the types of entities.
    """

    labels: "pd.DataFrame"
    rounds: list[dict[str, Any]]
    label_names: list[str]


def load_results(run: Run) -> Results:
    """Reads the results of a run."""
    labels = view_of(run.task).frame(read_labels(run.output / LABELS), read_corrections(run))
    return Results(labels, read_json(run.output / METRICS), list(run.task["labels"]))


def disputed(labels: "pd.DataFrame") -> "pd.DataFrame":
    """Returns the rows on which annotator and student differ, by increasing confidence, each text once."""
    return labels[labels["differs"]].sort_values("label_confidence", kind="stable").drop_duplicates("text")


def doubtful(labels: "pd.DataFrame") -> "pd.DataFrame":
    """Returns the rows that a person should check first, by increasing confidence, each text once.

    These are the texts without a label, those on which the models differ, and those whose label is probably wrong.
    A text that a person has labelled before is not among them.
    """
    has_text = labels["text"].fillna("").str.strip().astype(bool)
    has_label, confidence = labels["label"].notna(), labels["label_confidence"]
    is_doubtful = labels["differs"] | ~has_label | (confidence < _PROBABLY_RIGHT)
    found = labels[has_text & is_doubtful & ~labels["note"].map(has_human_label)]
    order = confidence.where(has_label, -1.0)[found.index].sort_values(kind="stable").index
    return found.loc[order].drop_duplicates("text")


def read_corrections(run: Run) -> dict[str, str]:
    """Reads the corrections by text id: labels, or tags as JSON in an entity task."""
    if not run.corrections.is_file():
        return {}
    with run.corrections.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["label"] for row in csv.DictReader(file)}


def correct(run: Run, sample: str, right: str) -> str | None:
    """Saves the correction of a text. It replaces an earlier correction.

    Args:
        run (`Run`): A run with results.
        sample (`str`): The id of the text.
        right (`str`): The right label, or the right entities in the form of `entities.read_answer`.

    Returns:
        `str`, *optional*: The earlier correction.

    Raises:
        InputError: If there is no such text or label, or the entities cannot be read. Nothing is saved then.
    """
    found, row = look_up(run, sample)
    said = view_of(run.task).read_answer(right, row, found.label_names)
    return restore(run, sample, said)


def restore(run: Run, sample: str, correction: str | None) -> str | None:
    """Saves or deletes a correction that was read before, and returns the one that it replaces."""
    with _CORRECTING:
        kept = read_corrections(run)
        before = kept.pop(sample, None)
        _write(run, kept if correction is None else {**kept, sample: correction})
    return before


def take_back(run: Run, sample: str) -> None:
    """Deletes the correction of a text.

    Raises:
        InputError: If there is no correction, or a round uses it.
    """
    _, row = look_up(run, sample)
    if run.state != FINISHED:
        raise InputError("The run is not finished and may use this correction. Continue the run first.")
    if has_human_label(row.note):
        raise InputError("A round has used this correction; correct the text again instead.")
    if restore(run, sample, None) is None:
        raise InputError("This text has no correction.")


def check(run: Run, sample: str, right: str) -> checking.Cells:
    """Saves the answer about a text of the random sample. It replaces a correction of the same text.

    Args:
        run, sample, right: As in `correct`.

    Returns:
        `Cells`: The cells before the answer.

    Raises:
        InputError: As in `correct`, and if the text is not in the sample.
    """
    found, row = look_up(run, sample)
    view = view_of(run.task)
    said = view.read_answer(right, row, found.label_names)
    before = checking.answer(run, sample, view.audit_cells(said, row))
    for twin in found.labels.loc[found.labels["text"] == row.text, "id"]:
        restore(run, twin, None)
    return before


def look_up(run: Run, sample: str) -> tuple[Results, Any]:
    """Returns the results of a run, and the row of a text.

    Raises:
        InputError: If there is no such text.
    """
    if not run.has_results:
        raise InputError("There are no results yet.")
    found = load_results(run)
    rows = found.labels[(found.labels["id"] == sample) & found.labels["text"].fillna("").str.strip().astype(bool)]
    if rows.empty:
        raise InputError("Choose a text first.")
    return found, next(rows.itertuples())


def _write(run: Run, corrections: Mapping[str, str]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("id", "label"), *corrections.items()])
    write_atomically(run.corrections, lambda partial: partial.write_text(text.getvalue(), "utf-8", newline=""))


def export(run: Run, kind: str) -> Path:
    """Makes a file for download in the folder of a run.

    Args:
        run (`Run`): A run with results.
        kind (`str`): One of `DOWNLOADS`.

    Returns:
        `Path`: The file.
    """
    if kind not in DOWNLOADS:
        raise InputError(f"There is no download {kind!r}; choose one of {', '.join(DOWNLOADS)}.")
    if not run.has_results:
        raise InputError("No round is finished yet, so there is nothing to download.")
    if kind == PARQUET:
        return run.output / LABELS
    if kind == REPORT_PAGE:
        return run.output / REPORT
    if kind == CSV:
        path = run.folder / LABELS_CSV
        # Written again, because the file of a former version of freeal-hf can contain formulas.
        cell = kind_of(task_from_dict(run.task)).cell
        write_csv(path, read_labels(run.output / LABELS), run.output / COLUMNS, cell=cell)
        return path
    if kind == TABLE:
        return _own_table(run)
    if not has_student(run):
        raise InputError(
            "The example comes without its small model. Press Start over and label the example's messages to train it."
        )
    path = run.folder / "student.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted((run.output / STUDENT).rglob("*")):
            # training_args.bin is a pickle with paths of this machine.
            if file.is_file() and file.suffix != ".bin":
                archive.write(file, Path("student") / file.relative_to(run.output / STUDENT))
        archive.writestr("student/README.md", _readme(run))
    return path


def has_student(run: Run) -> bool:
    """Returns whether the run has its trained student. The shipped example has none."""
    return (run.output / STUDENT).is_dir()


def _own_table(run: Run) -> Path:
    """Writes the visitor's table with the columns `label` and `confidence`, which include corrections."""
    from datasets import Dataset

    rows = load_results(run).labels
    corrected = rows["correction"].astype(bool)
    labels = rows["label"].where(~corrected, rows["correction"])
    confidences = rows["label_confidence"].where(~corrected, 1.0).round(4)
    path = run.folder / "labelled.csv"
    found = Dataset.from_dict({"label": labels.tolist(), "confidence": confidences.tolist()})
    write_csv(path, found, run.output / COLUMNS, cell=str)
    return path


def _readme(run: Run) -> str:
    """Returns the README of the student, as on the Hub."""
    folder = RunFolder(run.output)
    number = read_json(run.output / METRICS)[-1]["round"]
    facts, _ = round_facts(folder, number, task_from_dict(run.task), "", STUDENT, ())
    return str(student_card(replace(facts, name=STUDENT, dataset_id=None, pictures={}, scores=())))
