"""`FreeALTrainer`: a `Trainer` for noisy labels, which also selects the clean ones."""

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
from freeal_hf.training.batches import LengthGroupedSampler, TwoViewCollator
from freeal_hf.training.calibration import fit_temperature, fold_temperature
from freeal_hf.training.callbacks import TrainingHooks
from freeal_hf.training.card import write_card
from freeal_hf.training.checkpoints import checkpoint_to_resume, gathered_weights, load_selection, save_selection
from freeal_hf.training.config import FreeALConfig, as_freeal_config
from freeal_hf.training.data import (
    IGNORED,
    NO_LABEL,
    TRAIN_COLUMNS,
    label_names_of,
    with_standard_columns,
    without_second_views,
)
from freeal_hf.training.deprecated import class_names_of, data_in_former_order
from freeal_hf.training.loss_parts import LossParts
from freeal_hf.training.objectives import Objective, objective_named
from freeal_hf.training.samples import WordSamples, sample_kind_of
from freeal_hf.training.scoring import score_training_set
from freeal_hf.training.selection import Selection
from freeal_hf.training.step import TrainingStep
from freeal_hf.training.student import (
    checked_num_labels,
    encoder_of,
    load_student,
    max_length_of,
    use_problem_type,
)
from freeal_hf.training.targets import Targets
from freeal_hf.training.temperature import at_temperature
from freeal_hf.training.token_data import has_words
from freeal_hf.training.training_set import checked_evaluation_set, checked_training_set


