"""Runs on disk: one folder each, under a name that nobody can guess, and what is known about it."""

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

from freeal_hf.tasks import TokenClassification

DRAFT, WAITING, RUNNING, STOPPED, FINISHED, FAILED = "draft", "waiting", "running", "stopped", "finished", "failed"
DOUBTFUL = "doubtful"  # the annotator's answers wait for the visitor's confirmation
UNDER_WAY = (WAITING, RUNNING)

_ID = re.compile(r"[A-Za-z0-9_-]{32}")
_RECORD = "space.json"
_LEFT_SECONDS = 1800  # what nobody started or touched for so long makes room for others, where there is none


class FullError(RuntimeError):
    """So many runs are kept that there is no room for another."""


class UnknownRunError(LookupError):
    """A run that was never there, or is deleted."""


@dataclass(frozen=True)
class Run:
    """What is known about a run. No token is part of it.

    Args:
        id (`str`): Name of its folder, and the key to it: whoever knows it may see and do everything.
        folder (`Path`): Its folder.
        state (`str`): One of the states above.
        message (`str`): Why it stopped or failed.
        touched (`float`): When something was last done with it, in seconds since the epoch.
        started (`float`): When its process was started.
        queued (`float`): When it began to wait.
        pid (`int`, *optional*): Its process.
        needs_secret (`bool`): Whether it cannot go on without the visitor's token or key.
        data (`dict`): What was chosen in the step Data.
        task (`dict`): What was described in the step Task.
        choice (`dict`): What was chosen in the step Run.
        files (`list[str]`): Folders of Gradio's with what was uploaded, or offered for download.
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

    @property
    def texts(self) -> Path:
        """The texts as they go into the run."""
        return self.folder / "texts.jsonl"

    @property
    def request(self) -> Path:
        """The configuration that its process reads."""
        return self.folder / "request.yaml"

    @property
    def output(self) -> Path:
        """The folder that freeal-hf writes."""
        return self.folder / "run"

    @property
    def end(self) -> Path:
        """How its process ended, as `freeal_hf.cli.ending` writes it."""
        return self.folder / "end.json"

    @property
    def log(self) -> Path:
        """What its process printed."""
        return self.folder / "log.txt"

    @property
    def corrections(self) -> Path:
        """Labels that a person gave."""
        return self.folder / "human_labels.csv"

    @property
    def finds_entities(self) -> bool:
        """Whether its task is to find entities."""
        return bool(self.task.get("type") == TokenClassification.type)

    @property
    def has_results(self) -> bool:
        """Whether a round is finished."""
        return (self.output / "metrics.json").is_file()


class Store:
    """All runs.

    Args:
        folder (`Path`): Where they are kept; only this user may look into it.
        most (`int`, *optional*): Runs that are kept at once.
    """

    def __init__(self, folder: Path, most: int | None = None) -> None:
        self.folder, self.most = folder, most
        self._lock = threading.RLock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self) -> Run:
        """A new, empty run.

        Raises:
            FullError: If so many are kept that there is no room for another.
        """
        if self.most is not None and sum(1 for _ in self.folder.iterdir()) >= self.most:
            self._make_room()
        run_id = secrets.token_urlsafe(24)
        folder = self.folder / run_id
        folder.mkdir(mode=0o700)
        run = Run(run_id, folder, touched=time.time())
        self._write(run)
        return run

    def _make_room(self) -> None:
        """Deletes the run that was left longest before it was started."""
        latest = time.time() - _LEFT_SECONDS
        left = [run for run in self.all() if run.state == DRAFT and run.touched < latest]
        if not left:
            raise FullError(f"This Space keeps {self.most} runs, which is its limit. Try later.")
        self.delete(min(left, key=lambda run: run.touched).id)

    def read(self, run_id: str) -> Run:
        """A run by its id.

        Raises:
            UnknownRunError: If there is none.
        """
        folder = self.folder / run_id
        if not _ID.fullmatch(run_id) or not (folder / _RECORD).is_file():
            raise UnknownRunError("There is no such run, or it has been deleted. Start a new one.")
        values = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        return Run(**{**values, "folder": folder})

    def update(self, run_id: str, **changes: Any) -> Run:
        """Changes what is known about a run, and notes that something was done with it."""
        with self._lock:
            run = replace(self.read(run_id), **{"touched": time.time(), **changes})
            self._write(run)
            return run

    def all(self) -> list[Run]:
        """All runs, in the order in which they began to wait."""
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
