"""Which checkpoints a killed run left whole."""

import json
from pathlib import Path

_TRAINER_STATE_FILE = "trainer_state.json"


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
