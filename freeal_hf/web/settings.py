"""What whoever runs the Space decides: limits, where files are kept, which students and addresses are allowed."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

PREFIX = "FREEAL_SPACE_"

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Settings:
    """The operator's settings; each is read from the environment variable `FREEAL_SPACE_` + its name in capitals.

    Args:
        data_dir (`str`): Where runs are kept; on a Space with persistent storage below `/data`.
        max_rows (`int`): Rows of a dataset.
        max_megabytes (`int`): Size of an uploaded or downloaded file.
        max_characters (`int`): Length beyond which a text is cut.
        max_labels (`int`): Labels of a task.
        max_rounds (`int`): Rounds of a run, those with corrections left out.
        concurrent_runs (`int`): Runs at once; others wait.
        waiting_runs (`int`): Runs that may wait.
        kept_runs (`int`): Runs whose files are kept at once, so that the disk does not fill.
        run_minutes (`float`): Time after which a run is stopped.
        keep_hours (`float`): Time after which a run that nothing was done with is deleted, with all its files.
        own_urls (`bool`): Whether visitors may name an endpoint by its URL.
        trusted_addresses (`list[str]`): `HOST:PORT` of servers that are allowed although their address is private.
        students (`dict[str, str]`): Encoders to choose from: shown name to Hub id or folder.
        training (`dict`): Training options of every run, by their name in `FreeALConfig`.
    """

    data_dir: str = ""
    max_rows: int = 5000
    max_megabytes: int = 20
    max_characters: int = 5000
    max_labels: int = 30
    max_rounds: int = 4
    concurrent_runs: int = 1
    waiting_runs: int = 20
    kept_runs: int = 100
    run_minutes: float = 60
    keep_hours: float = 24
    own_urls: bool = False
    trusted_addresses: list[str] = field(default_factory=list)
    students: dict[str, str] = field(
        default_factory=lambda: {
            "all-MiniLM-L6-v2 (small, quick)": MINILM,
            "distilroberta-base (about 4 times slower)": "distilbert/distilroberta-base",
        }
    )
    training: dict[str, float | int | str | bool] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where everything that belongs to visitors is kept."""
        if self.data_dir:
            return Path(self.data_dir)
        persistent = Path("/data")
        root = persistent if persistent.is_dir() and os.access(persistent, os.W_OK) else Path(tempfile.gettempdir())
        return root / "freeal-space"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that an environment names.

    Raises:
        ValueError: If one cannot be read; the message names it.
    """
    given: dict[str, Any] = {}
    for item in fields(Settings):
        name = PREFIX + item.name.upper()
        if name in environment:
            try:
                given[item.name] = environment[name] if item.type is str else json.loads(environment[name])
            except json.JSONDecodeError as error:
                raise ValueError(f"{name} is {environment[name]!r}; it must be a JSON value: {error}") from error
    return Settings(**given)
