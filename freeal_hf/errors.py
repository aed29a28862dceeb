"""All exceptions that a user can meet. Each message names the value, the place and the remedy, never a token."""

import os
from typing import Literal

Failure = Literal["timeout", "connection failed", "server error", "rate limited", "broken response"]
"""Why a call failed that can be repeated."""

Refusal = Literal["request refused", "text too long", "content filter"]
"""Why a text cannot be labelled."""

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


class DoubtfulAnswersError(AnnotatorError):
    """Answers that look independent of the texts. The run goes on with them once the user confirms them.

    Args:
        message (`str`): What looks wrong and what to do about it.
        reason (`str`, defaults to `""`): What looks wrong.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class RunError(FreeALError, RuntimeError):
    """A run's folder that cannot be used or written."""


class HubError(FreeALError, RuntimeError):
    """A push to the Hub or a pull from it that cannot be done; what is on disk stays complete."""


class HubChanged(HubError):  # noqa: N818 - not always an error: a push looks again and goes on
    """A repository that somebody changed between looking at it and committing to it; nothing was overwritten."""


class BudgetExceeded(AnnotatorError):  # noqa: N818 - it ends a run as asked, nothing is wrong
    """The next call might pass the budget. Everything answered so far is kept and valid; the run can go on later."""


class TransientError(FreeALError):
    """A call to an annotator that failed and can succeed later: the driver repeats it.

    Args:
        reason (`str`): One of `Failure`.
        detail (`str`): What the server or the connection said, without any key or token.
        retry_after (`float`, *optional*): Seconds that the server asked to wait.
        overloaded (`bool`, *optional*, defaults to `False`): Whether fewer simultaneous calls would help (429, 503).
    """

    def __init__(
        self, reason: Failure, detail: str, *, retry_after: float | None = None, overloaded: bool = False
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.retry_after = retry_after
        self.overloaded = overloaded


class RefusedError(FreeALError):
    """A call to an annotator that fails for this text every time: the text gets no label, for this reason.

    Args:
        reason (`str`): One of `Refusal`.
        detail (`str`): What the server said, without any key or token.
    """

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class RejectedError(AnnotatorError):
    """A call that a server rejects whatever the text is (403, 404).

    It ends the run, unless the server answers the same question without an optional feature of the request.
    """
