"""The step Results without Gradio: what a finished round holds, what a person corrects, what can be downloaded."""

import csv
import io
import json
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.data.files import read_json, write_atomically
from freeal_hf.data.human_labels import has_human_label
from freeal_hf.data.labels_csv import write_csv
from freeal_hf.errors import InputError
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop.folder import COLUMNS, LABELS, LABELS_CSV, METRICS, REPORT, STUDENT
from freeal_hf.tasks import NO_LABEL
from freeal_hf.web import entities
from freeal_hf.web.store import FINISHED, Run

if TYPE_CHECKING:
    import pandas as pd

PARQUET, CSV, REPORT_PAGE, STUDENT_ZIP = "Parquet", "CSV", "Report", "Student"
DOWNLOADS = (PARQUET, CSV, REPORT_PAGE, STUDENT_ZIP)

_CORRECTING = threading.Lock()  # what two calls correct at once is kept from both


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
    corrected = read_corrections(run)
    if run.finds_entities:
        given = {sample: json.loads(tags) for sample, tags in corrected.items()}
        return Results(entities.as_frame(dataset, given), rounds, list(run.task["labels"]))
    frame = dataset.to_pandas()
    names = dataset.features["label"].names
    for column, feature in dataset.features.items():
        if hasattr(feature, "names"):
            frame[column] = [None if i == NO_LABEL else feature.names[i] for i in frame[column]]
    frame["correction"] = [corrected.get(sample, "") for sample in frame["id"]]
    frame["note"] = frame["note"].fillna("")
    annotator, student = frame["annotator_label"], frame["student_label"]
    frame["differs"] = annotator.notna() & student.notna() & (annotator != student)
    return Results(frame, rounds, names)


def disputed(labels: "pd.DataFrame") -> "pd.DataFrame":
    """The rows on which annotator and student differ, the least sure first, each text once."""
    return labels[labels["differs"]].sort_values("label_confidence", kind="stable").drop_duplicates("text")


def read_corrections(run: Run) -> dict[str, str]:
    """What a person said of texts, by their id: a label, or in an entity task tags as JSON."""
    if not run.corrections.is_file():
        return {}
    with run.corrections.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["label"] for row in csv.DictReader(file)}


def proposed(run: Run, row: Any) -> str:
    """What a person finds in the editor: the correction of a text, or else its final label or entities."""
    return entities.as_lines(row) if run.finds_entities else row.correction or row.label


def correct(run: Run, sample: str, right: str) -> None:
    """Keeps what a person says of a text, in place of what was said before.

    Args:
        run (`Run`): A run with results.
        sample (`str`): Id of the text.
        right (`str`): Its label, or its entities as `entities.read_lines` takes them.

    Raises:
        InputError: If there is no such text or label, or the entities cannot be read; nothing is kept.
    """
    found, row = _look_up(run, sample)
    if run.finds_entities:
        said = json.dumps(entities.read_lines(right, row.tokens, found.label_names))
    elif right in found.label_names:
        said = right
    else:
        raise InputError(f"{right!r} is no label of the task; its labels are {', '.join(found.label_names)}.")
    with _CORRECTING:
        _write(run, {**read_corrections(run), sample: said})


def take_back(run: Run, sample: str) -> None:
    """Forgets what a person said of a text.

    Raises:
        InputError: If there is nothing to forget, or a round has learnt from it, or may be about to.
    """
    _, row = _look_up(run, sample)
    if run.state != FINISHED:
        raise InputError("The run is not finished; what it may be learning cannot be taken back. Let it go on first.")
    if has_human_label(row.note):
        raise InputError("A round has learnt this correction; correct the text anew instead.")
    with _CORRECTING:
        kept = read_corrections(run)
        if kept.pop(sample, None) is None:
            raise InputError("There is no correction of this text.")
        _write(run, kept)


def _look_up(run: Run, sample: str) -> tuple[Results, Any]:
    if not run.has_results:
        raise InputError("No round is finished yet.")
    found = load_results(run)
    rows = found.labels[(found.labels["id"] == sample) & found.labels["text"].fillna("").str.strip().astype(bool)]
    if rows.empty:
        raise InputError("Choose a text first.")
    return found, rows.iloc[0]


def _write(run: Run, corrections: Mapping[str, str]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("id", "label"), *corrections.items()])
    write_atomically(run.corrections, lambda partial: partial.write_text(text.getvalue(), "utf-8", newline=""))


def export(run: Run, kind: str) -> Path:
    """A file to download, in the run's folder.

    Args:
        run (`Run`): A run with results.
        kind (`str`): One of `DOWNLOADS`.
    """
    if kind not in DOWNLOADS:
        raise InputError(f"There is no download {kind!r}; choose one of {', '.join(DOWNLOADS)}.")
    if not run.has_results:
        raise InputError("No round is finished yet; there is nothing to download.")
    if kind == PARQUET:
        return run.output / LABELS
    if kind == REPORT_PAGE:
        return run.output / REPORT
    if kind == CSV:
        path = run.folder / LABELS_CSV
        # Written anew: an earlier version of freeal-hf left formulas in the run's own file.
        write_csv(path, read_labels(run.output / LABELS), run.output / COLUMNS)
        return path
    path = run.folder / "student.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted((run.output / STUDENT).rglob("*")):
            # training_args.bin is a pickle that names paths of this machine.
            if file.is_file() and file.suffix != ".bin":
                archive.write(file, Path("student") / file.relative_to(run.output / STUDENT))
    return path
