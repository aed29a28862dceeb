"""Files that are whole or not there, and errors of the disk that say what to do."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from freeal_hf.errors import RunError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_SPACE_NATIVE = (
    *(f"os error {number})" for number in sorted(_NO_SPACE)),
    "iostream error",
    "inline_container.cc",
)


@contextmanager
def explained_disk_errors(folder: Path) -> Iterator[None]:
    """Turns a full or read-only disk into a `RunError` that says what to do."""
    try:
        yield
    except Exception as error:
        if _is_disk_full(error):
            raise RunError(
                f"There is no space left to write to {str(folder)!r} ({error}). Free some, then start the same "
                "command again: it goes on where it was, and no answer is asked for twice."
            ) from error
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise RunError(
                f"{error.filename or folder} cannot be written ({error.strerror}); choose another folder."
            ) from error
        raise


def _is_disk_full(error: Exception) -> bool:
    # safetensors and torch write in native code and report a full disk as errors of their own.
    native = type(error).__module__.startswith("safetensors") or isinstance(error, RuntimeError)
    return (isinstance(error, OSError) and error.errno in _NO_SPACE) or (
        native and any(sign in str(error) for sign in _NO_SPACE_NATIVE)
    )


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Lets `write` fill a file or folder under a temporary name, then puts it in the place of `path`.

    Whoever reads `path`, also after a crash, finds the old content or the whole new one.
    """
    partial = path.with_name(f".{path.name}.partial")
    remove(partial)
    try:
        write(partial)
    except BaseException:
        remove(partial)
        raise
    if path.is_dir():
        shutil.rmtree(path)
    os.replace(partial, path)


def write_json(path: Path, values: Any) -> None:
    """Writes values as JSON, atomically; NaN becomes null."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, lambda partial: partial.write_text(text + "\n", encoding="utf-8"))


def read_json(path: Path) -> Any:
    """Reads what `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def copy_into(source: Path, target: Path) -> None:
    """Copies a file, or a folder with all in it."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def remove(path: Path) -> None:
    """Deletes a file, or a folder with all in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
