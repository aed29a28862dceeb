"""The sections `data` and `task` of a configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freeal_hf.config.options import option

QUOTINGS = ("csv", "none")


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
