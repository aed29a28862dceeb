"""The folder of a run: its layout, its lock, and the check that it belongs to this run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from freeal_hf.config import RunConfig, metadata_of
from freeal_hf.data.configured import task_of
from freeal_hf.data.files import explained_disk_errors, remove, write_atomically
from freeal_hf.errors import RunError
from freeal_hf.loop.rounds import LABELS, METRICS, STUDENT, Round
from freeal_hf.tasks import Task

CONFIG, CACHE, LABELS_CSV, REPORT = "config.yaml", "cache.sqlite", "labels.csv", "report.html"
INPUT, PROGRESS = "input.parquet", "progress.jsonl"
AUDIT_CSV, AUDIT_ENTITIES_CSV, AUDIT_PLAN = "audit.csv", "audit_entities.csv", "audit.json"
"""The sheet of an audit that a person fills in, and the draw of its texts."""
COLUMNS = "columns.parquet"
"""The user's columns, unchanged, for `labels.csv`. They are never uploaded."""
RESULT_FILES = (LABELS, LABELS_CSV, STUDENT, METRICS, REPORT)


class RunFolder:
    """The folder of one run.

    Args:
        path (`str` or `Path`): The folder, which is created when the run begins.

    Example:

        >>> folder = RunFolder("runs/reviews")
        >>> str(folder / "config.yaml"), str(folder.round(0).path)
        ('runs/reviews/config.yaml', 'runs/reviews/round-0')
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def round(self, number: int) -> Round:
        """Returns a round, which may not have begun."""
        return Round(self.path / f"round-{number}", number)

    def metrics(self, number: int) -> dict[str, Any] | None:
        """Reads the record of a round; `None` if the round is not complete."""
        return self.round(number).read_metrics()

    def config(self, **options: Any) -> RunConfig:
        """Reads `config.yaml`. Returns the default configuration if there is no such file.

        Args:
            **options: Values by name of the option, which replace those of the file.
        """
        is_stored = (self / CONFIG).is_file()
        return RunConfig.from_yaml(self / CONFIG, **options) if is_stored else RunConfig.from_options(options)

    def task(self) -> Task:
        """Reads the task of the run."""
        return task_of(self.config().task)

    @contextmanager
    def open(self, config: RunConfig, *, resume: bool = False, overwrite: bool = False) -> Iterator[None]:
        """Locks the folder for a run with this configuration, until the context ends.

        The run continues in a folder of the same run. A folder of another run, or with other files, is refused.

        Args:
            config (`RunConfig`): All that is needed to repeat the run. Its values can be stored in YAML.
            resume (`bool`): Whether to continue in this folder if the configuration differs. Finished rounds are kept.
            overwrite (`bool`): Whether to delete the rounds and results in the folder. Paid answers are kept.

        Raises:
            RunError: If the folder is refused, in use by another process, or cannot be written.
        """
        with explained_disk_errors(self.path):
            self._refuse_foreign(config, resume, overwrite)
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except (FileNotFoundError, NotADirectoryError, FileExistsError) as error:
                raise RunError(
                    f"The output folder {str(self.path)!r} cannot be created ({error.strerror}: {error.filename}); "
                    "choose another --output-dir."
                ) from error
            lock = FileLock(self.path / ".lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                raise RunError(f"Another process is running in {str(self.path)!r}; wait for it or stop it.") from None
            try:
                if overwrite:
                    self._clear()
                write_atomically(self / CONFIG, config.to_yaml)
                yield
            finally:
                lock.release()

    def _refuse_foreign(self, config: RunConfig, resume: bool, overwrite: bool) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"The output folder {str(self.path)!r} is a file; choose another --output-dir.")
        if overwrite or not self.path.is_dir():
            return
        remedy = "choose another --output-dir, or pass --resume to continue in it or --overwrite to start it again"
        if not (self / CONFIG).is_file():
            foreign = sorted(entry.name for entry in self.path.iterdir() if not entry.name.startswith("."))
            if foreign and not resume and not set(foreign) <= {CACHE}:
                raise RunError(f"{str(self.path)!r} contains {foreign[0]!r} but no run of freeal-hf; {remedy}.")
            return
        # Through YAML and back, so that tuples and lists compare equal.
        now = RunConfig.from_dict(yaml.safe_load(config.to_text()))
        differences = self.config().differences(now)
        for name, (before, after) in differences.items():
            if not resume and not metadata_of(name).get("resumable"):
                raise RunError(
                    f"{str(self.path)!r} contains another run: {name} was {_short(before)} and is now "
                    f"{_short(after)}; {remedy}."
                )

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            if entry.name in (*RESULT_FILES, COLUMNS, AUDIT_PLAN) or entry.name.startswith("round-"):
                remove(entry)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
