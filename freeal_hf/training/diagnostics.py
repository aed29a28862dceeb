"""Reports the progress of a training: its steps, and after each epoch the losses of clean and noisy samples."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

if TYPE_CHECKING:
    from freeal_hf.training.trainer import FreeALTrainer

_BINS = 40


class DiagnosticsCallback(TrainerCallback):
    """Reports the steps of a trainer and each small-loss selection.

    Args:
        trainer (`FreeALTrainer`): The trainer.
        on_step (`Callable[[int, int], None]`): Called with the number of finished steps and the number of all steps.
        on_selection (`Callable[[Mapping[str, Any]], None]`): Called with the values of `loss_histogram` and the
            `epoch`.
    """

    def __init__(
        self,
        trainer: "FreeALTrainer",
        on_step: Callable[[int, int], None],
        on_selection: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self.trainer, self.on_step, self.on_selection = trainer, on_step, on_selection

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Reports the steps that were finished before the training was resumed."""
        self.on_step(state.global_step, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Reports a step."""
        self.on_step(state.global_step, state.max_steps)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Reports a selection, which the trainer logs as `clean_share`."""
        if "clean_share" in (logs or {}):
            is_clean = self.trainer.targets.is_clean.cpu().numpy()
            histogram = loss_histogram(self.trainer.targets.losses, is_clean)
            self.on_selection({"epoch": round(state.epoch or 0.0), **histogram})


def loss_histogram(losses: np.ndarray, is_clean: np.ndarray) -> dict[str, Any]:
    """Counts clean and noisy samples by loss.

    Args:
        losses (`np.ndarray` of shape `[n]`): Losses in nats; NaN for samples without a label.
        is_clean (`np.ndarray` of shape `[n]`): Whether the label of each sample is clean.

    Returns:
        `dict[str, Any]`: The lists `edges` (the edges of the bins), and `clean` and `noisy` (the counts in each bin).
    """
    known = ~np.isnan(losses)
    highest = float(losses[known].max()) if known.any() else 0.0
    edges = np.linspace(0, max(highest, 1e-6), _BINS + 1)
    return {
        "edges": [round(edge, 6) for edge in edges.tolist()],
        "clean": np.histogram(losses[known & is_clean], edges)[0].tolist(),
        "noisy": np.histogram(losses[known & ~is_clean], edges)[0].tolist(),
    }