class FreeALTrainer(Trainer):
    """Trains a student on noisy labels, with small-loss selection after each epoch.

    Source: FreeAL (Xiao et al., EMNLP 2023), section 3.3. There are two differences: losses are computed from
    predictions that are averaged over epochs, and by default the target of a sample is a mixture of its label and this
    average.

    If the training set has a column `tokens` in place of `text`, a token classifier is trained. Each word is then a
    sample, and a sentence that is longer than `max_length` is read in overlapping windows.

    If each text has a list of labels, it can have any number of them, and the student has
    `problem_type="multi_label_classification"`. Each pair of a text and a label is then a sample with the classes 0
    and 1, and the losses are binary cross-entropies. After the training, `model.config.thresholds` has the probability
    that each label must exceed.

    Args:
        model (`str`, `Path` or `PreTrainedModel`, *optional*): A sequence or token classifier, or the Hub id or folder
            of an encoder, to which a classification head is added.
        args (`TrainingArguments`, *optional*): The training arguments. Plain [`~transformers.TrainingArguments`] keep
            their values, and all other arguments have the defaults of [`FreeALConfig`].
        data_collator (`Callable`, *optional*): As in [`~transformers.Trainer`]. It gets rows with `input_ids`,
            `attention_mask` and `labels`; second views are further rows.
        train_dataset (`Dataset`, *optional*): A dataset with the columns `text` (or `input_ids`) and `label`, a noisy
            class number (`None`, -1 or -100 for no label), with the columns `tokens` (a list of words) and `label`
            (one for each word), or with the columns `text` and `labels` (a list with 1 or 0 for each class, or a list
            of class numbers if the column is a `Sequence(ClassLabel)`). Optional columns are `augmented_text` (a
            second view, such as a back-translation), `id`, `is_trusted` (true if the label is always clean, such as a
            human label), and `label_confidence` (the annotator's confidence in the label of a text). Other columns are
            ignored. [`FreeALConfig`] has arguments for other column names.
        eval_dataset (`Dataset`, `IterableDataset` or `dict`, *optional*): A dataset with the columns `text` (or
            `input_ids`, or `tokens`) and `label`, or several by name.
        processing_class (`PreTrainedTokenizerBase`, *optional*): The tokenizer. If `model` is a name, it defaults to
            the tokenizer of that model.
        model_init (`Callable`, *optional*): As in [`~transformers.Trainer`], for `hyperparameter_search`.
        compute_loss_func (`Callable`, *optional*): As in [`~transformers.Trainer`]. It replaces the objective. The
            selection is still made, but has no effect on the training.
        compute_metrics (`Callable`, *optional*): As in [`~transformers.Trainer`].
        callbacks (`list[TrainerCallback]`, *optional*): As in [`~transformers.Trainer`]. In `on_train_end`, the
            attribute `selection` of the trainer is set.
        optimizers, optimizer_cls_and_kwargs, preprocess_logits_for_metrics: As in [`~transformers.Trainer`].
        class_names (`Sequence[str]`, *optional*): The names of the classes. Defaults to those of the column `label` if
            it is a `ClassLabel`.
        objective (`Objective` or `str`, *optional*): The loss recipe. Defaults to `args.objective`.
        label_names (`Sequence[str]`, *optional*): The deprecated name of `class_names`.

    Attributes:
        selection (`Selection`, *optional*): The last selection, with the predictions of the trained student; `None`
            before the end of the training.

    Raises:
        TypeError: If the training set has no length or no random access.
        InputError: If the class names, a column, a text or the tokenizer is missing, or a label is not a class of the
            student.
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
            raise InputError("objective and compute_loss_func cannot be used together: pass only one of them")
        self.args = args
        named = objective or args.objective
        # Not `objective`: Trainer uses this attribute for the metric of a hyperparameter search.
        self._objective: Objective = objective_named(named) if isinstance(named, str) else named
        if train_dataset is not None:
            train_dataset = checked_training_set(train_dataset, args)
            self._class_names = self._class_names or label_names_of(train_dataset) or []
        self._dataset = train_dataset
        if isinstance(model, (str, Path)):
            kind = sample_kind_of(train_dataset)
            model, processing_class = load_student(model, self._class_names, args, processing_class, kind=kind)
        if args.n_gpu > 1:
            # DataParallel would separate the two views of a text. Use torchrun or accelerate launch for several GPUs.
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
            callbacks=[hooks, *(callbacks or [])],  # first, so that the callbacks of users can read the selection
            optimizers=optimizers,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
            preprocess_logits_for_metrics=preprocess_logits_for_metrics,
        )
        if model_init is None:
            self._adopt(self.model)
        self.label_names = ["labels"]
        # `compute_loss` divides by the number of rows in the accumulated batch.
        self.model_accepts_loss_kwargs = True
        if train_dataset is not None:
            # The first process tokenizes; if the dataset is on disk, the others read its result.
            with args.main_process_first(desc="tokenizing"):
                own_loss = compute_loss_func is not None
                reads_views = self._step.reads_second_view and not own_loss
                self._samples = self._kind.training_set(
                    train_dataset if reads_views else without_second_views(train_dataset),
                    processing_class,
                    self._max_length,
                    no_label=IGNORED if own_loss else NO_LABEL,  # Trainer does not count -100 in num_items_in_batch
                )
            self.train_dataset = self._samples.rows
            self.targets = self._first_targets()
        self.eval_dataset = self._prepare_eval(eval_dataset)

    # ---- Model ----

    def call_model_init(self, trial: Any = None) -> nn.Module:
        """Builds the student as in Trainer, and prepares it for mixup and embeddings."""
        model = super().call_model_init(trial)
        self._adopt(model)
        return model

    def _adopt(self, model: Any) -> None:
        config = model.config
        self.num_labels = checked_num_labels(config, self._class_names)
        kind = sample_kind_of(self._dataset, config.problem_type)
        use_problem_type(config, kind)
        self._kind = kind([config.id2label[number] for number in range(self.num_labels)])
        self._max_length = max_length_of(config, self.args.max_length)
        self._first_embeddings: NDArray[np.float32] | None = None
        self._held_out: NDArray[np.float32] | None = None
        if self.args.freeze_embeddings:
            for parameter in model.get_input_embeddings().parameters():
                parameter.requires_grad_(False)
        self._encoder = encoder_of(model)
        pads_left = self._collator.pads_left
        self._step = TrainingStep(self._encoder, self._objective, self.args, kind=self._kind, pads_left=pads_left)

    # ---- Data ----

    def _prepare_eval(self, dataset: Any) -> Any:
        if isinstance(dataset, dict):
            return {name: self._prepare_eval(part) for name, part in dataset.items()}
        if not isinstance(dataset, (Dataset, IterableDataset)):
            return dataset
        dataset = with_standard_columns(dataset, self.args)
        checked_evaluation_set(dataset, self._class_names)
        # A trainer without a training set does not know that its student labels words.
        kind = WordSamples(self._kind.label_names) if has_words(dataset) else self._kind
        return kind.evaluation_set(dataset, self._tokenizer, self._max_length)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Returns the data loader as in Trainer. Texts are tokenized."""
        return super().get_eval_dataloader(self._prepare_eval(eval_dataset))

    def get_test_dataloader(self, test_dataset: Any) -> Any:
        """Returns the data loader as in Trainer. Texts are tokenized."""
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
        # Trainer would also group evaluation rows by length, and return predictions in another order.
        return SequentialSampler(eval_dataset) if self.args.world_size <= 1 else None

    # ---- Loss ----

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Computes the loss: that of the objective in training, and cross-entropy in evaluation.

        If the trainer has a `compute_loss_func`, it computes the loss in both cases.

        Args:
            model (`nn.Module`): The student, possibly wrapped.
            inputs (`dict[str, Tensor]`): The batch, on the device.
            return_outputs (`bool`, *optional*, defaults to `False`): Whether to return the output of the model, too.
            num_items_in_batch (`Tensor` or `int`, *optional*): The number of samples in one optimizer step, on all
                devices.

        Returns:
            `Tensor` or `tuple`: The loss (a mean over samples), or the loss and the output.
        """
        labels = inputs.pop("labels")
        # Gradients are averaged over the processes, but `num_items_in_batch` counts the rows of all of them.
        is_counted = num_items_in_batch is not None and self.args.average_tokens_across_devices
        scale = self.accelerator.num_processes if is_counted else 1
        if self.compute_loss_func is not None:
            outputs = self._step.forward(model, inputs, self.targets) if model.training else model(**inputs)
            loss = self.compute_loss_func(outputs, labels, num_items_in_batch=num_items_in_batch) * scale
        elif not model.training:
            outputs, known = model(**inputs), labels >= 0
            logits = self._kind.logits(outputs.logits)
            losses = F.cross_entropy(logits[known].float(), labels[known].long(), reduction="sum")
            loss = losses / known.sum().clamp_min(1)
        else:
            if num_items_in_batch is None:
                num_items_in_batch = (labels != IGNORED).sum()
            sums, outputs = self._step(model, inputs, self.targets, self.state.epoch or 0.0)
            self._parts.add({name: part / num_items_in_batch * scale for name, part in sums.items()})
            loss = torch.stack(list(sums.values())).sum() / num_items_in_batch * scale
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs as in Trainer. Adds the parts of the loss, and makes the last selection before the summary is logged.

        Args:
            logs (`dict[str, float]`): The values by name.
            start_time (`float`, *optional*): As in [`~transformers.Trainer.log`].
        """
        if self._is_training and "train_loss" in logs:
            # The summary must be logged last, because experiment trackers end their runs after it.
            self._is_training = False
            self.targets.memory.finish_epoch(self._sum_over_processes)
            super().log(self.targets.select())
        elif self._is_training and "loss" in logs:
            logs.update(self._parts.means(self.state.global_step, self.args.world_size))
        super().log(logs, start_time)

    # ---- Selection ----

    def first_embeddings(self) -> NDArray[np.float32]:
        """Computes the embeddings of all training texts with the student before training. They are computed once.

        Returns:
            `NDArray` of shape `[texts, hidden size]`: The mean of the last hidden state over the tokens of each text,
            in the order of the dataset.
        """
        if self._first_embeddings is None:
            self._first_embeddings = self._score_training_set()[1]
        return self._first_embeddings

    def use_first_embeddings(self, embeddings: NDArray[np.float32]) -> None:
        """Sets the embeddings, so that they are not computed again.

        Args:
            embeddings (`NDArray` of shape `[texts, hidden size]`): The result of `first_embeddings` for another
                training of the same student on the same texts.
        """
        self._first_embeddings = embeddings

    def held_out_predictions(self) -> NDArray[np.float32] | None:
        """Predicts each label with a probe on the first embeddings that has not seen it. This is done once.

        Returns:
            `NDArray` of shape `[n, classes]`, *optional*: Probabilities; `None` in token classification.
        """
        if self._held_out is None and self._kind.starts_with_probe:
            embeddings, labels = self.first_embeddings(), self._samples.labels
            found = torch.zeros(len(labels), self._kind.num_classes, device=self.args.device)
            if self.args.process_index == 0:
                found += torch.from_numpy(self._kind.probe(embeddings, labels, self.args.seed)).to(found)
            self._held_out = self._sum_over_processes(found).cpu().numpy()
        return self._held_out

    def _sum_over_processes(self, value: Tensor) -> Tensor:
        return self.accelerator.reduce(value.clone(), reduction="sum")

    def _first_targets(self) -> Targets:
        # A loss of the user's reads the labels of the rows, all of them.
        holds_out = self.compute_loss_func is None
        return Targets(self._samples, self.args, self._objective, holds_out=holds_out)

    def _begin_training(self) -> None:
        # Created for each training: a second training starts from zero, and a search changes the arguments.
        self.targets = self._first_targets()
        self._parts.begin(self.state.global_step)
        self._is_training = True
        if self._checkpoint is not None:
            state = load_selection(self._checkpoint, len(self._samples.labels))
            self.targets.load(state, self.args.process_index == 0)
        elif self.args.start_with_probe and self._objective.starts_with_probe:
            held_out = self.held_out_predictions()
            if held_out is not None:
                self.targets.begin(held_out)

    def _begin_epoch(self) -> None:
        # Also called when a run is resumed in the middle of an epoch: then no epoch has been completed.
        completed = int(round(self.state.epoch or 0.0, 6))
        if self._sampler is not None:
            # Accelerate does not call it when a run on several processes is resumed and skips batches.
            self._sampler.set_epoch(completed)
        if completed > self.targets.memory.epochs:
            self.targets.memory.finish_epoch(self._sum_over_processes)
            if self.targets.memory.epochs >= self.targets.warm_up_epochs:
                self.log(self.targets.select())

    def _finish_training(self) -> None:
        probabilities, embeddings = self._score_training_set()
        student = self.accelerator.unwrap_model(self.model)
        is_held_out, labels = self.targets.is_held_out, self._samples.labels
        if is_held_out.any():
            temperature = fit_temperature(probabilities[is_held_out], labels[is_held_out])
            if fold_temperature(student, temperature):
                probabilities = at_temperature(probabilities, temperature)
        held_out = np.where(is_held_out, labels, NO_LABEL)
        predictions = self._kind.conclude(student.config, probabilities, held_out)
        self.selection = self.targets.selection(predictions, probabilities, embeddings)

    def _score_training_set(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return score_training_set(self, self._samples, self._encoder)

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
        """Writes the model card of the student, with its labels, arguments, scores and selection."""
        if self.is_world_process_zero():
            metadata = {"language": language, "license": license, "tags": [tags] if isinstance(tags, str) else tags}
            names = (model_name, finetuned_from, dataset_tags)
            write_card(self, self.selection, *names, metadata, task=self._kind.task)

    # ---- Checkpoints ----

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """Trains as in Trainer. If a checkpoint is given, its selection is loaded, too.

        Args:
            resume_from_checkpoint (`str` or `bool`, *optional*): The folder of a checkpoint, or `True` for the last
                complete one in `output_dir`.
            *args, **kwargs: As in [`~transformers.Trainer.train`].

        Returns:
            `TrainOutput`: The number of steps, the mean training loss and metrics.

        Raises:
            NoCheckpointError: If there is no complete checkpoint to resume from. It is a `ValueError`, as in Trainer.
            InputError: If the checkpoint was saved for another training set.
        """
        self._checkpoint = None
        if self.train_dataset is not None and resume_from_checkpoint:
            self._checkpoint = checkpoint_to_resume(resume_from_checkpoint, Path(str(self.args.output_dir)))
            load_selection(self._checkpoint, len(self._samples.labels))  # before anything is changed
            resume_from_checkpoint = str(self._checkpoint)
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves the student as in Trainer. Weights that are sharded (FSDP) are gathered; all processes must call it.

        Args:
            output_dir (`str`, *optional*): The folder to save to.
            _internal_call (`bool`, *optional*): As in Trainer.
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
        # The trainer state is written next and marks the checkpoint as complete, so all processes must have written.
        self.accelerator.wait_for_everyone()
