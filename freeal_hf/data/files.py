"""Writes files atomically, and explains errors of the disk."""

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
    """Raises a `RunError` with a remedy if the disk is full or read-only.

    Args:
        folder (`Path`): The folder that is written to, for the message.
    """
    try:
        yield
    except Exception as error:
        if _is_disk_full(error):
            raise RunError(
                f"There is no space left to write to {str(folder)!r} ({error}). Free some space and start the same "
                "command again: it continues, and no answer is paid for twice."
            ) from error
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise RunError(
                f"{error.filename or folder} cannot be written ({error.strerror}); choose another folder."
            ) from error
        raise


def _is_disk_full(error: Exception) -> bool:
    # safetensors and torch write in native code and have their own errors for a full disk.
    native = type(error).__module__.startswith("safetensors") or isinstance(error, RuntimeError)
    return (isinstance(error, OSError) and error.errno in _NO_SPACE) or (
        native and any(sign in str(error) for sign in _NO_SPACE_NATIVE)
    )


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file or folder under a temporary name, and then renames it to `path`.

    `path` always has the complete old or the complete new content, also after a crash.

    Args:
        path (`Path`): The file or folder.
        write (`Callable`): Called with the temporary path, to which it writes.

    Example:

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "labels.csv")
        ...     write_atomically(path, lambda partial: partial.write_text("text,label"))
        ...     path.read_text()
        'text,label'
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
    """Writes values as JSON, atomically. NaN is written as null.

    Args:
        path (`Path`): The file.
        values (`Any`): The values.

    Example:

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "values.json")
        ...     write_json(path, {"accuracy": 0.9})
        ...     read_json(path)
        {'accuracy': 0.9}
    """
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, lambda partial: partial.write_text(text + "\n", encoding="utf-8"))


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Args:
        path (`Path`): The file.

    Returns:
        `Any`: The values.

    Example:

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "values.json")
        ...     write_json(path, {"accuracy": 0.9})
        ...     read_json(path)
        {'accuracy': 0.9}
    """
    return json.loads(path.read_text(encoding="utf-8"))


def copy_into(source: Path, target: Path) -> None:
    """Copies a file or a complete folder.

    Args:
        source (`Path`): The file or folder.
        target (`Path`): Its copy.
    """
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def remove(path: Path) -> None:
    """Deletes a file or a complete folder, if it exists.

    Args:
        path (`Path`): The file or folder.
    """
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
