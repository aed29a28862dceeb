"""What several commands do before they begin."""

from pathlib import Path

from freeal_hf.config import ReadingConfig
from freeal_hf.errors import InputError


def output_beside(config: ReadingConfig, output: str) -> Path:
    """The path of `--output`, which may not be the file of the data.

    Args:
        config (`ReadingConfig`): The data.
        output (`str`): The value of `--output`.

    Raises:
        InputError: If both are the same file.
    """
    path = Path(output)
    if Path(str(config.data)).is_file() and path.exists() and path.samefile(str(config.data)):
        raise InputError(f"--output {output!r} is the file of the texts and would be overwritten; give another.")
    return path


def quiet_libraries() -> None:
    """Hides progress bars and messages of libraries in the terminal."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
