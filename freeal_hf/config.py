"""How the loop is set up, and what a run was told, as plain values for `config.yaml` without any token."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from freeal_hf.errors import InputError

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig

# Tokens, and what depends on the moment or the machine rather than on the user.
_NEVER_WRITTEN = {"hub_token", "push_to_hub_token", "logging_dir", "run_name", "local_rank", "deepspeed_plugin"}
# They say which devices and processes there are, and that is one state for the whole process.
_PLACE = ("use_cpu", "ddp_backend", "ddp_timeout")
_PLAIN = (str, int, float, bool, list, tuple, dict, type(None))
_REFINE = ("noisy", "all", "none")
_SETTINGS = ("transductive", "inductive")
_STOP_ON = ("never", "label_changes", "agreement", "estimated_accuracy")


@dataclass
class LoopConfig:
    """How the annotator and the student take turns.

    Args:
        num_rounds (`int`, *optional*, defaults to 2): Rounds of annotating and training.
        shots (`int`, *optional*, defaults to 10): Demonstrations shown with a text, at least one of every label.
        texts_per_list (`int`, *optional*, defaults to 1): Similar texts that share one list of demonstrations.
        pool_size (`int`, *optional*, defaults to 100): Size of the demonstration pool.
        candidate_fraction (`float`, *optional*, defaults to 0.2): Cleanest fraction of a label that may enter it.
        generated_per_label (`int`, *optional*, defaults to 10): Texts that the annotator writes per label for round 0.
        refine (`str`, *optional*, defaults to `"noisy"`): Which texts later rounds ask again.
        stop_on (`str`, *optional*, defaults to `"never"`):
            What ends the loop before `num_rounds`: hardly any final label changed, annotator and student agree no
            more than before, or the estimated accuracy no longer rises. See `freeal_hf.loop.stopping`.
        setting (`str`, *optional*, defaults to `"transductive"`): What the student is scored on.
        min_train_steps (`int`, *optional*, defaults to 120):
            Where the student's `num_train_epochs` is left at its default, a corpus that is too small for so many
            optimizer steps is gone through more often.
        allow_doubtful_answers (`bool`, *optional*, defaults to `False`):
            Train although the annotator gave nearly all texts one label, or its answers look independent of the texts:
            for data that are like that, such as 99 % of one label. See `freeal_hf.labels.doubts`.
        max_cost (`float`, *optional*): Dollars that the annotator may cost in all rounds together.
        max_tokens (`int`, *optional*): Tokens that it may read and write in all rounds together.
        prices (`str`, *optional*): YAML file `MODEL: {prompt: DOLLARS, completion: DOLLARS}`, per million tokens.

    Raises:
        InputError: If a value cannot be used.
    """

    num_rounds: int = field(default=2, metadata={"help": "Rounds of annotating and training."})
    shots: int = field(default=10, metadata={"help": "Demonstrations shown with a text, at least one of every label."})
    texts_per_list: int = field(
        default=1,
        metadata={"help": "Similar texts that share one list of demonstrations, for a server's prefix cache."},
    )
    pool_size: int = field(default=100, metadata={"help": "Size of the demonstration pool."})
    candidate_fraction: float = field(
        default=0.2, metadata={"help": "Cleanest fraction of each label's samples that may become demonstrations."}
    )
    generated_per_label: int = field(
        default=10, metadata={"help": "Texts that an LLM writes per label as demonstrations of round 0 (0: none)."}
    )
    refine: str = field(
        default="noisy",
        metadata={"help": "Texts that later rounds ask again (noisy: and unlabelled ones).", "choices": _REFINE},
    )
    stop_on: str = field(
        default="never",
        metadata={"help": "What ends the loop early; no rule sees gold.", "choices": _STOP_ON},
    )
    setting: str = field(
        default="transductive",
        metadata={"help": "Score the student on the texts themselves or on test data.", "choices": _SETTINGS},
    )

    min_train_steps: int = field(
        default=120,
        metadata={"help": "Optimizer steps at least in each training, unless num_train_epochs is given."},
    )
    allow_doubtful_answers: bool = field(
        default=False,
        metadata={"help": "Train although nearly all answers are one label, or look random: where that is right."},
    )
    max_cost: float | None = field(
        default=None, metadata={"help": "Dollars that the annotator may cost in the whole run.", "type": float}
    )
    max_tokens: int | None = field(
        default=None, metadata={"help": "Tokens that the annotator may read and write in it.", "type": int}
    )

    prices: str | None = field(
        default=None,
        metadata={
            "help": "YAML file with the models' prices per million tokens.",
            "type": str,
            "none": "a few list prices",
        },
    )

    def __post_init__(self) -> None:
        for name, least in {
            "num_rounds": 1,
            "shots": 0,
            "texts_per_list": 1,
            "pool_size": 0,
            "generated_per_label": 0,
            "min_train_steps": 0,
        }.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(f"{name} is {value!r}; it must be a whole number of at least {least}.")
        if not 0 < self.candidate_fraction <= 1:
            raise InputError(f"candidate_fraction is {self.candidate_fraction!r}; it must be above 0 and at most 1.")
        for item in fields(self):
            value, choices = getattr(self, item.name), item.metadata.get("choices")
            if isinstance(item.default, bool) and not isinstance(value, bool):
                raise InputError(f"{item.name} is {value!r}; it must be true or false.")
            if choices and value not in choices:
                raise InputError(f"{item.name} is {value!r}; choose one of {', '.join(choices)}.")


@dataclass
class HubConfig:
    """What a run pushes to the Hub, beside `push_to_hub`, `hub_model_id` and `hub_private_repo` of `FreeALConfig`.

    Args:
        hub_dataset_id (`str`, *optional*): Data set repository; by default named after the run's folder.
        hub_collection (`str`, *optional*): Title of a collection that ties data set, student and Space together.
        hub_space_id (`str`, *optional*): Space to put into the collection.
        hub_exist_ok (`bool`, *optional*, defaults to `False`):
            Push on top of repositories that this run did not make, or that others changed; their history stays.
        push_columns (`list[str]`, *optional*):
            Columns of one's own to push: `gold`, and columns that an annotator read. No other leaves the machine.
    """

    hub_dataset_id: str | None = field(
        default=None, metadata={"help": "Data set repository (default: USER/FOLDER-freeal).", "metavar": "ID"}
    )
    hub_collection: str | None = field(
        default=None, metadata={"help": "Title of a collection for data set, student and Space.", "metavar": "TITLE"}
    )
    hub_space_id: str | None = field(
        default=None, metadata={"help": "Space to put into the collection.", "metavar": "ID"}
    )
    hub_exist_ok: bool = field(
        default=False, metadata={"help": "Push on top of repositories that this run did not make, or others changed."}
    )
    push_columns: list[str] = field(
        default_factory=list,
        metadata={"help": "Own columns to push, such as gold; no other is.", "metavar": "A,B,..."},
    )


@dataclass
class EngineConfig:
    """Where texts are annotated: in this process, or by the workers of a Ray cluster. It never changes a label.

    Args:
        engine (`str`, *optional*, defaults to `"local"`): `"local"`, or `"ray"` (needs `freeal-hf[ray]`).
        ray_address (`str`, *optional*): Address of a cluster (`"auto"`: this machine's); by default one is started.
        ray_workers (`int`, *optional*, defaults to 2): Worker processes, each with the annotator's concurrency.
        ray_gpus_per_worker (`float`, *optional*, defaults to 0.0): GPUs of a worker, for a model in its process.
        ray_shard_size (`int`, *optional*, defaults to 5000): Texts that a worker takes at a time.
        ray_calls_per_minute (`float`, *optional*): Most calls of all workers together.

    Raises:
        InputError: If a value cannot be used, or Ray is not installed.
    """

    engine: str = field(
        default="local",
        metadata={"help": "Annotate in this process or on a Ray cluster.", "choices": ("local", "ray")},
    )
    ray_address: str | None = field(
        default=None, metadata={"help": "Address of the cluster, or auto.", "type": str, "none": "one is started here"}
    )
    ray_workers: int = field(default=2, metadata={"help": "Worker processes on the cluster."})
    ray_gpus_per_worker: float = field(
        default=0.0, metadata={"help": "GPUs of each worker, for a model in its process."}
    )
    ray_shard_size: int = field(default=5000, metadata={"help": "Texts that a worker takes at a time."})
    ray_calls_per_minute: float | None = field(
        default=None, metadata={"help": "Most calls a minute of all workers together.", "type": float}
    )

    def __post_init__(self) -> None:
        if self.engine not in ("local", "ray"):
            raise InputError(f"engine is {self.engine!r}; choose one of local, ray.")
        if self.engine == "ray" and find_spec("ray") is None:
            raise InputError("The engine ray needs Ray: pip install 'freeal-hf[ray]'.")
        for name in ("ray_workers", "ray_shard_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be at least 1.")
        if self.ray_calls_per_minute is not None and not self.ray_calls_per_minute > 0:
            raise InputError(f"ray_calls_per_minute is {self.ray_calls_per_minute!r}; it must be above 0.")


def changed_arguments(args: "FreeALConfig") -> dict[str, Any]:
    """The training arguments that differ from their defaults, `output_dir` included.

    Args:
        args (`FreeALConfig`): The arguments.

    Returns:
        `dict[str, Any]`: YAML-able values by field name.
    """
    defaults = type(args)(output_dir=args.output_dir, **{name: getattr(args, name) for name in _PLACE})
    changed: dict[str, Any] = {"output_dir": str(args.output_dir)}
    for item in fields(args):
        value = getattr(args, item.name)
        default = item.default if item.name in _PLACE else getattr(defaults, item.name)
        if item.init and item.name not in _NEVER_WRITTEN and value != default:
            value = value.value if isinstance(value, Enum) else value
            changed[item.name] = value if isinstance(value, _PLAIN) else str(value)
    if args.epochs_are_given:  # as many as by default, but no corpus is small enough to change that
        changed["num_train_epochs"] = args.num_train_epochs
    return changed


def each_annotator(named: Any) -> Sequence[Any]:
    """The annotators that were named: none, one, or a sequence of them."""
    if named is None:
        return ()
    return named if isinstance(named, Sequence) and not isinstance(named, str) else (named,)


def describe_annotators(named: Any) -> str | dict[str, Any] | None:
    """Annotators for `config.yaml`: by name; objects by class, model and address, for the rest may hold a key."""
    several = each_annotator(named)
    if all(isinstance(one, str) for one in several):
        return " + ".join(several) or None
    described = [{"class": one} if isinstance(one, str) else one.describe() for one in several]
    keys = dict.fromkeys(key for one in described for key in one)
    return {key: " + ".join(str(one.get(key, "-")) for one in described) for key in keys}
