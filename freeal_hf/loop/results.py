"""Writes the results of a run at the top of its folder, and reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.cards import WORDS
from freeal_hf.data.files import copy_into, read_json, write_atomically, write_json
from freeal_hf.data.labels_csv import write_csv
from freeal_hf.errors import RunError
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop import folder as run_folder
from freeal_hf.loop.callbacks import LoopCallback, RunState
from freeal_hf.loop.folder import RunFolder
from freeal_hf.reporting.report import summary, write_report
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Pipeline


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Args:
        dataset (`Dataset`): The labelled texts of the last round, one row for each row of the input.
        student (`Path`): Folder of the last student, a plain transformers model.
        rounds (`list[dict]`): The metrics of each round.
        output_dir (`Path`): The run's folder.
        task (`Task`): The task.
        audit_sheet (`Path`, *optional*):
            The sheet to fill in before the run is started again; `None` if the run did not stop for an audit.
    """

    dataset: "Dataset"
    student: Path
    rounds: list[dict[str, Any]]
    output_dir: Path
    task: Task
    audit_sheet: Path | None = None

    def __repr__(self) -> str:
        found = kind_of(self.task).label_counts(self.dataset).most_common()
        counts = ", ".join(f"{name} {count:,}" for name, count in found)
        rows = f"{len(self.dataset):,} rows in {str(self.output_dir)!r}"
        return f"RunResult: {rows} ({counts or 'no label'})\n{summary(self.rounds)}"

    def report(self) -> Path:
        """Returns the path of the HTML report."""
        return self.output_dir / run_folder.REPORT

    def pipeline(self, **options: Any) -> "Pipeline":
        """Loads the student as a pipeline of transformers.

        Args:
            **options: Arguments of `transformers.pipeline`, such as `device` or `top_k`. In a task with any number of
                labels for each text, `top_k` is `None` by default, so that each label has its probability.

        Returns:
            `Pipeline`: A text or token classification pipeline.

        Example:

            >>> result = load_result("runs/reviews")  # doctest: +SKIP
            >>> result.pipeline(top_k=None)("I would buy it again.")  # doctest: +SKIP
        """
        from transformers import pipeline

        hub_task: Any = WORDS[self.task.type].hub_task  # a type checker knows only the tasks by their literal names
        return pipeline(hub_task, model=str(self.student), **{**kind_of(self.task).pipeline_options, **options})


class ResultFiles(LoopCallback):
    """Writes the results of the newest complete round at the top of the run's folder.

    The figures of the report are only drawn when the run ends, because they take about a second.
    """

    def __init__(self) -> None:
        self._are_complete = False

    def on_round_end(self, run: RunState, record: Mapping[str, Any]) -> None:
        """Writes the results of the round."""
        self._are_complete = record["round"] + 1 == run.num_rounds
        publish(RunFolder(run.output_dir), run.task, run.num_rounds, draws=self._are_complete)

    def on_run_end(self, run: RunState) -> None:
        """Writes the results if the last round of this run was not the last possible one, or was complete before."""
        if not self._are_complete:
            publish(RunFolder(run.output_dir), run.task, run.num_rounds)


def publish(folder: RunFolder, task: Task, num_rounds: int, *, draws: bool = True) -> None:
    """Writes the results of the last finished round at the top of the run's folder.

    Args:
        folder (`RunFolder`): The run's folder, with at least one finished round.
        task (`Task`): The task.
        num_rounds (`int`): The number of rounds of the run.
        draws (`bool`, *optional*, defaults to `True`): Whether the report gets figures.
    """
    by_round = [folder.metrics(number) for number in range(num_rounds)]
    records = [record for record in by_round if record is not None]
    last = folder.round(records[-1]["round"])
    for source in (last.labels_path, last.student_path):
        write_atomically(folder / source.name, partial(copy_into, source))
    labels = last.read_labels()
    cell, columns = kind_of(task).cell, folder / run_folder.COLUMNS
    write_atomically(folder / run_folder.LABELS_CSV, lambda path: write_csv(path, labels, columns, cell=cell))
    publish_figures(folder, task, records, draws=draws)


def publish_figures(
    folder: RunFolder, task: Task, records: Sequence[Mapping[str, Any]], *, draws: bool = True
) -> None:
    """Writes `metrics.json` and `report.html` at the top of the run's folder, which already contains the labels.

    Args:
        folder (`RunFolder`): The run's folder.
        task (`Task`): The task.
        records (`Sequence[Mapping]`): The metrics of each finished round.
        draws (`bool`, *optional*, defaults to `True`): Whether the report gets figures.
    """
    write_json(folder / run_folder.METRICS, records)
    labels = read_labels(folder / run_folder.LABELS)
    write_report(folder / run_folder.REPORT, labels, task, records, draws=draws)


def load_result(output_dir: str | Path) -> RunResult:
    """Reads the result of a run from its folder.

    Raises:
        RunError: If the folder has no finished round.
    """
    folder = RunFolder(output_dir)
    missing = [name for name in (*run_folder.RESULT_FILES, run_folder.CONFIG) if not (folder / name).exists()]
    if missing:
        raise RunError(
            f"{str(output_dir)!r} has no {missing[0]}, so no round of a run is finished there. Give the output folder "
            "of a run with a finished round."
        )
    return RunResult(
        dataset=read_labels(folder / run_folder.LABELS),
        student=folder / run_folder.STUDENT,
        rounds=read_json(folder / run_folder.METRICS),
        output_dir=folder.path,
        task=folder.task(),
    )
