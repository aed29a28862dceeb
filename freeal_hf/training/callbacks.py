"""The callback that calls the trainer when a training or an epoch begins, and when the training ends."""

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class TrainingHooks(TrainerCallback):
    """Calls functions when the training and its epochs begin, and when the training ends.

    Args:
        on_begin (`Callable`): Called before the first epoch, when the student is on its device.
        on_epoch (`Callable`): Called before each epoch.
        on_end (`Callable`): Called after the last epoch, when the best student is loaded.
    """

    def __init__(self, on_begin: Callable[[], None], on_epoch: Callable[[], None], on_end: Callable[[], None]) -> None:
        self._on_begin, self._on_epoch, self._on_end = on_begin, on_epoch, on_end

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """See [`~transformers.TrainerCallback`]."""
        self._on_begin()

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """See [`~transformers.TrainerCallback`]."""
        self._on_epoch()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """See [`~transformers.TrainerCallback`]."""
        self._on_end()
