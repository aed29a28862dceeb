"""The configuration of a run, declared once.

Each option is a field of a dataclass. Its metadata says everything else about it:

- `help`, `metavar`, `choices`, `type`, `action`, `flag`, `none` (what the help shows for a default of `None`): the
  option on the command line;
- `private`: never written to a file and never pushed, such as a token;
- `local`: written to the run's folder and never pushed, such as where the data are;
- `resumable`: may change when a run resumes.
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
# Metadata of what is not declared in this module: fields that FreeALConfig inherits, and what a run notes.
_NOT_DECLARED: Mapping[str, Mapping[str, bool]] = {
    "hub_token": {"private": True, "resumable": True},
    "push_to_hub_token": {"private": True, "resumable": True},
    # They depend on the moment or the machine.
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
# They say which devices and processes there are, and that is one state for the whole process.
_PLACE = ("use_cpu", "ddp_backend", "ddp_timeout")
NOTED = ("freeal_hf", "data_fingerprint")
"""What `config.yaml` notes beside the options: the version, and which texts there were."""

_PLAIN = (str, int, float, bool, list, tuple, dict, type(None))
_REFINE = ("noisy", "all", "none")
_SETTINGS = ("transductive", "inductive")
_STOP_ON = ("never", "label_changes", "agreement", "estimated_accuracy")
_ENGINES = ("local", "ray")
QUOTINGS = ("csv", "none")


def option(default: Any = None, **metadata: Any) -> Any:
    """A field that is an option of the command line and of `config.yaml`.

    Args:
        default: Its default; a list or a dictionary is copied.
        **metadata: What there is to say of it; see the top of this module.
    """
    if isinstance(default, (list, dict)):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def section(config: type[T], options: Mapping[str, Any]) -> T:
    """A part of the configuration.

    Args:
        config (`type`): The dataclass of this part.
        options (`Mapping`): Values by name of the option; those that are not of this part are ignored.

    Returns:
        The dataclass with the values that are given, and defaults.
    """
    return config(**{item.name: options[item.name] for item in fields(config) if item.name in options})  # type: ignore[arg-type]


@dataclass
class ReadingConfig:
    """Which texts there are and how their file is read. Everything but `data` has a default.

    Args:
        data (`str`, *optional*): File, folder, pattern, address, or id of a dataset on the Hub.
        text_columns (`str` or `list[str]`, *optional*): Columns of the text; by default `text`.
        id_column (`str`, *optional*): Column of unique ids; by default ids are made from the texts.
        split (`str`, *optional*): Split of data that has several.
        delimiter (`str`, *optional*): Field separator of a CSV file.
        encoding (`str`, *optional*): Encoding of a text file.
        quoting (`str`, *optional*): `"csv"` if quotes mark cells, `"none"` if they are part of the texts.
    """

    data: str | None = option(
        help="CSV, TSV, JSON(L) or Parquet file, a folder, pattern or fsspec address of these, or a Hub dataset id",
        metavar="PATH",
        local=True,
    )
    text_columns: str | list[str] | None = option(
        help="column(s) of the text (default: text); repeatable. A name that contains commas is given as it is",
        metavar="A,B,...",
        action="append",
        local=True,
    )
    id_column: str | None = option(help="column of unique ids", none="made from the text", metavar="NAME", local=True)
    split: str | None = option(help="split of data that has several", none="train", metavar="NAME", local=True)
    delimiter: str | None = option(help="field separator of a CSV file", none="detected", metavar="X", local=True)
    encoding: str | None = option(help="encoding of a text file", none="detected", metavar="NAME", local=True)
    quoting: str | None = option(
        help="whether quotes mark the cells of a CSV file, or are part of its texts",
        none="csv; files in which quotes may join rows are refused",
        choices=QUOTINGS,
        local=True,
    )


@dataclass
class HumanReadingConfig:
    """How files with labels that people gave are read.

    Args:
        human_delimiter (`str`, *optional*): Field separator.
        human_encoding (`str`, *optional*): Encoding.
        human_quoting (`str`, *optional*): What quotes are, as `quoting` of `ReadingConfig`.
        allow_new_texts (`bool`, *optional*, defaults to `False`): Take labels of texts that are not in the data.
    """

    human_delimiter: str | None = option(
        help="field separator of human labels", none="detected", metavar="X", local=True, resumable=True
    )
    human_encoding: str | None = option(
        help="encoding of human labels", none="detected", metavar="NAME", local=True, resumable=True
    )
    human_quoting: str | None = option(
        help="what quotes are in human labels, as --quoting", choices=QUOTINGS, local=True, resumable=True
    )
    allow_new_texts: bool = option(
        False, help="take human labels of texts that are not in the data", local=True, resumable=True
    )


@dataclass
class DataConfig(HumanReadingConfig, ReadingConfig):
    """All data of a run.

    Args:
        gold_column (`str`, *optional*): Column of true labels, only used to score.
        augmented_column (`str`, *optional*): Column with a paraphrase of each text.
        human_labels (`list[str]`, *optional*): Files with labels that people gave.
        examples (`list[str]`, *optional*): The same, of texts that need not be in the data.
        test_data (`str`, *optional*): Texts with gold labels that the loop never sees.
        test_split, test_delimiter, test_encoding, test_quoting (`str`, *optional*): How the test data are read.
    """

    gold_column: str | None = option(help="column of true labels, only used to score", metavar="NAME", local=True)
    augmented_column: str | None = option(help="column with a paraphrase of each text", metavar="NAME", local=True)
    human_labels: list[str] | None = option(
        help="labels that people gave (id or text, and label; of entities tags or spans): always clean, never "
        "overwritten; repeatable",
        metavar="PATH",
        action="append",
        local=True,
        resumable=True,
    )
    examples: list[str] | None = option(
        help="the same, of texts that need not be in the data; repeatable",
        metavar="PATH",
        action="append",
        local=True,
        resumable=True,
    )
    test_data: str | None = option(help="texts with gold labels that the loop never sees", metavar="PATH", local=True)
    test_split: str | None = option(help="split of the test data", none="--split", metavar="NAME", local=True)
    test_delimiter: str | None = option(
        help="field separator of the test data", none="detected", metavar="X", local=True
    )
    test_encoding: str | None = option(help="encoding of the test data", none="detected", metavar="NAME", local=True)
    test_quoting: str | None = option(
        help="what quotes are in the test data, as --quoting", choices=QUOTINGS, local=True
    )


@dataclass
class TaskConfig:
    """What is decided about a text.

    Args:
        task (`str` or `Mapping`, *optional*): YAML file of a task, or the task as `Task.to_dict` gives it.
        labels (`str` or `list[str]`, *optional*): Label names, in place of `task`.
        description (`str`, *optional*): What is to be decided.
        label_map (`str` or `Mapping`, *optional*): Which label another value of a column of labels means.
    """

    task: str | Mapping[str, Any] | None = option(
        help="YAML file with labels, their descriptions, a description", metavar="FILE"
    )
    labels: str | list[str] | None = option(help="label names, in place of --task", metavar="A,B,...")
    description: str = option("", help="what is to be decided about a text", metavar="TEXT")
    label_map: str | Mapping[str, str] | None = option(
        help="which label another value of a column of labels means: YAML or JSON (value: label) or CSV (value,label)",
        metavar="FILE",
    )


@dataclass
class AnnotatorConfig:
    """Who annotates.

    Args:
        annotator (`str` or `Mapping`, *optional*): Annotators by name; objects as a description of them.
        refine_annotator (`str` or `Mapping`, *optional*): Who is asked in later rounds instead.
        annotator_options (`dict`, *optional*): Arguments of an annotator given by name.
    """

    annotator: str | Mapping[str, Any] | None = option(
        help="embedding (default), endpoint:MODEL|NAME|URL, tgi:URL, local:MODEL, column:A,B; repeatable: fused",
        metavar="SPEC",
        action="append",
    )
    refine_annotator: str | Mapping[str, Any] | None = option(
        help="who is asked in later rounds instead, for noisy texts, the most disputed first", metavar="SPEC"
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
    """The encoder that the student starts from; how it is trained is said by `FreeALConfig`.

    Args:
        student (`str`, *optional*, defaults to `"sentence-transformers/all-MiniLM-L6-v2"`): Hub id or folder.
    """

    student: str = option(EMBEDDED_MODEL, help="encoder to start from", metavar="MODEL")


@dataclass
class LoopConfig:
    """How the annotator and the student take turns.

    Args:
        num_rounds (`int`, *optional*, defaults to 2): Rounds of annotating and training.
        shots (`int`, *optional*, defaults to 10): Demonstrations shown with a text, at least one of every label.
        texts_per_list (`int`, *optional*, defaults to 1): Similar texts that share one list of demonstrations.
        samples (`int`, *optional*, defaults to 1):
            How often a language model is asked about each text, each time with the labels in another order. The label
            that it gives most often is taken, and its share of the answers is the confidence. See
            `freeal_hf.annotators.samples`.
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

    num_rounds: int = option(2, help="rounds of annotating and training", resumable=True)
    shots: int = option(10, help="demonstrations shown with a text, at least one of every label")
    texts_per_list: int = option(
        1, help="similar texts that share one list of demonstrations, for a server's prefix cache"
    )
    samples: int = option(
        1, help="answers of an LLM for each text, with the labels in another order each time; all are paid for"
    )
    pool_size: int = option(100, help="size of the demonstration pool")
    candidate_fraction: float = option(
        0.2, help="cleanest fraction of each label's samples that may become demonstrations"
    )
    generated_per_label: int = option(
        10, help="texts that an LLM writes per label as demonstrations of round 0 (0: none)"
    )
    refine: str = option(
        "noisy", help="texts that later rounds ask again (noisy: and unlabelled ones)", choices=_REFINE
    )
    stop_on: str = option(
        "never", help="what ends the loop early; no rule sees gold", choices=_STOP_ON, resumable=True
    )
    setting: str = option(
        "transductive", help="score the student on the texts themselves or on test data", choices=_SETTINGS
    )

    min_train_steps: int = option(
        120, help="optimizer steps at least in each training, unless num_train_epochs is given"
    )
    allow_doubtful_answers: bool = option(
        False,
        help="train although nearly all answers are one label, or look random: where that is right",
        resumable=True,
    )
    max_cost: float | None = option(
        help="dollars that the annotator may cost in the whole run", type=float, resumable=True
    )
    max_tokens: int | None = option(
        help="tokens that the annotator may read and write in it", type=int, resumable=True
    )

    prices: str | None = option(
        help="YAML file with the models' prices per million tokens",
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

    hub_dataset_id: str | None = option(
        help="data set repository (default: USER/FOLDER-freeal)", metavar="ID", local=True, resumable=True
    )
    hub_collection: str | None = option(
        help="title of a collection for data set, student and Space", metavar="TITLE", local=True, resumable=True
    )
    hub_space_id: str | None = option(
        help="space to put into the collection", metavar="ID", local=True, resumable=True
    )
    hub_exist_ok: bool = option(
        False,
        help="push on top of repositories that this run did not make, or others changed",
        local=True,
        resumable=True,
    )
    push_columns: list[str] = option(
        [], help="own columns to push, such as gold; no other is", metavar="A,B,...", local=True, resumable=True
    )

    def __post_init__(self) -> None:
        if isinstance(self.push_columns, str):  # as on the command line
            self.push_columns = [name.strip() for name in self.push_columns.split(",")]
        self.push_columns = self.push_columns or []


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

    engine: str = option(
        "local",
        help="annotate in this process or on a Ray cluster",
        choices=_ENGINES,
        local=True,
        resumable=True,
    )
    ray_address: str | None = option(
        help="address of the cluster, or auto", type=str, none="one is started here", local=True, resumable=True
    )
    ray_workers: int = option(2, help="worker processes on the cluster", local=True, resumable=True)
    ray_gpus_per_worker: float = option(
        0.0, help="GPUs of each worker, for a model in its process", local=True, resumable=True
    )
    ray_shard_size: int = option(5000, help="texts that a worker takes at a time", local=True, resumable=True)
    ray_calls_per_minute: float | None = option(
        help="most calls a minute of all workers together", type=float, local=True, resumable=True
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
    """All that a run is told.

    Args:
        data (`DataConfig`): Which data there are and how they are read.
        task (`TaskConfig`): What is decided about a text.
        annotators (`AnnotatorConfig`): Who annotates.
        student (`StudentConfig`): What the student starts from.
        training (`dict[str, Any]`): The fields of `FreeALConfig` that differ from their defaults.
        loop (`LoopConfig`): How annotator and student take turns.
        hub (`HubConfig`): What is pushed.
        engine (`EngineConfig`): Where texts are annotated.
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
"""The dataclass of each section of a `RunConfig` but `training`, by name."""

OPTIONS: Mapping[str, "Field[Any]"] = {item.name: item for part in SECTIONS.values() for item in fields(part)}
"""The field of each option but those of `FreeALConfig`, by name."""


_SECTION_OF = {item.name: name for name, part in SECTIONS.items() for item in fields(part)}
_SECTION_NAMES = {item.name for item in fields(RunConfig)} - {"task"}


def metadata_of(name: str) -> Mapping[str, Any]:
    """What is declared of an option beside its default.

    Args:
        name (`str`): Name of the option, those of `FreeALConfig` included.
    """
    return OPTIONS[name].metadata if name in OPTIONS else _NOT_DECLARED.get(name, {})


def default_of(name: str) -> Any:
    """The default of an option, `None` for those of `FreeALConfig`.

    Args:
        name (`str`): Name of the option.
    """
    if name not in OPTIONS:
        return None
    item = OPTIONS[name]
    return item.default if item.default_factory is MISSING else item.default_factory()


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options in the form of `config.yaml`: in sections, as in `RunConfig`. Private ones are left out.

    Args:
        options (`Mapping`): Values by name of the option, and what is noted beside them.
    """
    noted = {name: options[name] for name in (*NOTED, "task") if name in options}
    sections: dict[str, dict[str, Any]] = {item.name: {} for item in fields(RunConfig)}
    for name, value in options.items():
        if name not in noted and not metadata_of(name).get("private"):
            sections[_SECTION_OF.get(name, "training")][name] = value
    # A task is a mapping of its own, as in the file that --task names.
    task = {"task": noted.pop("task")} if "task" in noted else {}
    return {**noted, **task, **{name: values for name, values in sections.items() if values}}


def flat(values: Mapping[Any, Any]) -> dict[str, Any]:
    """The options of a configuration file, be it in sections or, as in former versions, without any.

    Args:
        values (`Mapping`): What the file holds.

    Returns:
        `dict[str, Any]`: Values by name of the option, and what is noted beside them.

    Raises:
        InputError: If a section is no mapping, an option is in the wrong section, or it is given twice.
    """
    options: dict[str, Any] = {}
    for key, value in values.items():
        name = _name(key)
        # The sections `data`, `student` and `engine` are called as an option is, and `task` is no section.
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
            where = f"it belongs into {right}" if option_name in OPTIONS or name == "training" else "there is none"
            raise InputError(f"The section {name} of the configuration has no option {option_name!r}: {where}.")
    return options


def _name(key: Any) -> str:
    return str(key).replace("-", "_")


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
        if item.init and not metadata_of(item.name).get("private") and value != default:
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
