"""The progress of a run, as one JSON object per line in a file of its folder."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from freeal_hf.loop.callbacks import LoopCallback, RunState
from freeal_hf.loop.folder import PROGRESS

ANNOTATING, TRAINING = "annotating", "training"

_PAUSE = 0.5  # seconds between two lines of one phase; readers read about once a second


class ProgressFile(LoopCallback):
    """Appends to `progress.jsonl` of a run. The run does not depend on this file, so its last line may be lost.

    For each phase (annotating, training) it writes the beginning, the end, and at most two lines per second.
    """

    def __init__(self) -> None:
        self._phase: tuple[int, str] | None = None
        self._written = 0.0

    def on_annotation_progress(self, run: RunState, round: int, done: int, total: int) -> None:
        """See `LoopCallback`."""
        self._step(run, round, ANNOTATING, done, total)

    def on_train_step(self, run: RunState, round: int, done: int, total: int) -> None:
        """See `LoopCallback`."""
        self._step(run, round, TRAINING, done, total)

    def on_selection(self, run: RunState, round: int, diagnostics: Mapping[str, Any]) -> None:
        """See `LoopCallback`."""
        _append(run, {"round": round, "phase": TRAINING, **diagnostics})

    def _step(self, run: RunState, round: int, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if (round, phase) == self._phase and done < total and now - self._written < _PAUSE:
            return
        self._phase, self._written = (round, phase), now
        _append(run, {"round": round, "phase": phase, "done": done, "total": total})


def _append(run: RunState, event: Mapping[str, Any]) -> None:
    with (run.output_dir / PROGRESS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


def read_progress(path: Path) -> list[dict[str, Any]]:
    """Reads the events of a progress file, oldest first. Incomplete lines are left out."""
    if not path.is_file():
        return []
    *lines, _ = path.read_text(encoding="utf-8", errors="replace").split("\n")
    events = []
    for line in lines:
        with suppress(ValueError):
            events.append(json.loads(line))
    return events
