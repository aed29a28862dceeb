"""Adds the embeddings and predictions that a strategy needs to a pool, with a student or an untrained encoder."""

from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.special import softmax

from freeal_hf.embedded import resolve_model
from freeal_hf.errors import InputError
from freeal_hf.prediction.classifier import forward
from freeal_hf.select.pool import Pool, Strategy
from freeal_hf.tasks import Task

_DROPOUT_PASSES = 10
_NEEDS_STUDENT = {"probabilities", "dropout_probabilities"}


def described_pool(
    pool: Pool,
    strategy: Strategy,
    task: Task | None,
    *,
    student: str,
    epochs: float = 20,
    batch_size: int = 64,
    max_length: int = 128,
    seed: int = 0,
) -> Pool:
    """Adds the fields that a strategy needs to a pool.

    If there are labels, a student is trained on them, and computes embeddings and predictions of all texts. Otherwise
    there are only embeddings, by the untrained encoder (mean of the last layer).

    Args:
        pool (`Pool`): The texts and human labels.
        strategy (`Strategy`): The strategy.
        task (`Task`, *optional*): The task; needed if there are labels.
        student (`str`): The Hub id or folder of the encoder.
        epochs (`float`, *optional*, defaults to 20): The number of training epochs.
        batch_size (`int`, *optional*, defaults to 64): The number of texts in a forward pass.
        max_length (`int`, *optional*, defaults to 128): The maximum number of tokens in a text.
        seed (`int`, *optional*, defaults to 0): The random seed of the training and of dropout.

    Returns:
        `Pool`: The pool with those of `embeddings`, `probabilities` and `dropout_probabilities` (10 passes) that the
        strategy needs.

    Raises:
        InputError: If the strategy needs a student and no text is labelled, or the encoder cannot be loaded.
    """
    needs = set(strategy.needs)
    if not needs:
        return pool
    has_labels = len(pool.labelled) > 0
    if needs & _NEEDS_STUDENT and not has_labels:
        raise InputError(
            f"{type(strategy).__name__} needs a student, which is trained on labelled texts: give some with "
            "--labelled, or choose the first texts with the strategy llm, kmeans, coreset or random."
        )
    if has_labels:
        assert task is not None
        model, tokenizer = _trained(pool, task, student, epochs, max_length, seed)
    else:
        model, tokenizer = _loaded(student)
    model.eval()
    described = partial(forward, model, tokenizer, pool.texts, batch_size, max_length=max_length)
    logits, embeddings = described(with_embeddings=True)
    found: dict[str, Any] = {"embeddings": embeddings}
    if "probabilities" in needs:
        found["probabilities"] = _probabilities(model, logits)
    if "dropout_probabilities" in needs:
        _switch_dropout_on(model, seed)
        passes = [described(with_embeddings=False)[0] for _ in range(_DROPOUT_PASSES)]
        found["dropout_probabilities"] = _probabilities(model, np.array(passes))
    return replace(pool, **{name: value for name, value in found.items() if name in needs})


def _trained(pool: Pool, task: Task, student: str, epochs: float, max_length: int, seed: int) -> tuple[Any, Any]:
    from datasets import Dataset

    from freeal_hf.loop.terminal import hide_figures
    from freeal_hf.training.config import FreeALConfig
    from freeal_hf.training.trainer import FreeALTrainer

    labelled = pool.labelled
    rows = {"text": [pool.texts[i] for i in labelled], "label": pool.labels[labelled].tolist()}
    with TemporaryDirectory() as folder:
        args = FreeALConfig(
            output_dir=folder,
            num_train_epochs=epochs,
            warm_up_epochs=int(np.ceil(epochs)),  # human labels are clean, so use plain cross-entropy only
            per_device_train_batch_size=16,
            max_length=max_length,
            save_strategy="no",
            dataloader_pin_memory=False,
            report_to="none",
            disable_tqdm=True,
            seed=seed,
        )
        try:
            trainer = FreeALTrainer(student, args, train_dataset=Dataset.from_dict(rows), class_names=task.label_names)
        except OSError as error:
            raise _no_encoder(student, error) from error
        hide_figures(trainer)
        trainer.train()
    return trainer.model, trainer.processing_class


def _probabilities(model: Any, logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of the classes of each sample, shape `[..., classes]`."""
    import torch

    from freeal_hf.training.samples import sample_kind_of

    kind = sample_kind_of(None, model.config.problem_type)(list(model.config.id2label.values()))
    found: np.ndarray = softmax(kind.logits(torch.from_numpy(logits)).numpy(), axis=-1)
    return found


def _loaded(student: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    try:
        return AutoModel.from_pretrained(resolve_model(student)), AutoTokenizer.from_pretrained(resolve_model(student))
    except (OSError, ValueError) as error:
        raise _no_encoder(student, error) from error


def _switch_dropout_on(model: Any, seed: int) -> None:
    import torch

    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.train()


def _no_encoder(student: str, error: Exception) -> InputError:
    return InputError(
        f"{student!r} cannot be loaded as an encoder; give a folder or a Hub id. transformers says: "
        f"{str(error).splitlines()[0]}"
    )
