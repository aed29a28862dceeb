"""FreeALTrainer: a Trainer whose student learns from noisy labels and says which of them it trusts."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import TrainOutput

from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.data import (
    EVAL_COLUMNS,
    NO_LABEL,
    TRAIN_COLUMNS,
    LengthGroupedSampler,
    TwoViewCollator,
    label_names_of,
    tokenize,
)
from freeal_hf.training.losses import HiddenMixup, mixup_pairs, ramp_up, sharpen, soft_cross_entropy, symmetric_kl
from freeal_hf.training.selection import SelectionRules, select_clean

SELECTION_FILE = "selection.npz"
_TRAINER_STATE_FILE = "trainer_state.json"


@dataclass
class Selection:
    """What the student thinks of its training labels, every field in the order of the training set (`n` samples).

    Args:
        ids: The data set's `id` column, or the row numbers as strings.
        labels: Noisy labels, shape `[n]`; -1 = none.
        losses: Running average over epochs of the cross-entropy in nats, shape `[n]`; NaN without a label.
        posterior: Probability of being clean, shape `[n]`; 0 without a label.
        is_clean: Whether the label is trusted, shape `[n]`.
        predictions: The student's labels, shape `[n]`.
        probabilities: The student's probabilities, shape `[n, classes]`.
        embeddings: Mean of the last hidden state over the text's tokens, shape `[n, hidden size]`.
    """

    ids: list[str]
    labels: NDArray[np.int64]
    losses: NDArray[np.float64]
    posterior: NDArray[np.float64]
    is_clean: NDArray[np.bool_]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32]


class FreeALTrainer(Trainer):
    """Train a student on noisy labels: warm-up, small-loss selection every epoch, mixup, consistency of two views.

    Source: FreeAL (Xiao et al., EMNLP 2023), section 3.3.

    Args:
        model: A sequence classifier, or the name or folder of an encoder to build one from.
        args: How to train.
        train_dataset: Columns `text` (or ready `input_ids`) and noisy `label` (-1 = none); optional `augmented_text`
            (a second view, such as a back-translation) and `id`. Other columns are ignored.
        eval_dataset: Columns `text` (or `input_ids`) and `label`; one data set or several by name.
        processing_class: The tokenizer; by default the one that belongs to `model` when that is a name.
        compute_metrics: As in [`~transformers.Trainer`].
        callbacks: As in [`~transformers.Trainer`].
        label_names: Names of the classes; by default those of the `ClassLabel` column `label`.
        **kwargs: Further arguments of [`~transformers.Trainer`].
    """

    args: FreeALConfig

    def __init__(
        self,
        model: str | Path | PreTrainedModel,
        args: FreeALConfig,
        train_dataset: Dataset | None = None,
        eval_dataset: Dataset | dict[str, Dataset] | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        label_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(model, (str, Path)):
            if processing_class is None:
                processing_class = AutoTokenizer.from_pretrained(model)
            model = _build_student(model, args, _class_names(train_dataset, label_names))
        if args.n_gpu > 1:
            # DataParallel would split the batch between its two views; torchrun or accelerate launch use every GPU.
            args._n_gpu = 1
        if args.freeze_embeddings:
            model.get_input_embeddings().weight.requires_grad_(False)
        self.num_labels: int = model.config.num_labels
        self.selection: Selection | None = None
        self._mixup = HiddenMixup(_encoder(model))
        self._ids: list[str] = []
        self._tokenizer, self._max_length = processing_class, args.max_length
        if train_dataset is not None:
            names = train_dataset.column_names
            self._ids = [str(i) for i in (train_dataset["id"] if "id" in names else range(len(train_dataset)))]
            train_dataset = tokenize(train_dataset, processing_class, args.max_length, TRAIN_COLUMNS)
            self._lengths = [len(ids) for ids in train_dataset["input_ids"]]
            self._labels = np.array(train_dataset["labels"], dtype=np.int64)
        super().__init__(
            model=model,
            args=args,
            data_collator=TwoViewCollator(processing_class),
            train_dataset=train_dataset,
            eval_dataset=self._prepare_eval(eval_dataset),
            processing_class=processing_class,
            compute_metrics=compute_metrics,
            callbacks=callbacks,
            **kwargs,
        )
        self.label_names = ["labels"]
        # The loss below divides by the rows of the whole accumulated batch itself.
        self.model_accepts_loss_kwargs = True
        self._parts: defaultdict[str, list[Tensor]] = defaultdict(list)
        self._reset_selection()
        self.add_callback(_SelectionCallback(self))

    # ---- Data ----

    def _prepare_eval(self, dataset: Any) -> Any:
        if isinstance(dataset, dict):
            return {name: self._prepare_eval(part) for name, part in dataset.items()}
        if dataset is None:
            return None
        return tokenize(dataset, self._tokenizer, self._max_length, EVAL_COLUMNS)

    def get_eval_dataloader(self, eval_dataset: str | Dataset | None = None) -> Any:
        """As in Trainer; a data set of texts is tokenized."""
        prepared = self._prepare_eval(eval_dataset) if isinstance(eval_dataset, Dataset) else eval_dataset
        return super().get_eval_dataloader(prepared)

    def get_test_dataloader(self, test_dataset: Dataset) -> Any:
        """As in Trainer; a data set of texts is tokenized."""
        return super().get_test_dataloader(self._prepare_eval(test_dataset))

    def _set_signature_columns_if_needed(self) -> None:
        if self._signature_columns is None:
            super()._set_signature_columns_if_needed()
            self._signature_columns += [name for name in TRAIN_COLUMNS if name not in self._signature_columns]

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if getattr(self.args, "train_sampling_strategy", None) == "group_by_length" or getattr(
            self.args, "group_by_length", False
        ):
            rows = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
            return LengthGroupedSampler(
                self._lengths, rows, self.args.seed if self.args.data_seed is None else self.args.data_seed
            )
        return super()._get_train_sampler(train_dataset)

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        # Trainer would group evaluation rows by length too, and so return predictions in another order.
        return SequentialSampler(eval_dataset) if self.args.world_size <= 1 else None

    # ---- Loss ----

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Cross-entropy while evaluating; the sum of the method's parts while training."""
        labels = inputs.pop("labels")
        if not model.training:
            outputs = model(**inputs)
            losses = F.cross_entropy(outputs.logits.float(), labels, ignore_index=NO_LABEL, reduction="sum")
            loss = losses / (labels != NO_LABEL).sum().clamp_min(1)
            return (loss, outputs) if return_outputs else loss
        loss, outputs = self._training_loss(model, inputs, labels)
        rows = len(labels) if num_items_in_batch is None else num_items_in_batch
        loss = loss / rows
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _training_loss(self, model: nn.Module, inputs: dict[str, Tensor], labels: Tensor) -> tuple[Tensor, Any]:
        args, rows = self.args, len(labels)
        index = inputs.pop("sample_index")
        views = len(inputs["input_ids"]) // rows
        is_clean = self._is_clean.to(labels.device)[index]
        weight = 0.0
        if self._selections > 0:
            weight = ramp_up((self.state.epoch or 0.0) - args.warm_up_epochs, args.ramp_up_epochs)
        candidates = is_clean.nonzero()[:, 0] if args.mixup_clean_only else torch.arange(rows, device=labels.device)
        mixes = args.mixup_alpha > 0 and weight * args.mixup_weight > 0 and len(candidates) > 0
        if mixes:
            first, second, share = mixup_pairs(candidates, args.mixup_alpha)
            inputs = self._mixup.arm(inputs, (first, second, share))
        outputs = model(**inputs)
        self._mixup.disarm()
        logits = outputs.logits.float()
        by_view = logits[: views * rows].view(views, rows, -1)
        targets = F.one_hot(labels.clamp_min(0), self.num_labels).to(logits.dtype)
        supervised = torch.stack([soft_cross_entropy(view, targets) for view in by_view]).mean(0) * is_clean
        parts = {"supervised_loss": supervised.sum()}
        if weight * args.consistency_weight > 0 and views > 1:
            divergence = symmetric_kl(by_view[0], by_view[1], args.consistency_temperature) * ~is_clean
            parts["consistency_loss"] = args.consistency_weight * weight * divergence.sum()
        if mixes:
            guess = sharpen(by_view.detach().softmax(-1).mean(0), args.consistency_temperature)
            targets = torch.where(is_clean[:, None], targets, guess)
            mixed = share[:, None] * targets[first] + (1 - share)[:, None] * targets[second]
            mixup_loss = soft_cross_entropy(logits[views * rows :], mixed).sum()
            parts["mixup_loss"] = args.mixup_weight * weight * mixup_loss
        for name, part in parts.items():
            self._parts[name].append(part.detach() / rows)
        outputs.logits = logits[:rows]
        return torch.stack(list(parts.values())).sum(), outputs

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As in Trainer, with the parts of the training loss."""
        if "loss" in logs:
            for name, values in self._parts.items():
                logs[name] = torch.stack(values).mean().item()
            self._parts.clear()
        super().log(logs, start_time)

    # ---- Selection ----

    def _reset_selection(self) -> None:
        """Before the first selection every labelled sample counts as clean."""
        if self.train_dataset is None:
            return
        self._selections = 0
        self._selected_at = -1
        self._losses = np.full(len(self._labels), np.nan)
        self._posterior = np.zeros(len(self._labels))
        self._set_clean(self._labels != NO_LABEL)

    def _set_clean(self, is_clean: NDArray[np.bool_]) -> None:
        self._is_clean = torch.from_numpy(is_clean).to(self.args.device)

    def _select(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score every training text, update the running losses and choose the clean samples."""
        logits, embeddings = self._score_training_set()
        log_probabilities = F.log_softmax(torch.from_numpy(logits), dim=-1).numpy()
        labelled = self._labels != NO_LABEL
        losses = np.full(len(labelled), np.nan)
        losses[labelled] = -log_probabilities[labelled, self._labels[labelled]]
        momentum = self.args.loss_momentum if self._selections else 0.0
        self._losses = losses if momentum == 0 else momentum * self._losses + (1 - momentum) * losses
        probabilities = np.exp(log_probabilities)
        args = self.args
        rules = SelectionRules(
            args.clean_threshold, args.min_clean_share, args.max_clean_share, args.agreement_confidence
        )
        self._posterior, is_clean = select_clean(self._losses, self._labels, probabilities, rules)
        self._set_clean(is_clean)
        self._selections += 1
        self.log({"clean_share": float(is_clean[labelled].mean()) if labelled.any() else 0.0})
        return probabilities, embeddings

    @torch.no_grad()
    def _score_training_set(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits and embeddings of all training texts, in the data set's order, without touching any random state."""
        model, args = self.model, self.args
        was_training = model.training
        model.eval()
        count = len(self._lengths)
        order = np.argsort(self._lengths, kind="stable")
        batches = np.split(order, range(args.eval_batch_size, count, args.eval_batch_size))
        columns = self.train_dataset.select_columns(["input_ids", "attention_mask"])
        hidden: list[Tensor] = []
        hook = _encoder(model).register_forward_hook(lambda module, inputs, output: hidden.append(output[0]))
        logits = torch.zeros(count, self.num_labels, device=args.device)
        embeddings: Tensor | None = None
        for batch in batches[args.process_index :: args.world_size]:
            rows = columns[batch.tolist()]
            inputs = self.data_collator(
                [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
            )
            inputs = self._prepare_inputs(inputs)
            with self.compute_loss_context_manager(), self.accelerator.autocast():
                output = model(**inputs)
            states, mask = hidden.pop(), inputs["attention_mask"].unsqueeze(-1)
            if embeddings is None:
                embeddings = torch.zeros(count, states.shape[-1], device=args.device)
            positions = torch.from_numpy(batch).to(args.device)
            logits[positions] = output.logits.float()
            embeddings[positions] = ((states * mask).sum(1) / mask.sum(1)).float()
        hook.remove()
        model.train(was_training)
        if embeddings is None:
            embeddings = torch.zeros(count, model.config.hidden_size, device=args.device)
        # Every row was scored by one process and is zero on the others: the sum loses and doubles none.
        logits, embeddings = self.accelerator.reduce((logits, embeddings), reduction="sum")
        return logits.cpu().numpy(), embeddings.cpu().numpy()

    def _begin_epoch(self) -> None:
        epoch = round(self.state.epoch or 0.0, 6)
        if epoch >= self.args.warm_up_epochs and int(epoch) > self._selected_at:
            self._select()
            self._selected_at = int(epoch)

    def _finish_training(self) -> None:
        probabilities, embeddings = self._select()
        self.selection = Selection(
            ids=self._ids,
            labels=self._labels,
            losses=self._losses,
            posterior=self._posterior,
            is_clean=self._is_clean.cpu().numpy(),
            predictions=probabilities.argmax(-1),
            probabilities=probabilities,
            embeddings=embeddings,
        )

    # ---- Checkpoints ----

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """As in Trainer; a checkpoint also brings back the selection.

        Args:
            resume_from_checkpoint: A checkpoint's folder, or `True` for the last complete one in `output_dir`.
            *args: As in [`~transformers.Trainer.train`].
            **kwargs: As in [`~transformers.Trainer.train`].

        Returns:
            Steps, mean training loss and metrics.

        Raises:
            FileNotFoundError: There is no complete checkpoint to resume from.
        """
        self._reset_selection()
        if resume_from_checkpoint:
            folder = Path(self.args.output_dir) if resume_from_checkpoint is True else Path(resume_from_checkpoint)
            if resume_from_checkpoint is True:
                folder = _last_complete_checkpoint(folder)
            self._load_selection(folder / SELECTION_FILE)
            resume_from_checkpoint = str(folder)
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        # First of all files, so that a checkpoint with a trainer state is complete.
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
            folder.mkdir(parents=True, exist_ok=True)
            np.savez(
                folder / SELECTION_FILE,
                losses=self._losses,
                posterior=self._posterior,
                is_clean=self._is_clean.cpu().numpy(),
                counters=np.array([self._selections, self._selected_at]),
            )
        super()._save_checkpoint(model, trial)

    def _load_selection(self, file: Path) -> None:
        with np.load(file, allow_pickle=False) as saved:
            if saved["losses"].shape != self._losses.shape:
                raise ValueError(
                    f"{file} was saved for {len(saved['losses'])} training samples, not {len(self._losses)}: "
                    "resume with the data set the run was started with"
                )
            self._losses, self._posterior = saved["losses"], saved["posterior"]
            self._selections, self._selected_at = (int(value) for value in saved["counters"])
            self._set_clean(saved["is_clean"])


class _SelectionCallback(TrainerCallback):
    """Tells the trainer when an epoch begins and when training is over."""

    def __init__(self, trainer: FreeALTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer._begin_epoch()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer._finish_training()


def _class_names(dataset: Dataset | None, label_names: Sequence[str] | None) -> list[str]:
    names = list(label_names) if label_names is not None else dataset and label_names_of(dataset)
    if not names:
        raise ValueError(
            "a student built from a name needs the classes' names: make `label` a ClassLabel or pass label_names="
        )
    return names


def _build_student(name: str | Path, args: FreeALConfig, label_names: list[str]) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(
        name,
        num_labels=len(label_names),
        id2label=dict(enumerate(label_names)),
        label2id={label: i for i, label in enumerate(label_names)},
    )
    if args.dropout is not None:
        for key in ("hidden_dropout_prob", "dropout", "classifier_dropout"):
            if hasattr(config, key):
                setattr(config, key, args.dropout)
    torch.manual_seed(args.seed)  # the new head is random
    return AutoModelForSequenceClassification.from_pretrained(name, config=config)


def _encoder(model: nn.Module) -> nn.Module:
    """The part of a sequence classifier whose output its head reads."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    encoder = base.base_model
    if encoder is base:
        raise ValueError(f"{type(base).__name__} has no encoder under its head: pass a sequence classifier")
    return encoder


def _last_complete_checkpoint(output_dir: Path) -> Path:
    """The newest checkpoint whose trainer state, the last file to be written, can be read."""
    folders = sorted(output_dir.glob("checkpoint-*"), key=lambda folder: int(folder.name.rsplit("-", 1)[1]))
    for folder in reversed(folders):
        state = folder / _TRAINER_STATE_FILE
        if state.is_file() and _is_json(state):
            return folder
    raise FileNotFoundError(f"no complete checkpoint in {output_dir}: call train() without resume_from_checkpoint")


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text())
    except ValueError:
        return False
    return True
