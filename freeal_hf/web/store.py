"""Runs on disk. Each has a folder with an unguessable name and a record of its state."""

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
_LEFT_SECONDS = 1800  # a run that was never started can be deleted after this time without use, if space is needed


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
    def has_results(self) -> bool:
        """Whether a round is finished."""
        return (self.output / "metrics.json").is_file()


class Store:
    """All runs.

    Args:
        folder (`Path`): The folder of the runs, which only this user can read.
        most (`int`, *optional*): The maximum number of runs.
    """

    def __init__(self, folder: Path, most: int | None = None) -> None:
        self.folder, self.most = folder, most
        self._lock = threading.RLock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self) -> Run:
        """Creates an empty run.

        Raises:
            FullError: If the maximum number of runs is reached.
        """
        if self.most is not None and sum(1 for _ in self.folder.iterdir()) >= self.most:
            self._make_room(self.most)
        run_id = secrets.token_urlsafe(24)
        folder = self.folder / run_id
        folder.mkdir(mode=0o700)
        run = Run(run_id, folder, touched=time.time())
        self._write(run)
        return run

    def _make_room(self, most: int) -> None:
        """Deletes the run with the longest time without use among those that were never started."""
        latest = time.time() - _LEFT_SECONDS
        left = [run for run in self.all() if run.state == DRAFT and run.touched < latest]
        if not left:
            raise FullError(f"The limit of {counted(most, 'run')} on this Space is reached. Try again later.")
        self.delete(min(left, key=lambda run: run.touched).id)

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
