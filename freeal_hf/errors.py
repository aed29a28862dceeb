"""The errors that a user can mend. Each message names the value, the place and the remedy, never a token."""


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
