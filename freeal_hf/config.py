"""The configuration of a run. Each option is declared once, as a field of a dataclass.

The metadata of a field are:

- `help`, `metavar`, `choices`, `type`, `action`, `flag`, and `none` (shown in the help for a default of `None`): the
  option on the command line
- `private`: the option is never written to a file and never pushed, such as a token
- `local`: the option is written to the folder of the run and never pushed, such as the path of the data
- `resumable`: the option can change if a run is resumed
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import Enum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from freeal_hf.embedded import EMBEDDED_MODEL
from freeal_hf.errors import InputError

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig

T = TypeVar("T")

_OF_THE_OWNER = {"local": True, "resumable": True}
# Metadata of options that are not declared in this module: inherited fields of FreeALConfig, and records of a run.
_NOT_DECLARED: Mapping[str, Mapping[str, bool]] = {
    "hub_token": {"private": True, "resumable": True},
    "push_to_hub_token": {"private": True, "resumable": True},
    # These depend on the time or the machine.
    "logging_dir": {"private": True},
    "run_name": {"private": True},
    "local_rank": {"private": True},
    "deepspeed_plugin": {"private": True},
    "output_dir": _OF_THE_OWNER,
    "push_to_hub": _OF_THE_OWNER,
    "push_to_hub_model_id": _OF_THE_OWNER,
    "push_to_hub_organization": _OF_THE_OWNER,
    "hub_model_id": _OF_THE_OWNER,
    "hub_strategy": _OF_THE_OWNER,
    "hub_private_repo": _OF_THE_OWNER,
    "hub_always_push": _OF_THE_OWNER,
    "hub_revision": _OF_THE_OWNER,
    "freeal_hf": {"resumable": True},
    "disable_tqdm": {"resumable": True},
    "report_to": {"resumable": True},
}
# These determine the devices and processes, which are a global state of the process.
_PLACE = ("use_cpu", "ddp_backend", "ddp_timeout")
NOTED = ("freeal_hf", "data_fingerprint")
"""The records in `config.yaml` that are not options: the version, and the fingerprint of the texts."""

_PLAIN = (str, int, float, bool, list, tuple, dict, type(None))
_REFINE = ("noisy", "all", "none")
_SETTINGS = ("transductive", "inductive")
_STOP_ON = ("never", "label_changes", "agreement", "estimated_accuracy")
_ENGINES = ("local", "ray")
QUOTINGS = ("csv", "none")


def option(default: Any = None, **metadata: Any) -> Any:
    """Declares a field that is an option of the command line and of `config.yaml`.

    Args:
        default (`Any`, *optional*): The default. A list or a dictionary is copied.
        **metadata: The metadata; see the docstring of this module.
    """
    if isinstance(default, (list, dict)):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def section(config: type[T], options: Mapping[str, Any]) -> T:
    """Creates a section of the configuration.

    Args:
        config (`type`): The dataclass of the section.
        options (`Mapping`): The values by option name. Options of other sections are ignored.

    Returns:
        `T`: The dataclass with the given values, and defaults.

    Example:

        >>> section(StudentConfig, {"student": "roberta-base", "shots": 5})
        StudentConfig(student='roberta-base')
    """
    return config(**{item.name: options[item.name] for item in fields(config) if item.name in options})  # type: ignore[arg-type]


@dataclass
class ReadingConfig:
    """The texts, and how their file is read.

    Args:
        data (`str`, *optional*): A file, a folder, a pattern, an fsspec address, or a Hub dataset id.
        text_columns (`str` or `list[str]`, *optional*): The columns of the text. Defaults to `text`.
        id_column (`str`, *optional*): The column of unique ids. By default ids are made from the texts.
        split (`str`, *optional*): The split of data with several splits. Defaults to `train`.
        delimiter (`str`, *optional*): The separator of a CSV file. By default it is detected.
        encoding (`str`, *optional*): The encoding of a text file. By default it is detected.
        quoting (`str`, *optional*): `"csv"` if quotes mark cells, `"none"` if they are part of the texts. By default
            they mark cells, and files in which quotes may join rows are refused.
    """

    data: str | None = option(
        help="CSV, TSV, JSON(L) or Parquet file, a folder, pattern or fsspec address of these, or a Hub dataset id",
        metavar="PATH",
        local=True,
    )
    text_columns: str | list[str] | None = option(
        help="column(s) of the text (default: text); repeatable. A name can contain commas if there is such a column",
        metavar="A,B,...",
        action="append",
        local=True,
    )
    id_column: str | None = option(help="column of unique ids", none="made from the text", metavar="NAME", local=True)
    split: str | None = option(help="split of data with several splits", none="train", metavar="NAME", local=True)
    delimiter: str | None = option(help="separator of a CSV file", none="detected", metavar="X", local=True)
    encoding: str | None = option(help="encoding of a text file", none="detected", metavar="NAME", local=True)
    quoting: str | None = option(
        help="whether quotes mark the cells of a CSV file, or are part of its texts",
        none="csv; files in which quotes may join rows are refused",
        choices=QUOTINGS,
        local=True,
    )


@dataclass
class HumanReadingConfig:
    """How files with human labels are read.

    Args:
        human_delimiter (`str`, *optional*): The separator. By default it is detected.
        human_encoding (`str`, *optional*): The encoding. By default it is detected.
        human_quoting (`str`, *optional*): The meaning of quotes, as `quoting` of `ReadingConfig`.
        allow_new_texts (`bool`, *optional*, defaults to `False`): Whether to use labels of texts that are not in the
            data.
    """

    human_delimiter: str | None = option(
        help="separator of human labels", none="detected", metavar="X", local=True, resumable=True
    )
    human_encoding: str | None = option(
        help="encoding of human labels", none="detected", metavar="NAME", local=True, resumable=True
    )
    human_quoting: str | None = option(
        help="meaning of quotes in human labels, as --quoting", choices=QUOTINGS, local=True, resumable=True
    )
    allow_new_texts: bool = option(
        False, help="use human labels of texts that are not in the data", local=True, resumable=True
    )


@dataclass
class DataConfig(HumanReadingConfig, ReadingConfig):
    """All data of a run.

    Args:
        gold_column (`str`, *optional*): The column of true labels, which are only used for scores.
        augmented_column (`str`, *optional*): The column with a paraphrase of each text.
        human_labels (`list[str]`, *optional*): Files with human labels.
        examples (`list[str]`, *optional*): Files with human labels of texts that need not be in the data.
        test_data (`str`, *optional*): Texts with gold labels that the loop does not use.
        test_split, test_delimiter, test_encoding, test_quoting (`str`, *optional*): How the test data are read.
    """

    gold_column: str | None = option(help="column of true labels, only used for scores", metavar="NAME", local=True)
    augmented_column: str | None = option(help="column with a paraphrase of each text", metavar="NAME", local=True)
    human_labels: list[str] | None = option(
        help="human labels (id or text, and label; for entities tags or spans): always clean, never overwritten; "
        "repeatable",
        metavar="PATH",
        action="append",
        local=True,
        resumable=True,
    )
    examples: list[str] | None = option(
        help="human labels of texts that need not be in the data; repeatable",
        metavar="PATH",
        action="append",
        local=True,
        resumable=True,
    )
    test_data: str | None = option(help="texts with gold labels, only used for scores", metavar="PATH", local=True)
    test_split: str | None = option(help="split of the test data", none="--split", metavar="NAME", local=True)
    test_delimiter: str | None = option(help="separator of the test data", none="detected", metavar="X", local=True)
    test_encoding: str | None = option(help="encoding of the test data", none="detected", metavar="NAME", local=True)
    test_quoting: str | None = option(
        help="meaning of quotes in the test data, as --quoting", choices=QUOTINGS, local=True
    )


@dataclass
class TaskConfig:
    """The task.

    Args:
        task (`str` or `Mapping`, *optional*): A YAML file with the task, or the values of `Task.to_dict`.
        labels (`str` or `list[str]`, *optional*): Label names, in place of `task`.
        description (`str`, *optional*): The question that an annotator decides.
        label_map (`str` or `Mapping`, *optional*): The labels for other values of label columns.
        instructions (`list[str]`, *optional*): Other wordings of the description. A language model is also asked about
            each text with each of them.
    """

    task: str | Mapping[str, Any] | None = option(
        help="YAML file with the labels and descriptions of the task", metavar="FILE"
    )
    labels: str | list[str] | None = option(help="label names, in place of --task", metavar="A,B,...")
    description: str = option("", help="the question that is decided about a text", metavar="TEXT")
    label_map: str | Mapping[str, str] | None = option(
        help="labels for other values of label columns: YAML or JSON (value: label) or CSV (value,label)",
        metavar="FILE",
    )
    instructions: list[str] | None = option(
        help="another wording of the description: an LLM is asked about each text with each of them; repeatable",
        metavar="TEXT",
        action="append",
    )


@dataclass
class AnnotatorConfig:
    """The annotators.

    Args:
        annotator (`str` or `Mapping`, *optional*): The annotators by name; for objects, a description of them.
        refine_annotator (`str` or `Mapping`, *optional*): The annotator for later rounds.
        annotator_options (`dict`, *optional*): The arguments of an annotator that is given by name.
    """

    annotator: str | Mapping[str, Any] | None = option(
        help="embedding (default), endpoint:MODEL|NAME|URL, tgi:URL, local:MODEL, column:A,B; repeatable (answers are "
        "fused)",
        metavar="SPEC",
        action="append",
    )
    refine_annotator: str | Mapping[str, Any] | None = option(
        help="annotator for the noisy texts of later rounds, the most disputed texts first", metavar="SPEC"
    )
    annotator_options: dict[str, Any] = option(
        {},
        flag="--annotator-option",
        help="argument of the annotator, repeatable: api_key_env=MY_KEY, provider=..., concurrency=32",
        metavar="NAME=VALUE",
        action="append",
    )


@dataclass
class StudentConfig:
    """The encoder of the student. `FreeALConfig` configures its training.

    Args:
        student (`str`, *optional*, defaults to `"sentence-transformers/all-MiniLM-L6-v2"`): The Hub id or folder of
            the encoder.
    """

    student: str = option(EMBEDDED_MODEL, help="encoder to fine-tune", metavar="MODEL")


@dataclass
class LoopConfig:
    """The loop of annotation and training.

    Args:
        num_rounds (`int`, *optional*, defaults to 2): The number of rounds.
        shots (`int`, *optional*, defaults to 10): The number of demonstrations for a text, at least one of each label.
        texts_per_list (`int`, *optional*, defaults to 1): The number of similar texts with the same demonstrations.
        samples (`int`, *optional*, defaults to 1): The number of answers of a language model for each text, each with
            the labels in another order. The most frequent label is used, and its share of the answers is the
            confidence. See `freeal_hf.annotators.samples`.
        pool_size (`int`, *optional*, defaults to 100): The size of the demonstration pool.
        candidate_fraction (`float`, *optional*, defaults to 0.2): The share of the samples of a label, with the
            smallest losses, that can become demonstrations.
        generated_per_label (`int`, *optional*, defaults to 10): The number of texts for each label that the annotator
            writes for round 0.
        refine (`str`, *optional*, defaults to `"noisy"`): The texts that later rounds annotate again.
        stop_on (`str`, *optional*, defaults to `"never"`): The rule that ends the loop before `num_rounds`: almost no
            final label has changed, annotator and student do not agree more than before, or the estimated accuracy
            does not increase. See `freeal_hf.loop.stopping`.
        setting (`str`, *optional*, defaults to `"transductive"`): The texts on which the student is scored.
        min_train_steps (`int`, *optional*, defaults to 120): The minimum number of optimizer steps. If
            `num_train_epochs` is not given, a small corpus is used for more epochs.
        allow_doubtful_answers (`bool`, *optional*, defaults to `False`): Whether to train if the annotator gave almost
            all texts the same label, or if its answers look independent of the texts. Use it if this is right, such as
            for data with 99 % of one label. See `freeal_hf.labels.doubts`.
        max_cost (`float`, *optional*): The maximum cost of the annotator in dollars, in all rounds together.
        max_tokens (`int`, *optional*): The maximum number of tokens of the annotator, in all rounds together.
        prices (`str`, *optional*): A YAML file `MODEL: {prompt: DOLLARS, completion: DOLLARS}`, for a million tokens.

    Raises:
        InputError: If a value is invalid.
    """

    num_rounds: int = option(2, help="number of rounds of annotation and training", resumable=True)
    shots: int = option(10, help="number of demonstrations for a text, at least one of each label")
    texts_per_list: int = option(
        1, help="number of similar texts with the same demonstrations, for the prefix cache of a server"
    )
    samples: int = option(
        1, help="answers of an LLM for each text, with the labels in another order each time; all are paid for"
    )
    pool_size: int = option(100, help="size of the demonstration pool")
    candidate_fraction: float = option(
        0.2, help="share of the samples of each label, with the smallest losses, that can become demonstrations"
    )
    generated_per_label: int = option(
        10, help="number of texts for each label that an LLM writes as demonstrations of round 0 (0: none)"
    )
    refine: str = option(
        "noisy", help="texts that later rounds annotate again (noisy includes unlabelled ones)", choices=_REFINE
    )
    stop_on: str = option(
        "never", help="rule that ends the loop early; no rule uses gold", choices=_STOP_ON, resumable=True
    )
    setting: str = option(
        "transductive", help="score the student on the training texts or on test data", choices=_SETTINGS
    )

    min_train_steps: int = option(
        120, help="minimum number of optimizer steps of a training, unless num_train_epochs is given"
    )
    allow_doubtful_answers: bool = option(
        False,
        help="train although almost all answers are one label or look random, if this is right for the data",
        resumable=True,
    )
    max_cost: float | None = option(
        help="maximum cost of the annotator in the complete run, in dollars", type=float, resumable=True
    )
    max_tokens: int | None = option(
        help="maximum number of input and output tokens of the annotator in the complete run", type=int, resumable=True
    )

    prices: str | None = option(
        help="YAML file with prices of models for a million tokens",
        type=str,
        none="a few list prices",
        local=True,
        resumable=True,
    )

    def __post_init__(self) -> None:
        for name, least in {
            "num_rounds": 1,
            "shots": 0,
            "texts_per_list": 1,
            "samples": 1,
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
    """The push to the Hub, together with `push_to_hub`, `hub_model_id` and `hub_private_repo` of `FreeALConfig`.

    Args:
        hub_dataset_id (`str`, *optional*): The dataset repository. By default it has the name of the folder of the
            run.
        hub_collection (`str`, *optional*): The title of a collection for dataset, student and Space.
        hub_space_id (`str`, *optional*): The Space to add to the collection.
        hub_exist_ok (`bool`, *optional*, defaults to `False`): Whether to push to repositories that another run has
            made or others have changed. Their history is kept.
        push_columns (`list[str]`, *optional*): The columns of your data to push: `gold`, and columns that an annotator
            has read. Other columns are never pushed.
    """

    hub_dataset_id: str | None = option(
        help="dataset repository (default: USER/FOLDER-freeal)", metavar="ID", local=True, resumable=True
    )
    hub_collection: str | None = option(
        help="title of a collection for dataset, student and Space", metavar="TITLE", local=True, resumable=True
    )
    hub_space_id: str | None = option(help="Space to add to the collection", metavar="ID", local=True, resumable=True)
    hub_exist_ok: bool = option(
        False,
        help="push to repositories that another run has made or others have changed",
        local=True,
        resumable=True,
    )
    push_columns: list[str] = option(
        [],
        help="columns of the data to push, such as gold",
        metavar="A,B,...",
        local=True,
        resumable=True,
    )

    def __post_init__(self) -> None:
        if isinstance(self.push_columns, str):  # as on the command line
            self.push_columns = [name.strip() for name in self.push_columns.split(",")]
        self.push_columns = self.push_columns or []


@dataclass
class EngineConfig:
    """The engine of the annotation: this process, or the workers of a Ray cluster. It has no effect on the labels.

    Args:
        engine (`str`, *optional*, defaults to `"local"`): `"local"`, or `"ray"` (needs `freeal-hf[ray]`).
        ray_address (`str`, *optional*): The address of a cluster (`"auto"` for that of this machine). By default a
            cluster is started.
        ray_workers (`int`, *optional*, defaults to 2): The number of worker processes, each with the concurrency of
            the annotator.
        ray_gpus_per_worker (`float`, *optional*, defaults to 0.0): The number of GPUs of a worker, for a model in its
            process.
        ray_shard_size (`int`, *optional*, defaults to 5000): The number of texts in a shard.
        ray_calls_per_minute (`float`, *optional*): The maximum number of calls of all workers together.

    Raises:
        InputError: If a value is invalid, or Ray is not installed.
    """

    engine: str = option(
        "local",
        help="annotate in this process or on a Ray cluster",
        choices=_ENGINES,
        local=True,
        resumable=True,
    )
    ray_address: str | None = option(
        help="address of the cluster, or auto", type=str, none="a new cluster", local=True, resumable=True
    )
    ray_workers: int = option(2, help="number of worker processes", local=True, resumable=True)
    ray_gpus_per_worker: float = option(
        0.0, help="number of GPUs of each worker, for a model in its process", local=True, resumable=True
    )
    ray_shard_size: int = option(5000, help="number of texts in a shard", local=True, resumable=True)
    ray_calls_per_minute: float | None = option(
        help="maximum number of calls per minute of all workers together", type=float, local=True, resumable=True
    )

    def __post_init__(self) -> None:
        if self.engine not in _ENGINES:
            raise InputError(f"engine is {self.engine!r}; choose one of {', '.join(_ENGINES)}.")
        if self.engine == "ray" and find_spec("ray") is None:
            raise InputError("The engine ray needs Ray: pip install 'freeal-hf[ray]'.")
        for name in ("ray_workers", "ray_shard_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be at least 1.")
        if self.ray_calls_per_minute is not None and not self.ray_calls_per_minute > 0:
            raise InputError(f"ray_calls_per_minute is {self.ray_calls_per_minute!r}; it must be above 0.")


@dataclass
class RunConfig:
    """The complete configuration of a run.

    Args:
        data (`DataConfig`): The data.
        task (`TaskConfig`): The task.
        annotators (`AnnotatorConfig`): The annotators.
        student (`StudentConfig`): The encoder of the student.
        training (`dict[str, Any]`): The fields of `FreeALConfig` that differ from their defaults.
        loop (`LoopConfig`): The loop of annotation and training.
        hub (`HubConfig`): The push to the Hub.
        engine (`EngineConfig`): The engine of the annotation.
    """

    data: DataConfig = field(default_factory=DataConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    annotators: AnnotatorConfig = field(default_factory=AnnotatorConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    training: dict[str, Any] = field(default_factory=dict)
    loop: LoopConfig = field(default_factory=LoopConfig)
    hub: HubConfig = field(default_factory=HubConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)


_DEFAULTS = RunConfig()
SECTIONS: Mapping[str, type] = {
    item.name: type(getattr(_DEFAULTS, item.name))
    for item in fields(RunConfig)
    if is_dataclass(getattr(_DEFAULTS, item.name))
}
"""The dataclasses of the sections of `RunConfig` by name, without `training`."""

OPTIONS: Mapping[str, "Field[Any]"] = {item.name: item for part in SECTIONS.values() for item in fields(part)}
"""The fields of all options by name, without those of `FreeALConfig`."""


_SECTION_OF = {item.name: name for name, part in SECTIONS.items() for item in fields(part)}
_SECTION_NAMES = {item.name for item in fields(RunConfig)} - {"task"}


def metadata_of(name: str) -> Mapping[str, Any]:
    """Returns the metadata of an option.

    Args:
        name (`str`): The name of the option, which can be one of `FreeALConfig`.

    Returns:
        `Mapping[str, Any]`: The metadata.
    """
    return OPTIONS[name].metadata if name in OPTIONS else _NOT_DECLARED.get(name, {})


def default_of(name: str) -> Any:
    """Returns the default of an option; `None` for those of `FreeALConfig`.

    Args:
        name (`str`): The name of the option.

    Returns:
        `Any`: The default.

    Example:

        >>> default_of("num_rounds")
        2
    """
    if name not in OPTIONS:
        return None
    item = OPTIONS[name]
    return item.default if item.default_factory is MISSING else item.default_factory()


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Converts options to the form of `config.yaml`, with the sections of `RunConfig`. Private options are left out.

    Args:
        options (`Mapping`): The values by option name, and other records.

    Returns:
        `dict[str, Any]`: The sections.

    Example:

        >>> nested({"shots": 5, "student": "roberta-base"})
        {'student': {'student': 'roberta-base'}, 'loop': {'shots': 5}}
    """
    noted = {name: options[name] for name in (*NOTED, "task") if name in options}
    sections: dict[str, dict[str, Any]] = {item.name: {} for item in fields(RunConfig)}
    for name, value in options.items():
        if name not in noted and not metadata_of(name).get("private"):
            sections[_SECTION_OF.get(name, "training")][name] = value
    # The task is a mapping, as in the file of --task.
    task = {"task": noted.pop("task")} if "task" in noted else {}
    return {**noted, **task, **{name: values for name, values in sections.items() if values}}


