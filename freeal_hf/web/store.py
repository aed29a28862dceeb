"""Runs on disk. Each has a folder with an unguessable name and a record of its state."""

import hmac
import json
import os
import re
import secrets
import shutil
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from freeal_hf.data.counting import counted

DRAFT, WAITING, RUNNING, STOPPED, FINISHED, FAILED = "draft", "waiting", "running", "stopped", "finished", "failed"
DOUBTFUL = "doubtful"  # the visitor has to confirm the answers of the annotator
UNDER_WAY = (WAITING, RUNNING)

_ID = re.compile(r"[A-Za-z0-9_-]{32}")
_RECORD = "space.json"
_TOO_MANY = "The limit of {} on this Space is reached. Try again later."
_TOO_MANY_OWN = "You have reached the limit of {} for one visitor. Delete one that you do not need any more."


class FullError(RuntimeError):
    """Raised if the maximum number of runs is reached."""


class UnknownRunError(LookupError):
    """Raised if a run does not exist or was deleted."""


@dataclass(frozen=True)
class Run:
    """The record of a run, without tokens.

    Args:
        id (`str`): The name of its folder. It is also the key: anyone who knows it has full access to the run.
        folder (`Path`): Its folder.
        state (`str`): One of the states above.
        message (`str`): The reason why it stopped or failed.
        touched (`float`): The time of its last use, in seconds since the epoch.
        started (`float`): The time when its process was started.
        queued (`float`): The time when it began to wait.
        pid (`int`, *optional*): The id of its process.
        needs_secret (`bool`): Whether it needs the token or key of the visitor to continue.
        data (`dict`): The choices in the step Data.
        task (`dict`): The description in the step Task.
        choice (`dict`): The choices in the step Run.
        files (`list[str]`): Folders of Gradio with its uploads and downloads.
        visitor (`str`): Who created it, as a hash; empty if this is not known.
        is_example (`bool`): Whether it is a copy of the finished example that was not trained again.
    """

    id: str
    folder: Path
    state: str = DRAFT
    message: str = ""
    touched: float = 0.0
    started: float = 0.0
    queued: float = 0.0
    pid: int | None = None
    needs_secret: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    task: dict[str, Any] = field(default_factory=dict)
    choice: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    visitor: str = ""
    is_example: bool = False

    @property
    def texts(self) -> Path:
        """The texts of the run."""
        return self.folder / "texts.jsonl"

    @property
    def request(self) -> Path:
        """The configuration of its process."""
        return self.folder / "request.yaml"

    @property
    def output(self) -> Path:
        """The output folder of freeal-hf."""
        return self.folder / "run"

    @property
    def end(self) -> Path:
        """The file that says how its process ended, written by `freeal_hf.cli.ending`."""
        return self.folder / "end.json"

    @property
    def log(self) -> Path:
        """The output of its process."""
        return self.folder / "log.txt"

    @property
    def corrections(self) -> Path:
        """The labels that a person corrected."""
        return self.folder / "human_labels.csv"

    @property
    def is_trial(self) -> bool:
        """Whether the process of the run only labels some texts, to try the choices."""
        return bool(self.choice.get("trial"))

    @property
    def is_disposable(self) -> bool:
        """Whether it can be deleted to make room: a draft, or the example without answers of a person."""
        answers = (self.corrections, self.output / "audit.csv")
        return self.state == DRAFT or (self.is_example and not any(path.is_file() for path in answers))

    @property
    def has_results(self) -> bool:
        """Whether a round is finished."""
        return (self.output / "metrics.json").is_file()


class Store:
    """All runs.

    Args:
        folder (`Path`): The folder of the runs, which only this user can read.
        most (`int`, *optional*): The maximum number of runs.
        most_of_visitor (`int`, *optional*): The maximum number of runs of one visitor.
    """

    def __init__(self, folder: Path, most: int | None = None, most_of_visitor: int | None = None) -> None:
        self.folder, self.most, self.most_of_visitor = folder, most, most_of_visitor
        self._key = secrets.token_bytes(32)  # addresses of visitors are not stored, and forgotten after a restart
        self._lock = threading.RLock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, visitor: str = "") -> Run:
        """Creates an empty run. It takes a place when it gets data.

        Args:
            visitor (`str`): The address or name of the visitor. Only a hash of it is stored.
        """
        run_id = secrets.token_urlsafe(24)
        folder = self.folder / run_id
        folder.mkdir(mode=0o700)
        whose = hmac.digest(self._key, visitor.encode(), "sha256").hex()[:16] if visitor else ""
        run = Run(run_id, folder, touched=time.time(), visitor=whose)
        self._write(run)
        return run

    def surplus(self, run: Run) -> list[Run]:
        """Returns the disposable runs that have to be deleted for a run, the least recently used first.

        Args:
            run (`Run`): A run that gets data.

        Raises:
            FullError: If too many runs were started, which are never deleted for others.
        """
        kept = [other for other in self.all() if (other.data or other.state != DRAFT) and other.id != run.id]
        drafts = sorted((other for other in kept if other.is_disposable), key=lambda other: other.touched)
        own = {other.id for other in kept if run.visitor and other.visitor == run.visitor}
        found: list[Run] = []
        for ids, most, problem in (
            (own, self.most_of_visitor, _TOO_MANY_OWN),
            ({other.id for other in kept}, self.most, _TOO_MANY),
        ):
            number = 0 if most is None else len(ids) + 1 - most - len(found)
            chosen = [draft for draft in drafts if draft.id in ids and draft not in found][: max(0, number)]
            if len(chosen) < number:
                raise FullError(problem.format(counted(most or 0, "run")))
            found += chosen
        return found

    def read(self, run_id: str) -> Run:
        """Returns a run by its id.

        Raises:
            UnknownRunError: If there is no such run.
        """
        folder = self.folder / run_id
        if not _ID.fullmatch(run_id) or not (folder / _RECORD).is_file():
            raise UnknownRunError("There is no such run, or it has been deleted. Start a new one.")
        values = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        return Run(**{**values, "folder": folder})

    def update(self, run_id: str, **changes: Any) -> Run:
        """Changes the record of a run, and its time of last use."""
        with self._lock:
            run = replace(self.read(run_id), **{"touched": time.time(), **changes})
            self._write(run)
            return run

    def all(self) -> list[Run]:
        """Returns all runs, in the order in which they began to wait."""
        with self._lock:
            found = [self.read(path.parent.name) for path in self.folder.glob(f"*/{_RECORD}")]
        return sorted(found, key=lambda run: run.queued)

    def delete(self, run_id: str) -> None:
        """Deletes a run with all its files."""
        with self._lock:
            shutil.rmtree(self.read(run_id).folder)

    def _write(self, run: Run) -> None:
        values = {name: value for name, value in asdict(run).items() if name != "folder"}
        partial = run.folder / f".{_RECORD}.partial"
        partial.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        os.replace(partial, run.folder / _RECORD)
