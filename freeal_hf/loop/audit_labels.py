"""The labels of a run that an audit is about."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.data.files import copy_into, read_json, write_atomically
from freeal_hf.data.human_labels import has_human_label
from freeal_hf.errors import InputError
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.kinds.text_corpus import text_digest
from freeal_hf.loop.folder import AUDIT_CSV, AUDIT_PLAN, RunFolder
from freeal_hf.tasks import NO_LABEL

if TYPE_CHECKING:
    from datasets import Dataset


class AuditTexts:
    """The distinct labelled texts of a round's dataset.

    Args:
        labels (`Dataset`): The dataset of a round.
        kind (`TaskKind`): The kind of its task.
    """

    def __init__(self, labels: "Dataset", kind: TaskKind[Any, Any, Any]) -> None:
        self.labels, self.kind = labels, kind
        seen: dict[bytes, int] = {}
        self.first_row = np.array(
            [seen.setdefault(text_digest(text), row) for row, text in enumerate(labels["text"])], dtype=int
        )
        self.final = kind.audited_labels(labels)
        is_human = np.array([has_human_label(note) for note in labels["note"][:]], dtype=bool)
        counted = (self.first_row == np.arange(len(labels))) & (self.final != NO_LABEL)
        self.human_rows, self.rows = np.flatnonzero(counted & is_human), np.flatnonzero(counted & ~is_human)

    @cached_property
    def confidences(self) -> np.ndarray:
        """Label confidences of the texts without a human label, shape `(N,)`."""
        return np.asarray(self.labels["label_confidence"][:], dtype=float)[self.rows]

    @cached_property
    def agrees(self) -> np.ndarray:
        """Whether annotator and student agree on the texts without a human label, shape `(N,)`."""
        pairs = zip(self.labels["annotator_label"][:], self.labels["student_label"][:], strict=True)
        return np.array([one == other for one, other in pairs], dtype=bool)[self.rows]


def keep_audited_labels(folder: RunFolder) -> None:
    """Copies the audited labels before they are made again with the answers of the audit.

    Args:
        folder (`RunFolder`): The run's folder, with the files of `draw_audit`.
    """
    plan = read_json(folder / AUDIT_PLAN)
    audited = folder.round(plan["round"])
    if digest_of(audited.read_labels()) == plan["labels"]:
        write_atomically(audited.audited_labels_path, partial(copy_into, audited.labels_path))


def audited_labels(folder: RunFolder, plan: Mapping[str, Any]) -> "Dataset":
    """Reads the labels that an audit was drawn from.

    Args:
        folder (`RunFolder`): The run's folder.
        plan (`Mapping[str, Any]`): The content of `audit.json`.

    Raises:
        InputError: If they no longer exist.
    """
    audited = folder.round(plan["round"])
    if audited.read_metrics() is not None:
        for path in (audited.labels_path, audited.audited_labels_path):
            if path.is_file() and digest_of(labels := read_labels(path)) == plan["labels"]:
                return labels
    raise InputError(
        f"{str(folder / AUDIT_CSV)!r} was drawn from other labels than those of round {plan['round']}. Draw the texts "
        "again with --new. The answers are kept in another file, which can be given as --human-labels."
    )


def digest_of(labels: "Dataset") -> str:
    """Returns a hash of the labels of a run."""
    digest = hashlib.sha256()
    for id_, label in zip(labels["id"], labels["label"], strict=True):
        digest.update(json.dumps([id_, label]).encode())
    return digest.hexdigest()
