"""The check of a random sample of the texts: the audit of a run, which measures how many labels are right."""

import threading

from freeal_hf.data.files import read_json
from freeal_hf.errors import InputError
from freeal_hf.loop.audit import draw_audit, has_audit, note_audit, score_audit
from freeal_hf.loop.audit_figures import AuditResult
from freeal_hf.loop.audit_sheet import read_sheet, write_sheet
from freeal_hf.loop.folder import AUDIT_PLAN, METRICS, RunFolder
from freeal_hf.tasks import task_from_dict
from freeal_hf.web.store import UNDER_WAY, Run

TEXTS = 100
"""The number of texts that are drawn. They are in random order, so that the first ones are a random sample, too."""

_ANSWERING = threading.Lock()  # so that simultaneous answers are all kept

Cells = dict[str, str]
"""The cells of a text in the sheet of the audit."""


def read_sample(run: Run) -> list[Cells]:
    """Returns the cells of the texts of the sample, which is drawn if there is none of the last labels.

    Raises:
        InputError: If the run is under way, has no results, or a person has given all labels.
    """
    _check(run)
    folder = RunFolder(run.output)
    with _ANSWERING:
        last = read_json(folder / METRICS)[-1]["round"]
        if not has_audit(folder) or read_json(folder / AUDIT_PLAN)["round"] != last:
            draw_audit(folder, task_from_dict(run.task), TEXTS)
        return read_sheet(folder)


def answered(run: Run) -> int:
    """Returns the number of answers about the sample, without drawing one."""
    folder = RunFolder(run.output)
    return sum(bool(row["label"]) for row in read_sheet(folder)) if has_audit(folder) else 0


def answer(run: Run, sample: str, cells: Cells) -> Cells:
    """Writes the answer about a text.

    Args:
        run (`Run`): The run.
        sample (`str`): The id of the text.
        cells (`Cells`): The result of `TaskView.audit_cells`, or the cells before an answer that is undone.

    Returns:
        `Cells`: The former values of these cells.

    Raises:
        InputError: If the text is not in the sample.
    """
    _check(run)
    folder = RunFolder(run.output)
    with _ANSWERING:
        rows = read_sheet(folder) if has_audit(folder) else []
        row = next((row for row in rows if row["id"] == sample), None)
        if row is None:
            raise InputError("This text is not in the random sample.")
        before = {name: row[name] for name in cells}
        row.update(cells)
        write_sheet(folder, rows)
    return before


def score(run: Run) -> AuditResult | None:
    """Estimates from the answers how many labels are right; `None` without an answer."""
    folder = RunFolder(run.output)
    return score_audit(folder, task_from_dict(run.task)) if answered(run) else None


def publish(run: Run) -> None:
    """Writes the estimate to the metrics and the report of the run."""
    folder, task = RunFolder(run.output), task_from_dict(run.task)
    with _ANSWERING:
        if run.state not in UNDER_WAY and (found := score(run)) is not None:
            note_audit(folder, task, found)


def _check(run: Run) -> None:
    if not run.has_results:
        raise InputError("There are no results yet.")
    if run.state in UNDER_WAY:
        raise InputError("The run is not finished; wait for it.")
