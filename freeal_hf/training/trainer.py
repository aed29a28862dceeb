"""FreeALTrainer: a Trainer whose student learns from noisy labels and says which of them it trusts."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Sampler, SequentialSampler
from transformers import (
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

from freeal_hf.spans import OUTSIDE
from freeal_hf.training.card import write_card
from freeal_hf.training.checkpoints import last_complete_checkpoint, load_selection, save_selection
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.data import (
    EVAL_COLUMNS,
    IGNORED,
    TRAIN_COLUMNS,
    LengthGroupedSampler,
    TwoViewCollator,
    label_names_of,
    tokenize,
)
from freeal_hf.training.losses import (
    HiddenMixup,
    mixed_samples,
    mixup_pairs,
    ramp_up,
    soft_cross_entropy,
    symmetric_kl,
)
from freeal_hf.training.selection import Selection
from freeal_hf.training.student import build_student, encoder_of, is_sharded
from freeal_hf.training.targets import Targets
from freeal_hf.training.token_data import has_words, tokenize_words
from freeal_hf.training.training_set import prepare_training_set


class FreeALTrainer(Trainer):
    """Train a student on noisy labels: warm-up, small-loss selection every epoch, soft targets, mixup, consistency.

    Source: FreeAL (Xiao et al., EMNLP 2023), section 3.3. Unlike there, losses are measured on predictions averaged
    over epochs, which training makes anyway, and a label is mixed with that average as far as it is trusted.

    A training set with `tokens` in place of `text` makes it a token classifier: every word is a sample then, and a
    sentence that is longer than `max_length` is read in overlapping windows.

    Args:
        model: A sequence or token classifier, or the name or folder of an encoder to build one from.
        args: How to train.
        train_dataset: Columns `text` (or ready `input_ids`) and noisy `label` (-1 = none), or `tokens` (a list of
            words) and `label` (one for each word); optional `augmented_text` (a second view, such as a
            back-translation), `id` and `is_trusted` (true where the label is never doubted, such as a person's).
            Other columns are ignored.
        eval_dataset: Columns `text` (or `input_ids`, or `tokens`) and `label`; one data set or several by name.
        processing_class: The tokenizer; by default the one that belongs to `model` when that is a name.
        compute_metrics: As in [`~transformers.Trainer`].
        callbacks: As in [`~transformers.Trainer`].
        label_names: Names of the classes; by default those of the `ClassLabel` column `label`.
        **kwargs: Further arguments of [`~transformers.Trainer`].

    Raises:
        TypeError: A data set has no length or no random access.
        ValueError: The classes' names, a column or the tokenizer are missing, or labels do not fit the classes.
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
        if train_dataset is not None and not isinstance(train_dataset, Dataset):
            raise TypeError(
                f"train_dataset is a {type(train_dataset).__name__}: the selection needs a datasets.Dataset, whose "
                "length is known and whose rows can be had in any order; Dataset.from_generator makes one of a stream"
            )
        names = list(label_names or (train_dataset and label_names_of(train_dataset)) or [])
        self._labels_words = isinstance(train_dataset, Dataset) and has_words(train_dataset)
        if isinstance(model, (str, Path)):
            if not names:
                raise ValueError(
                    "a student built from a name needs the names of the classes: "
                    "make `label` a ClassLabel column or pass label_names="
                )
            if processing_class is None:
                processing_class = AutoTokenizer.from_pretrained(model)
            model = build_student(model, names, args.dropout, args.seed, labels_words=self._labels_words)
        if args.n_gpu > 1:
            # DataParallel would tear the two views apart; torchrun or accelerate launch use every GPU.
            args._n_gpu = 1
        if args.freeze_embeddings:
            for parameter in model.get_input_embeddings().parameters():
                parameter.requires_grad_(False)
        self.num_labels = len(model.config.id2label or ())
        self._outside = (model.config.label2id or {}).get(OUTSIDE, -1)
        self.selection: Selection | None = None
        self._first_embeddings: NDArray[np.float32] | None = None
        self._tokenizer, self._class_names = processing_class, names
        self._max_length = min(
            args.max_length, getattr(model.config, "max_position_embeddings", None) or args.max_length
        )
        self._encoder = encoder_of(model)
        self._mixup = HiddenMixup(self._encoder)
        self._parts: defaultdict[str, list[Tensor]] = defaultdict(list)
        if train_dataset is not None:
            # Of a data set on disk the first process tokenizes, and the others map what it wrote.
            with args.main_process_first(desc="tokenizing"):
                self._samples = prepare_training_set(
                    train_dataset,
                    processing_class,
                    model.config.id2label or {},
                    max_length=self._max_length,
                    second_view=args.second_view,
                )
            train_dataset, self._lengths = self._samples.rows, self._samples.lengths
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
        if train_dataset is not None:
            self.targets = Targets(self._samples, self.num_labels, self.args)
        self.add_callback(_SelectionCallback(self))

    # ---- Data ----

    def _prepare_eval(self, dataset: Any) -> Any:
        if isinstance(dataset, dict):
            return {name: self._prepare_eval(part) for name, part in dataset.items()}
        if isinstance(dataset, Dataset):
            names = label_names_of(dataset)
            if names and self._class_names and names != self._class_names:
                raise ValueError(
                    f"the data set numbers its classes {names}, the training set {self._class_names}: "
                    "dataset.cast_column('label', ClassLabel(names=[...])) makes them alike"
                )
            if has_words(dataset):
                return tokenize_words(dataset, self._tokenizer, self._max_length, EVAL_COLUMNS)[0]
            return tokenize(dataset, self._tokenizer, self._max_length, EVAL_COLUMNS)
        return dataset

    def get_eval_dataloader(self, eval_dataset: str | Dataset | None = None) -> Any:
        """As in Trainer; a data set of texts is tokenized."""
        return super().get_eval_dataloader(self._prepare_eval(eval_dataset))

    def get_test_dataloader(self, test_dataset: Dataset) -> Any:
        """As in Trainer; a data set of texts is tokenized."""
        return super().get_test_dataloader(self._prepare_eval(test_dataset))

    def _set_signature_columns_if_needed(self) -> None:
        if self._signature_columns is None:
            super()._set_signature_columns_if_needed()
            columns: Any = self._signature_columns
            columns.extend(name for name in TRAIN_COLUMNS if name not in columns)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        args = self.args
        if args.groups_by_length:
            rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
            seed = args.seed if args.data_seed is None else args.data_seed
            return LengthGroupedSampler(self._padded_lengths(), rows, seed)
        return super()._get_train_sampler(train_dataset)

    def _padded_lengths(self) -> list[int]:
        """Tokens of each sample's longest view, to which a batch pads both."""
        dataset: Any = self.train_dataset
        views = [dataset[name] for name in ("input_ids", "augmented_input_ids") if name in dataset.column_names]
        return [max(len(ids) for ids in sample) for sample in zip(*views, strict=True)]

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
        """Plain cross-entropy while evaluating; the method's loss while training.

        Args:
            model: The student, however wrapped.
            inputs: What the collator made, on the device.
            return_outputs: Whether to return the model's output as well.
            num_items_in_batch: Texts (or words) of all batches that make one optimizer step, on all devices.

        Returns:
            The loss, a mean over texts (or words), or the loss and the output.
        """
        labels = inputs.pop("labels")
        if not model.training:
            outputs, known = model(**inputs), labels >= 0
            losses = F.cross_entropy(outputs.logits[known].float(), labels[known], reduction="sum")
            loss = losses / known.sum().clamp_min(1)
            return (loss, outputs) if return_outputs else loss
        loss, outputs = self._training_loss(model, inputs)
        loss = loss / ((labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            # Gradients are averaged over the processes, whose rows have all been counted.
            loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _training_loss(self, model: nn.Module, inputs: dict[str, Tensor]) -> tuple[Tensor, Any]:
        """Sum of the loss over the samples (texts, or words) of a batch, and the output for their first views."""
        args, places = self.args, inputs.pop("sample_index")
        rows, is_sample = len(places), places >= 0
        index = places[is_sample]
        is_clean, targets, ramp = self.targets.is_clean[index], self.targets.distributions[index], self._ramp()
        inputs = self._with_second_view(inputs, rows, places)
        views = len(inputs["input_ids"]) // rows
        weights = self.targets.weights[index] * torch.where(is_clean, 1.0, ramp)
        pairs = self._pairs(is_clean, is_sample) if ramp > 0 else None
        if pairs is not None:
            inputs = self._mixup.arm(inputs, pairs)
        outputs = model(**inputs)
        self._mixup.disarm()
        logits = outputs.logits.float()
        by_view = logits[: views * rows].unflatten(0, (views, rows))[:, is_sample]
        self.targets.memory.record(index, by_view.detach().softmax(-1).mean(0))
        supervised = sum(soft_cross_entropy(view, targets) for view in by_view) / views
        parts = {"supervised_loss": (weights * supervised).sum()}
        if views > 1 and ramp * args.consistency_weight > 0:
            divergence = symmetric_kl(by_view[0], by_view[1], args.guess_temperature)
            parts["consistency_loss"] = args.consistency_weight * ramp * divergence[~is_clean].sum()
        if pairs is not None:
            first, second, share, both = mixed_samples(pairs, is_sample)
            mixed = share[:, None] * targets[first] + (1 - share)[:, None] * targets[second]
            losses = soft_cross_entropy(logits[views * rows :][both], mixed)
            parts["mixup_loss"] = args.mixup_weight * ramp * (self.targets.weights[index[first]] * losses).sum()
        for name, part in parts.items():
            self._parts[name].append(part.detach() / len(index))
        outputs.logits = logits[:rows]
        return torch.stack(list(parts.values())).sum(), outputs

    def _ramp(self) -> float:
        """Weight of all that rests on the selection: 0 in warm-up."""
        if self.targets.memory.epochs < self.targets.warm_up_epochs:
            return 0.0
        # Counted from the epoch before, so that the first selection takes effect at once.
        progress = (self.state.epoch or 0.0) - self.targets.warm_up_epochs + 1
        return ramp_up(progress, self.args.ramp_up_epochs)

    def _pairs(self, is_clean: Tensor, is_sample: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
        if self.args.mixup_alpha <= 0 or self.args.mixup_weight <= 0:
            return None
        rows = torch.arange(len(is_sample), device=is_sample.device)
        if self.args.mixup_clean_only:
            row_of_sample = is_sample.nonzero()[:, 0]
            rows = rows[~torch.isin(rows, row_of_sample[~is_clean])]
        return mixup_pairs(rows, self.args.mixup_alpha) if len(rows) else None

    def _with_second_view(self, inputs: dict[str, Tensor], rows: int, index: Tensor) -> dict[str, Tensor]:
        """Append the same texts as a second view where the data brought none and one is wanted."""
        if self.args.second_view in ("augmented", "none") or len(inputs["input_ids"]) > rows:
            return inputs
        mask = inputs["attention_mask"]
        hidden = torch.zeros_like(mask, dtype=torch.bool)
        if self.args.second_view == "token_dropout":
            hidden = torch.rand(mask.shape, device=mask.device) < self.args.token_dropout
            hidden[:, 0] = False  # the head may read the first token
            if self._labels_words:
                hidden &= ~self._stands_in_entity(index)
        return {
            "input_ids": inputs["input_ids"].repeat(2, 1),
            "attention_mask": torch.cat([mask, mask.masked_fill(hidden, 0)]),
        }

    def _stands_in_entity(self, index: Tensor) -> Tensor:
        """Whether a sub-word belongs to a word whose target is no O; shape `[rows, length]` as the words' numbers."""
        word = index.cummax(dim=1).values  # the pieces that follow a word's first one carry -1
        return (self.targets.distributions[word.clamp_min(0)].argmax(-1) != self._outside) & (word >= 0)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As in Trainer, with the parts of the training loss beside their sum."""
        if "loss" in logs:
            logs.update({name: torch.stack(values).mean().item() for name, values in self._parts.items()})
            self._parts.clear()
        super().log(logs, start_time)

    # ---- Selection ----

    @torch.no_grad()
    def _score_training_set(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities and embeddings of all training texts, in the data set's order."""
        args, dataset = self.args, self.train_dataset
        model: Any = self.accelerator.unwrap_model(self.model)
        assert isinstance(dataset, Dataset)  # __init__ saw to it
        if not is_sharded(model):
            model.to(args.device)  # Trainer leaves that to FSDP, which only begins with the training
        was_training = model.training
        model.eval()
        count = len(self._lengths)
        batches = np.split(
            np.argsort(self._lengths, kind="stable"), range(args.eval_batch_size, count, args.eval_batch_size)
        )
        hidden: list[Tensor] = []
        hook = self._encoder.register_forward_hook(lambda module, inputs, output: hidden.append(output[0]))
        probabilities = torch.zeros(len(self._samples.labels), self.num_labels, device=args.device)
        embeddings = torch.zeros(len(self._samples.ids), model.config.hidden_size, device=args.device)
        texts = dataset.select_columns(["input_ids", "attention_mask", "sample_index"])
        # Sharded weights (FSDP) are gathered by all processes together, so each calls the model equally often.
        for number in range(
            args.process_index, -(-len(batches) // args.world_size) * args.world_size, args.world_size
        ):
            batch = batches[min(number, len(batches) - 1)]
            columns = texts[batch.tolist()]
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            inputs = self._prepare_inputs(self.data_collator(rows))
            index = inputs.pop("sample_index")
            with self.compute_loss_context_manager(), self.accelerator.autocast():
                logits = model(**inputs).logits
            states, mask = hidden.pop().float(), inputs["attention_mask"].unsqueeze(-1)
            if number >= len(batches):
                continue
            probabilities[index[index >= 0]] = logits[index >= 0].float().softmax(-1)
            samples = torch.from_numpy(self._samples.text_of_row[batch]).to(args.device)
            embeddings.index_add_(0, samples, (states * mask).sum(1) / mask.sum(1))
        hook.remove()
        model.train(was_training)
        # Each row was scored by one process and is zero on all others: the sum loses and doubles none.
        probabilities, embeddings = self._sum_over_processes(probabilities), self._sum_over_processes(embeddings)
        num_windows = torch.from_numpy(np.bincount(self._samples.text_of_row)).to(args.device)
        return probabilities.cpu().numpy(), (embeddings / num_windows[:, None]).cpu().numpy()

    def first_embeddings(self) -> NDArray[np.float32]:
        """Embeddings of all training texts by the student as it came, before any training; computed once.

        Returns:
            Mean of the last hidden state over each text's tokens, in the data set's order, shape `[n, hidden size]`.
        """
        if self._first_embeddings is None:
            self._first_embeddings = self._score_training_set()[1]
        return self._first_embeddings

    def _sum_over_processes(self, value: Tensor) -> Tensor:
        return self.accelerator.reduce(value.clone(), reduction="sum")

    def _begin_epoch(self) -> None:
        # Called once more when a run is resumed in the middle of an epoch: then there is nothing to fold in.
        completed = int(round(self.state.epoch or 0.0, 6))
        if completed > self.targets.memory.epochs:
            self.targets.memory.finish_epoch(self._sum_over_processes)
            if self.targets.memory.epochs >= self.targets.warm_up_epochs:
                self.log(self.targets.select())

    def _finish_training(self) -> None:
        self.targets.memory.finish_epoch(self._sum_over_processes)
        self.log(self.targets.select())
        probabilities, embeddings = self._score_training_set()
        self.selection = Selection(
            ids=self._samples.ids,
            labels=self._samples.labels,
            losses=self.targets.losses,
            posterior=self.targets.posterior,
            is_clean=self.targets.is_clean.cpu().numpy(),
            predictions=probabilities.argmax(-1),
            probabilities=probabilities,
            embeddings=embeddings,
            num_words=None if self._samples.words is None else self._samples.words.num_words,
        )

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
            write_card(
                self,
                self.selection,
                model_name,
                finetuned_from,
                dataset_tags,
                metadata,
                labels_words=self._labels_words,
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
            ValueError: There is no training set, or the checkpoint was saved for another one.
        """
        if self.train_dataset is None:
            raise ValueError("train() needs a train_dataset")
        self.targets = Targets(self._samples, self.num_labels, self.args)
        if resume_from_checkpoint:
            folder = (
                last_complete_checkpoint(Path(str(self.args.output_dir)))
                if resume_from_checkpoint is True
                else Path(resume_from_checkpoint)
            )
            self.targets.load(load_selection(folder, len(self._samples.labels)), self.args.process_index == 0)
            resume_from_checkpoint = str(folder)
        elif self.args.start_with_probe and not self._labels_words:
            self.targets.begin(self.first_embeddings(), self._sum_over_processes)
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As in Trainer; weights that are sharded over processes (FSDP) are gathered, which all of them call.

        Args:
            output_dir: Folder of the model.
            _internal_call: As in Trainer.
        """
        plugin = getattr(self.accelerator.state, "fsdp_plugin", None)
        if plugin is None or _internal_call:
            super().save_model(output_dir, _internal_call)
            return
        kind = plugin.state_dict_type
        plugin.set_state_dict_type("FULL_STATE_DICT")  # of another kind Trainer would write nothing
        try:
            super().save_model(output_dir)
        finally:
            plugin.set_state_dict_type(kind)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        state = self.targets.state(self._sum_over_processes)
        if self.args.should_save:
            save_selection(Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}", state)
        super()._save_checkpoint(model, trial)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        # The trainer state comes next and says that the checkpoint is complete: each process's part must be there.
        self.accelerator.wait_for_everyone()


class _SelectionCallback(TrainerCallback):
    """Tells the trainer when an epoch begins and when training is over."""

    def __init__(self, trainer: FreeALTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer._begin_epoch()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer._finish_training()
