"""Hides the raw metrics of trainers, and optionally progress bars, in the terminal."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import datasets
import huggingface_hub.utils as hub
import transformers.utils.logging as transformers
from transformers import PrinterCallback, ProgressCallback, Trainer


class ProgressBar(ProgressCallback):
    """The progress bar of transformers without the metrics above it."""

    def on_log(self, *_: Any, **__: Any) -> None:
        """Writes nothing."""


def hide_figures(trainer: Trainer) -> None:
    """Hides the metrics that a trainer logs in the terminal. Trackers and notebooks still show them.

    Args:
        trainer (`Trainer`): The trainer, before its training.
    """
    trainer.remove_callback(PrinterCallback)
    if trainer.pop_callback(ProgressCallback) is not None:
        trainer.add_callback(ProgressBar)


@contextmanager
def without_bars() -> Iterator[None]:
    """Hides the progress bars of transformers, datasets and huggingface_hub in a block."""
    with ExitStack() as shown_again:
        # Called last, because transformers also shows the bars of huggingface_hub.
        shown_again.callback(
            hub.disable_progress_bars if hub.are_progress_bars_disabled() else hub.enable_progress_bars
        )
        if transformers.is_progress_bar_enabled():
            shown_again.callback(transformers.enable_progress_bar)
        if not datasets.utils.are_progress_bars_disabled():
            shown_again.callback(datasets.enable_progress_bars)
        transformers.disable_progress_bar()
        datasets.disable_progress_bars()
        yield
