"""The errors that a user can mend. Each message names the value, the place and the remedy, never a token."""

import os

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


def offline_hint() -> str:
    """A sentence for an error message that names the variables that keep the Hub libraries offline, if any."""
    values = {name: os.environ.get(name, "") for name in _OFFLINE}
    given = [f"{name}={value}" for name, value in values.items() if value.upper() in ("1", "ON", "YES", "TRUE")]
    return f" Nothing is downloaded, because {' and '.join(given)} is set; unset it." if given else ""


class FreeALError(Exception):
    """Anything that goes wrong in a way that the message explains; the command line prints it without a traceback."""


class InputError(FreeALError, ValueError):
    """A task, a data file, an option or a configuration value that cannot be used."""


class AnnotatorError(FreeALError, RuntimeError):
    """An annotator that cannot work at all: wrong key, unknown model, unreachable server, missing extra."""


class RunError(FreeALError, RuntimeError):
    """A run's folder that cannot be used or written."""


class HubError(FreeALError, RuntimeError):
    """A push to the Hub or a pull from it that cannot be done; what is on disk stays complete."""


class HubChanged(HubError):  # noqa: N818 - not always an error: a push looks again and goes on
    """A repository that somebody changed between looking at it and committing to it; nothing was overwritten."""


class BudgetExceeded(AnnotatorError):  # noqa: N818 - it ends a run as asked, nothing is wrong
    """The next call might pass the budget. Everything answered so far is kept and valid; the run can go on later."""
