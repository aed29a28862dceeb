"""The settings of the operator of a Space: limits, folders, and allowed students and addresses."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from freeal_hf.config import metadata_of

PREFIX = "FREEAL_SPACE_"

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Settings:
    """The settings of the operator. Each is read from the environment variable `FREEAL_SPACE_` + its name in capitals.

    Args:
        data_dir (`str`): The folder of the runs; on a Space with persistent storage, a folder in `/data`.
        max_rows (`int`): The maximum number of rows of a dataset.
        max_megabytes (`int`): The maximum size of an uploaded or downloaded file.
        max_characters (`int`): Longer texts are truncated.
        max_labels (`int`): The maximum number of labels of a task.
        max_rounds (`int`): The maximum number of rounds of a run, without rounds for corrections.
        concurrent_runs (`int`): The maximum number of runs at the same time. Others wait.
        waiting_runs (`int`): The maximum number of waiting runs.
        kept_runs (`int`): The maximum number of runs on disk. Drafts that were not used for the longest time are
            deleted for new ones.
        visitor_runs (`int`): The maximum number of runs of one visitor, in the same way.
        run_minutes (`float`): The time after which a run is stopped.
        keep_hours (`float`): The time without use after which a run is deleted, with all its files.
        own_urls (`bool`): Whether visitors can enter the URL of an endpoint.
        trusted_addresses (`list[str]`): Private addresses `HOST:PORT` that are allowed.
        students (`dict[str, str]`): The encoders to choose from: displayed name to Hub id or folder.
        training (`dict`): Training options of all runs, by their name in `FreeALConfig`.

    Raises:
        ValueError: If an option of `training` is private, such as a token: the file for the process of a run has none.
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
    visitor_runs: int = 10
    run_minutes: float = 60
    keep_hours: float = 24
    own_urls: bool = False
    trusted_addresses: list[str] = field(default_factory=list)
    students: dict[str, str] = field(
        default_factory=lambda: {
            "all-MiniLM-L6-v2 (small, fast)": MINILM,
            "distilroberta-base (about 4 times slower)": "distilbert/distilroberta-base",
        }
    )
    training: dict[str, float | int | str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if private := sorted(name for name in self.training if metadata_of(name).get("private")):
            raise ValueError(
                f"{PREFIX}TRAINING has {private[0]!r}, which is private and is never written to the file for the "
                "process of a run. Leave it out."
            )

    @property
    def folder(self) -> Path:
        """The folder with all data of visitors."""
        if self.data_dir:
            return Path(self.data_dir)
        persistent = Path("/data")
        root = persistent if persistent.is_dir() and os.access(persistent, os.W_OK) else Path(tempfile.gettempdir())
        return root / "freeal-space"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Reads the settings from environment variables.

    Raises:
        ValueError: If a value is invalid.
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
