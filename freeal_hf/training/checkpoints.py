"""What a checkpoint holds of the selection, and which checkpoints a killed run left whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SELECTION_FILE = "selection.npz"
_TRAINER_STATE_FILE = "trainer_state.json"


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
        ValueError: The checkpoint was saved for another number of samples.
    """
    file = checkpoint / SELECTION_FILE
    with np.load(file, allow_pickle=False) as saved:
        arrays = dict(saved)
    if len(arrays["losses"]) != samples:
        raise ValueError(
            f"{file} was saved for {len(arrays['losses'])} training samples, not {samples}: "
            "resume with the data set that the run was started with"
        )
    return arrays


def last_complete_checkpoint(output_dir: Path) -> Path:
    """The newest checkpoint whose trainer state, the last file to be written, can be read.

    Args:
        output_dir: Folder of the checkpoints.

    Returns:
        The checkpoint's folder.

    Raises:
        FileNotFoundError: There is none.
    """
    folders = sorted(output_dir.glob("checkpoint-*"), key=lambda folder: int(folder.name.rsplit("-", 1)[1]))
    for folder in reversed(folders):
        state = folder / _TRAINER_STATE_FILE
        if state.is_file() and _is_json(state):
            return folder
    raise FileNotFoundError(f"no complete checkpoint in {output_dir}: call train() without resume_from_checkpoint")


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text())
    except ValueError:
        return False
    return True
