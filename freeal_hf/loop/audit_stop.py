"""A run that stops after its first round for a person to label a random sample, and continues with the answers."""

import logging

from freeal_hf.config import LoopConfig
from freeal_hf.data.human_labels import HumanLabel
from freeal_hf.loop.audit import audited_human_labels, draw_audit, has_audit, record_audit, score_audit
from freeal_hf.loop.folder import AUDIT_CSV, RunFolder
from freeal_hf.tasks import Task

logger = logging.getLogger(__name__)


def audit_answers(folder: RunFolder, task: Task, loop: LoopConfig) -> list[HumanLabel]:
    """Reads the answers of the audit for which the run stopped, as human labels.

    Args:
        folder (`RunFolder`): The run's folder.
        task (`Task`): The task.
        loop (`LoopConfig`): The settings of the loop.

    Returns:
        `list[HumanLabel]`: The answers; empty if the run does not stop for an audit, if no audit is drawn yet, or if
        there are no answers.

    Raises:
        InputError: If an answer is not a label, or its text was not drawn.
    """
    if not loop.audit or not has_audit(folder):
        return []
    found = audited_human_labels(folder, task)
    if not found:
        logger.warning(
            "%s has no answers, so the run continues without them. To use the audit, fill in the sheet and start the "
            "same command again.",
            folder / AUDIT_CSV,
        )
        return []
    logger.info("%s has answers about %d texts of the audit.", folder / AUDIT_CSV, len(found))
    return found


def note_answers(folder: RunFolder, task: Task) -> None:
    """Writes the result of the audit to the metrics of the audited round.

    Args:
        folder (`RunFolder`): The run's folder, with answers in the sheet.
        task (`Task`): The task.
    """
    result = score_audit(folder, task)
    assert result is not None  # there are answers
    record_audit(folder, task, result)


def stops_for_audit(folder: RunFolder, task: Task, loop: LoopConfig, number: int, seed: int) -> bool:
    """Draws the texts of the audit after a round, unless they are drawn already or the next round is complete.

    Args:
        folder (`RunFolder`): The run's folder.
        task (`Task`): The task.
        loop (`LoopConfig`): The settings of the loop.
        number (`int`): The complete round.
        seed (`int`): Seed of the draw.

    Returns:
        `bool`: Whether texts were drawn, so that the run should stop.
    """
    if not loop.audit or has_audit(folder) or folder.metrics(number + 1) is not None:
        return False
    draw_audit(folder, task, loop.audit, seed=seed, number=number)
    return True
