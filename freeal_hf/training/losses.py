"""Parts of the loss of the student: soft targets, mixup, consistency between two views, ramp-up.

The module uses torch only.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Computes the cross-entropy with distributions over the classes as targets.

    Args:
        logits (`Tensor` of shape `[n, classes]`): The logits.
        targets (`Tensor` of shape `[n, classes]`): The target distributions; rows sum to 1.

    Returns:
        `Tensor` of shape `[n]`: The loss of each row in nats.

    Example:

        >>> soft_cross_entropy(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]])).item()  # ln 2
        0.6931471824645996
    """
    return -(targets * F.log_softmax(logits.float(), dim=-1)).sum(-1)


def symmetric_kl(first: Tensor, second: Tensor, temperature: float = 1.0) -> Tensor:
    """Computes the symmetric Kullback-Leibler divergence between the predictions for two views of the same texts.

    Source: FreeAL (Xiao et al., EMNLP 2023), section 3.3, consistency regularisation.

    Args:
        first (`Tensor` of shape `[n, classes]`): The logits of the first view.
        second (`Tensor` of shape `[n, classes]`): The logits of the second view.
        temperature (`float`, *optional*, defaults to 1.0): The logits are divided by it. Values below 1 sharpen both
            predictions.

    Returns:
        `Tensor` of shape `[n]`: The divergence of each row in nats.
    """
    p = F.log_softmax(first.float() / temperature, dim=-1)
    q = F.log_softmax(second.float() / temperature, dim=-1)
    return ((p.exp() - q.exp()) * (p - q)).sum(-1) / 2


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """Raises probabilities to the power 1 / temperature and normalises them.

    Source: MixMatch (Berthelot et al., NeurIPS 2019), equation 7.

    Args:
        probabilities (`Tensor` of shape `[n, classes]`): The probabilities; rows sum to 1.
        temperature (`float`): The temperature, above 0. With 1 nothing changes; with small values the most probable
            class gets a probability of almost 1.

    Returns:
        `Tensor` of shape `[n, classes]`: The sharpened probabilities; rows sum to 1.
    """
    return F.softmax(torch.log(probabilities.clamp_min(1e-12)) / temperature, dim=-1)


def soft_targets(labels: Tensor, guesses: Tensor, trust: Tensor) -> Tensor:
    """Mixes noisy labels with pseudo-labels.

    Source: dynamic bootstrapping (Arazo et al., ICML 2019), equation 8.

    Args:
        labels (`Tensor` of shape `[n]`): The noisy labels; -1 means none.
        guesses (`Tensor` of shape `[n, classes]`): The pseudo-labels, distributions over the classes.
        trust (`Tensor` of shape `[n]`): The share of the noisy label, in [0, 1]; ignored if there is no label.

    Returns:
        `Tensor` of shape `[n, classes]`: The targets; rows sum to 1.

    Example:

        >>> soft_targets(torch.tensor([0]), torch.tensor([[0.0, 1.0]]), trust=torch.tensor([0.75]))
        tensor([[0.7500, 0.2500]])
    """
    share = (trust * (labels >= 0)).to(guesses.dtype)[:, None]
    return share * F.one_hot(labels.clamp_min(0), guesses.shape[-1]) + (1 - share) * guesses


def restricted(probabilities: Tensor, candidates: Tensor) -> Tensor:
    """Restricts distributions to the candidates of each sample: the others get 0, and the rest is divided by its sum.

    Source: progressive identification (Lv et al., ICML 2020, arXiv 2002.08053); CanDist (Xia et al., ACL 2025, arXiv
    2506.03857) uses it for the candidates of a language model.

    Args:
        probabilities (`Tensor` of shape `[n, classes]`): The distributions.
        candidates (`Tensor` of shape `[n, classes]`): Whether each class is a candidate. Rows without any candidate
            are not changed.

    Returns:
        `Tensor` of shape `[n, classes]`: The distributions; rows sum to 1.

    Example:

        >>> restricted(torch.tensor([[0.5, 0.375, 0.125]]), torch.tensor([[False, True, True]]))
        tensor([[0.0000, 0.7500, 0.2500]])
    """
    allowed = candidates | ~candidates.any(dim=-1, keepdim=True)
    kept = probabilities.clamp_min(1e-12) * allowed
    return torch.where(allowed.all(dim=-1, keepdim=True), probabilities, kept / kept.sum(dim=-1, keepdim=True))


