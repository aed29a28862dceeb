"""FreeALTrainer: a Trainer whose student learns from noisy labels and says which of them it trusts."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset, IterableDataset
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Sampler, SequentialSampler
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_utils import TrainOutput

from freeal_hf.errors import InputError
from freeal_hf.tasks import OUTSIDE
from freeal_hf.training.callbacks import TrainingHooks
from freeal_hf.training.card import write_card
from freeal_hf.training.checkpoints import checkpoint_to_resume, gathered_weights, load_selection, save_selection
from freeal_hf.training.config import FreeALConfig, as_freeal_config
from freeal_hf.training.data import (
    IGNORED,
    NO_LABEL,
    TRAIN_COLUMNS,
    LengthGroupedSampler,
    TwoViewCollator,
    label_names_of,
    with_standard_columns,
)
from freeal_hf.training.deprecated import class_names_of, data_in_former_order
from freeal_hf.training.loss_parts import LossParts
from freeal_hf.training.objectives import Objective, objective_named
from freeal_hf.training.scoring import score_training_set
from freeal_hf.training.selection import Selection
from freeal_hf.training.step import TrainingStep
from freeal_hf.training.student import checked_num_labels, encoder_of, load_student, max_length_of
from freeal_hf.training.targets import Targets
from freeal_hf.training.token_data import has_words
from freeal_hf.training.training_set import checked_training_set, prepare_evaluation_set, prepare_training_set


class FreeALTrainer(Trainer):
    """Train a student on noisy labels: warm-up, small-loss selection every epoch, and a loss that follows from it.

    Source: FreeAL (Xiao et al., EMNLP 2023), section 3.3. Unlike there, losses are measured on predictions averaged
    over epochs, which training makes anyway, and by default a label is mixed with that average as far as it is
    trusted.

    A training set with `tokens` in place of `text` makes it a token classifier: every word is a sample then, and a
    sentence that is longer than `max_length` is read in overlapping windows.

    Args:
        model (`str`, `Path` or `PreTrainedModel`, *optional*): A sequence or token classifier, or the name or folder
            of an encoder to build one from.
        args (`TrainingArguments`, *optional*): How to train; plain [`~transformers.TrainingArguments`] keep their
            values, and what only [`FreeALConfig`] has gets its defaults.
        data_collator (`Callable`, *optional*): As in [`~transformers.Trainer`]; it is given rows with `input_ids`,
            `attention_mask` and `labels`, second views among them.
        train_dataset (`Dataset`, *optional*): Columns `text` (or ready `input_ids`) and noisy `label` (`None`, -1 or
            -100 = none), or `tokens` (a list of words) and `label` (one for each word); optional `augmented_text` (a
            second view, such as a back-translation), `id` and `is_trusted` (true where the label is never doubted,
            such as a person's). Other columns are ignored. [`FreeALConfig`] can name the columns otherwise.
        eval_dataset (`Dataset`, `IterableDataset` or `dict`, *optional*): Columns `text` (or `input_ids`, or `tokens`)
            and `label`; one dataset or several by name.
        processing_class (`PreTrainedTokenizerBase`, *optional*): The tokenizer; by default the one that belongs to
            `model` when that is a name.
        model_init (`Callable`, *optional*): As in [`~transformers.Trainer`], for `hyperparameter_search`.
        compute_loss_func (`Callable`, *optional*): As in [`~transformers.Trainer`]; it replaces the objective, and the
            selection is only made and reported.
        compute_metrics (`Callable`, *optional*): As in [`~transformers.Trainer`].
        callbacks (`list[TrainerCallback]`, *optional*): As in [`~transformers.Trainer`]. The trainer's `selection` is
            there in `on_train_end`.
        optimizers, optimizer_cls_and_kwargs, preprocess_logits_for_metrics: As in [`~transformers.Trainer`].
        class_names (`Sequence[str]`, *optional*): Names of the classes; by default those of the `ClassLabel` column
            `label`.
        objective (`Objective` or `str`, *optional*): The loss recipe; by default the one that `args` name.
        label_names (`Sequence[str]`, *optional*): Deprecated name of `class_names`.

    Raises:
        TypeError: The training set has no length or no random access.
        InputError: Names of classes, a column, a text or the tokenizer are missing, or labels do not fit the classes.
    """

    args: FreeALConfig

    def __init__(
        self,
        model: str | Path | PreTrainedModel | nn.Module | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[[list[Any]], Any] | None = None,
        train_dataset: Dataset | None = None,
        eval_dataset: Dataset | IterableDataset | dict[str, Any] | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        model_init: Callable[..., PreTrainedModel] | None = None,
        compute_loss_func: Callable[..., Tensor] | None = None,
        compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
        optimizer_cls_and_kwargs: tuple[Any, dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable[[Tensor, Tensor], Tensor] | None = None,
        *,
        class_names: Sequence[str] | None = None,
        objective: Objective | str | None = None,
        label_names: Sequence[str] | None = None,
    ) -> None:
        data_collator, train_dataset, eval_dataset = data_in_former_order(data_collator, train_dataset, eval_dataset)
        self._class_names = class_names_of(class_names, label_names)
        args = as_freeal_config(args)
        if objective is not None and compute_loss_func is not None:
            raise InputError("give either an objective or a compute_loss_func: each of them is the loss")
        self.args = args
        named = objective or args.objective
        # Trainer itself keeps the figure of a hyperparameter search as `objective`.
        self._objective: Objective = objective_named(named) if isinstance(named, str) else named
        if train_dataset is not None:
            train_dataset = checked_training_set(train_dataset, args)
            self._class_names = self._class_names or label_names_of(train_dataset) or []
        self._labels_words = train_dataset is not None and has_words(train_dataset)
        if isinstance(model, (str, Path)):
            names, words = self._class_names, self._labels_words
            model, processing_class = load_student(model, names, args, processing_class, labels_words=words)
        if args.n_gpu > 1:
            # DataParallel would tear the two views apart; torchrun or accelerate launch use every GPU.
            args._n_gpu = 1
        self.selection: Selection | None = None
        self._is_training = False  # transformers 4 logs its summary after `is_in_train`
        self._checkpoint: Path | None = None
        self._sampler: LengthGroupedSampler | None = None
        self._parts = LossParts()
        self._tokenizer = processing_class
        hooks = TrainingHooks(self._begin_training, self._begin_epoch, self._finish_training)
        self._collator = TwoViewCollator(processing_class, data_collator)
        super().__init__(
            model=model,
            args=args,
            data_collator=self._collator,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            model_init=model_init,
            compute_loss_func=compute_loss_func,
            compute_metrics=compute_metrics,
            callbacks=[hooks, *(callbacks or [])],  # the user's own may read the selection
            optimizers=optimizers,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
            preprocess_logits_for_metrics=preprocess_logits_for_metrics,
        )
        if model_init is None:
            self._adopt(self.model)
        self.label_names = ["labels"]
        # The loss below divides by the rows of the whole accumulated batch itself.
        self.model_accepts_loss_kwargs = True
        if train_dataset is not None:
            config: Any = self.model.config  # type: ignore[union-attr]
            # Of a dataset on disk the first process tokenizes, and the others map what it wrote.
            with args.main_process_first(desc="tokenizing"):
                own_loss = compute_loss_func is not None
                self._samples = prepare_training_set(
                    train_dataset,
                    processing_class,
                    config.id2label,
                    max_length=self._max_length,
                    reads_second_view=self._step.reads_second_view and not own_loss,
                    no_label=IGNORED if own_loss else NO_LABEL,  # Trainer counts those that such a loss is divided by
                )
            self.train_dataset = self._samples.rows
            self.targets = Targets(self._samples, self.num_labels, args, self._objective)
        self.eval_dataset = self._prepare_eval(eval_dataset)

    # ---- Model ----

    def call_model_init(self, trial: Any = None) -> nn.Module:
        """As in Trainer; the new student is watched for mixup and embeddings like the first one."""
        model = super().call_model_init(trial)
        self._adopt(model)
        return model

    def _adopt(self, model: Any) -> None:
        config = model.config
        self.num_labels = checked_num_labels(config, self._class_names)
        self._max_length = max_length_of(config, self.args.max_length)
        self._first_embeddings: NDArray[np.float32] | None = None
        if self.args.freeze_embeddings:
            for parameter in model.get_input_embeddings().parameters():
                parameter.requires_grad_(False)
        self._encoder = encoder_of(model)
        outside, pads_left = (config.label2id or {}).get(OUTSIDE, -1), self._collator.pads_left
        self._step = TrainingStep(self._encoder, self._objective, self.args, outside=outside, pads_left=pads_left)

    # ---- Data ----

    def _prepare_eval(self, dataset: Any) -> Any:
        if isinstance(dataset, dict):
            return {name: self._prepare_eval(part) for name, part in dataset.items()}
        if not isinstance(dataset, (Dataset, IterableDataset)):
            return dataset
        dataset = with_standard_columns(dataset, self.args)
        return prepare_evaluation_set(
            dataset, self._tokenizer, self._max_length, num_classes=self.num_labels, class_names=self._class_names
        )

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """As in Trainer; a dataset of texts is tokenized."""
        return super().get_eval_dataloader(self._prepare_eval(eval_dataset))

    def get_test_dataloader(self, test_dataset: Any) -> Any:
        """As in Trainer; a dataset of texts is tokenized."""
        return super().get_test_dataloader(self._prepare_eval(test_dataset))

    def _set_signature_columns_if_needed(self) -> None:
        if self._signature_columns is None:
            super()._set_signature_columns_if_needed()
            columns: Any = self._signature_columns
            columns.extend(name for name in TRAIN_COLUMNS if name not in columns)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        args, self._sampler = self.args, None
        if not args.groups_by_length:
            return super()._get_train_sampler(train_dataset)
        rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        seed = args.seed if args.data_seed is None else args.data_seed
        self._sampler = LengthGroupedSampler(self._samples.padded_lengths, rows, seed)
        return self._sampler

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler | None:
        # Trainer would group evaluation rows by length, too, and so return predictions in another order.
        return SequentialSampler(eval_dataset) if self.args.world_size <= 1 else None

    # ---- Loss ----

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Plain cross-entropy while evaluating, the objective's loss while training, or `compute_loss_func` in both.

        Args:
            model: The student, however wrapped.
            inputs: What the collator made, on the device.
            return_outputs: Whether to return the model's output as well.
            num_items_in_batch: Texts (or words) of all batches that make one optimizer step, on all devices.

        Returns:
            The loss, a mean over texts (or words), or the loss and the output.
        """
        labels = inputs.pop("labels")
        # Gradients are averaged over the processes, whose rows have all been counted.
        is_counted = num_items_in_batch is not None and self.args.average_tokens_across_devices
        scale = self.accelerator.num_processes if is_counted else 1
        if self.compute_loss_func is not None:
            outputs = self._step.forward(model, inputs, self.targets) if model.training else model(**inputs)
            loss = self.compute_loss_func(outputs, labels, num_items_in_batch=num_items_in_batch) * scale
        elif not model.training:
            outputs, known = model(**inputs), labels >= 0
            losses = F.cross_entropy(outputs.logits[known].float(), labels[known], reduction="sum")
            loss = losses / known.sum().clamp_min(1)
        else:
            if num_items_in_batch is None:
                num_items_in_batch = (labels != IGNORED).sum()
            sums, outputs = self._step(model, inputs, self.targets, self.state.epoch or 0.0)
            self._parts.add({name: part / num_items_in_batch * scale for name, part in sums.items()})
            loss = torch.stack(list(sums.values())).sum() / num_items_in_batch * scale
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As in Trainer, with the parts of the loss beside their sum, and the last selection before the summary.

        Args:
            logs: Values by name.
            start_time: As in [`~transformers.Trainer.log`].
        """
        if self._is_training and "train_loss" in logs:
            # The summary closes the training: trackers end their runs after it, so it has to come last.
            self._is_training = False
            self.targets.memory.finish_epoch(self._sum_over_processes)
            super().log(self.targets.select())
        elif self._is_training and "loss" in logs:
            logs.update(self._parts.means(self.state.global_step, self.args.world_size))
        super().log(logs, start_time)

    # ---- Selection ----

    def first_embeddings(self) -> NDArray[np.float32]:
        """Embeddings of all training texts by the student as it came, before any training; computed once.

        Returns:
            Mean of the last hidden state over each text's tokens, in the dataset's order, shape `[n, hidden size]`.
        """
        if self._first_embeddings is None:
            self._first_embeddings = self._score_training_set()[1]
        return self._first_embeddings

    def _sum_over_processes(self, value: Tensor) -> Tensor:
        return self.accelerator.reduce(value.clone(), reduction="sum")

    def _begin_training(self) -> None:
        # Made anew each time: a second training forgets the first, a search has changed the arguments.
        self.targets = Targets(self._samples, self.num_labels, self.args, self._objective)
        self._parts.begin(self.state.global_step)
        self._is_training = True
        if self._checkpoint is not None:
            state = load_selection(self._checkpoint, len(self._samples.labels))
            self.targets.load(state, self.args.process_index == 0)
        elif self.args.start_with_probe and self._objective.starts_with_probe and not self._labels_words:
            self.targets.begin(self.first_embeddings(), self._sum_over_processes)

    def _begin_epoch(self) -> None:
        # Called once more when a run is resumed in the middle of an epoch: then there is nothing to fold in.
        completed = int(round(self.state.epoch or 0.0, 6))
        if self._sampler is not None:
            # Accelerate does not reach the sampler through the batches that a resumed run skips on several processes.
            self._sampler.set_epoch(completed)
        if completed > self.targets.memory.epochs:
            self.targets.memory.finish_epoch(self._sum_over_processes)
            if self.targets.memory.epochs >= self.targets.warm_up_epochs:
                self.log(self.targets.select())

    def _finish_training(self) -> None:
        self.selection = self.targets.selection(*self._score_training_set())

    def _score_training_set(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return score_training_set(self, self._samples, self._encoder, self.num_labels)

    # ---- Card ----

    def create_model_card(
        self,
        language: str | None = None,
        license: str | None = None,
        tags: str | list[str] | None = None,
        model_name: str | None = None,
        finetuned_from: str | None = None,
        tasks: str | list[str] | None = None,
        dataset_tags: str | list[str] | None = None,
        dataset: str | list[str] | None = None,
        dataset_args: str | list[str] | None = None,
    ) -> None:
        """As in Trainer, but the card is the student's: labels, arguments, scores, what the selection trusted."""
        if self.is_world_process_zero():
            metadata = {"language": language, "license": license, "tags": [tags] if isinstance(tags, str) else tags}
            names, words = (model_name, finetuned_from, dataset_tags), self._labels_words
            write_card(self, self.selection, *names, metadata, labels_words=words)

    # ---- Checkpoints ----

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """As in Trainer; a checkpoint also brings back the selection.

        Args:
            resume_from_checkpoint: A checkpoint's folder, or `True` for the last complete one in `output_dir`.
            *args, **kwargs: As in [`~transformers.Trainer.train`].

        Returns:
            Steps, mean training loss and metrics.

        Raises:
            NoCheckpointError: There is no complete checkpoint to resume from; a `ValueError`, as in Trainer.
            InputError: The checkpoint was saved for another training set.
        """
        self._checkpoint = None
        if self.train_dataset is not None and resume_from_checkpoint:
            self._checkpoint = checkpoint_to_resume(resume_from_checkpoint, Path(str(self.args.output_dir)))
            load_selection(self._checkpoint, len(self._samples.labels))  # before anything is changed
            resume_from_checkpoint = str(self._checkpoint)
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As in Trainer; weights that are sharded over processes (FSDP) are gathered, which all of them call.

        Args:
            output_dir: Folder of the model.
            _internal_call: As in Trainer.
        """
        with contextlib.nullcontext() if _internal_call else gathered_weights(self.accelerator):
            super().save_model(output_dir, _internal_call)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        state = self.targets.state(self._sum_over_processes)
        if self.args.should_save:
            save_selection(Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}", state)
        super()._save_checkpoint(model, trial)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        # The trainer state comes next and says that the checkpoint is complete: each process's part must be there.
        self.accelerator.wait_for_everyone()
