"""Which files of a folder are the table that somebody means."""

import logging
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from freeal_hf.data.layouts import SUFFIXES, is_hidden, table_suffix
from freeal_hf.errors import InputError

logger = logging.getLogger(__name__)

_DESCRIPTIONS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
# As the library datasets does, with its names of the usual splits.
_SHARD = re.compile(r"(?:^|/)([^/]+)-\d{5}-of-\d{5}[^/]*$")
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}


def chosen_files(
    files: Sequence[str],
    start: int,
    source: str,
    split: str | None,
    *,
    has_splits: bool = True,
    readme: Path | None = None,
) -> list[str]:
    """The tables of a folder, or those of one split if it has several.

    Hidden files and what tools leave in a folder are left out. The splits are those that the header of `README.md`
    names, or else those that the names of the files name, as on the Hub.

    Args:
        files (`Sequence[str]`): Paths of files, with `/` between folders.
        start (`int`): Length of the path of the folder that they are in.
        source (`str`): The folder, for messages.
        split (`str`, *optional*): The split; `train` by default.
        has_splits (`bool`, defaults to `True`): Whether the names of files may name splits.
        readme (`Path`, *optional*): Where the folder's `README.md` would be.

    Raises:
        InputError: If there is no table, or the split is not there or not clear.
    """
    names = {name[start:].lstrip("/"): name for name in files}
    if any(name.startswith("_delta_log/") for name in names):
        raise InputError(f"{source!r} is a Delta table, whose files may hold deleted rows; write it as Parquet first.")
    tables = [
        name for name in names if table_suffix(name) and not is_hidden(name) and Path(name).name not in _DESCRIPTIONS
    ]
    if not tables:
        raise InputError(
            f"{source!r} holds no table; give a file, or a folder or a pattern of {', '.join(SUFFIXES)} files."
        )
    splits = _configured(tables, source, readme) if readme is not None and readme.is_file() else {}
    is_configured = bool(splits)
    splits = splits or (_named_splits(tables) if has_splits else {})
    chosen = tables if split in (None, "train") else []
    if is_configured or len(splits) > 1 or split in splits:
        chosen = splits.get(split or ("train" if len(splits) > 1 else next(iter(splits))), [])
    if not chosen:
        there = f"the splits {', '.join(splits)}" if splits else "no splits"
        raise InputError(f"{source!r} has {there}; choose one with --split, or give the path of a file.")
    if len(chosen) < len(tables):
        left_out = [name for name in tables if name not in chosen]
        level = logging.WARNING if split is None else logging.INFO
        logger.log(level, "%s: only split %r is read; not read: %s.", source, split or "train", _shortened(left_out))
    return [names[name] for name in chosen]


def _named_splits(tables: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in tables:
        if (split := _split_of(name)) is not None:
            found.setdefault(split, []).append(name)
    return found


def _split_of(name: str) -> str | None:
    if shard := _SHARD.search(name):
        words = set(re.split(r"[-._ 0-9/]+", shard.group(1).lower()))
        return next((split for split, known in _SPLITS.items() if words & set(known)), shard.group(1))
    words = set(re.split(r"[-._ 0-9/]+", name.lower()))
    found = [split for split, known in _SPLITS.items() if words & set(known)]
    return found[0] if len(found) == 1 else None


def _configured(tables: Sequence[str], source: str, readme: Path) -> dict[str, list[str]]:
    """The files of each split by the header of a dataset's card; empty if it names none."""
    from huggingface_hub import metadata_load
    from yaml import YAMLError

    try:
        card = metadata_load(readme)
    except (YAMLError, ValueError, OSError) as error:
        logger.warning("%s: its header cannot be read, so that it names no splits: %s", readme, error)
        return {}
    configs = [one for one in (card or {}).get("configs") or [] if isinstance(one, Mapping)]
    configs = [one for one in configs if one.get("data_files")]
    if len(configs) > 1:
        default = [one for one in configs if one.get("default") or one.get("config_name") == "default"]
        if len(default) != 1:
            raise InputError(
                f"{source!r} has the configurations {', '.join(repr(one.get('config_name')) for one in configs)}; "
                "give the folder or a pattern of the files of one of them."
            )
        configs = default
    found: dict[str, list[str]] = {}
    for split, patterns in (_patterns(configs[0]["data_files"]) if configs else {}).items():
        files = [name for name in tables if any(fnmatch(name, pattern) for pattern in patterns)]
        if files:
            found[split] = files
    return found


def _patterns(data_files: Any) -> dict[str, list[str]]:
    """The patterns of each split: `data_files` is one of them, several, or a list of splits with their own."""
    if isinstance(data_files, (str, Mapping)):
        data_files = [data_files]
    found: dict[str, list[str]] = {}
    for one in data_files:
        split, paths = (
            (str(one.get("split", "train")), one.get("path")) if isinstance(one, Mapping) else ("train", one)
        )
        for path in [paths] if isinstance(paths, str) else paths or []:
            # ** stands for any number of folders, none included; * of fnmatch goes over / too.
            found.setdefault(split, []).extend([str(path).removeprefix("./"), str(path).replace("**/", "")])
    return found


def _shortened(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
