"""How far a run is, for whoever watches it: one JSON object a line in a file of the run's folder."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

ANNOTATING, TRAINING = "annotating", "training"

_PAUSE = 0.5  # seconds between two lines of one phase; watchers look about once a second


class Progress:
    """Appends to a run's progress file. Nothing of the run depends on it, so a lost last line does no harm.

    Args:
        path (`Path`): The file; made with its first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._phase: tuple[int, str] | None = None
        self._written = 0.0

    def step(self, round: int, phase: str, done: int, total: int) -> None:
        """Notes how far a phase is, at most twice a second beside its beginning and its end.

        Args:
            round (`int`): The round.
            phase (`str`): `ANNOTATING` or `TRAINING`.
            done (`int`): Texts, or steps of training, that are done.
            total (`int`): Texts or steps in all.
        """
        now = time.monotonic()
        if (round, phase) == self._phase and done < total and now - self._written < _PAUSE:
            return
        self._phase, self._written = (round, phase), now
        self._write({"round": round, "phase": phase, "done": done, "total": total})

    def epoch(self, round: int, diagnostics: Mapping[str, Any]) -> None:
        """Notes what the small-loss selection found after an epoch.

        Args:
            round (`int`): The round.
            diagnostics (`Mapping`): What `freeal_hf.training.diagnostics` reports, as plain values.
        """
        self._write({"round": round, "phase": TRAINING, **diagnostics})

    def _write(self, event: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


def read_progress(path: Path) -> list[dict[str, Any]]:
    """The events of a progress file, oldest first; a line that is being written, or that a kill tore, is left out."""
    if not path.is_file():
        return []
    *lines, _ = path.read_text(encoding="utf-8", errors="replace").split("\n")
    events = []
    for line in lines:
        with suppress(ValueError):
            events.append(json.loads(line))
    return events
