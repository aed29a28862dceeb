"""Downloads a file of a Hub dataset with the token of the visitor, after a check of its size.

`datasets.load_dataset` is not used, because it follows addresses and local paths in the dataset card, and has no size
limit.
"""

import shutil
from pathlib import Path

from freeal_hf.errors import InputError
from freeal_hf.hub.client import calling
from freeal_hf.web.settings import Settings

_SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".json")
_USUAL = "train"


def fetch(repo: str, split: str, folder: Path, settings: Settings, token: str | None) -> Path:
    """Downloads the file of a dataset that has a split.

    Args:
        repo (`str`): The id of the dataset.
        split (`str`): A part of the path of the file, such as `train` or `data/test.csv`. If empty, `train` is
            preferred.
        folder (`Path`): The folder for the file.
        settings (`Settings`): The limits.
        token (`str`, *optional*): The token of the visitor.

    Returns:
        `Path`: The file.

    Raises:
        InputError: If there is no such file, or it is too large.
        HubError: If the Hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    api = HfApi(token=token or False, library_name="freeal-hf-space")
    tree = calling(f"dataset {repo}", lambda: list(api.list_repo_tree(repo, recursive=True, repo_type="dataset")))
    found = {
        entry.path: entry.size for entry in tree if isinstance(entry, RepoFile) and entry.path.endswith(_SUFFIXES)
    }
    named = [path for path in found if (split.strip() or _USUAL) in path]
    if not named and not split.strip():
        named = list(found)
    if not named:
        raise InputError(
            f"The dataset {repo!r} has no file for {split or _USUAL!r}. "
            f"Files: {', '.join(list(found)[:8]) or 'none that can be read'}."
        )
    path = min(named, key=lambda name: (_SUFFIXES.index(Path(name).suffix), name))
    if found[path] > settings.max_megabytes * 2**20:
        raise InputError(
            f"{path!r} of {repo!r} has {found[path] / 2**20:.0f} MB; the limit is {settings.max_megabytes} MB. Choose "
            "a smaller file, or run freeal-hf on your own machine."
        )
    fetched = calling(
        f"dataset {repo}",
        api.hf_hub_download,
        repo,
        path,
        repo_type="dataset",
        local_dir=folder / "hub",
    )
    kept = folder / f"upload{Path(path).suffix}"
    shutil.move(fetched, kept)
    shutil.rmtree(folder / "hub")
    return kept
