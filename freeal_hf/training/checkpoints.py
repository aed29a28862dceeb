"""What a checkpoint holds of the selection, and which checkpoints a killed run left whole."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from freeal_hf.errors import InputError

SELECTION_FILE = "selection.npz"
_TRAINER_STATE_FILE = "trainer_state.json"


class NoCheckpointError(InputError, FileNotFoundError):
    """There is no checkpoint to resume from; a `ValueError`, as in Trainer."""


def save_selection(checkpoint: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write the selection's state before all other files, so that a checkpoint with a trainer state is complete.

    Args:
        checkpoint: The checkpoint's folder, which need not exist yet.
        arrays: The state by name, with `losses` of shape `[n]` among it.
    """
    checkpoint.mkdir(parents=True, exist_ok=True)
    np.savez(checkpoint / SELECTION_FILE, **arrays)  # type: ignore[arg-type]


def load_selection(checkpoint: Path, samples: int) -> dict[str, NDArray[Any]]:
    """Read what `save_selection` wrote.

    Args:
        checkpoint: The checkpoint's folder.
        samples: Number of training samples.

    Returns:
        The state by name.

    Raises:
        InputError: The checkpoint was saved for another number of samples.
    """
    file = checkpoint / SELECTION_FILE
    with np.load(file, allow_pickle=False) as saved:
        arrays = dict(saved)
    if len(arrays["losses"]) != samples:
        raise InputError(
            f"{file} was saved for {len(arrays['losses'])} training samples, not {samples}: "
            "resume with the dataset that the run was started with"
        )
    return arrays


def checkpoint_to_resume(named: str | bool, output_dir: Path) -> Path:
    """Find the checkpoint that `resume_from_checkpoint` means.

    Args:
        named: A checkpoint's folder, or `True` for the last complete one.
        output_dir: Folder of the checkpoints.

    Returns:
        The checkpoint's folder.

    Raises:
        NoCheckpointError: There is no such checkpoint, or it is not complete, or another trainer saved it.
    """
    return last_complete_checkpoint(output_dir) if named is True else checkpoint_at(Path(str(named)))


def last_complete_checkpoint(output_dir: Path) -> Path:
    """The newest checkpoint whose trainer state, the last file to be written, can be read.

    Args:
        output_dir: Folder of the checkpoints.

    Returns:
        The checkpoint's folder.

    Raises:
        NoCheckpointError: There is none.
    """
    complete = _newest(output_dir)
    if complete is None:
        raise NoCheckpointError(
            f"No valid checkpoint found in output directory ({output_dir}): call train() without "
            "resume_from_checkpoint"
        )
    return complete


def has_checkpoint(output_dir: Path) -> bool:
    """Whether there is a complete checkpoint.

    Args:
        output_dir: Folder of the checkpoints.
    """
    return _newest(output_dir) is not None


def _newest(output_dir: Path) -> Path | None:
    folders = sorted(output_dir.glob("checkpoint-*"), key=lambda folder: int(folder.name.rsplit("-", 1)[1]))
    return next((folder for folder in reversed(folders) if _is_complete(folder)), None)


def checkpoint_at(folder: Path) -> Path:
    """Refuse a folder that holds no complete checkpoint of this trainer.

    Args:
        folder: The folder that the user named.

    Returns:
        The folder.

    Raises:
        NoCheckpointError: There is no complete checkpoint, or it was saved by another trainer.
    """
    if not _is_complete(folder):
        raise NoCheckpointError(
            f"Can't find a valid checkpoint at {folder}: name a folder checkpoint-N of an earlier training, or call "
            "train(resume_from_checkpoint=True) for the newest one in output_dir"
        )
    if not (folder / SELECTION_FILE).is_file():
        raise NoCheckpointError(
            f"Can't find a valid checkpoint at {folder}: it has no {SELECTION_FILE}, so another trainer saved it. "
            "Pass the folder as the model to start from its weights"
        )
    return folder


@contextmanager
def gathered_weights(accelerator: Accelerator) -> Iterator[None]:
    """Save weights whole that are sharded over processes (FSDP), where Trainer would write nothing.

    Args:
        accelerator: Knows whether and how weights are sharded.
    """
    plugin = getattr(accelerator.state, "fsdp_plugin", None)
    if plugin is None:
        yield
        return
    kind = plugin.state_dict_type
    plugin.set_state_dict_type("FULL_STATE_DICT")
    try:
        yield
    finally:
        plugin.set_state_dict_type(kind)


def _is_complete(folder: Path) -> bool:
    try:
        json.loads((folder / _TRAINER_STATE_FILE).read_text())
    except (OSError, ValueError):
        return False
    return True