def class_weights(labels: Tensor, classes: int, power: float) -> Tensor:
    """Computes weights of the classes against imbalance. Their mean over the samples is 1.

    Args:
        labels (`Tensor` of shape `[n]`): The labels to count, at least 0.
        classes (`int`): The number of classes.
        power (`float`): The power of the inverse class frequency; with 0 all weights are equal. A class without a
            sample has the weight of a class with one sample.

    Returns:
        `Tensor` of shape `[classes]`: The weight of each class.
    """
    counts = torch.bincount(labels, minlength=classes).clamp_min(1).float()
    weights = counts**-power
    return weights * counts.sum() / (weights * counts).sum()


def ramp_up(progress: float, length: float) -> float:
    """Computes a weight that rises linearly from 0 to 1.

    Args:
        progress (`float`): The number of epochs since the start of the ramp.
        length (`float`): The length of the ramp in epochs; 0 means full weight at once.

    Returns:
        `float`: A weight in [0, 1].

    Example:

        >>> ramp_up(progress=0.5, length=2)
        0.25
    """
    return 1.0 if length <= 0 else min(max(progress / length, 0.0), 1.0)


def mixup_pairs(candidates: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Draws random pairs of rows and the weights of their mixtures.

    The weight of the first row is lambda' = max(lambda, 1 - lambda) with lambda from Beta(alpha, alpha). It is at
    least 0.5, so a mixture is closer to its first row. Source: MixMatch (Berthelot et al., NeurIPS 2019), equations 8
        to 11.

    Args:
        candidates (`Tensor` of shape `[m]`): The numbers of the rows to mix.
        alpha (`float`): Both parameters of the Beta distribution, above 0.

    Returns:
        `tuple[Tensor, Tensor, Tensor]`: The first rows, the second rows (a permutation of the first) and the weights
        of the first rows, each of shape `[m]`.
    """
    partners = candidates[torch.randperm(len(candidates), device=candidates.device)]
    gammas = torch._standard_gamma(torch.full((2, len(candidates)), alpha, device=candidates.device))
    weights = gammas[0] / gammas.sum(0)
    return candidates, partners, torch.maximum(weights, 1 - weights)


def mixed_samples(pairs: tuple[Tensor, Tensor, Tensor], is_sample: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Finds the samples that are mixed if rows are mixed: texts, or words at the same position of both rows.

    Args:
        pairs (`tuple[Tensor, Tensor, Tensor]`): The `m` pairs of rows that `mixup_pairs` returned.
        is_sample (`Tensor` of shape `[rows]` or `[rows, length]`): The positions of the samples of the batch.

    Returns:
        `tuple[Tensor, Tensor, Tensor, Tensor]`: For the `k` mixtures of samples, the number of the first and of the
        second sample in the batch and the weight of the first one, each of shape `[k]`; and the positions of the
        mixtures, shape `[m]` or `[m, length]`.
    """
    first, second, weights = pairs
    number = (is_sample.flatten().cumsum(0) - 1).view(is_sample.shape)
    both = is_sample[first] & is_sample[second]
    shares = weights.view(-1, *[1] * (both.dim() - 1)).expand(both.shape)
    return number[first][both], number[second][both], shares[both], both


class HiddenMixup:
    """Mixes rows in the hidden space before the head, for any architecture.

    For each mixture, a copy of its first row is appended to the input of the model, because the head may also read the
    attention mask or lengths. A pre-hook removes the copies before the encoder, and a hook on the output of the
    encoder inserts the mixtures in their place. The head then scores normal and mixed rows in the same forward pass,
    so that DistributedDataParallel, gradient checkpointing and `torch.compile` work as usual.

    Source: manifold mixup (Verma et al., ICML 2019), section 2; FreeAL (Xiao et al., EMNLP 2023), equation 4.

    Args:
        encoder (`nn.Module`): The encoder, whose output the head reads.
    """

    def __init__(self, encoder: nn.Module) -> None:
        self._pairs: tuple[Tensor, Tensor, Tensor] | None = None
        self._hooks = [
            encoder.register_forward_pre_hook(self._drop_copies, with_kwargs=True),
            encoder.register_forward_hook(self._append_mixtures),
        ]

    def arm(self, inputs: dict[str, Tensor], pairs: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        """Appends the rows to mix. The next forward pass mixes them.

        Args:
            inputs (`dict[str, Tensor]`): The inputs of the model, each of shape `[rows, ...]`.
            pairs (`tuple[Tensor, Tensor, Tensor]`): The pairs that `mixup_pairs` returned.

        Returns:
            `dict[str, Tensor]`: The inputs with one more row for each pair, shape `[rows + pairs, ...]`.
        """
        self._pairs = pairs
        return {name: torch.cat([value, value[pairs[0]]]) for name, value in inputs.items()}

    def disarm(self) -> None:
        """Stops mixing: the next forward pass is a normal one."""
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
