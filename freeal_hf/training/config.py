"""How one student is trained."""

from dataclasses import dataclass, field
from typing import Any

from transformers import TrainingArguments


@dataclass
class FreeALConfig(TrainingArguments):
    """Arguments of [`FreeALTrainer`]: those of [`~transformers.TrainingArguments`] and the following.

    Args:
        max_length (`int`, *optional*, defaults to 128):
            Tokens at most in one text; the rest is cut off.
        dropout (`float`, *optional*):
            Dropout of a student that is built from a name; `None` keeps the checkpoint's own.
        freeze_embeddings (`bool`, *optional*, defaults to `False`):
            Keep the word embeddings as they are: a CPU trains a small student nearly twice as fast.

        > Parameters that control small-loss selection

        warm_up_epochs (`float`, *optional*, defaults to 3):
            Epochs of plain cross-entropy on every labelled sample before the first selection.
        clean_threshold (`float`, *optional*, defaults to 0.7):
            A sample is clean when the posterior of the low-loss component exceeds this.
        min_clean_share (`float`, *optional*, defaults to 0.1):
            At least this share of each class is clean.
        max_clean_share (`float`, *optional*, defaults to 1.0):
            At most this share of each class is clean.
        agreement_confidence (`float`, *optional*, defaults to 1.0):
            A sample is also clean when the student gives its label this probability; 1 switches it off.
        loss_momentum (`float`, *optional*, defaults to 0.5):
            Weight of the past in the running average of losses over epochs.

        > Parameters that control the loss

        mixup_alpha (`float`, *optional*, defaults to 4.0):
            Both parameters of mixup's Beta distribution; 0 switches mixup off.
        mixup_clean_only (`bool`, *optional*, defaults to `False`):
            Mix clean samples only, as published, rather than noisy ones with guessed labels too.
        mixup_weight (`float`, *optional*, defaults to 1.0):
            Weight of the mixup loss.
        consistency_weight (`float`, *optional*, defaults to 1.0):
            Weight of the divergence between the two views of noisy and unlabelled samples.
        consistency_temperature (`float`, *optional*, defaults to 0.85):
            Temperature of that divergence and of guessed labels.
        ramp_up_epochs (`float`, *optional*, defaults to 10.0):
            Epochs over which both weights rise from 0 after warm-up.
    """

    per_device_train_batch_size: int = field(default=32, metadata={"help": "Texts in one batch on each device."})
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "Texts in one evaluation batch."})
    learning_rate: float = field(default=5e-5, metadata={"help": "Highest learning rate of the optimizer."})
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay of the optimizer."})

    max_length: int = field(
        default=128, metadata={"help": "Tokens at most in one text; the rest is cut off. Source: FreeAL's code."}
    )
    dropout: float | None = field(
        default=None,
        metadata={"help": "Dropout of a student built from a name; by default the checkpoint's own."},
    )
    freeze_embeddings: bool = field(
        default=False,
        metadata={"help": "Keep the word embeddings as they are: nearly twice as fast for a small student on a CPU."},
    )
    warm_up_epochs: float = field(
        default=3.0,
        metadata={"help": "Epochs on every labelled sample before the first selection. Source: FreeAL's code."},
    )
    clean_threshold: float = field(
        default=0.7,
        metadata={"help": "Clean when the posterior of the low-loss component exceeds this. Source: FreeAL's code."},
    )
    min_clean_share: float = field(default=0.1, metadata={"help": "At least this share of each class is clean."})
    max_clean_share: float = field(default=1.0, metadata={"help": "At most this share of each class is clean."})
    agreement_confidence: float = field(
        default=1.0,
        metadata={"help": "Clean, too, when the student gives the label this probability (1 = off). Source: ProMix."},
    )
    loss_momentum: float = field(
        default=0.5, metadata={"help": "Weight of the past in the running average of losses over epochs."}
    )
    mixup_alpha: float = field(
        default=4.0, metadata={"help": "Parameter of mixup's Beta distribution (0 = no mixup). Source: FreeAL's code."}
    )
    mixup_clean_only: bool = field(
        default=False, metadata={"help": "Mix clean samples only, as FreeAL does, rather than all (MixMatch)."}
    )
    mixup_weight: float = field(default=1.0, metadata={"help": "Weight of the mixup loss."})
    consistency_weight: float = field(
        default=1.0, metadata={"help": "Weight of the divergence between the views of noisy and unlabelled samples."}
    )
    consistency_temperature: float = field(
        default=0.85,
        metadata={"help": "Temperature of that divergence and of guessed labels. Source: FreeAL's code."},
    )
    ramp_up_epochs: float = field(
        default=10.0,
        metadata={"help": "Epochs over which mixup and consistency rise to full weight. Source: FreeAL's code."},
    )

    def __post_init__(self) -> Any:
        super().__post_init__()
        if self.label_smoothing_factor:
            raise ValueError("label_smoothing_factor is not supported: a smoothed loss hides which labels are wrong")
