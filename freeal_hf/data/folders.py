"""Chooses the files of a folder that are the requested table."""

import logging
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from freeal_hf.data.formats import SUFFIXES, is_hidden, table_suffix
from freeal_hf.data.option_names import flag, has_option
from freeal_hf.errors import InputError

logger = logging.getLogger(__name__)

_DESCRIPTIONS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
# The names of the usual splits, as in the library datasets.
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
    """Returns the tables of a folder, or those of one split if it has several.

    Hidden files and files of tools are left out. As on the Hub, the splits are those in the header of `README.md`, or
    otherwise those in the names of the files.

    Args:
        files (`Sequence[str]`): The paths of the files, with `/` between folders.
        start (`int`): The length of the path of their folder.
        source (`str`): The name of the folder, for messages.
        split (`str`, *optional*): The split. Defaults to `train`.
        has_splits (`bool`, *optional*, defaults to `True`): Whether names of files can contain splits.
        readme (`Path`, *optional*): The path of `README.md` of the folder.

    Returns:
        `list[str]`: The paths of the tables.

    Raises:
        InputError: If there is no table, or the split does not exist or is ambiguous.

    Example:

        >>> chosen_files(["data/train.csv", "data/test.csv", "data/notes.txt"], len("data"), "data", split="test")
        ['data/test.csv']
    """
    names = {name[start:].lstrip("/"): name for name in files}
    if any(name.startswith("_delta_log/") for name in names):
        raise InputError(f"{source!r} is a Delta table, whose files may have deleted rows; write it as Parquet first.")
    tables = [
        name for name in names if table_suffix(name) and not is_hidden(name) and Path(name).name not in _DESCRIPTIONS
    ]
    if not tables:
        raise InputError(
            f"{source!r} has no table; give a file, or a folder or a pattern of {', '.join(SUFFIXES)} files."
        )
    splits = _configured(tables, source, readme) if readme is not None and readme.is_file() else {}
    is_configured = bool(splits)
    splits = splits or (_named_splits(tables) if has_splits else {})
    chosen = tables if split in (None, "train") else []
    if is_configured or len(splits) > 1 or split in splits:
        chosen = splits.get(split or ("train" if len(splits) > 1 else next(iter(splits))), [])
    if not chosen:
        there = f"the splits {', '.join(splits)}" if splits else "no splits"
        option = f"choose one with {flag('split')}, or " if has_option("split") else ""
        raise InputError(f"{source!r} has {there}; {option}give the path of a file.")
    if len(chosen) < len(tables):
        left_out = [name for name in tables if name not in chosen]
        level = logging.WARNING if split is None else logging.INFO
        logger.log(level, "%s: only the split %r is read, not %s.", source, split or "train", _shortened(left_out))
    return [names[name] for name in chosen]


def _named_splits(tables: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in tables:
        if (split := _split_of(name)) is not None:
            found.setdefault(split, []).append(name)
    return found


def _split_of(name: str) -> str | None:
    shard = _SHARD.search(name)
    words = set(re.split(r"[-._ 0-9/]+", (shard[1] if shard else name).lower()))
    found = [split for split, known in _SPLITS.items() if words & set(known)]
    if shard:
        return found[0] if found else shard[1]
    return found[0] if len(found) == 1 else None


def _configured(tables: Sequence[str], source: str, readme: Path) -> dict[str, list[str]]:
    """Returns the files of each split according to the header of a dataset card; empty if it has no splits."""
    from huggingface_hub import metadata_load
    from yaml import YAMLError

    try:
        card = metadata_load(readme)
    except (YAMLError, ValueError, OSError) as error:
        logger.warning("%s: the header cannot be read, so its splits are ignored: %s", readme, error)
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
    """Returns the patterns of each split. `data_files` has patterns, or splits with patterns."""
    if isinstance(data_files, (str, Mapping)):
        data_files = [data_files]
    found: dict[str, list[str]] = {}
    for one in data_files:
        split, paths = (
            (str(one.get("split", "train")), one.get("path")) if isinstance(one, Mapping) else ("train", one)
        )
        for path in [paths] if isinstance(paths, str) else paths or []:
            # ** matches any number of folders, also none; * of fnmatch also matches /.
            found.setdefault(split, []).extend([str(path).removeprefix("./"), str(path).replace("**/", "")])
    return found


def _shortened(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
