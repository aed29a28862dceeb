"""The configuration of a run as a whole: read, written, and looked up by the name of an option."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from freeal_hf.config.options import changed, field_default, option, section
from freeal_hf.config.sections import (
    AnnotatorConfig,
    DataConfig,
    EngineConfig,
    HubConfig,
    LoopConfig,
    StudentConfig,
    TaskConfig,
    TrainerConfig,
)
from freeal_hf.errors import InputError


@dataclass
class RunConfig:
    """All that a run is told.

    Args:
        data (`DataConfig`): Which data there are and how they are read.
        task (`TaskConfig`): What is decided about a text.
        annotators (`AnnotatorConfig`): Who annotates.
        student (`StudentConfig`): What the student starts from.
        training (`dict[str, Any]`): The arguments of `FreeALConfig` that differ from their defaults.
        loop (`LoopConfig`): How annotator and student take turns.
        hub (`HubConfig`): What is pushed.
        engine (`EngineConfig`): Where texts are annotated.
        freeal_hf (`str`, *optional*): In `config.yaml`, the version that ran last.
        data_fingerprint (`str`, *optional*): In `config.yaml`, a digest of the ids of all rows.

    Example:

        >>> config = RunConfig.from_options({"data": "reviews.csv", "labels": "good,bad", "learning_rate": 1e-4})
        >>> config.data.data, config.training
        ('reviews.csv', {'learning_rate': 0.0001})
        >>> config.to_dict()
        {'data': {'data': 'reviews.csv'}, 'task': {'labels': 'good,bad'}, 'training': {'learning_rate': 0.0001}}
    """

    data: DataConfig = field(default_factory=DataConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    annotators: AnnotatorConfig = field(default_factory=AnnotatorConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    training: dict[str, Any] = field(default_factory=dict)
    loop: LoopConfig = field(default_factory=LoopConfig)
    hub: HubConfig = field(default_factory=HubConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    freeal_hf: str | None = option(resumable=True)
    data_fingerprint: str | None = option()

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "RunConfig":
        """The configuration with these options.

        Args:
            options (`Mapping[str, Any]`): Values by name of the option. A name that no section has is an argument of
                `FreeALConfig`.

        Raises:
            InputError: If a value cannot be used.
        """
        return cls(
            **{name: section(part, options) for name, part in SECTIONS.items()},
            training={name: value for name, value in options.items() if _section_of(name) == "training"},
            **{name: options[name] for name in NOTED if name in options},
        )

    @classmethod
    def from_yaml(cls, path: str | Path) -> "RunConfig":
        """Reads a configuration file: `config.yaml` of a run, or one that a user wrote.

        Args:
            path (`str` or `Path`): The file.

        Raises:
            InputError: If the file or a value in it cannot be used.
        """
        return cls.from_options(read_options(path))

    def options(self) -> dict[str, Any]:
        """The options that differ from their defaults, by name, and what is noted beside them."""
        sections = {name: value for part in SECTIONS for name, value in changed(vars(self)[part]).items()}
        noted = {name: value for name in NOTED if (value := vars(self)[name]) is not None}
        return {**noted, **sections, **self.training}

    def to_dict(self) -> dict[str, Any]:
        """The content of a configuration file: options that differ from their defaults, without private ones."""
        return nested(self.options())

    def to_yaml(self, path: str | Path) -> None:
        """Writes a configuration file.

        Args:
            path (`str` or `Path`): The file.
        """
        Path(path).write_text(as_yaml(self.to_dict()), encoding="utf-8")


_PARTS = {item.name: field_default(item) for item in fields(RunConfig)}
SECTIONS: Mapping[str, type] = {name: type(part) for name, part in _PARTS.items() if name != "training" and part}
"""The dataclass of each section of a `RunConfig` but `training`, by name."""

NOTED = tuple(name for name, part in _PARTS.items() if part is None)
"""What `config.yaml` notes beside the options: the version, and which texts there were."""

OPTIONS: Mapping[str, "Field[Any]"] = {item.name: item for part in SECTIONS.values() for item in fields(part)}
"""The field of each option but those of `FreeALConfig`, by name."""

_DECLARED = {item.name: item for part in (RunConfig, TrainerConfig, *SECTIONS.values()) for item in fields(part)}
_SECTION_OF = {item.name: name for name, part in SECTIONS.items() for item in fields(part)}
_MAPPINGS = {*SECTIONS, "training"} - {"task"}


def metadata_of(name: str) -> Mapping[str, Any]:
    """Returns the metadata of an option.

    Args:
        name (`str`): The name of the option, which can be one of `FreeALConfig`.

    Returns:
        `Mapping[str, Any]`: The metadata.
    """
    return _DECLARED[name].metadata if name in _DECLARED else {}


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
    return field_default(OPTIONS[name]) if name in OPTIONS else None


def read_options(path: str | Path) -> dict[str, Any]:
    """Reads the options of a configuration file, be it in sections or, as in former versions, without any.

    Args:
        path (`str` or `Path`): The file.

    Returns:
        `dict[str, Any]`: Values by name of the option, and what is noted beside them.

    Raises:
        InputError: If the file cannot be read, or is no configuration.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The configuration {str(path)!r} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"The configuration {str(path)!r} is not valid YAML in UTF-8: {error}") from error
    if not isinstance(values, Mapping):
        raise InputError(f"The configuration {str(path)!r} must be a mapping of option to value.")
    return flat(values)


def as_yaml(values: Mapping[str, Any]) -> str:
    """The text of a configuration file."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


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
    sections: dict[str, dict[str, Any]] = {name: {} for name in _PARTS}
    for name, value in options.items():
        if name not in noted and not metadata_of(name).get("private"):
            sections[_section_of(name)][name] = value
    # A task is a mapping of its own, as in the file that --task names.
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
        # The sections `data`, `student` and `engine` are called as an option is, and `task` is no section.
        is_section = name in _MAPPINGS and (name not in OPTIONS or isinstance(value, Mapping))
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
        right = _section_of(option_name)
        if right != name:
            where = f"it belongs to {right}" if option_name in OPTIONS or name == "training" else "it does not exist"
            raise InputError(f"The section {name} of the configuration has no option {option_name!r}: {where}.")
    return options


def _section_of(name: str) -> str:
    return "" if name in NOTED else _SECTION_OF.get(name, "training")


def _name(key: Any) -> str:
    return str(key).replace("-", "_")
