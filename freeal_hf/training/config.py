"""How one student is trained."""

import math
import os
from dataclasses import dataclass, field, fields
from typing import Any

from transformers import TrainingArguments

from freeal_hf.training.objectives import Objective, objective_named

DEFAULT_EPOCHS = 6.0
"""Epochs of a student when `num_train_epochs` is not given."""

# Below these torch or the tokenizer give up, and that only after the labels have been paid for.
_LEAST = {
    "learning_rate": 0,
    "weight_decay": 0,
    "num_train_epochs": 0,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "max_length": 3,  # two tokens are the tokenizer's own
}
_COLUMN_FIELDS = (
    "dataset_text_field",
    "dataset_label_field",
    "dataset_augmented_text_field",
    "dataset_tokens_field",
)
_GROUPS_BY_STRATEGY = hasattr(TrainingArguments, "train_sampling_strategy")


@dataclass
class FreeALConfig(TrainingArguments):
    """Arguments of [`FreeALTrainer`]: those of [`~transformers.TrainingArguments`] and the following.

    Args:
        > Parameters that control the data

        dataset_text_field (`str`, *optional*, defaults to `"text"`):
            Column of the texts.
        dataset_label_field (`str`, *optional*, defaults to `"label"`):
            Column of the noisy labels.
        dataset_augmented_text_field (`str`, *optional*, defaults to `"augmented_text"`):
            Column of the second views, which need not exist.
        dataset_tokens_field (`str`, *optional*, defaults to `"tokens"`):
            Column of the words; a dataset that has it trains a token classifier.

        > Parameters that control the student

        max_length (`int`, *optional*, defaults to 128):
            Tokens at most in one text; the rest is cut off.
        dropout (`float`, *optional*):
            Dropout of a student that is built from a name; by default the checkpoint's own.
        freeze_embeddings (`bool`, *optional*, defaults to `False`):
            Keep the word embeddings as they are, which makes a small student's training step cheaper on a CPU.

        > Parameters that control small-loss selection

        warm_up_epochs (`int`, *optional*):
            Epochs on every labelled sample before the first selection; by default 2, and in token classification,
            where a student learns more slowly, half of all epochs if that is more.
        prediction_momentum (`float`, *optional*):
            Weight of the past in the running average of predictions over epochs, on which losses are measured; by
            default the objective's (0.7 for `soft_targets`).
        clean_threshold (`float`, *optional*):
            A sample is clean when the posterior of the low-loss component exceeds this; by default the objective's
            (0.5 for `soft_targets`).
        min_clean_share (`float`, *optional*, defaults to 0.1):
            At least this share of each class is clean.
        max_clean_share (`float`, *optional*, defaults to 1.0):
            At most this share of each class is clean.
        agreement_confidence (`float`, *optional*, defaults to 1.0):
            A sample is also clean when the student gives its label more than this probability; 1 switches it off.

        > Parameters that control the loss

        objective (`str`, *optional*, defaults to `"soft_targets"`):
            Loss recipe: `soft_targets`, `freeal` (as published) or `cross_entropy`; see
            [`freeal_hf.training.objectives`]. Only `soft_targets` reads `soft_targets`, `label_trust`, `noisy_weight`
            and `mixup_clean_only`.
        soft_targets (`bool`, *optional*, defaults to `True`):
            Mix each label with the student's averaged guess, by the posterior of being clean, rather than choose one.
        label_trust (`float`, *optional*, defaults to 0.5):
            Share of the label in the soft target of a sample that is clean for certain.
        guess_temperature (`float`, *optional*, defaults to 0.85):
            Temperature that sharpens guesses and the divergence between views.
        guess_correction (`float`, *optional*, defaults to 0.25):
            Power of the student's self-confidence in each entity type that its guesses are divided by, against
            entities that the annotator missed; 0 switches it off. Token classification only.
        noisy_weight (`float`, *optional*, defaults to 1.0):
            Weight of noisy and unlabelled samples, by their guessed labels, in the supervised loss; 0 leaves them out.
        class_balance (`float`, *optional*, defaults to 0):
            Power of the inverse class frequency (estimated from the clean labels) that weights the classes; 0 = off.
        mixup_alpha (`float`, *optional*, defaults to 4.0):
            Both parameters of mixup's Beta distribution; 0 switches mixup off.
        mixup_clean_only (`bool`, *optional*, defaults to `False`):
            Mix clean samples only, as published, rather than noisy ones with guessed labels too.
        mixup_weight (`float`, *optional*, defaults to 1.0):
            Weight of the mixup loss.
        consistency_weight (`float`, *optional*, defaults to 1.0):
            Weight of the divergence between the two views of noisy and unlabelled samples.
        second_view (`str`, *optional*, defaults to `"augmented"`):
            Where a second view comes from: the data (`augmented`, if it has `augmented_text`), `token_dropout` or
            `dropout` (where it has not), or `none`. A second view doubles the cost of a step.
        token_dropout (`float`, *optional*, defaults to 0.15):
            Share of tokens that the view `token_dropout` hides.
        ramp_up_epochs (`float`, *optional*):
            Epochs over which mixup, consistency and the weight of noisy samples rise from 0 after warm-up; by default
            the objective's (2 for `soft_targets`).

    Changed defaults of [`~transformers.TrainingArguments`]: `per_device_train_batch_size` 32,
    `per_device_eval_batch_size` 64, `learning_rate` 1e-4, `weight_decay` 0.01, `num_train_epochs` 6,
    batches grouped by length. In `FreeAL` a small corpus is gone through more often, unless `num_train_epochs` is
    given.

    Attributes:
        epochs_are_given (`bool`): Whether `num_train_epochs` was given rather than left at its default.
    """

    per_device_train_batch_size: int = field(default=32, metadata={"help": "Texts in one batch on each device."})
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "Texts in one evaluation batch."})
    learning_rate: float = field(
        default=1e-4,
        metadata={
            "help": "Highest learning rate: 1e-4 suits a MiniLM-size student, 3e-5 (FreeAL's code) a larger one."
        },
    )
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay of the optimizer."})
    num_train_epochs: float | None = field(  # type: ignore[assignment]
        default=None, metadata={"help": "Passes over the training texts (default: 6)."}
    )
    if _GROUPS_BY_STRATEGY:
        train_sampling_strategy: str = field(
            default="group_by_length", metadata={"help": "'group_by_length' saves padding; or 'random', 'sequential'."}
        )
    else:
        group_by_length: bool = field(default=True, metadata={"help": "Batches of texts of like length save padding."})

    dataset_text_field: str = field(default="text", metadata={"help": "Column of the texts (trainer alone)."})
    dataset_label_field: str = field(default="label", metadata={"help": "Column of the labels (trainer alone)."})
    dataset_augmented_text_field: str = field(
        default="augmented_text", metadata={"help": "Column of the second views (trainer alone)."}
    )
    dataset_tokens_field: str = field(
        default="tokens", metadata={"help": "Column of the words of each sentence (trainer alone)."}
    )
    max_length: int = field(
        default=128, metadata={"help": "Tokens at most in one text; the rest is cut off. Source: FreeAL's code."}
    )
    dropout: float | None = field(
        default=None, metadata={"help": "Dropout of a student built from a name; by default the checkpoint's own."}
    )
    freeze_embeddings: bool = field(
        default=False, metadata={"help": "Keep the word embeddings as they are: a cheaper step on a CPU."}
    )
    warm_up_epochs: int | None = field(
        default=None,
        metadata={
            "help": "Epochs on every labelled sample before the first selection (2, for words half of all). "
            "Source: FreeAL."
        },
    )
    prediction_momentum: float | None = field(
        default=None,
        metadata={
            "help": "Weight of the past in predictions averaged over epochs (0.7). Source: temporal ensembling."
        },
    )
    start_with_probe: bool = field(
        default=True,
        metadata={
            "help": "Begin that average with a held-out linear probe's predictions (texts only). Source: cleanlab."
        },
    )
    clean_threshold: float | None = field(
        default=None,
        metadata={"help": "Clean when the posterior of the low-loss component exceeds this (0.5). Source: FreeAL."},
    )
    min_clean_share: float = field(default=0.1, metadata={"help": "At least this share of each class is clean."})
    max_clean_share: float = field(default=1.0, metadata={"help": "At most this share of each class is clean."})
    agreement_confidence: float = field(
        default=1.0,
        metadata={"help": "Clean, too, when the student gives the label this probability (1 = off). Source: ProMix."},
    )
    objective: str = field(
        default="soft_targets",
        metadata={
            "help": "Loss recipe: soft_targets, freeal (as published) or cross_entropy.",
            "choices": ["soft_targets", "freeal", "cross_entropy"],
        },
    )
    soft_targets: bool = field(
        default=True,
        metadata={
            "help": "Mix label and averaged guess by the posterior, not one of both. Source: Arazo et al. 2019."
        },
    )
    label_trust: float = field(
        default=0.5, metadata={"help": "Share of the label in the soft target of a sample that is surely clean."}
    )
    guess_temperature: float = field(
        default=0.85, metadata={"help": "Sharpens guesses and the divergence between views. Source: FreeAL's code."}
    )
    guess_correction: float = field(
        default=0.25,
        metadata={"help": "How far guesses of entities are set right for missed ones (0 = off). Words only."},
    )
    noisy_weight: float = field(
        default=1.0, metadata={"help": "Weight of noisy and unlabelled samples, by guessed labels (0 = left out)."}
    )
    class_balance: float = field(
        default=0.0, metadata={"help": "Power of the inverse class frequency that weights the classes (0 = off)."}
    )
    mixup_alpha: float = field(
        default=4.0, metadata={"help": "Parameter of mixup's Beta distribution (0 = no mixup). Source: FreeAL's code."}
    )
    mixup_clean_only: bool = field(
        default=False, metadata={"help": "Mix clean samples only, as FreeAL does, rather than all (MixMatch)."}
    )
    mixup_weight: float = field(default=1.0, metadata={"help": "Weight of the mixup loss. Source: FreeAL."})
    consistency_weight: float = field(
        default=1.0,
        metadata={"help": "Weight of the divergence between views of noisy and unlabelled samples. Source: FreeAL."},
    )
    second_view: str = field(
        default="augmented",
        metadata={
            "help": "Second view: the data's augmented_text, or else one made by token_dropout or dropout; or none.",
            "choices": ["augmented", "token_dropout", "dropout", "none"],
        },
    )
    token_dropout: float = field(default=0.15, metadata={"help": "Share of tokens that the made view hides."})
    ramp_up_epochs: float | None = field(
        default=None,
        metadata={"help": "Epochs until mixup, consistency, noisy samples reach full weight (2). Source: FreeAL."},
    )

    epochs_are_given: bool = field(
        default=False, init=False, repr=False, metadata={"help": "Whether num_train_epochs was given (no option)."}
    )

    def __post_init__(self) -> None:
        if self.label_names not in (None, ["labels"]):
            raise ValueError(
                f"label_names is {self.label_names}: it names the inputs that hold labels, here ['labels']. Names "
                "of classes are FreeALTrainer(class_names=...), another column is dataset_label_field="
            )
        self.epochs_are_given = self.num_train_epochs is not None
        if self.num_train_epochs is None:
            self.num_train_epochs = DEFAULT_EPOCHS
        super().__post_init__()
        self.use_defaults_of(objective_named(self.objective))
        if self.label_smoothing_factor:
            raise ValueError("label_smoothing_factor is not supported: a smoothed loss hides which labels are wrong")
        if os.environ.get("ACCELERATE_USE_FSDP") == "true" and os.environ.get("FSDP_VERSION") != "2":
            raise ValueError("FSDP of version 1 is not supported: launch with --fsdp_version 2, or without --use_fsdp")
        if self.second_view not in ("augmented", "token_dropout", "dropout", "none"):
            raise ValueError(f"second_view is {self.second_view!r}: use augmented, token_dropout, dropout or none")
        if self.warm_up_epochs is not None and self.warm_up_epochs < 1:
            raise ValueError("warm_up_epochs must be at least 1: the first selection needs an epoch's predictions")
        for name, least in _LEAST.items():
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least {least}")
        for name in ("prediction_momentum", "token_dropout", "dropout"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 0 and below 1")

    def use_defaults_of(self, objective: Objective) -> None:
        """Fill in what was not given.

        Args:
            objective (`Objective`): The recipe whose `defaults` are taken; those of `soft_targets` fill the rest.
        """
        for name, value in {**objective_named("soft_targets").defaults, **objective.defaults}.items():
            if getattr(self, name) is None:
                setattr(self, name, value)

    def use_standard_columns(self) -> None:
        """Name the columns as they are called by default."""
        for item in fields(self):
            if item.name in _COLUMN_FIELDS:
                setattr(self, item.name, item.default)

    @property
    def groups_by_length(self) -> bool:
        """Whether batches hold texts of like length, under the name that this transformers gives it."""
        if _GROUPS_BY_STRATEGY:
            return self.train_sampling_strategy == "group_by_length"
        return self.group_by_length


def as_freeal_config(args: TrainingArguments | None) -> FreeALConfig:
    """Take whatever training arguments a Trainer takes.

    Args:
        args (`TrainingArguments`, *optional*): The arguments; by default those of [`FreeALConfig`], with the
            `output_dir` that Trainer uses.

    Returns:
        `FreeALConfig`: `args` itself if it is one. Plain [`~transformers.TrainingArguments`] keep all their values,
        and the fields of [`FreeALConfig`] get their defaults.
    """
    if args is None:
        return FreeALConfig(output_dir="tmp_trainer")
    if isinstance(args, FreeALConfig):
        return args
    values: dict[str, Any] = {item.name: getattr(args, item.name) for item in fields(TrainingArguments) if item.init}
    return FreeALConfig(**values)
