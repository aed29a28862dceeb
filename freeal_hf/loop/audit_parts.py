"""The part of an audit in which a person judges single entities, in a sheet of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from freeal_hf.errors import InputError
from freeal_hf.kinds.base import TaskKind
from freeal_hf.labels.audit import AuditSample, design_of, draw
from freeal_hf.labels.entity_audit import JudgedEntities
from freeal_hf.loop.audit_sheet import answered, keep_answers, write_sheet
from freeal_hf.loop.folder import AUDIT_ENTITIES_CSV, RunFolder
from freeal_hf.tasks import TextClassification

VERDICTS = TextClassification(["right", "wrong"], "Are the words of this entity and its type right?")


def draw_parts(
    folder: RunFolder, kind: TaskKind[Any, Any, Any], number: int, rows: Sequence[int], n: int, seed: int
) -> dict[str, Any]:
    """Draws entities for a person to judge, and writes them to `audit_entities.csv`.

    Args:
        folder (`RunFolder`): The run's folder.
        kind (`TaskKind`): The kind of the task.
        number (`int`): The audited round.
        rows (`Sequence[int]`): The distinct rows of its dataset without a human label.
        n (`int`): The number of entities.
        seed (`int`): Seed of the draw.

    Returns:
        `dict`: The sizes of the strata and the stratum of each drawn entity, for `audit.json`.

    Raises:
        InputError: If the labels have no entities.
    """
    audited = folder.round(number)
    answers = audited.read_answers(kind)[0] if audited.is_annotated else None
    parts = kind.audit_parts(audited.read_labels(), rows, answers)
    if not parts:
        raise InputError(f"The labels in {str(folder.path)!r} have no entities to judge; leave --entities out.")
    support = np.array([part.support for part in parts])
    confidences = np.array([part.confidence for part in parts])
    design = design_of(support, confidences, np.ones(len(parts)), min(n, len(parts)))
    drawn = draw(design, seed=seed)
    sheet = [{"id": parts[i].id, **parts[i].cells, "label": ""} for i in drawn]
    keep_answers(folder, AUDIT_ENTITIES_CSV)
    write_sheet(folder, sheet, AUDIT_ENTITIES_CSV)
    return {
        "strata": design.sizes.tolist(),
        "drawn": {parts[i].id: int(design.strata[i]) for i in drawn},
    }


def read_parts(folder: RunFolder, plan: Mapping[str, Any]) -> JudgedEntities | None:
    """Reads the answers about single entities.

    Args:
        folder (`RunFolder`): The run's folder.
        plan (`Mapping`): The content of `audit.json`.

    Returns:
        `JudgedEntities`, *optional*: `None` if no entities were drawn or none is answered.

    Raises:
        InputError: If an answer is invalid, or its entity was not drawn.
    """
    drawn = plan.get("entities")
    if drawn is None:
        return None
    strata = drawn["drawn"]
    answers = answered(folder / AUDIT_ENTITIES_CSV, list(strata), VERDICTS)
    if not answers:
        return None
    own = np.array([strata[id_] for id_ in answers])
    sizes = np.array(drawn["strata"])
    allocation = np.bincount(list(strata.values()), minlength=len(sizes))
    return JudgedEntities(
        AuditSample(np.arange(len(own)), own, sizes, allocation), np.array([not said for said in answers.values()])
    )
