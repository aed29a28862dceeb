"""The targets of the training samples, which follow from the small-loss selection."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.data import NO_LABEL
from freeal_hf.training.losses import ramp_up, restricted
from freeal_hf.training.memory import PredictionMemory
from freeal_hf.training.objectives import Evidence, Objective
from freeal_hf.training.samples import TrainingSet
from freeal_hf.training.selection import Selection, SelectionRules

# Fewer texts than the first number say nothing about a temperature, and more than the second hardly improve it.
_FEWEST_HELD_OUT, _MOST_HELD_OUT = 20, 1_000


class Targets:
    """The target and the weight of each sample in the loss. They are updated by a selection after each epoch.

    Before the first selection all labelled samples are clean, and their target is their label. The target of a sample
    with candidates instead of a label is uniform over the candidates, and after a selection it is the averaged
    prediction of the student, restricted to them.

    Args:
        samples (`TrainingSet`): The training set, with `n` samples.
        args (`FreeALConfig`): The training arguments.
        objective (`Objective`): The loss recipe, which computes the targets after a selection.
        holds_out (`bool`, *optional*, defaults to `True`): Whether labels may be held out from the training.

    Attributes:
        labels (`Tensor` of shape `[n]`): The noisy label of each sample; -1 means none, or held out.
        distributions (`Tensor` of shape `[n, classes]`): The target of each sample.
        weights (`Tensor` of shape `[n]`): The weight of each sample in the loss.
        is_clean (`Tensor` of shape `[n]`): Whether each label is clean.
        is_held_out (`NDArray` of shape `[n]`): Whether each label is held out, to calibrate the student.
        is_taught (`Tensor` of shape `[n]`): Whether each label is clean and not held out, or has candidates.
        losses (`NDArray` of shape `[n]`): The cross-entropy of the averaged predictions in nats; NaN before the first
            selection and without a label.
        posterior (`NDArray` of shape `[n]`): The probability that each label is clean.
        slips (`float`): The probability that some labels are wrong at random; 1 if it is unknown.
        memory (`PredictionMemory`): The predictions of the student, averaged over epochs.
        warm_up_epochs (`int`): The number of epochs before the first selection.
    """

    def __init__(
        self,
        samples: TrainingSet,
        args: FreeALConfig,
        objective: Objective,
        *,
        holds_out: bool = True,
    ) -> None:
        self.samples, self.args, self.objective = samples, args, objective
        num_classes = samples.kind.num_classes
        assert args.num_train_epochs is not None and args.prediction_momentum is not None  # by FreeALConfig
        self.warm_up_epochs = args.warm_up_epochs or samples.kind.warm_up_epochs(args.num_train_epochs)
        self.groups, self._group_names = samples.kind.groups(samples.labels)
        self.memory = PredictionMemory(len(samples.labels), num_classes, args.prediction_momentum, args.device)
        self.losses: NDArray[np.float64] = np.full(len(samples.labels), np.nan)
        self.posterior: NDArray[np.floating] = np.zeros(len(samples.labels))
        share = args.calibration_share
        if share is None:
            share = objective.calibration_share if samples.kind.holds_out_by_default else 0.0
        self.slips = 1.0
        self.is_held_out = self._held_out(share if holds_out else 0.0)
        self.labels = torch.from_numpy(np.where(self.is_held_out, NO_LABEL, samples.labels)).to(args.device)
        self.is_clean = torch.from_numpy(samples.labels != NO_LABEL).to(args.device)
        candidates = np.zeros((1, num_classes), dtype=bool) if samples.candidates is None else samples.candidates
        self._candidates = torch.from_numpy(candidates).to(args.device)
        self._has_candidates = self._candidates.any(dim=-1)
        self.is_taught = (self.labels != NO_LABEL) | self._has_candidates
        self.distributions = F.one_hot(self.labels.clamp_min(0), num_classes).float()
        uniform = restricted(torch.ones_like(self.distributions), self._candidates)
        self.distributions = torch.where(self._has_candidates[:, None], uniform, self.distributions)
        self.weights = self.is_taught.float()

    def _held_out(self, share: float) -> NDArray[np.bool_]:
        """Draws a share of the labels of each group, none of which is trusted; no label at all from a small corpus."""
        count = len(self.samples.labels)
        share = min(share, _MOST_HELD_OUT / len(self.samples.ids))
        held_out = np.zeros(count, dtype=bool)
        if not self.samples.kind.holds_out:
            return held_out
        order = np.random.default_rng(self.args.seed).permutation(count)
        for group in range(len(self._group_names)):
            members = order[(self.groups[order] == group) & ~self.samples.is_trusted[order]]
            held_out[members[: int(share * len(members))]] = True
        return held_out if held_out.sum() >= _FEWEST_HELD_OUT else np.zeros(count, dtype=bool)

    def begin(self, held_out: NDArray[np.float32]) -> None:
        """Starts the averaged predictions with those of a probe that has not seen the labels that it predicts.

        Args:
            held_out (`NDArray` of shape `[n, classes]`): The predictions of the probe.
        """
        self.memory.begin(torch.from_numpy(held_out).to(self.memory.average))
        self.slips = self.samples.kind.slips(self.samples, held_out)

    def select(self) -> dict[str, float]:
        """Selects the clean samples by the averaged predictions, and updates targets and weights.

        Returns:
            `dict[str, float]`: Values to log: the share of clean samples, and the largest clean loss of each group.
        """
        args, labels = self.args, self.samples.labels
        labelled = labels != NO_LABEL
        average = self.memory.average.cpu().numpy()
        self.losses[labelled] = -np.log(np.maximum(average[labelled, labels[labelled]], 1e-7))
        assert args.clean_threshold is not None  # FreeALConfig filled it in
        rules = SelectionRules(
            args.clean_threshold, args.min_clean_share, args.max_clean_share, args.agreement_confidence
        )
        self.posterior, is_clean = self.samples.kind.select(self.samples, self.losses, average, rules)
        trusted = self.samples.is_trusted & labelled
        self.posterior[trusted], is_clean[trusted] = 1.0, True
        self._renew(is_clean)
        logs = {"clean_share": float(is_clean[labelled].mean()) if labelled.any() else 0.0}
        for group, name in enumerate(self._group_names):
            chosen = is_clean & (self.groups == group)
            if chosen.any():
                logs[f"clean_below/{name}"] = float(self.losses[chosen].max())
        return logs

    def ramp(self, epoch: float) -> float:
        """Computes the weight of the loss terms that depend on the selection.

        Args:
            epoch (`float`): The number of epochs so far.

        Returns:
            `float`: A weight in [0, 1]; 0 in warm-up.
        """
        if self.memory.epochs < self.warm_up_epochs:
            return 0.0
        # The ramp starts one epoch earlier, so that the first selection has an effect at once.
        return ramp_up(epoch - self.warm_up_epochs + 1, self.args.ramp_up_epochs or 0.0)

    def _renew(self, is_clean: NDArray[np.bool_]) -> None:
        args, device = self.args, self.args.device
        self.is_clean = torch.from_numpy(is_clean).to(device)
        is_hidden = torch.from_numpy(self.is_held_out).to(device)
        self.is_taught = (self.is_clean & ~is_hidden) | self._has_candidates
        posterior = torch.from_numpy(self.posterior).to(device, torch.float32)
        guesses = self.samples.kind.guesses(self.samples, self.memory.average, self.posterior, args.guess_correction)
        known = Evidence(
            labels=self.labels,
            guesses=restricted(guesses, self._candidates),
            posterior=torch.where(is_hidden, 0.0, posterior),
            is_clean=self.is_taught,
            is_trusted=torch.from_numpy(self.samples.is_trusted).to(device),
            slips=self.slips,
            questions=torch.from_numpy(self.samples.kind.questions(len(self.labels))).to(device),
        )
        self.distributions, self.weights = self.objective.targets(known, args)

    def selection(
        self, predictions: NDArray[Any], probabilities: NDArray[np.float32], embeddings: NDArray[np.float32]
    ) -> Selection:
        """Returns the last selection with the predictions of the trained student.

        Args:
            predictions (`NDArray` of shape `[n]`): The classes that the trained student predicts.
            probabilities (`NDArray` of shape `[n, classes]`): The probabilities of the trained student.
            embeddings (`NDArray` of shape `[texts, hidden size]`): Its embeddings of the texts.

        Returns:
            `Selection`: The selection.
        """
        found = Selection(
            ids=self.samples.ids,
            labels=self.samples.labels,
            losses=self.losses,
            posterior=self.posterior,
            is_clean=self.is_clean.cpu().numpy(),
            predictions=predictions,
            probabilities=probabilities,
            embeddings=embeddings,
        )
        return self.samples.kind.selection(self.samples, found)

    def state(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, NDArray[Any]]:
        """Returns the state that is needed to resume, also in the middle of an epoch.

        Args:
            reduce (`Callable`): Sums a tensor over all processes.

        Returns:
            `dict[str, NDArray]`: Arrays by name.
        """
        memory = {name: value.cpu().numpy() for name, value in self.memory.state(reduce).items()}
        selection = {"losses": self.losses, "posterior": self.posterior, "is_clean": self.is_clean.cpu().numpy()}
        return {**selection, "slips": np.array(self.slips), **memory}

    def load(self, state: dict[str, NDArray[Any]], is_main_process: bool) -> None:
        """Loads a state.

        Args:
            state (`dict[str, NDArray]`): The value that `state` returned.
            is_main_process (`bool`): Whether this is the main process.
        """
        self.losses, self.posterior, self.slips = state["losses"], state["posterior"], float(state.get("slips", 1.0))
        memory = {name: torch.from_numpy(state[name]) for name in ("average", "sums", "counts", "epochs", "estimates")}
        self.memory.load(memory, is_main_process)
        if self.memory.epochs >= self.warm_up_epochs:
            self._renew(state["is_clean"])
