"""Runs as processes: so many at once, others in a queue, each stopped after its time, and what is old is deleted."""

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

from freeal_hf.cli.ending import BUDGET_SPENT, read_end
from freeal_hf.cli.ending import DOUBTFUL as DOUBTFUL_ANSWERS
from freeal_hf.data.files import remove
from freeal_hf.web.settings import Settings
from freeal_hf.web.store import DOUBTFUL, FAILED, FINISHED, RUNNING, STOPPED, UNDER_WAY, WAITING, Run, Store

_INTERRUPTED = "The run was interrupted. Press Go on to continue where it stopped."
_RESTARTED = "The Space was restarted. Give your token or key again, then press Go on to continue where it stopped."

_LOGGER = logging.getLogger(__name__)
_LOOK_EVERY = 0.5  # seconds
_GRACE = 15.0  # seconds between asking a process to stop and killing it
# Nothing else of this process's environment, and so none of the Space's own secrets, reaches a visitor's run.
_PASSED_ON = (
    *("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM"),
    *("HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY"),
)


class BusyError(RuntimeError):
    """So many runs are waiting already that no other may join them."""


class Runner:
    """Starts, watches and stops the processes of runs.

    Args:
        store (`Store`): The runs.
        settings (`Settings`): How many, and for how long.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store, self.settings = store, settings
        self._lock = threading.RLock()
        self._secrets: dict[str, dict[str, str]] = {}  # in memory only, until the run's process has them
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping: dict[str, tuple[float, str]] = {}
        self._is_closed = False
        # No process of ours outlives this one: the write end is closed with it, even by SIGKILL.
        self._lifeline, self._held = os.pipe()

    def watch(self) -> None:
        """Takes up what an earlier process of the Space left, and looks after all runs from now on, in a thread."""
        for run in self.store.all():
            if run.state == RUNNING:
                self._look_at(run)
            elif run.state == WAITING and run.needs_secret:
                self.store.update(run.id, state=STOPPED, message=_RESTARTED)
        threading.Thread(target=self._watch, daemon=True, name="runner").start()

    def start(self, run_id: str, secrets: Mapping[str, str]) -> None:
        """Lets a run begin, or go on, as soon as there is room.

        Args:
            run_id (`str`): The run; its request is written.
            secrets (`Mapping[str, str]`): Environment variables for its process alone; never written anywhere.

        Raises:
            BusyError: If too many are waiting.
        """
        with self._lock:
            run = self.store.read(run_id)
            if run.state in UNDER_WAY:
                return
            if sum(other.state == WAITING for other in self.store.all()) >= self.settings.waiting_runs:
                raise BusyError(f"{self.settings.waiting_runs} runs wait already, which is the limit. Try later.")
            self._secrets[run_id] = dict(secrets)
            self.store.update(run_id, state=WAITING, message="", queued=time.time(), needs_secret=bool(secrets))
        self._look()

    def stop(self, run_id: str, message: str = "Stopped by you.") -> None:
        """Stops a run; its finished rounds and all answers stay, and it can go on later."""
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

    def is_stopping(self, run_id: str) -> bool:
        """Whether a run was told to stop and has not ended yet."""
        return run_id in self._stopping

    def position(self, run: Run) -> int:
        """How many runs are before a waiting one."""
        return sum(other.state in UNDER_WAY and other.queued < run.queued for other in self.store.all())

    def _watch(self) -> None:
        cleaned = 0.0
        while True:
            try:
                self._look()
                if time.monotonic() - cleaned > 60:
                    cleaned = time.monotonic()
                    self.clean()
            except Exception:  # a full disk, say: the queue must continue when it is fixed
                _LOGGER.exception("could not look after the runs; trying again")
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
        """Notes how a process ended: by its own record, and by why it was stopped, if it was."""
        end = read_end(run.end)
        if end is not None and end.state in (FINISHED, BUDGET_SPENT):
            state, message = FINISHED, end.message
            _drop_checkpoints(run)
        elif end is not None and end.state == FAILED:
            state, message = FAILED, end.message
        elif end is not None and end.state == DOUBTFUL_ANSWERS:
            state, message = DOUBTFUL, end.message
        elif stopped:
            state, message = STOPPED, stopped
        elif is_ours:
            state, message = STOPPED, _INTERRUPTED
        elif run.needs_secret:
            state, message = STOPPED, _RESTARTED
        else:  # it ended with an earlier process of the Space
            state, message = WAITING, ""
        self.store.update(run.id, state=state, message=message, pid=None)

    def _launch(self, run: Run) -> None:
        remove(run.end)  # how an earlier attempt ended
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
        """Stops all processes and starts no others; the next process of the Space takes up what was under way."""
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
        """The words that start freeal-hf in a process that reaches no private address."""
        trusted = json.dumps(self.settings.trusted_addresses)
        return [sys.executable, "-m", "freeal_hf.web.guarded", trusted, str(self._lifeline), *arguments]

    def process_options(self, run: Run, secrets: Mapping[str, str]) -> dict[str, Any]:
        """How to start a `command`: its environment, a process group of its own, and an end with this process."""
        return {
            "env": self.environment(run, secrets),
            "stdin": subprocess.DEVNULL,
            "pass_fds": (self._lifeline,),
            "start_new_session": True,
        }

    def environment(self, run: Run, secrets: Mapping[str, str]) -> dict[str, str]:
        """The environment of a run's process: what every program needs, and the visitor's own secrets."""
        inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        # A token that the machine has saved is the operator's, not the visitor's.
        mine = {"HF_TOKEN_PATH": str(run.folder / "no-token")}
        mine["PYTHONSAFEPATH"] = "1"  # `python -m` imports nothing from the folder that the server was started in
        if "HF_TOKEN" not in secrets:
            mine["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"
        return {**inherited, **mine, **secrets}

    def clean(self) -> None:
        """Deletes runs and files that nothing was done with for the time that is stated on the page."""
        oldest = time.time() - 3600 * self.settings.keep_hours
        for run in self.store.all():
            if run.state not in UNDER_WAY and run.touched < oldest:
                self.delete(run.id)
        for path in files_folder(self.settings).glob("*"):
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)


def files_folder(settings: Settings) -> Path:
    """Where Gradio keeps what was uploaded and what is offered for download."""
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
    """Kills a run's process and what it started: it leads a process group of its own.

    Only for a process that is alive or was ours until now: later its number may be that of another one.
    """
    with suppress(ProcessLookupError):
        os.killpg(run.pid or 0, signal.SIGKILL)


def _drop_checkpoints(run: Run) -> None:
    """Deletes what only an unfinished round needs: optimizer and weights, the most of a run's disk."""
    for folder in run.output.glob("round-*/training"):
        shutil.rmtree(folder)
