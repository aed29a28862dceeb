"""Starts runs as processes, with a queue and a time limit, and deletes old runs."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from freeal_hf.cli.ending import BUDGET_SPENT, TRIED, read_end
from freeal_hf.cli.ending import DOUBTFUL as DOUBTFUL_ANSWERS
from freeal_hf.data.counting import counted
from freeal_hf.data.files import remove
from freeal_hf.web.messages import for_visitors
from freeal_hf.web.settings import Settings
from freeal_hf.web.store import DOUBTFUL, DRAFT, FAILED, FINISHED, RUNNING, STOPPED, UNDER_WAY, WAITING, Run, Store

_INTERRUPTED = "The run was interrupted. Press Continue to resume it."
_RESTARTED = "The Space was restarted. Enter your token or key again, and press Continue to resume the run."

_TRIED = (
    "These are the labels of the first texts. If they look right, press Label all texts: these answers are used "
    "again. Otherwise go back to 2 Task, describe the labels better, and try again."
)

_LOGGER = logging.getLogger(__name__)
_LOOK_EVERY = 0.5  # seconds
_GRACE = 15.0  # seconds between the request to stop and killing a process
# The process of a run gets no other environment variables, and so no secrets of the Space.
_PASSED_ON = (
    *("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM"),
    *("HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY"),
)


class BusyError(RuntimeError):
    """Raised if the maximum number of waiting runs is reached."""


class Runner:
    """Starts, watches and stops the processes of runs.

    Args:
        store (`Store`): The runs.
        settings (`Settings`): The limits.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store, self.settings = store, settings
        self._lock = threading.RLock()
        self._secrets: dict[str, dict[str, str]] = {}  # in memory only, until the process of the run is started
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping: dict[str, tuple[float, str]] = {}
        self._is_closed = False
        # All processes end with this one, because the write end is then closed, even by SIGKILL.
        self._lifeline, self._held = os.pipe()

    def watch(self) -> None:
        """Resumes the runs of an earlier process of the Space, and starts a thread that watches all runs."""
        for run in self.store.all():
            if run.state == RUNNING:
                self._look_at(run)
            elif run.state == WAITING and run.needs_secret:
                self.store.update(run.id, state=STOPPED, message=_RESTARTED)
        threading.Thread(target=self._watch, daemon=True, name="runner").start()

    def start(self, run_id: str, secrets: Mapping[str, str]) -> None:
        """Adds a run to the queue. It starts, or continues, as soon as possible.

        Args:
            run_id (`str`): The id of the run, whose request must be written.
            secrets (`Mapping[str, str]`): Environment variables for its process only. They are never written to disk.

        Raises:
            BusyError: If too many runs are waiting.
        """
        with self._lock:
            run = self.store.read(run_id)
            if run.state in UNDER_WAY:
                return
            if sum(other.state == WAITING for other in self.store.all()) >= self.settings.waiting_runs:
                raise BusyError(
                    f"The limit of {counted(self.settings.waiting_runs, 'waiting run')} is reached. Try again later."
                )
            self._secrets[run_id] = dict(secrets)
            changes = {"needs_secret": bool(secrets), "is_example": False}
            self.store.update(run_id, state=WAITING, message="", queued=time.time(), **changes)
        self._look()

    def stop(self, run_id: str, message: str = "Stopped by you.") -> None:
        """Stops a run. Finished rounds and all answers are kept, and the run can be continued."""
        with self._lock:
            run = self.store.read(run_id)
            if run.state == WAITING:
                self._secrets.pop(run_id, None)
                self.store.update(run_id, state=STOPPED, message=message)
            elif run.state == RUNNING and run_id not in self._stopping:
                self._stopping[run_id] = (time.monotonic(), message)
                if _is_alive(run):
                    os.kill(run.pid or 0, signal.SIGTERM)

    def delete(self, run_id: str) -> None:
        """Stops a run and deletes all its files."""
        with self._lock:
            run = self.store.read(run_id)
            if run.state == RUNNING:
                _kill(run)
                if run_id in self._processes:
                    self._processes.pop(run_id).wait()
            self._secrets.pop(run_id, None)
            self._stopping.pop(run_id, None)
            for name in run.files:
                shutil.rmtree(files_folder(self.settings) / name, ignore_errors=True)
            self.store.delete(run_id)

    def make_room(self, run: Run) -> None:
        """Deletes runs that were never started if this visitor or all together have too many.

        Args:
            run (`Run`): A run that gets data.

        Raises:
            FullError: If too many runs were started, which are never deleted for others.
        """
        for other in self.store.surplus(run):
            self.delete(other.id)

    def is_stopping(self, run_id: str) -> bool:
        """Returns whether a run was asked to stop and has not ended yet."""
        return run_id in self._stopping

    def position(self, run: Run) -> int:
        """Returns the number of runs before a waiting run."""
        return sum(other.state in UNDER_WAY and other.queued < run.queued for other in self.store.all())

    def _watch(self) -> None:
        cleaned = 0.0
        while True:
            try:
                self._look()
                if time.monotonic() - cleaned > 60:
                    cleaned = time.monotonic()
                    self.clean()
            except Exception:  # such as a full disk: the queue must continue afterwards
                _LOGGER.exception("The runs could not be updated. They are updated again in %s s.", _LOOK_EVERY)
            time.sleep(_LOOK_EVERY)

    def _look(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            runs = self.store.all()
            running = [run for run in runs if run.state == RUNNING]
            for run in running:
                self._look_at(run)
            room = self.settings.concurrent_runs - sum(_is_running(self.store, run.id) for run in running)
            for run in [run for run in runs if run.state == WAITING][: max(room, 0)]:
                self._launch(run)

    def _look_at(self, run: Run) -> None:
        process = self._processes.get(run.id)
        if process.poll() is None if process else _is_alive(run):
            if run.id in self._stopping:
                if time.monotonic() - self._stopping[run.id][0] > _GRACE:
                    _kill(run)
            elif time.time() - run.started > 60 * self.settings.run_minutes:
                self.stop(run.id, f"Stopped after {self.settings.run_minutes:g} minutes, the limit of this Space.")
            return
        if self._processes.pop(run.id, None) is not None:
            _end_group(run)
        _, stopped = self._stopping.pop(run.id, (0.0, ""))
        self._settle(run, stopped, is_ours=process is not None)

    def _settle(self, run: Run, stopped: str, *, is_ours: bool) -> None:
        """Records how a process ended, from its own record and from the reason why it was stopped."""
        end = read_end(run.end)
        if end is not None and end.state in (FINISHED, BUDGET_SPENT):
            state, message = FINISHED, for_visitors(end.message)
            _drop_checkpoints(run)
        elif run.is_trial and end is not None and end.state in (TRIED, FAILED, DOUBTFUL_ANSWERS):
            # The visitor can change labels and choices.
            state, message = DRAFT, _TRIED if end.state == TRIED else end.message
        elif end is not None and end.state == FAILED:
            state, message = FAILED, for_visitors(end.message)
        elif end is not None and end.state == DOUBTFUL_ANSWERS:
            state, message = DOUBTFUL, for_visitors(end.message)
        elif stopped:
            state, message = STOPPED, stopped
        elif is_ours:
            state, message = STOPPED, _INTERRUPTED
        elif run.needs_secret:
            state, message = STOPPED, _RESTARTED
        else:  # the process ended together with an earlier process of the Space
            state, message = WAITING, ""
        self.store.update(run.id, state=state, message=message, pid=None)

    def _launch(self, run: Run) -> None:
        remove(run.end)  # the record of an earlier process
        arguments = ["run", str(run.request), "--end-file", str(run.end), *run.choice.get("arguments", [])]
        with run.log.open("ab") as log:
            process = subprocess.Popen(
                self.command(*arguments),
                **self.process_options(run, self._secrets.pop(run.id, {})),
                stdout=log,
                stderr=log,
            )
        self._processes[run.id] = process
        self.store.update(run.id, state=RUNNING, started=time.time(), pid=process.pid)

    def close(self) -> None:
        """Stops all processes and starts no others. The next process of the Space resumes the runs."""
        with self._lock:
            self._is_closed = True
            os.close(self._held)
            deadline = time.monotonic() + _GRACE
            for run_id, process in self._processes.items():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(deadline - time.monotonic(), 0))
                _end_group(self.store.read(run_id))
            for run_id, (_, message) in self._stopping.items():
                self.store.update(run_id, state=STOPPED, message=message, pid=None)

    def command(self, *arguments: str) -> list[str]:
        """Returns the command that starts freeal-hf in a process without access to private addresses."""
        trusted = json.dumps(self.settings.trusted_addresses)
        return [sys.executable, "-m", "freeal_hf.web.guarded", trusted, str(self._lifeline), *arguments]

    def process_options(self, run: Run, secrets: Mapping[str, str]) -> dict[str, Any]:
        """Returns the options for `subprocess.Popen`: environment, process group, and the pipe that ends it."""
        return {
            "env": self.environment(run, secrets),
            "stdin": subprocess.DEVNULL,
            "pass_fds": (self._lifeline,),
            "start_new_session": True,
        }

    def environment(self, run: Run, secrets: Mapping[str, str]) -> dict[str, str]:
        """Returns the environment of the process of a run: usual variables, and the secrets of the visitor."""
        inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        # A token that is saved on the machine belongs to the operator, not to the visitor.
        mine = {"HF_TOKEN_PATH": str(run.folder / "no-token")}
        mine["PYTHONSAFEPATH"] = "1"  # `python -m` must not import modules from the current folder of the server
        if "HF_TOKEN" not in secrets:
            mine["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"
        return {**inherited, **mine, **secrets}

    def clean(self) -> None:
        """Deletes runs and files that were not used for the time that the page states."""
        oldest = time.time() - 3600 * self.settings.keep_hours
        for run in self.store.all():
            if run.state not in UNDER_WAY and run.touched < oldest:
                self.delete(run.id)
        for path in files_folder(self.settings).glob("*"):
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)


def files_folder(settings: Settings) -> Path:
    """Returns the folder in which Gradio stores uploads and downloads."""
    return settings.folder / "files"


def _is_running(store: Store, run_id: str) -> bool:
    return store.read(run_id).state == RUNNING


def _is_alive(run: Run) -> bool:
    if run.pid is None:
        return False
    try:
        return str(run.request) in psutil.Process(run.pid).cmdline()
    except psutil.Error:
        return False


def _kill(run: Run) -> None:
    if _is_alive(run):
        _end_group(run)


def _end_group(run: Run) -> None:
    """Kills the process group of a run.

    Only call it for a process that is alive or a child that has just ended, because ids of processes are reused.
    """
    with suppress(ProcessLookupError):
        os.killpg(run.pid or 0, signal.SIGKILL)


def _drop_checkpoints(run: Run) -> None:
    """Deletes the checkpoints of an unfinished round, which use most of the disk space of a run."""
    for folder in run.output.glob("round-*/training"):
        shutil.rmtree(folder)
