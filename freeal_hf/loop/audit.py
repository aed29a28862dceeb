"""How many final labels are right, from a person's answers for a stratified sample of them."""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freeal_hf.data.files import read_json, write_atomically, write_json
from freeal_hf.data.human_labels import has_human_label, read_human_labels
from freeal_hf.data.joins import explain_unknown_id, rows_of_ids
from freeal_hf.data.spreadsheets import harmless, restored
from freeal_hf.data.tables import open_table
from freeal_hf.errors import InputError
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop import folder as run_folder
from freeal_hf.loop.folder import RunFolder
from freeal_hf.loop.results import publish_figures
from freeal_hf.tasks import NO_LABEL, Task

if TYPE_CHECKING:
    from datasets import Dataset

AUDIT_CSV, _PLAN = "audit.csv", "audit.json"
_Z = 1.96
_CONFIDENCE_STRATA = 3


@dataclass(frozen=True)
class AuditResult:
    """What an audit found.

    Args:
        accuracy (`float`): Estimated share of right final labels, without bias once every answer is in.
        low (`float`), high (`float`): Its interval of 95 %.
        answered (`int`): Answers that are in.
        drawn (`int`): Texts that were drawn.
    """

    accuracy: float
    low: float
    high: float
    answered: int
    drawn: int


def draw_audit(folder: RunFolder, task: Task, n: int, *, seed: int = 0) -> Path:
    """Draws texts for a person to label and writes them to `audit.csv`: `id, text` and an empty `label`.

    The sample is stratified by final label and by confidence, in proportion, at least one of each stratum. What the
    run says of a text is not shown, so that it sways nobody. Sentences of an entity task do come with their
    `entities`, and the answer is `right` or `wrong` for all of them together; their strata are those with and without.

    Args:
        folder (`RunFolder`): The run's folder.
        task (`Task`): What is labelled.
        n (`int`): How many texts.
        seed (`int`): Seed of the draw.

    Returns:
        `Path`: The file to fill in; its answers are also human labels for `freeal-hf run --human-labels`.

    Raises:
        InputError: If `n` is below one, or no label of the run is left to check.
    """
    if n < 1:
        raise InputError(f"n is {n}; draw at least one text.")
    labels = read_labels(folder / run_folder.LABELS)
    kind = kind_of(task)
    final = kind.audited_labels(labels)
    human = np.array([has_human_label(note) for note in labels["note"][:]])
    rows = np.flatnonzero((final != NO_LABEL) & ~human)
    if len(rows) == 0:
        raise InputError(f"Every label in {str(folder.path)!r} was given by a person; there is nothing to audit.")
    finished = read_json(folder / run_folder.METRICS)
    strata = _strata(final[rows], np.asarray(labels["label_confidence"][:], dtype=float)[rows], min(n, len(rows)))
    rng = np.random.default_rng(seed)
    sizes = np.bincount(strata)
    drawn = [
        (row, stratum)
        for stratum, count in enumerate(_allocate(sizes, min(n, len(rows))))
        for row in rng.choice(rows[strata == stratum], count, replace=False)
    ]
    drawn = [drawn[i] for i in rng.permutation(len(drawn))]
    answers = {int(row): kind.right_answer(int(final[row])) for row, _ in drawn}
    write_json(
        folder / _PLAN,
        {
            "round": finished[-1]["round"],
            "labels": _digest(labels),
            "certain": int(human.sum()),
            "strata": sizes.tolist(),
            "texts": {labels[int(row)]["id"]: [int(stratum), answers[int(row)]] for row, stratum in drawn},
        },
    )
    rows_drawn = labels.select([int(row) for row, _ in drawn])
    write_sheet(
        folder, [{"id": row["id"], "text": row["text"], **kind.audit_cells(row), "label": ""} for row in rows_drawn]
    )
    return folder / AUDIT_CSV


def read_sheet(folder: RunFolder) -> list[dict[str, str]]:
    """The rows of `audit.csv` as they are, whatever layout a spreadsheet saved it with."""
    table = open_table(folder / AUDIT_CSV)
    return [dict(zip(table.names, map(restored, row), strict=True)) for row in table.texts()]


def write_sheet(folder: RunFolder, rows: Sequence[Mapping[str, str]]) -> None:
    """Writes the rows of `audit.csv` back."""
    write_atomically(folder / AUDIT_CSV, lambda path: _write(path, rows))


