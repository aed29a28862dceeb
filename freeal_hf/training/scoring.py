"""The probabilities and embeddings of the student for all training texts."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Trainer

from freeal_hf.training.samples import TrainingSet
from freeal_hf.training.student import is_sharded


@torch.no_grad()
def score_training_set(
    trainer: Trainer, samples: TrainingSet, encoder: nn.Module
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores the training set with the student. The texts are divided among all processes.

    Args:
        trainer (`Trainer`): The trainer of the student.
        samples (`TrainingSet`): The training set, with `n` samples.
        encoder (`nn.Module`): The encoder of the student.

    Returns:
        `tuple[NDArray, NDArray]`: Probabilities, shape `[n, classes]`, and embeddings (the mean of the last hidden
        state over the tokens of a text), shape `[texts, hidden size]`, in the order of the dataset.
    """
    args: Any = trainer.args
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    if not is_sharded(model):
        model.to(args.device)  # Trainer leaves this to FSDP, which starts with the training
    was_training = model.training
    model.eval()
    lengths = samples.lengths
    batches = np.split(
        np.argsort(lengths, kind="stable"), range(args.eval_batch_size, len(lengths), args.eval_batch_size)
    )
    hidden: list[Tensor] = []
    hook = encoder.register_forward_hook(lambda module, inputs, output: hidden.append(output[0]))
    probabilities = torch.zeros(len(samples.labels), samples.kind.num_classes, device=args.device)
    embeddings = torch.zeros(len(samples.ids), model.config.hidden_size, device=args.device)
    texts = samples.rows.select_columns(["input_ids", "attention_mask", "sample_index"])
    # All processes must call the model equally often, because they gather sharded weights (FSDP) together.
    for number in range(args.process_index, -(-len(batches) // args.world_size) * args.world_size, args.world_size):
        batch = batches[min(number, len(batches) - 1)]
        columns = texts[batch.tolist()]
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        inputs: Any = trainer._prepare_inputs(trainer.data_collator(rows))
        index = samples.kind.places(inputs.pop("sample_index"))
        with trainer.compute_loss_context_manager(), trainer.accelerator.autocast():
            logits = model(**inputs).logits
        states = hidden.pop().float()
        if number >= len(batches):
            continue
        probabilities[index[index >= 0]] = samples.kind.logits(logits.float())[index >= 0].softmax(-1)
        text_of_row = torch.from_numpy(samples.text_of_row[batch]).to(args.device)
        embeddings.index_add_(0, text_of_row, _mean_state(states, inputs["attention_mask"]))
    hook.remove()
    model.train(was_training)
    # Each row was scored by one process and is zero in all others, so the sum is correct.
    probabilities, embeddings = (
        trainer.accelerator.reduce(found, reduction="sum") for found in (probabilities, embeddings)
    )
    num_windows = torch.from_numpy(np.bincount(samples.text_of_row)).to(args.device)
    return probabilities.cpu().numpy(), (embeddings / num_windows[:, None]).cpu().numpy()


def _mean_state(states: Tensor, mask: Tensor) -> Tensor:
    """Computes the mean over the tokens. If an encoder shortens the sequence (Funnel), the mask is shortened too."""
    if states.shape[1] != mask.shape[1]:
        mask = F.adaptive_max_pool1d(mask[:, None].float(), states.shape[1])[:, 0]
    mask = mask.unsqueeze(-1)
    return (states * mask).sum(1) / mask.sum(1)
