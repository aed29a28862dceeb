"""The probability that a causal language model gives each of a few answers after a prompt."""

import inspect
from collections.abc import Sequence
from itertools import takewhile

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel, __version__
from transformers.cache_utils import DynamicLayer

from freeal_hf.errors import AnnotatorError


@torch.inference_mode()
def answer_log_likelihoods(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    end_token_ids: Sequence[int],
) -> torch.Tensor:
    """Returns the log-probability that the model answers each prompt with each answer and then ends its turn.

    With `end_token_ids`, the end of the turn belongs to an answer. Therefore two answers are different events even if
    one is the beginning of the other, and a softmax over the answers is the exact distribution of the model given that
    it gives one of them. The length of answers needs no correction, and there is none.

    The tokens with which all prompts begin are processed once. The rest of each prompt is processed once, left-padded
    in one batch, and then every answer with the cached keys and values of its prompt.

    Args:
        model (`PreTrainedModel`): A causal language model.
        prompts (`Sequence[Sequence[int]]`): Token ids of P prompts, at least one token each.
        answers (`Sequence[Sequence[int]]`): Token ids of A answers, at least one token each.
        end_token_ids (`Sequence[int]`): Tokens of which any one ends the model's turn; none for answers that can go
            on.

    Returns:
        `torch.Tensor`: Natural logarithms of shape `(P, A)`, float32, on the CPU.

    Raises:
        AnnotatorError: If the model has no cache of keys and values that can be read again.
    """
    # Padding on the left separates the rest of a prompt from the shared tokens. Full attention uses the position ids
    # and is not affected, but a sliding window counts the padding.
    shared = _num_shared_tokens(prompts) if _has_full_attention_only(model) else 0
    cache, mask = None, torch.ones(len(prompts), shared, dtype=torch.long)
    if shared:
        _, cache = _read(model, torch.tensor([prompts[0][:shared]]), mask[:1], None, logits_to_keep=1)
        _copy_rows(cache, torch.zeros(len(prompts), dtype=torch.long))
    rests, rests_mask = _padded([prompt[shared:] for prompt in prompts], side="left")
    mask = torch.cat([mask, rests_mask], dim=1)
    logits, cache = _read(model, rests, mask, cache, logits_to_keep=1)
    first = logits[:, -1].log_softmax(-1)  # (P, vocabulary)

    _copy_rows(cache, torch.arange(len(prompts)).repeat_interleave(len(answers)))
    tokens, _ = _padded(answers, side="right")  # (A, T)
    rows = tokens.repeat(len(prompts), 1)  # (P * A, T): all answers of the first prompt, then of the second, ...
    rows_mask = torch.cat([mask.repeat_interleave(len(answers), 0), torch.ones_like(rows)], dim=1)
    logits, _ = _read(model, rows, rows_mask, cache)
    following = logits.log_softmax(-1).unflatten(0, (len(prompts), len(answers)))  # (P, A, T, vocabulary)

    scores = []
    for answer, (token, *later) in enumerate(answers):
        inner = following[:, answer, range(len(later)), later].sum(-1)
        score = first[:, token] + inner
        if end_token_ids:
            score = score + following[:, answer, len(later), list(end_token_ids)].logsumexp(-1)
        scores.append(score)
    return torch.stack(scores, dim=1).cpu()


def _read(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache | None, logits_to_keep: int = 0
) -> tuple[torch.Tensor, DynamicCache]:
    """Reads `ids` (batch, new) behind `cache`; `mask` (batch, cached + new) is 0 at padding. Logits are float32."""
    positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    # transformers 5 uses the name `cache` for `past_key_values`.
    name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
    output = model(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        position_ids=positions.to(model.device),
        use_cache=True,
        logits_to_keep=logits_to_keep,
        **{name: cache},
    )
    # Other caches, and those of recurrent models without attention, cannot be continued with several tokens at once.
    found = output.get(name)
    if type(found) is not DynamicCache or not any(isinstance(layer, DynamicLayer) for layer in found.layers):
        raise AnnotatorError(
            f"{type(model).__name__} keeps no cache that answers can be scored on in transformers {__version__}; use "
            "transformers 5 or later, or a model with attention in its layers."
        )
    return output.logits.float(), found


def _copy_rows(cache: DynamicCache, rows: torch.Tensor) -> None:
    # This method is made for beam search, but only it can copy rows in caches of every kind of layer.
    cache.reorder_cache(rows)  # type: ignore[arg-type]


def _padded(sequences: Sequence[Sequence[int]], side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the sequences as one padded tensor, and a mask that is 0 at the padding."""
    tensors = [torch.tensor(sequence) for sequence in sequences]
    ids = pad_sequence(tensors, batch_first=True, padding_side=side)
    mask = pad_sequence([torch.ones_like(tensor) for tensor in tensors], batch_first=True, padding_side=side)
    return ids, mask


def _num_shared_tokens(prompts: Sequence[Sequence[int]]) -> int:
    """Returns the tokens with which all prompts begin. At least one token of each prompt is not among them."""
    places = zip(*(prompt[:-1] for prompt in prompts), strict=False)
    return sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, places))


def _has_full_attention_only(model: PreTrainedModel) -> bool:
    config = model.config.get_text_config()
    layers = getattr(config, "layer_types", None)
    if layers is not None:
        return set(layers) == {"full_attention"}
    return getattr(config, "sliding_window", None) is None