def score_audit(folder: RunFolder, task: Task) -> AuditResult | None:
    """Turns the answers in `audit.csv` into an accuracy.

    The share of right labels of each stratum counts by the stratum's size; labels that people gave before count as
    right. While answers are missing, strata without any are left out.

    Source: the stratified Wilson interval of Yan and Su (Statistics in Biopharmaceutical Research 2, 2010).

    Args:
        folder (`RunFolder`): The run's folder, with what `draw_audit` wrote.
        task (`Task`): What is labelled.

    Returns:
        `AuditResult`, *optional*: `None` while there is no answer.

    Raises:
        InputError: If an answer is no label, or belongs to no text that was drawn.
    """
    plan = read_json(folder / _PLAN)
    right = np.zeros(len(plan["strata"]))
    answered = np.zeros(len(plan["strata"]))
    answers = kind_of(task).audit.answers
    drawn = list(plan["texts"])
    given = read_human_labels(folder / AUDIT_CSV, answers)
    row_of = rows_of_ids({answer.id for answer in given}, drawn)
    origins: dict[int, str] = {}
    for answer in given:
        row = row_of.get(answer.id)
        if row is None:
            raise InputError(
                f"{answer.origin}: {answer.id!r} was not drawn; fill in {AUDIT_CSV} as it was written. "
                f"{explain_unknown_id(answer.id, drawn)}"
            )
        if row in origins:
            raise InputError(f"{origins[row]} and {answer.origin} answer for the same text; keep one of them.")
        origins[row] = answer.origin
        stratum, final = plan["texts"][drawn[row]]
        answered[stratum] += 1
        right[stratum] += answers.label_names[answer.label] == final
    if not answered.any():
        return None
    seen = answered > 0
    sizes = np.asarray(plan["strata"], dtype=float)[seen]
    accuracy, low, high = stratified_wilson(right[seen], answered[seen], sizes / sizes.sum())
    open_ = sum(plan["strata"]) / (sum(plan["strata"]) + plan["certain"])
    accuracy, low, high = (1 - open_ + open_ * value for value in (accuracy, low, high))
    return AuditResult(accuracy, low, high, answered=int(answered.sum()), drawn=len(plan["texts"]))


def note_audit(folder: RunFolder, task: Task, result: AuditResult) -> None:
    """Notes what an audit found with the round whose labels it checked: in its metrics, and in the report.

    The estimates of this and of later rounds are left as they are: what the audit says of them holds for the labels
    that it drew from, and the next round's are others, made with the answers in hand.

    Args:
        folder (`RunFolder`): The run's folder, with what `draw_audit` wrote.
        task (`Task`): What is labelled.
        result (`AuditResult`): What `score_audit` found.

    Raises:
        InputError: If the labels that were drawn are no longer there.
    """
    plan = read_json(folder / _PLAN)
    audited = folder.round(plan["round"])
    record = audited.read_metrics()
    if record is None or _digest(audited.read_labels()) != plan["labels"]:
        raise InputError(
            f"{str(folder / AUDIT_CSV)!r} was drawn from other labels than those of round {plan['round']}; keep its "
            "answers under another name, as human labels, and draw anew with --new."
        )
    record["audited_label_accuracy"] = result.accuracy
    record["audited_label_accuracy_range"] = [result.low, result.high]
    record["audited_texts"] = result.answered
    audited.write_metrics(record)
    records = [folder.metrics(known["round"]) for known in read_json(folder / run_folder.METRICS)]
    publish_figures(folder, task, [known for known in records if known is not None])


def _digest(labels: "Dataset") -> str:
    """What tells the labels of one run from those of another."""
    digest = hashlib.sha256()
    for id_, label in zip(labels["id"], labels["label"], strict=True):
        digest.update(json.dumps([id_, label]).encode())
    return digest.hexdigest()


def stratified_wilson(right: np.ndarray, asked: np.ndarray, weights: np.ndarray) -> tuple[float, float, float]:
    """A share from a stratified sample, and its interval of 95 %.

    Args:
        right (`np.ndarray` of shape `(h,)`): Successes in each stratum.
        asked (`np.ndarray` of shape `(h,)`): Sample of each stratum, at least one.
        weights (`np.ndarray` of shape `(h,)`): Share of each stratum in the population; they sum to one.

    Returns:
        `tuple[float, float, float]`: The share, its lower and its upper bound.
    """
    share = right / asked
    centre = (right + _Z**2 / 2) / (asked + _Z**2)
    spread = np.sqrt(centre * (1 - centre) / asked)
    # Each stratum needs only this much of the quantile for the sum to have all of it.
    z = _Z * np.sqrt((weights**2 * spread**2).sum()) / (weights * spread).sum()
    middle = (share + z**2 / (2 * asked)) / (1 + z**2 / asked)
    half = z / (1 + z**2 / asked) * np.sqrt(share * (1 - share) / asked + z**2 / (4 * asked**2))
    low, high = (float((weights * bound).sum()) for bound in (middle - half, middle + half))
    return float((weights * share).sum()), max(0.0, low), min(1.0, high)


def _strata(final: np.ndarray, confidence: np.ndarray, n: int) -> np.ndarray:
    """A stratum for each row: final label, and third by confidence within it; fewer where the sample is small."""
    parts = _CONFIDENCE_STRATA if n >= 2 * _CONFIDENCE_STRATA * len(np.unique(final)) else 1
    strata = np.zeros(len(final), dtype=int)
    if n >= 2 * len(np.unique(final)):
        for label in np.unique(final):
            members = np.flatnonzero(final == label)
            ranks = np.argsort(np.argsort(confidence[members], kind="stable"), kind="stable")
            strata[members] = parts * label + ranks * parts // len(members)
    return np.unique(strata, return_inverse=True)[1]


def _allocate(sizes: np.ndarray, n: int) -> np.ndarray:
    """How many to draw from each stratum: in proportion, at least one, `n` in all."""
    counts = np.maximum(1, np.floor(n * sizes / sizes.sum()).astype(int))
    while counts.sum() != n:
        missing = n * sizes / sizes.sum() - counts
        if counts.sum() < n:
            counts[np.argmax(np.where(counts < sizes, missing, -np.inf))] += 1
        else:
            counts[np.argmin(np.where(counts > 1, missing, np.inf))] -= 1
    return counts


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows[0])
        writer.writerows(map(harmless, row.values()) for row in rows)
