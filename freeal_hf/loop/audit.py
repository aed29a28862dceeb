"""The audit: a person labels a random sample of a run's texts, and the answers measure the labels of the run."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.data.files import read_json, write_json
from freeal_hf.data.human_labels import HumanLabel
from freeal_hf.data.joins import rows_of_ids
from freeal_hf.errors import InputError
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.registry import kind_of
from freeal_hf.labels.agreement import agreement, alt_test, cohen_kappa
from freeal_hf.labels.audit import (
    AuditSample,
    confusion,
    design_of,
    draw,
    label_shares,
    population_share,
    precisions,
    proxies_of,
    recalls,
    with_certain,
)
from freeal_hf.loop import folder as run_folder
from freeal_hf.loop.audit_figures import (
    ESTIMATES,
    MODEL_ESTIMATE,
    AuditResult,
    LabelAudit,
    PeopleAudit,
    audit_figures,
    estimates,
)
from freeal_hf.loop.audit_labels import AuditTexts, audited_labels, digest_of
from freeal_hf.loop.audit_parts import draw_parts, read_parts
from freeal_hf.loop.audit_sheet import keep_answers, read_answers, read_sheet, write_sheet
from freeal_hf.loop.folder import AUDIT_CSV, AUDIT_PLAN, RunFolder
from freeal_hf.loop.results import publish_figures
from freeal_hf.tasks import NO_LABEL, Task

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


def has_audit(folder: RunFolder) -> bool:
    """Returns whether an audit was drawn and its sheet exists."""
    return (folder / AUDIT_PLAN).is_file() and (folder / AUDIT_CSV).is_file()


def draw_audit(
    folder: RunFolder, task: Task, n: int, *, entities: int = 0, seed: int = 0, number: int | None = None
) -> Path:
    """Draws texts for a person to label, and writes them to `audit.csv` with `id`, `text` and an empty `label`.

    Each text without a human label can be drawn, all with nearly the same probability. `audit.json` has this
    probability for each stratum (see `design_of`), and the stratum of each drawn text. Equal texts are drawn once.
    The labels of the run are not shown, so that they do not influence the person. Sentences of an entity task are
    shown with their `entities`. The answer is `right` or `wrong` for all of them together, with the right entities in
    the column `corrected`. Single entities can be drawn too, into a sheet of their own (`audit_entities.csv`).

    An existing sheet with answers is kept as `audit-1.csv` (or the next number).

    Args:
        folder (`RunFolder`): The run's folder.
        task (`Task`): The task.
        n (`int`): The number of texts.
        entities (`int`): The number of single entities, in an entity task.
        seed (`int`): Seed of the draw.
        number (`int`, *optional*): The round whose labels are checked, by default the last complete one.

    Returns:
        `Path`: The file to fill in.

    Raises:
        InputError: If `n` is below one, a person gave all labels of the run, or there are no entities to draw.
    """
    if n < 1:
        raise InputError(f"The number of texts of an audit is {n}; draw at least one text.")
    number = read_json(folder / run_folder.METRICS)[-1]["round"] if number is None else number
    labels, kind = folder.round(number).read_labels(), kind_of(task)
    texts = AuditTexts(labels, kind)
    count = len(texts.rows)
    if count == 0:
        raise InputError(
            f"A person has given all labels of the run in {str(folder.path)!r}, so there is no text to audit."
        )
    design = design_of(texts.final[texts.rows], texts.confidences, texts.agrees, min(n, count))
    drawn = draw(design, seed=seed)
    rows = [int(row) for row in texts.rows[drawn]]
    strata = design.strata[drawn].tolist()
    if (kept := keep_answers(folder)) is not None:
        logger.info("The answers of an earlier audit are in %s.", kept)
    single = {"entities": draw_parts(folder, kind, number, texts.rows.tolist(), entities, seed)} if entities else {}
    write_json(
        folder / AUDIT_PLAN,
        {
            **single,
            "round": number,
            "labels": digest_of(labels),
            "certain": len(texts.human_rows),
            "strata": design.sizes.tolist(),
            "probabilities": (design.allocation / design.sizes).tolist(),
            "texts": {
                row["id"]: [stratum, kind.answer_cell(kind.right_answer(row["label"]))]
                for row, stratum in zip(labels.select(rows), strata, strict=True)
            },
        },
    )
    write_sheet(
        folder,
        [{"id": row["id"], "text": row["text"], **kind.audit_cells(row), "label": ""} for row in labels.select(rows)],
    )
    return folder / AUDIT_CSV


def audited_human_labels(folder: RunFolder, task: Task) -> list[Any]:
    """Reads the answers of an audit as human labels. A label has the probability with which its text was drawn.

    Args:
        folder (`RunFolder`): The run's folder, with the files of `draw_audit`.
        task (`Task`): A task whose audit gives human labels.

    Returns:
        `list[HumanAnswer]`: The human labels. Sentences with wrong entities and without a correction are left out.

    Raises:
        InputError: If an answer is not a label, its text was not drawn, or a correction cannot be read.
    """
    plan = read_json(folder / AUDIT_PLAN)
    answers = read_answers(folder / AUDIT_CSV, plan, task)
    if not kind_of(task).audit.are_labels:
        return _truth(folder, task, audited_labels(folder, plan), answers)
    probability = _allocation(plan) / np.array(plan["strata"])
    return [
        HumanLabel(
            label, id=id_, origin=str(folder / AUDIT_CSV), probability=float(probability[plan["texts"][id_][0]])
        )
        for id_, label in answers.items()
    ]


def correction_check(folder: RunFolder, task: Task) -> Callable[[str, str], None]:
    """Returns a function that checks how a person corrected a text with wrong labels.

    Args:
        folder (`RunFolder`): The run's folder, with the files of `draw_audit`.
        task (`Task`): A task whose audit has corrections.

    Returns:
        `Callable[[str, str], None]`: Gets the id of a text and its correction, and raises an `InputError` if the
        correction cannot be read.
    """
    labels, kind = audited_labels(folder, read_json(folder / AUDIT_PLAN)), kind_of(task)
    row_of = {id_: row for row, id_ in enumerate(labels["id"])}

    def check(id_: str, said: str) -> None:
        cells = {id_: {str(kind.audit.correction): said}}
        kind.audit_truth({id_: NO_LABEL}, cells, {id_: labels[row_of[id_]]}, AUDIT_CSV)

    return check


def _truth(folder: RunFolder, task: Task, labels: "Dataset", answers: Mapping[str, int]) -> list[Any]:
    """Returns the human labels that the answers are."""
    row_of = rows_of_ids(answers.keys(), labels["id"])
    cells = {row["id"]: row for row in read_sheet(folder)}
    rows = {id_: labels[row] for id_, row in row_of.items()}
    return kind_of(task).audit_truth(answers, cells, rows, str(folder / AUDIT_CSV))


def score_audit(folder: RunFolder, task: Task, second: str | Path | None = None) -> AuditResult | None:
    """Estimates from the answers in `audit.csv` how accurate the labels are.

    Earlier human labels count as right. See `population_share` for the estimates.

    Args:
        folder (`RunFolder`): The run's folder, with the files of `draw_audit`.
        task (`Task`): The task.
        second (`str` or `Path`, *optional*): A copy of the sheet that a second person filled in.

    Returns:
        `AuditResult`, *optional*: `None` if there is no answer.

    Raises:
        InputError: If an answer is not a label, if its text was not drawn, or if the audited labels no longer exist.
    """
    plan, kind = read_json(folder / AUDIT_PLAN), kind_of(task)
    answers = read_answers(folder / AUDIT_CSV, plan, task)
    if not answers:
        return None
    labels = audited_labels(folder, plan)
    texts = AuditTexts(labels, kind)
    row_of = rows_of_ids(answers.keys(), labels["id"])
    rows = texts.first_row[[row_of[id_] for id_ in answers]]
    sample = AuditSample(
        rows=np.searchsorted(texts.rows, rows),
        strata=np.array([plan["texts"][id_][0] for id_ in answers]),
        sizes=np.array(plan["strata"]),
        allocation=_allocation(plan),
    )
    right = np.array([kind.answer_cell(answer) == plan["texts"][id_][1] for id_, answer in answers.items()])
    count, certain = len(texts.rows), plan["certain"]
    found = with_certain(population_share(sample, right, proxies_of(texts.confidences, texts.agrees)), count, certain)
    people, about_labels = None, None
    about_entities = kind.audit_entities(
        labels,
        texts.rows.tolist(),
        texts.human_rows.tolist(),
        sample,
        list(answers),
        _truth(folder, task, labels, answers),
        read_parts(folder, plan),
    )
    if kind.audit.are_labels:
        about_labels = _about_labels(texts, sample, rows, kind.decisions(list(answers.values())))
        if second is not None:
            annotator = labels["annotator_label"][:]
            said = {id_: _answer_of(annotator[row], kind) for id_, row in zip(answers, rows, strict=True)}
            people = _about_people(said, answers, read_answers(second, plan, task), str(second))
    return AuditResult(
        found.value,
        found.low,
        found.high,
        len(answers),
        len(plan["texts"]),
        labels=about_labels,
        people=people,
        entities=about_entities,
    )


def note_audit(folder: RunFolder, task: Task, result: AuditResult) -> None:
    """Writes the result of an audit with `record_audit`, and to the metrics and the report of the run.

    Args:
        folder (`RunFolder`): The run's folder, with the files of `draw_audit`.
        task (`Task`): The task.
        result (`AuditResult`): The result of `score_audit`.

    Raises:
        InputError: If the audited labels no longer exist.
    """
    record_audit(folder, task, result)
    records = [folder.metrics(known["round"]) for known in read_json(folder / run_folder.METRICS)]
    publish_figures(folder, task, [known for known in records if known is not None])


def record_audit(folder: RunFolder, task: Task, result: AuditResult) -> None:
    """Writes the result of an audit to the metrics of the audited round.

    The estimates of the audit replace the round's own estimates, which are kept as `model_estimate`. Estimates of
    other labels do not change: those of later rounds, and those of labels that were made again with the answers.

    Args:
        folder (`RunFolder`): The run's folder, with the files of `draw_audit`.
        task (`Task`): The task.
        result (`AuditResult`): The result of `score_audit`.

    Raises:
        InputError: If the audited labels no longer exist.
    """
    plan = read_json(folder / AUDIT_PLAN)
    audited_labels(folder, plan)  # raises if the labels are others
    audited = folder.round(plan["round"])
    record = audited.read_metrics()
    assert record is not None  # checked by `audited_labels`
    record |= audit_figures(result, kind_of(task).audit.answers.label_names)
    if result.labels is not None and digest_of(audited.read_labels()) == plan["labels"]:
        record.setdefault(MODEL_ESTIMATE, {name: record.get(name) for name in ESTIMATES})
        record |= estimates(result, kind_of(task).audit.answers.label_names)
    audited.write_metrics(record)


def _answer_of(label: Any, kind: TaskKind[Any, Any, Any]) -> Any:
    """Returns the answer that a value of a label column would be; -1 for none."""
    return NO_LABEL if kind.is_missing(label) else kind.right_answer(label)


def _about_labels(texts: AuditTexts, sample: AuditSample, rows: np.ndarray, truth: np.ndarray) -> LabelAudit:
    kind = texts.kind
    annotator = kind.decisions(texts.labels["annotator_label"][:])[rows]
    final = kind.decisions(texts.labels["label"][:])
    # The values of a decision are the labels, or whether its label applies.
    num_values = 1 + max(value for _, value in kind.decided)
    parts = [
        _about_decision(texts, sample, truth[:, i], final[texts.rows, i], final[texts.human_rows, i], num_values)
        for i in range(truth.shape[1])
    ]
    shares, precision, recall = (
        [parts[decision][figure][value] for decision, value in kind.decided] for figure in range(3)
    )
    return LabelAudit(
        annotator=population_share(
            sample, (annotator == truth).all(axis=1), proxies_of(texts.confidences, texts.agrees)
        ),
        kappa=cohen_kappa(annotator.ravel(), truth.ravel()),
        shares=shares,
        precision=precision,
        recall=recall,
        confusion=confusion(annotator.ravel(), truth.ravel(), num_values).tolist(),
    )


def _about_decision(
    texts: AuditTexts,
    sample: AuditSample,
    truth: np.ndarray,
    final: np.ndarray,
    by_people: np.ndarray,
    num_values: int,
) -> tuple[list[Any], list[Any], list[Any]]:
    """Returns share, precision and recall of each value of a decision.

    Args:
        texts (`AuditTexts`): The texts.
        sample (`AuditSample`): The answered texts.
        truth (`np.ndarray` of shape `(n,)`): The answers.
        final (`np.ndarray` of shape `(N,)`): The final values of the texts without a human label.
        by_people (`np.ndarray` of shape `(h,)`): The final values of the texts with a human label.
        num_values (`int`): The number of values.
    """
    count, proxies = len(texts.rows), proxies_of(texts.confidences, texts.agrees)
    human, given = np.bincount(by_people, minlength=num_values), np.bincount(final, minlength=num_values)
    shares = label_shares(sample, truth, final, texts.confidences, num_values)
    precision = precisions(sample, truth == final[sample.rows], final, proxies, num_values)
    recall = recalls(sample, truth, final, num_values)
    return (
        [with_certain(one, count, human[i], human.sum() - human[i]) for i, one in enumerate(shares)],
        [None if one is None else with_certain(one, given[i], human[i]) for i, one in enumerate(precision)],
        [
            None if one is None else with_certain(one, count * shares[i].value, human[i])
            for i, one in enumerate(recall)
        ],
    )


def _about_people(
    annotator: Mapping[str, Any], first: Mapping[str, Any], second: Mapping[str, Any], path: str
) -> PeopleAudit:
    both = [id_ for id_ in first if id_ in second]
    if not both:
        raise InputError(
            f"{path!r} and {AUDIT_CSV} have no answer about the same text, so the two people cannot be compared. Give "
            f"the second person a copy of {AUDIT_CSV} with an empty column 'label'."
        )
    codes: dict[Any, int] = {NO_LABEL: NO_LABEL}  # equal answers get the same number
    said, one, other = (
        np.array([codes.setdefault(answers[id_], len(codes) - 1) for id_ in both])
        for answers in (annotator, first, second)
    )
    return PeopleAudit(len(both), agreement(one, other), cohen_kappa(one, other), alt_test(said, [one, other]))


def _allocation(plan: Mapping[str, Any]) -> np.ndarray:
    """Returns how many texts of each stratum were drawn."""
    return np.bincount([stratum for stratum, _ in plan["texts"].values()], minlength=len(plan["strata"]))
