"""Names of options in messages: an error about the test data names `--test-encoding`, not `--encoding`."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from freeal_hf.config import OPTIONS

_PREFIX: ContextVar[str] = ContextVar("_PREFIX", default="")


@contextmanager
def options_of(file: str) -> Iterator[None]:
    """Names the options of another file than the data in messages, until the context ends.

    Args:
        file (`str`): The prefix of these options: `human` or `test`.
    """
    token = _PREFIX.set(f"{file}_")
    try:
        yield
    finally:
        _PREFIX.reset(token)


def flag(name: str) -> str:
    """Returns an option of the file that is read, as on the command line.

    Args:
        name (`str`): `encoding`, `delimiter` or `quoting`.

    Example:

        >>> with options_of("test"):
        ...     flag("encoding")
        '--test-encoding'
    """
    return f"--{_PREFIX.get()}{name}".replace("_", "-")


def has_option(name: str) -> bool:
    """Returns whether the file that is read has an option. Human labels have no `split`.

    Args:
        name (`str`): The name of the option.
    """
    return f"{_PREFIX.get()}{name}" in OPTIONS
