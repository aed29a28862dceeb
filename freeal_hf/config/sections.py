"""The sections of a run's configuration: every option is declared here, once."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from freeal_hf.config.options import check_values, option
from freeal_hf.embedded import EMBEDDED_MODEL
from freeal_hf.errors import InputError

QUOTINGS = ("csv", "none")
DEFAULT_OUTPUT_DIR = "runs/freeal"


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
        metavar="A,B",
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
        help="encoding of human labels", none="detected", metavar="X", local=True, resumable=True
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
    augmented_column: str | None = option(help="column with a paraphrase of each text", metavar="X", local=True)
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
class LabelsConfig:
    """The task.

    Args:
        task (`str` or `Mapping`, *optional*): A YAML file with the task, or the values of `Task.to_dict`.
        labels (`str` or `list[str]`, *optional*): Label names, in place of `task`.
        description (`str`, *optional*): The question that an annotator decides.
        label_map (`str` or `Mapping`, *optional*): The labels for other values of label columns.
        multi_label (`bool`, *optional*, defaults to `False`): Whether a text can have any number of `labels`.
        label_separator (`str`, *optional*): What separates several labels in a cell. By default it is detected.
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
    multi_label: bool = option(False, help="any number of --labels for each text", action="store_true")
    label_separator: str | None = option(help="separator of labels in a cell", none="detected", metavar="X")


