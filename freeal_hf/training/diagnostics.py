"""What a watcher of the training sees: steps done, and after each epoch the losses, clean and noisy apart."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

if TYPE_CHECKING:
    from freeal_hf.training.trainer import FreeALTrainer

_BINS = 40


class DiagnosticsCallback(TrainerCallback):
    """Reports the steps of a trainer, and its small-loss selection after every epoch that has one.

    Args:
        trainer (`FreeALTrainer`): Whose losses are reported.
        on_step (`Callable[[int, int], None]`): Told the steps that are done and those in all.
        on_selection (`Callable[[Mapping[str, Any]], None]`): Told `loss_histogram`'s values, with the `epoch`.
    """

    def __init__(
        self,
        trainer: "FreeALTrainer",
        on_step: Callable[[int, int], None],
        on_selection: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self.trainer, self.on_step, self.on_selection = trainer, on_step, on_selection

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Reports the steps that a checkpoint brought along."""
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
    """Counts of clean and noisy samples by loss.

    Args:
        losses (`np.ndarray` of shape `(n,)`): Losses in nats; NaN without a label.
        is_clean (`np.ndarray` of shape `(n,)`): Whether each is trusted.

    Returns:
        `dict[str, Any]`: `edges` of the bins (one more than bins), counts `clean` and `noisy`; plain lists.
    """
    known = ~np.isnan(losses)
    highest = float(losses[known].max()) if known.any() else 0.0
    edges = np.linspace(0, max(highest, 1e-6), _BINS + 1)
    return {
        "edges": [round(edge, 6) for edge in edges.tolist()],
        "clean": np.histogram(losses[known & is_clean], edges)[0].tolist(),
        "noisy": np.histogram(losses[known & ~is_clean], edges)[0].tolist(),
    }
