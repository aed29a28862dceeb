"""`FreeALConfig`: the training arguments of a student."""

import math
import os
from dataclasses import dataclass, field, fields
from typing import Any

from transformers import TrainingArguments

from freeal_hf.training.hardware import computes_bf16
from freeal_hf.training.objectives import Objective, objective_named

DEFAULT_EPOCHS = 6.0
"""Epochs of a student when `num_train_epochs` is not given."""

# With smaller values torch or the tokenizer fails, but only after the labels have been paid for.
_LEAST = {
    "learning_rate": 0,
    "weight_decay": 0,
    "num_train_epochs": 0,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "max_length": 3,  # two special tokens and one of the text
}
_COLUMN_FIELDS = (
    "dataset_text_field",
    "dataset_label_field",
    "dataset_augmented_text_field",
    "dataset_tokens_field",
)
_IS_TRANSFORMERS_5 = hasattr(TrainingArguments, "train_sampling_strategy")


@dataclass(repr=False)  # that of TrainingArguments hides tokens
class FreeALConfig(TrainingArguments):
    """Arguments of [`FreeALTrainer`]: all of [`~transformers.TrainingArguments`] and those below.

    Args:
        dataset_text_field (`str`, *optional*, defaults to `"text"`):
            Column of the texts.
        dataset_label_field (`str`, *optional*, defaults to `"label"`):
            Column of the noisy labels.
        dataset_augmented_text_field (`str`, *optional*, defaults to `"augmented_text"`):
            Column of the second views. The dataset does not need to have it.
        dataset_tokens_field (`str`, *optional*, defaults to `"tokens"`):
            Column of the words. If the dataset has it, a token classifier is trained.

        max_length (`int`, *optional*, defaults to 128):
            The maximum number of tokens in a text. Longer texts are truncated.
        dropout (`float`, *optional*):
            The dropout of a student that is built from a name; by default that of the checkpoint.
        freeze_embeddings (`bool`, *optional*, defaults to `False`):
            Whether to freeze the word embeddings. Training steps of a small student are then faster on a CPU.

        warm_up_epochs (`int`, *optional*):
            The number of epochs on all labelled samples before the first selection. Defaults to a third of all
            epochs, and in token classification, where a student learns more slowly, to half of them; at least 2.
        prediction_momentum (`float`, *optional*):
            The weight of earlier epochs in the average of the predictions, from which the losses are computed. By
            default the value of the objective (0.7 for `soft_targets`).
        start_with_probe (`bool`, *optional*, defaults to `True`):
            Whether this average starts with the predictions of a linear probe for held-out texts. Not used in token
            classification.
        clean_threshold (`float`, *optional*):
            A sample is clean if the posterior probability of the low-loss component is above this value. By default
            the value of the objective (0.5 for `soft_targets`).
        min_clean_share (`float`, *optional*, defaults to 0.1):
            The minimum share of clean samples in each class.
        max_clean_share (`float`, *optional*, defaults to 1.0):
            The maximum share of clean samples in each class.
        agreement_confidence (`float`, *optional*, defaults to 1.0):
            A sample is also clean if the student gives its label at least this probability. 1 disables this rule.

        calibration_share (`float`, *optional*):
            The share of the labels of each class that is held out: at most 1,000 labels, and none if they were fewer
            than 20. The student learns these texts as texts without a label. Its predictions for them select the
            temperature by which its logits are divided, which becomes a part of its weights. Labels with `is_trusted`
            are never held out. By default 0.1 in multi-label classification with `soft_targets`, and otherwise 0,
            which leaves the student as it is. `FreeAL` calibrates students of texts with one label without held-out
            labels. It has no effect on token classification and with a `compute_loss_func`.

        objective (`str`, *optional*, defaults to `"soft_targets"`):
            The loss recipe: `soft_targets`, `freeal` (as published) or `cross_entropy`; see
            [`freeal_hf.training.objectives`]. Only `soft_targets` reads the arguments `soft_targets`, `label_trust`,
            `noisy_weight` and `mixup_clean_only`.
        soft_targets (`bool`, *optional*, defaults to `True`):
            Whether the target of a sample is a mixture of its label and the pseudo-label, weighted by the posterior
            probability that the label is clean, or only one of the two.
        label_trust (`float`, *optional*, defaults to 0.5):
            The share of the label in the soft target of a sample whose posterior is 1. Labels are trusted fully if
            held-out predictions show no labels that are wrong at random and the annotator admits none.
        guess_temperature (`float`, *optional*, defaults to 0.85):
            The temperature for sharpening pseudo-labels and for the divergence between views.
        guess_correction (`float`, *optional*, defaults to 0.25):
            Corrects pseudo-labels for entities that the annotator missed: probabilities are divided by this power of
            the student's self-confidence in each entity type. 0 disables it. Token classification only.
        noisy_weight (`float`, *optional*, defaults to 1.0):
            The weight of noisy and unlabelled samples, with their pseudo-labels, in the supervised loss. 0 leaves
            them out.
        class_balance (`float`, *optional*, defaults to 0):
            Classes are weighted by this power of the inverse class frequency, which is estimated from the clean
            labels. 0 weights all classes equally.
        mixup_alpha (`float`, *optional*, defaults to 4.0):
            Both parameters of the Beta distribution of mixup. 0 disables mixup.
        mixup_clean_only (`bool`, *optional*, defaults to `False`):
            Whether mixup only uses clean samples, as published, or also noisy samples with their pseudo-labels.
        mixup_weight (`float`, *optional*, defaults to 1.0):
            The weight of the mixup loss.
        consistency_weight (`float`, *optional*, defaults to 1.0):
            The weight of the divergence between the two views of noisy and unlabelled samples.
        second_view (`str`, *optional*, defaults to `"augmented"`):
            The source of the second view: `augmented` uses the column `augmented_text`, if there is one;
            `token_dropout` and `dropout` make a view if there is no such column; `none` uses no second view. A second
            view doubles the cost of a step.
        token_dropout (`float`, *optional*, defaults to 0.15):
            The share of tokens that `second_view="token_dropout"` masks.
        ramp_up_epochs (`float`, *optional*):
            The number of epochs after warm-up in which mixup, consistency and the weight of noisy samples rise from 0
            to their full value. By default the value of the objective (2 for `soft_targets`).

    These defaults differ from [`~transformers.TrainingArguments`]: `per_device_train_batch_size` is 32,
    `per_device_eval_batch_size` 64, `learning_rate` 1e-4, `weight_decay` 0.01, `num_train_epochs` 6, batches are
    grouped by length, and with transformers 5 `bf16` is used if the GPU (compute capability 8.0) or the CPU (AMX or
    AVX-512 instructions) computes it. `FreeAL` uses more epochs on a small corpus unless `num_train_epochs` is given.

    Attributes:
        epochs_are_given (`bool`): Whether `num_train_epochs` was given.
    """

    per_device_train_batch_size: int = field(
        default=32, metadata={"help": "Number of texts in a batch on each device."}
    )
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "Number of texts in an evaluation batch."})
    learning_rate: float = field(
        default=1e-4,
        metadata={
            "help": "Highest learning rate; 1e-4 suits a student like MiniLM, 3e-5 (FreeAL's code) a larger one."
        },
    )
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay of the optimizer."})
    bf16: bool | None = field(  # type: ignore[assignment]
        default=None, metadata={"help": "Train with bf16 autocast (default: if the processor computes bf16)."}
    )
    num_train_epochs: float | None = field(  # type: ignore[assignment]
        default=None, metadata={"help": "Number of training epochs (default: 6)."}
    )
    if _IS_TRANSFORMERS_5:
        train_sampling_strategy: str = field(
            default="group_by_length", metadata={"help": "'group_by_length' saves padding; or 'random', 'sequential'."}
        )
    else:
        group_by_length: bool = field(default=True, metadata={"help": "Group texts of similar length into batches."})

    dataset_text_field: str = field(default="text", metadata={"help": "Column of the texts (FreeALTrainer only)."})
    dataset_label_field: str = field(default="label", metadata={"help": "Column of the labels (FreeALTrainer only)."})
    dataset_augmented_text_field: str = field(
        default="augmented_text", metadata={"help": "Column of the second views (FreeALTrainer only)."}
    )
    dataset_tokens_field: str = field(
        default="tokens", metadata={"help": "Column of the words of each sentence (FreeALTrainer only)."}
    )
    max_length: int = field(
        default=128,
        metadata={"help": "Maximum number of tokens in a text; longer texts are truncated. Source: FreeAL's code."},
    )
    dropout: float | None = field(
        default=None, metadata={"help": "Dropout of the student (default: that of the checkpoint)."}
    )
    freeze_embeddings: bool = field(
        default=False, metadata={"help": "Freeze the word embeddings, which makes training on a CPU faster."}
    )
    warm_up_epochs: int | None = field(
        default=None,
        metadata={
            "help": "Epochs before the first selection (default: a third of all; for entities, half). Source: FreeAL."
        },
    )
    prediction_momentum: float | None = field(
        default=None,
        metadata={"help": "Weight of earlier epochs in the averaged predictions (0.7). Source: temporal ensembling."},
    )
    start_with_probe: bool = field(
        default=True,
        metadata={
            "help": "Start that average with held-out predictions of a linear probe (not for entities). "
            "Source: cleanlab."
        },
    )
    clean_threshold: float | None = field(
        default=None,
        metadata={"help": "A label is clean if its posterior probability is above this value (0.5). Source: FreeAL."},
    )
    min_clean_share: float = field(default=0.1, metadata={"help": "Minimum share of clean labels in each class."})
    max_clean_share: float = field(default=1.0, metadata={"help": "Maximum share of clean labels in each class."})
    agreement_confidence: float = field(
        default=1.0,
        metadata={"help": "A label is also clean if the student gives it this probability (1 = off). Source: ProMix."},
    )
    calibration_share: float | None = field(
        default=None,
        metadata={
            "help": "Share of the labels held out to calibrate the student (0; multi-label: 0.1). "
            "Source: Guo et al. 2017."
        },
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
            "help": "Use mixtures of label and pseudo-label, weighted by the posterior. Source: Arazo et al. 2019."
        },
    )
    label_trust: float = field(
        default=0.5, metadata={"help": "Share of the label in the soft target of a sample whose posterior is 1."}
    )
    guess_temperature: float = field(
        default=0.85,
        metadata={"help": "Temperature of pseudo-labels and of the divergence between views. Source: FreeAL's code."},
    )
    guess_correction: float = field(
        default=0.25,
        metadata={"help": "Strength of the correction for entities that the annotator missed (0 = off)."},
    )
    noisy_weight: float = field(
        default=1.0,
        metadata={"help": "Weight of noisy and unlabelled samples with their pseudo-labels (0 = left out)."},
    )
    class_balance: float = field(
        default=0.0, metadata={"help": "Power of the inverse class frequency that weights the classes (0 = off)."}
    )
    mixup_alpha: float = field(
        default=4.0,
        metadata={"help": "Parameter of the Beta distribution of mixup (0 = no mixup). Source: FreeAL's code."},
    )
    mixup_clean_only: bool = field(
        default=False, metadata={"help": "Use only clean samples in mixup, as FreeAL does, not all (MixMatch)."}
    )
    mixup_weight: float = field(default=1.0, metadata={"help": "Weight of the mixup loss. Source: FreeAL."})
    consistency_weight: float = field(
        default=1.0,
        metadata={"help": "Weight of the divergence between views of noisy and unlabelled samples. Source: FreeAL."},
    )
    second_view: str = field(
        default="augmented",
        metadata={
            "help": "Second view: the column augmented_text; token_dropout or dropout make one if there is no such "
            "column; or none.",
            "choices": ["augmented", "token_dropout", "dropout", "none"],
        },
    )
    token_dropout: float = field(default=0.15, metadata={"help": "Share of tokens that token_dropout masks."})
    ramp_up_epochs: float | None = field(
        default=None,
        metadata={
            "help": "Epochs until mixup, consistency and noisy samples have their full weight (2). Source: FreeAL."
        },
    )

    epochs_are_given: bool = field(
        default=False, init=False, repr=False, metadata={"help": "Whether num_train_epochs was given (no option)."}
    )

    def __post_init__(self) -> None:
        if self.label_names not in (None, ["labels"]):
            raise ValueError(
                f"label_names is {self.label_names}, but it means the model inputs that are labels: ['labels']. Pass "
                "the names of the classes as FreeALTrainer(class_names=...), and the label column as "
                "dataset_label_field="
            )
        if self.num_train_epochs is None:
            self.num_train_epochs = DEFAULT_EPOCHS
            self.epochs_are_given = False
        super().__post_init__()
        # `bf16` stays None, so that a configuration file of this machine can be used on others. transformers 4 has the
        # precision in an environment variable, which would also hold for the next arguments of the process.
        if _IS_TRANSFORMERS_5 and self.bf16 is None and self.mixed_precision == "no" and computes_bf16(self.device):
            self.mixed_precision = "bf16"
        self.use_defaults_of(objective_named(self.objective))
        if self.label_smoothing_factor:
            raise ValueError(
                "label_smoothing_factor is not supported, because smoothed losses hide which labels are wrong: set it "
                "to 0"
            )
        if os.environ.get("ACCELERATE_USE_FSDP") == "true" and os.environ.get("FSDP_VERSION") != "2":
            raise ValueError("FSDP of version 1 is not supported: launch with --fsdp_version 2, or without --use_fsdp")
        if self.second_view not in ("augmented", "token_dropout", "dropout", "none"):
            raise ValueError(f"second_view is {self.second_view!r}: use augmented, token_dropout, dropout or none")
        if self.warm_up_epochs is not None and self.warm_up_epochs < 1:
            raise ValueError(
                f"warm_up_epochs is {self.warm_up_epochs}: it must be at least 1, because the first selection needs "
                "the predictions of one epoch"
            )
        for name, least in _LEAST.items():
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least {least}")
        for name in ("prediction_momentum", "token_dropout", "dropout", "calibration_share"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 0 and below 1")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "num_train_epochs":  # also if it is set later, by a user or by a hyperparameter search
            self.epochs_are_given = value is not None
        super().__setattr__(name, value)

    def use_defaults_of(self, objective: Objective) -> None:
        """Sets all arguments that are `None` to the defaults of an objective.

        Args:
            objective (`Objective`): The loss recipe. The defaults of `soft_targets` are used where it has none.
        """
        for name, value in {**objective_named("soft_targets").defaults, **objective.defaults}.items():
            if getattr(self, name) is None:
                setattr(self, name, value)

    def use_standard_columns(self) -> None:
        """Sets the arguments that name columns to their defaults."""
        for item in fields(self):
            if item.name in _COLUMN_FIELDS:
                setattr(self, item.name, item.default)

    @property
    def groups_by_length(self) -> bool:
        """Whether texts of similar length are batched together, in any transformers version."""
        if _IS_TRANSFORMERS_5:
            return self.train_sampling_strategy == "group_by_length"
        return self.group_by_length


def as_freeal_config(args: TrainingArguments | None) -> FreeALConfig:
    """Converts training arguments to a [`FreeALConfig`].

    Args:
        args (`TrainingArguments`, *optional*): The arguments. Defaults to a [`FreeALConfig`] with the `output_dir` of
            Trainer.

    Returns:
        `FreeALConfig`: `args` itself if it is a [`FreeALConfig`]. Otherwise the values of `args`, and the defaults of
        [`FreeALConfig`] for all other arguments.
    """
    if args is None:
        return FreeALConfig(output_dir="tmp_trainer")
    if isinstance(args, FreeALConfig):
        return args
    values: dict[str, Any] = {item.name: getattr(args, item.name) for item in fields(TrainingArguments) if item.init}
    return FreeALConfig(**values)