def flat(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns the options of a configuration file with sections, or without, as in former versions.

    Args:
        values (`Mapping`): The content of the file.

    Returns:
        `dict[str, Any]`: The values by option name, and other records.

    Raises:
        InputError: If a section is not a mapping, or an option is in the wrong section or given twice.

    Example:

        >>> flat({"loop": {"shots": 5}, "num-rounds": 3})
        {'shots': 5, 'num_rounds': 3}
    """
    options: dict[str, Any] = {}
    for key, value in values.items():
        name = _name(key)
        # The sections `data`, `student` and `engine` have the names of options, and `task` is not a section.
        is_section = name in _SECTION_NAMES and (name not in OPTIONS or isinstance(value, Mapping))
        inner = _in_section(name, value) if is_section else {name: value}
        if twice := sorted(set(inner) & set(options)):
            raise InputError(f"The configuration gives {twice[0]!r} twice; leave one of them.")
        options |= inner
    return options


def _in_section(name: str, values: Any) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InputError(f"{name} in the configuration is {values!r}; it must be a mapping of option to value.")
    options = {_name(key): value for key, value in values.items()}
    for option_name in options:
        right = _SECTION_OF.get(option_name, "training")
        if right != name:
            where = f"it belongs to {right}" if option_name in OPTIONS or name == "training" else "it does not exist"
            raise InputError(f"The section {name} of the configuration has no option {option_name!r}: {where}.")
    return options


def _name(key: Any) -> str:
    return str(key).replace("-", "_")


def changed_arguments(args: "FreeALConfig") -> dict[str, Any]:
    """Returns the training arguments that differ from their defaults, and `output_dir`.

    Args:
        args (`FreeALConfig`): The arguments.

    Returns:
        `dict[str, Any]`: Values that YAML can hold, by field name.
    """
    defaults = type(args)(output_dir=args.output_dir, **{name: getattr(args, name) for name in _PLACE})
    changed: dict[str, Any] = {"output_dir": str(args.output_dir)}
    for item in fields(args):
        value = getattr(args, item.name)
        default = item.default if item.name in _PLACE else getattr(defaults, item.name)
        if item.init and not metadata_of(item.name).get("private") and value != default:
            value = value.value if isinstance(value, Enum) else value
            changed[item.name] = value if isinstance(value, _PLAIN) else str(value)
    if args.epochs_are_given:  # even if it is the default: a given number is not raised for a small corpus
        changed["num_train_epochs"] = args.num_train_epochs
    return changed


def each_annotator(named: Any) -> Sequence[Any]:
    """Returns the given annotators as a sequence.

    Args:
        named (`Any`): `None`, an annotator or name, or a sequence of them.

    Returns:
        `Sequence[Any]`: The annotators.
    """
    if named is None:
        return ()
    return named if isinstance(named, Sequence) and not isinstance(named, str) else (named,)


def describe_annotators(named: Any) -> str | dict[str, Any] | None:
    """Describes annotators for `config.yaml`: by name, or by class, model and address (other attributes can be keys).

    Args:
        named (`Any`): `None`, an annotator or name, or a sequence of them.

    Returns:
        `str`, `dict` or `None`: The description.
    """
    several = each_annotator(named)
    if all(isinstance(one, str) for one in several):
        return " + ".join(several) or None
    described = [{"class": one} if isinstance(one, str) else one.describe() for one in several]
    keys = dict.fromkeys(key for one in described for key in one)
    return {key: " + ".join(str(one.get(key, "-")) for one in described) for key in keys}
