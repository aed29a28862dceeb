"""Reads and checks the data, the test data, the human labels and the folder of a run before its first call."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from freeal_hf.config import LoopConfig
from freeal_hf.data.counting import counted
from freeal_hf.data.files import write_atomically
from freeal_hf.data.labels_csv import keep_columns
from freeal_hf.data.row_ids import with_stored_ids
from freeal_hf.data.tables import RawTable
from freeal_hf.embedded import resolve_model
from freeal_hf.errors import InputError, RunError
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.corpus import Corpus
from freeal_hf.loop import folder as run_folder
from freeal_hf.loop.audit_stop import audit_answers, note_answers
from freeal_hf.loop.folder import RunFolder
from freeal_hf.loop.inputs import InputReader
from freeal_hf.loop.settings import Settings

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

_Kind = TaskKind[Any, Any, Any]


@dataclass(frozen=True)
class RunData:
    """The data of a run.

    Args:
        dataset (`Dataset`): The rows.
        test (`Dataset`, *optional*): The rows of the test data.
        texts (`Corpus`): The distinct texts, without human labels.
        human_labels (`Sequence[HumanLabel]` or `Sequence[HumanEntities]`): The human labels of this run.
        audit_labels (`Sequence[HumanLabel]`): The answers of the audit for which the run stopped.
        columns (`RawTable`, *optional*): All columns of the user's data, for `labels.csv`.
        repeated (`Sequence[str]`): Columns of the output that equal the user's column of the same name.
    """

    dataset: "Dataset"
    test: "Dataset | None"
    texts: Corpus
    human_labels: Sequence[Any]
    audit_labels: Sequence[Any]
    columns: RawTable | None
    repeated: Sequence[str]


def prepare(
    inputs: InputReader,
    dataset: Any,
    test_dataset: Any,
    given: Sequence[Any],
    settings: Settings,
    folder: RunFolder,
    overwrite: bool,
) -> RunData:
    """Reads and checks the input of a run. It writes nothing.

    Args:
        inputs (`InputReader`): Reads the input.
        dataset, test_dataset, overwrite: As in `FreeAL.run`.
        given (`Sequence[HumanLabel]` or `Sequence[HumanEntities]`): The human labels of this run.
        settings (`Settings`): The settings of the run.
        folder (`RunFolder`): The run's folder.

    Raises:
        InputError: If the input cannot be used.
    """
    kind, loop = inputs.kind, settings.loop
    rows, test = inputs.rows(dataset), inputs.test_rows(test_dataset)
    if not overwrite:
        rows = with_stored_ids(rows, folder.config().data_fingerprint)
    texts = kind.collect(rows)
    audited = [] if overwrite else audit_answers(folder, kind.task, loop)
    found = kind.with_human_labels(texts, rows, [*given, *audited]).human_rows
    if given:
        logger.info(
            "Human labels: %d of %d match a text of the data; %d do not and are added as examples.",
            found.matched,
            len(given) + len(audited),
            found.not_matched,
        )
    _check(texts, test, kind, loop, settings.student)
    columns, repeated = inputs.columns(dataset)
    names = [] if columns is None else columns.names
    kept = kind.kept_columns(names, inputs.text_columns)
    return RunData(rows, test, texts, given, audited, columns, [*repeated, *kept])


def enter(data: RunData, kind: _Kind, folder: RunFolder, num_rounds: int) -> Corpus:
    """Writes the data to the run's folder and adds the human labels that the run has stored.

    Args:
        data (`RunData`): The data.
        kind (`TaskKind`): The kind of the task.
        folder (`RunFolder`): The run's folder, locked for this run.
        num_rounds (`int`): The maximum number of rounds.

    Returns:
        `Corpus`: The texts with all human labels.

    Raises:
        RunError: If the stored answers are about other words.
        InputError: If all rounds are complete and there are new human labels that are not from the audit.
    """
    _refuse_other_words(data.dataset, kind, folder, num_rounds)
    write_atomically(folder / run_folder.INPUT, lambda path: data.dataset.to_parquet(str(path)))
    if data.columns is not None:
        keep = partial(keep_columns, table=data.columns, count=len(data.dataset), repeated=data.repeated)
        write_atomically(folder / run_folder.COLUMNS, keep)
    known = known_human_labels(folder, num_rounds)
    corpus = kind.with_human_labels(data.texts, data.dataset, [*data.human_labels, *data.audit_labels], known)
    last = folder.metrics(num_rounds - 1)
    if last is not None and not last["budget_spent"] and _are_new(data, kind, known):
        raise InputError(
            f"All {num_rounds} rounds are finished, and there are new human labels. Add a round "
            f"for them: --num-rounds {num_rounds + 1}."
        )
    if data.audit_labels:
        note_answers(folder, kind.task)
    return corpus


def known_human_labels(folder: RunFolder, num_rounds: int) -> list[Any]:
    """Reads the human labels that the newest round of a run was started with."""
    for number in reversed(range(num_rounds)):
        if folder.round(number).is_annotated:
            return folder.round(number).read_human_labels()
    return []


def _are_new(data: RunData, kind: _Kind, known: Sequence[Any]) -> bool:
    """Returns whether there are human labels, not from the audit, that a run has not used."""
    return kind.with_human_labels(data.texts, data.dataset, data.human_labels, known).human_labels != list(known)


def _check(corpus: Corpus, test: "Dataset | None", kind: _Kind, loop: LoopConfig, student: str) -> None:
    from freeal_hf.training.student import check_loads

    if len(corpus.texts) < kind.task.num_labels:
        raise InputError(
            f"The data has {counted(len(corpus.texts), 'different text')} for "
            f"{counted(kind.task.num_labels, 'label')}; a run needs at least one text for each label. Give more texts "
            "or fewer labels."
        )
    if loop.setting == "inductive" and (test is None or "gold" not in test.column_names):
        raise InputError("The inductive setting scores the student on test data. Give test data with gold labels.")
    kind.class_shares(loop.class_shares)
    check_loads(resolve_model(student), shown=student)


def _refuse_other_words(dataset: "Dataset", kind: _Kind, folder: RunFolder, num_rounds: int) -> None:
    """Refuses to continue with sentences if the stored answers are about other words."""
    stored = folder / run_folder.INPUT
    has_answers = any(folder.round(number).is_annotated for number in range(num_rounds))
    if has_answers and stored.is_file() and kind.has_other_words(stored, dataset):
        raise RunError(
            f"The run in {str(folder.path)!r} was started by a version of freeal-hf that split its texts into other "
            "words. Start it again with --overwrite, which keeps the paid answers, or choose another "
            "--output-dir."
        )
