"""The progress of a run, as one JSON object per line in a file of its folder."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from freeal_hf.annotators.base import Annotation, AnnotationRequest
from freeal_hf.annotators.prompts.registry import prompts_of
from freeal_hf.loop.callbacks import LoopCallback, RunState
from freeal_hf.loop.folder import PROGRESS

ANNOTATING, TRAINING = "annotating", "training"

_PAUSE = 0.5  # seconds between two lines of one phase; readers read about once a second
_AT_ONCE = 20  # the first texts of a round are written at once
_MOST_SHOWN, _SHOWN_LENGTH = 200, 300  # the number of labelled texts in the file, and of characters of each


class ProgressFile(LoopCallback):
    """Appends to `progress.jsonl` of a run. The run does not depend on this file, so its last line may be lost.

    For each phase (annotating, training) it writes the beginning, the end, and at most two lines per second, each with
    its `time` in seconds since the epoch. Lines of an annotation have the texts that were `labelled` since the line
    before, each as text, label and confidence, up to 200 in a round. The first 20 are written at once.
    """

    def __init__(self) -> None:
        self._phase: tuple[int, str] | None = None
        self._written = 0.0
        self._labelled: list[tuple[str, str, float | None]] = []
        self._num_shown: dict[int, int] = {}

    def on_answer(self, run: RunState, round: int, request: AnnotationRequest, answer: Annotation) -> None:
        """See `LoopCallback`."""
        shown = self._num_shown.get(round, 0)
        if shown >= _MOST_SHOWN or not answer.is_labelled:
            return
        text = request.text if len(request.text) <= _SHOWN_LENGTH else request.text[: _SHOWN_LENGTH - 1] + "…"
        self._labelled.append((text, prompts_of(run.task).in_words(request, answer), answer.confidence))
        self._num_shown[round] = shown + 1

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
        is_first = phase == ANNOTATING and done <= _AT_ONCE
        if (round, phase) == self._phase and done < total and now - self._written < _PAUSE and not is_first:
            return
        self._phase, self._written = (round, phase), now
        event: dict[str, Any] = {"round": round, "phase": phase, "done": done, "total": total, "time": time.time()}
        if self._labelled:
            event["labelled"], self._labelled = self._labelled, []
        _append(run, event)


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
