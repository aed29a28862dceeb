"""The exceptions of the package. Each message has the value, the place and the remedy, and never a token."""

import os
from typing import ClassVar, Literal

Failure = Literal["timeout", "connection failed", "server error", "rate limited", "broken response"]
"""The reasons of failed calls that are repeated."""

Refusal = Literal["request refused", "text too long", "content filter"]
"""The reasons why a text cannot be labelled."""

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


def offline_hint() -> str:
    """Returns a sentence for an error message if environment variables set the Hub libraries to offline mode.

    Returns:
        `str`: The sentence, after a blank; empty if no such variable is set.
    """
    values = {name: os.environ.get(name, "") for name in _OFFLINE}
    given = [f"{name}={value}" for name, value in values.items() if value.upper() in ("1", "ON", "YES", "TRUE")]
    return f" Nothing is downloaded, because {' and '.join(given)} is set; unset it." if given else ""


class FreeALError(Exception):
    """Base class of all errors of the package. The command line prints them without a traceback.

    Attributes:
        docs (`str`): The page of the documentation about such errors, with its section.
    """

    docs: ClassVar[str] = "troubleshooting.md"


class InputError(FreeALError, ValueError):
    """Raised if a task, a data file, an option or a configuration value cannot be used."""

    docs = "troubleshooting.md#data-and-options"


class AnnotatorError(FreeALError, RuntimeError):
    """Raised if an annotator cannot work at all: wrong key, unknown model, unreachable server, missing extra."""

    docs = "troubleshooting.md#the-annotator"


class DoubtfulAnswersError(AnnotatorError):
    """Raised if answers look independent of the texts. The run continues if the user confirms them.

    Args:
        message (`str`): The problem and the remedy.
        reason (`str`, *optional*, defaults to `""`): The problem.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class RunError(FreeALError, RuntimeError):
    """Raised if the folder of a run cannot be used or written."""

    docs = "troubleshooting.md#the-run"


class HubError(FreeALError, RuntimeError):
    """Raised if a push to the Hub or a pull from it fails. The folder on disk stays complete."""

    docs = "troubleshooting.md#the-hub"


class HubChanged(HubError):  # noqa: N818 - not always an error: a push reads the repository again and continues
    """Raised if a repository has changed between reading it and committing to it. Nothing was overwritten."""


class BudgetExceeded(AnnotatorError):  # noqa: N818 - not an error: the run ends as requested
    """Raised if the next call could exceed the budget. All answers are kept, and the run can be continued."""

    docs = "how-to/cost.md"


class TransientError(FreeALError):
    """Raised if a call to an annotator failed and can succeed later. The driver repeats the call.

    Args:
        reason (`str`): One of `Failure`.
        detail (`str`): The message of the server or the connection, without keys and tokens.
        retry_after (`float`, *optional*): The time in seconds that the server asked to wait.
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
    """Raised if a call to an annotator always fails for a text. The text gets no label.

    Args:
        reason (`str`): One of `Refusal`.
        detail (`str`): The message of the server, without keys and tokens.
    """

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class RejectedError(AnnotatorError):
    """Raised if a server rejects a call for any text (403, 404).

    It ends the run, unless the server answers the same request without an optional feature.
    """
