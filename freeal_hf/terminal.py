"""What a training that we drive shows on the terminal: its progress bar, if any, and none of its raw figures."""

from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer


class ProgressBar(ProgressCallback):
    """The progress bar of transformers without the figures that it writes above itself."""

    def on_log(self, *_: Any, **__: Any) -> None:
        """Writes nothing."""


def hide_figures(trainer: Trainer) -> None:
    """Keeps the figures that a trainer logs off the terminal; the trackers of `report_to` go on receiving them.

    A table in a notebook stays, too.

    Args:
        trainer (`Trainer`): Before its training.
    """
    trainer.remove_callback(PrinterCallback)
    if trainer.pop_callback(ProgressCallback) is not None:
        trainer.add_callback(ProgressBar)
