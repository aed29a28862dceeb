"""How the trainer learns where its training stands."""

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class TrainingHooks(TrainerCallback):
    """Calls functions when training and its epochs begin, and when training is over.

    Args:
        on_begin (`Callable`): Called before the first epoch, once the student is where it is trained.
        on_epoch (`Callable`): Called before each epoch.
        on_end (`Callable`): Called after the last epoch, once the best student is loaded.
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
