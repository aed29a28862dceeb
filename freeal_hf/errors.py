"""The errors that a user can mend. Each message names the value, the place and the remedy, never a token."""


class FreeALError(Exception):
    """Anything that goes wrong in a way that the message explains; the command line prints it without a traceback."""


class InputError(FreeALError, ValueError):
    """A task, a data file, an option or a configuration value that cannot be used."""


class AnnotatorError(FreeALError, RuntimeError):
    """An annotator that cannot work at all: wrong key, unknown model, unreachable server, missing extra."""


class RunError(FreeALError, RuntimeError):
    """A run's folder that cannot be used or written."""


class BudgetExceeded(AnnotatorError):  # noqa: N818 - it ends a run as asked, nothing is wrong
    """The next call might pass the budget. Everything answered so far is kept and valid; the run can go on later."""
