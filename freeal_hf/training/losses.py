"""Parts of the student's loss: soft targets, mixup pairs, consistency between two views, ramp-up.

Torch only, no Trainer in sight.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy against a distribution over the classes.

    Args:
        logits: Shape `[n, classes]`.
        targets: Rows that sum to 1, shape `[n, classes]`.

    Returns:
        One loss per row in nats, shape `[n]`.
    """
    return -(targets * F.log_softmax(logits.float(), dim=-1)).sum(-1)


def symmetric_kl(first: Tensor, second: Tensor, temperature: float = 1.0) -> Tensor:
    """Symmetric Kullback-Leibler divergence between the predictions for two views of the same texts.

    Source: FreeAL (Xiao et al., EMNLP 2023), section 3.3, consistency regularisation.

    Args:
        first: Logits for the first view, shape `[n, classes]`.
        second: Logits for the second view, shape `[n, classes]`.
        temperature: The logits are divided by it; below 1 sharpens both predictions.

    Returns:
        One divergence per row in nats, shape `[n]`.
    """
    p = F.log_softmax(first.float() / temperature, dim=-1)
    q = F.log_softmax(second.float() / temperature, dim=-1)
    return ((p.exp() - q.exp()) * (p - q)).sum(-1) / 2


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """Raise to the power 1 / temperature and renormalise, so that a guess commits itself.

    Source: MixMatch (Berthelot et al., NeurIPS 2019), equation 7.

    Args:
        probabilities: Rows that sum to 1, shape `[n, classes]`.
        temperature: Above 0; 1 changes nothing, towards 0 gives the most probable class all.

    Returns:
        Rows that sum to 1, shape `[n, classes]`.
    """
    return F.softmax(torch.log(probabilities.clamp_min(1e-12)) / temperature, dim=-1)


def soft_targets(labels: Tensor, guesses: Tensor, trust: Tensor) -> Tensor:
    """Mix noisy labels with guesses, as far as each label is trusted.

    Source: dynamic bootstrapping (Arazo et al., ICML 2019), equation 8.

    Args:
        labels: Noisy labels, shape `[n]`; -1 = none.
        guesses: Distributions over the classes, shape `[n, classes]`.
        trust: Share of the label in [0, 1], shape `[n]`; ignored where there is no label.

    Returns:
        Rows that sum to 1, shape `[n, classes]`.
    """
    share = (trust * (labels >= 0)).to(guesses.dtype)[:, None]
    return share * F.one_hot(labels.clamp_min(0), guesses.shape[-1]) + (1 - share) * guesses


def class_weights(labels: Tensor, classes: int, power: float) -> Tensor:
    """Weights of the classes against imbalance, 1 on average over the samples.

    Args:
        labels: Labels to count, shape `[n]`; none below 0.
        classes: Number of classes.
        power: 0 gives every class the same weight, 1 the inverse of its frequency; a class without a sample weighs
            as if it had one.

    Returns:
        One weight for each class, shape `[classes]`.
    """
    counts = torch.bincount(labels, minlength=classes).clamp_min(1).float()
    weights = counts**-power
    return weights * counts.sum() / (weights * counts).sum()


def ramp_up(progress: float, length: float) -> float:
    """Weight that rises linearly from 0 to 1.

    Args:
        progress: Epochs since the ramp began.
        length: Epochs the ramp takes; 0 = full weight at once.

    Returns:
        A weight in [0, 1].
    """
    return 1.0 if length <= 0 else min(max(progress / length, 0.0), 1.0)


def mixup_pairs(candidates: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pair rows at random and draw how much of each enters the mixture.

    The weight of the first row is lambda' = max(lambda, 1 - lambda) with lambda from Beta(alpha, alpha), so that a
    mixture stays closest to its first row. Source: MixMatch (Berthelot et al., NeurIPS 2019), equations 8 to 11.

    Args:
        candidates: Row numbers that may be mixed, shape `[m]`.
        alpha: Both parameters of the Beta distribution, above 0.

    Returns:
        First rows `[m]`, second rows `[m]` (a permutation of the first) and weights of the first rows `[m]`.
    """
    partners = candidates[torch.randperm(len(candidates), device=candidates.device)]
    gammas = torch._standard_gamma(torch.full((2, len(candidates)), alpha, device=candidates.device))
    weights = gammas[0] / gammas.sum(0)
    return candidates, partners, torch.maximum(weights, 1 - weights)


def mixed_samples(pairs: tuple[Tensor, Tensor, Tensor], is_sample: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which samples a mixture of rows mixes: the texts, or the words that stand in the same place of both rows.

    Args:
        pairs: What `mixup_pairs` returned, for `m` pairs of rows.
        is_sample: Where the samples of a batch stand, shape `[rows]` or `[rows, length]`.

    Returns:
        For each of the `k` mixtures the number of its first and of its second sample among those of the batch and the
        weight of the first, each `[k]`; and where the mixtures stand, shape `[m]` or `[m, length]`.
    """
    first, second, weights = pairs
    number = (is_sample.flatten().cumsum(0) - 1).view(is_sample.shape)
    both = is_sample[first] & is_sample[second]
    shares = weights.view(-1, *[1] * (both.dim() - 1)).expand(both.shape)
    return number[first][both], number[second][both], shares[both], both


class HiddenMixup:
    """Mix rows in hidden space just before the head, whatever the architecture.

    The rows to be mixed are appended to the model's input as copies of their first partners, so that whatever the
    head reads beside the hidden states (attention mask, lengths) belongs to them. A pre-hook takes the copies away
    before the encoder sees them (they cost nothing there) and a hook on the encoder's output puts the mixtures in
    their place. The model's own head then scores real and mixed rows in the same forward, so that
    DistributedDataParallel, gradient checkpointing and `torch.compile` work as ever.

    Source: manifold mixup (Verma et al., ICML 2019), section 2; FreeAL (Xiao et al., EMNLP 2023), equation 4.

    Args:
        encoder: The part of the model whose output its head reads.
    """

    def __init__(self, encoder: nn.Module) -> None:
        self._pairs: tuple[Tensor, Tensor, Tensor] | None = None
        self._hooks = [
            encoder.register_forward_pre_hook(self._drop_copies, with_kwargs=True),
            encoder.register_forward_hook(self._append_mixtures),
        ]

    def arm(self, inputs: dict[str, Tensor], pairs: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        """Append the rows to be mixed and remember how to mix them in the next forward.

        Args:
            inputs: The model's inputs, each of shape `[rows, ...]`.
            pairs: What `mixup_pairs` returned.

        Returns:
            The inputs with one row more for each pair, shape `[rows + pairs, ...]`.
        """
        self._pairs = pairs
        return {name: torch.cat([value, value[pairs[0]]]) for name, value in inputs.items()}

    def disarm(self) -> None:
        """Let the next forward pass through unchanged."""
        self._pairs = None

    def _drop_copies(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        if self._pairs is None:
            return None
        count = len(self._pairs[0])
        args = tuple(value[:-count] if isinstance(value, Tensor) else value for value in args)
        return args, {key: value[:-count] if isinstance(value, Tensor) else value for key, value in kwargs.items()}

    def _append_mixtures(self, module: nn.Module, args: Any, output: Any) -> Any:
        if self._pairs is None:
            return None
        first, second, weights = self._pairs

        def extend(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            share = weights.view(-1, *[1] * (value.dim() - 1)).to(value.dtype)
            return torch.cat([value, share * value[first] + (1 - share) * value[second]])

        if isinstance(output, tuple):
            return tuple(extend(value) for value in output)
        for name, value in output.items():
            output[name] = extend(value)
        return output