@dataclass
class TaskConfig(LabelsConfig):
    """The task, and how it is put to a language model.

    Args:
        task, labels, description, label_map, multi_label, label_separator (*optional*): See [`LabelsConfig`].
        instructions (`list[str]`, *optional*): Other wordings of the description. A language model is also asked about
            each text with each of them.
    """

    instructions: list[str] | None = option(
        help="other wording for an LLM; repeatable",
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
        help="embedding (default), endpoint:MODEL|NAME|URL, tgi:URL, local:MODEL, column:A,B; repeatable",
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


@dataclass(kw_only=True)
class BudgetConfig:
    """What the annotator may cost.

    Args:
        max_cost (`float`, *optional*): The maximum cost of the annotator, in dollars.
        max_tokens (`int`, *optional*): The maximum number of tokens that the annotator reads and writes.
        prices (`str`, *optional*): YAML file `MODEL: {prompt: DOLLARS, completion: DOLLARS}`, per million tokens.
    """

    max_cost: float | None = option(help="maximum cost of the annotator, in dollars", metavar="X", resumable=True)
    max_tokens: int | None = option(help="maximum number of tokens read and written", metavar="N", resumable=True)
    prices: str | None = option(
        help="YAML file with prices of models for a million tokens",
        metavar="FILE",
        none="a few list prices",
        local=True,
        resumable=True,
    )


@dataclass
class LoopConfig(BudgetConfig):
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
        class_shares (`str` or `Mapping[str, float]`, *optional*): The known shares of the labels, as a mapping, as
            `a=0.7,b=0.3`, or as a YAML or JSON file. The final labels follow them in part. See
            `freeal_hf.labels.class_shares`.
        allow_doubtful_answers (`bool`, *optional*, defaults to `False`): Whether to train if the annotator gave almost
            all texts the same label, or if its answers look independent of the texts. Use it if this is right, such as
            for data with 99 % of one label. See `freeal_hf.labels.doubts`.
        audit (`int`, *optional*, defaults to 0): The number of texts that a person is to label. The run draws them at
            random after its first round and stops. Started again, it continues with the labels that are in
            `audit.csv`. 0 draws none.
        max_cost (`float`, *optional*): The maximum cost of the annotator in dollars, in all rounds together.
        max_tokens (`int`, *optional*): The maximum number of tokens of the annotator, in all rounds together.
        prices (`str`, *optional*): A YAML file `MODEL: {prompt: DOLLARS, completion: DOLLARS}`, for a million tokens.

    Raises:
        InputError: If a value is invalid.

    Example:

        >>> LoopConfig(num_rounds=0)
        Traceback (most recent call last):
        freeal_hf.errors.InputError: num_rounds is 0; it must be a whole number of at least 1.
    """

    num_rounds: int = option(2, help="number of annotation and training rounds", least=1, resumable=True)
    shots: int = option(10, help="demonstrations for each text, at least one per label", least=0)
    texts_per_list: int = option(
        1, help="number of similar texts with the same demonstrations, for the prefix cache of a server", least=1
    )
    samples: int = option(
        1,
        help="answers of an LLM for each text, with the labels in another order each time; all are paid for",
        least=1,
    )
    pool_size: int = option(100, help="size of the demonstration pool", least=0)
    candidate_fraction: float = option(
        0.2,
        help="share of the samples of each label, with the smallest losses, that can become demonstrations",
        above=0,
        most=1,
    )
    generated_per_label: int = option(
        10, help="number of texts for each label that an LLM writes as demonstrations of round 0 (0: none)", least=0
    )
    refine: str = option(
        "noisy",
        help="texts that later rounds annotate again (noisy includes unlabelled ones)",
        choices=("noisy", "all", "none"),
    )
    stop_on: str = option(
        "never",
        help="rule that ends the loop early; no rule uses gold",
        choices=("never", "label_changes", "agreement", "estimated_accuracy"),
        resumable=True,
    )
    setting: str = option(
        "transductive",
        help="score the student on the training texts or on test data",
        choices=("transductive", "inductive"),
    )

    min_train_steps: int = option(
        120, help="minimum number of optimizer steps of a training, unless num_train_epochs is given", least=0
    )
    audit: int = option(
        0,
        help="stop after the first round, for a person to label N random texts",
        metavar="N",
        least=0,
        resumable=True,
    )
    class_shares: str | Mapping[str, float] | None = option(
        help="known label shares: a=0.7,b=0.3, or a file",
        metavar="SHARES",
        local=True,
        resumable=True,
    )
    allow_doubtful_answers: bool = option(
        False,
        help="train although almost all answers are one label or look random",
        resumable=True,
    )

    def __post_init__(self) -> None:
        check_values(self)


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

    Example:

        >>> HubConfig(push_columns="gold, source").push_columns
        ['gold', 'source']
    """

    hub_dataset_id: str | None = option(
        help="dataset repository", none="USER/FOLDER-freeal", metavar="ID", local=True, resumable=True
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
        [], help="columns of the data to push, such as gold", metavar="A,B,...", local=True, resumable=True
    )

    def __post_init__(self) -> None:
        if isinstance(self.push_columns, str):  # as on the command line
            self.push_columns = [name.strip() for name in self.push_columns.split(",")]
        self.push_columns = self.push_columns or []


@dataclass
class WorkersConfig:
    """Whether this process does the work, or the workers of a Ray cluster. It never changes a label.

    Args:
        engine (`str`, *optional*, defaults to `"local"`): `"local"`, or `"ray"` (needs `freeal-hf[ray]`).
        ray_address (`str`, *optional*): Address of a cluster (`"auto"`: this machine's); by default one is started.
        ray_workers (`int`, *optional*, defaults to 2): Number of worker processes.
        ray_gpus_per_worker (`float`, *optional*, defaults to 0.0): GPUs of a worker, for a model in its process.
        ray_shard_size (`int`, *optional*, defaults to 5000): Texts that a worker takes at a time.

    Raises:
        InputError: If a value cannot be used, or Ray is not installed.
    """

    engine: str = option(
        "local",
        help="this process or a Ray cluster",
        choices=("local", "ray"),
        local=True,
        resumable=True,
    )
    ray_address: str | None = option(
        help="cluster address, or auto", none="a new cluster", metavar="X", local=True, resumable=True
    )
    ray_workers: int = option(2, help="number of worker processes", least=1, local=True, resumable=True)
    ray_gpus_per_worker: float = option(0.0, help="GPUs for each worker", local=True, resumable=True)
    ray_shard_size: int = option(5000, help="number of texts in a shard", least=1, local=True, resumable=True)

    def __post_init__(self) -> None:
        check_values(self)
        if self.engine == "ray" and find_spec("ray") is None:
            raise InputError("The engine ray needs Ray: pip install 'freeal-hf[ray]'.")


@dataclass
class EngineConfig(WorkersConfig):
    """Where texts are annotated. Each worker of a cluster has the concurrency of the annotator.

    Args:
        engine (`str`, *optional*, defaults to `"local"`): `"local"`, or `"ray"` (needs `freeal-hf[ray]`).
        ray_address, ray_workers, ray_gpus_per_worker, ray_shard_size (*optional*): See [`WorkersConfig`].
        ray_calls_per_minute (`float`, *optional*): Maximum number of calls of all workers together.

    Raises:
        InputError: If a value cannot be used, or Ray is not installed.
    """

    ray_calls_per_minute: float | None = option(
        help="calls a minute of all workers, at most",
        metavar="X",
        above=0,
        local=True,
        resumable=True,
    )


@dataclass
class OutputConfig:
    """Where a run is written. This is an argument of `FreeALConfig`, too.

    Args:
        output_dir (`str`, *optional*): The run's folder.
    """

    output_dir: str | None = option(
        help="the run's folder", none=DEFAULT_OUTPUT_DIR, metavar="DIR", local=True, resumable=True
    )


@dataclass
class RepositoryConfig:
    """Where a student is pushed. These are arguments of `FreeALConfig`, too.

    Args:
        hub_model_id (`str`, *optional*): Model repository; by default named after the run's folder.
        hub_private_repo (`bool`, *optional*): Whether new repositories are private, as they are by default.
    """

    hub_model_id: str | None = option(
        help="model repository", none="USER/FOLDER-student", metavar="ID", local=True, resumable=True
    )
    hub_private_repo: bool | None = option(
        help="make new repositories public",
        none="private",
        flag="--hub-public",
        action="store_false",
        local=True,
        resumable=True,
    )


@dataclass
class PushConfig(RepositoryConfig):
    """Whether a run is pushed. This is an argument of `FreeALConfig`, too.

    Args:
        push_to_hub (`bool`, *optional*, defaults to `False`): Whether dataset and student are pushed in every round.
    """

    push_to_hub: bool = option(
        False, help="push dataset and student after every round", action="store_true", local=True, resumable=True
    )


@dataclass
class TrainerConfig(PushConfig, OutputConfig):
    """What has to be said of arguments that `FreeALConfig` inherits from `TrainingArguments`.

    Fields of another class cannot be given metadata, so these are declared again, for their metadata only. All other
    arguments of `FreeALConfig` are written, pushed, and may not change when a run resumes.
    """

    push_to_hub_model_id: str | None = option(local=True, resumable=True)
    push_to_hub_organization: str | None = option(local=True, resumable=True)
    push_to_hub_token: str | None = option(private=True, resumable=True)
    hub_token: str | None = option(private=True, resumable=True)
    hub_strategy: str | None = option(local=True, resumable=True)
    hub_always_push: bool = option(False, local=True, resumable=True)
    hub_revision: str | None = option(local=True, resumable=True)
    disable_tqdm: bool | None = option(resumable=True)
    report_to: str | None = option(resumable=True)
    # They depend on the moment or the machine.
    logging_dir: str | None = option(private=True)
    run_name: str | None = option(private=True)
    local_rank: int = option(-1, private=True)
    deepspeed_plugin: Any = option(private=True)
    # They say which devices and processes there are, and that is one state for the whole process.
    use_cpu: bool = option(False, process=True)
    ddp_backend: str | None = option(process=True)
    ddp_timeout: int = option(1800, process=True)
