"""Saves the selection in checkpoints, and finds the complete checkpoints of a killed run."""

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
    """Raised if there is no checkpoint to resume from. It is a `ValueError`, as in Trainer."""


def save_selection(checkpoint: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Writes the state of the selection.

    It must be written before all other files, so that a checkpoint with a trainer state is complete.

    Args:
        checkpoint (`Path`): The folder of the checkpoint, which is created if needed.
        arrays (`dict[str, NDArray]`): The state by name; `losses` has the shape `[n]`.
    """
    checkpoint.mkdir(parents=True, exist_ok=True)
    np.savez(checkpoint / SELECTION_FILE, **arrays)  # type: ignore[arg-type]


def load_selection(checkpoint: Path, samples: int) -> dict[str, NDArray[Any]]:
    """Reads the state that `save_selection` wrote.

    Args:
        checkpoint (`Path`): The folder of the checkpoint.
        samples (`int`): The number of training samples.

    Returns:
        `dict[str, NDArray]`: The state by name.

    Raises:
        InputError: If the checkpoint was saved for another number of samples.
    """
    file = checkpoint / SELECTION_FILE
    with np.load(file, allow_pickle=False) as saved:
        arrays = dict(saved)
    if len(arrays["losses"]) != samples:
        raise InputError(
            f"{file} was saved for {len(arrays['losses'])} training samples, not {samples}: "
            "resume with the dataset with which the training was started"
        )
    return arrays


def checkpoint_to_resume(named: str | bool, output_dir: Path) -> Path:
    """Finds the checkpoint for the argument `resume_from_checkpoint`.

    Args:
        named (`str` or `bool`): The folder of a checkpoint, or `True` for the last complete one.
        output_dir (`Path`): The folder with the checkpoints.

    Returns:
        `Path`: The folder of the checkpoint.

    Raises:
        NoCheckpointError: If there is no such checkpoint, it is not complete, or another trainer saved it.
    """
    return last_complete_checkpoint(output_dir) if named is True else checkpoint_at(Path(str(named)))


def last_complete_checkpoint(output_dir: Path) -> Path:
    """Returns the newest checkpoint whose trainer state, which is written last, can be read.

    Args:
        output_dir (`Path`): The folder with the checkpoints.

    Returns:
        `Path`: The folder of the checkpoint.

    Raises:
        NoCheckpointError: If there is none.
    """
    complete = _newest(output_dir)
    if complete is None:
        raise NoCheckpointError(
            f"No valid checkpoint found in output directory ({output_dir}): call train() without "
            "resume_from_checkpoint"
        )
    return complete


def has_checkpoint(output_dir: Path) -> bool:
    """Returns whether there is a complete checkpoint.

    Args:
        output_dir (`Path`): The folder with the checkpoints.
    """
    return _newest(output_dir) is not None


def _newest(output_dir: Path) -> Path | None:
    folders = sorted(output_dir.glob("checkpoint-*"), key=lambda folder: int(folder.name.rsplit("-", 1)[1]))
    return next((folder for folder in reversed(folders) if _is_complete(folder)), None)


def checkpoint_at(folder: Path) -> Path:
    """Checks that a folder is a complete checkpoint of this trainer.

    Args:
        folder (`Path`): The folder.

    Returns:
        `Path`: The folder.

    Raises:
        NoCheckpointError: If it is not a complete checkpoint, or another trainer saved it.
    """
    if not _is_complete(folder):
        raise NoCheckpointError(
            f"Can't find a valid checkpoint at {folder}: pass a folder checkpoint-N of an earlier training, or call "
            "train(resume_from_checkpoint=True) to use the newest one in output_dir"
        )
    if not (folder / SELECTION_FILE).is_file():
        raise NoCheckpointError(
            f"Can't find a valid checkpoint at {folder}: it has no {SELECTION_FILE}, so another trainer saved it. "
            "Pass the folder as the model to start from its weights"
        )
    return folder


@contextmanager
def gathered_weights(accelerator: Accelerator) -> Iterator[None]:
    """Gathers weights that are sharded over processes (FSDP) while they are saved. Trainer would write nothing.

    Args:
        accelerator (`Accelerator`): The accelerator, which has the FSDP settings.
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
