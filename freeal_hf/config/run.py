"""The configuration of a run as a whole: its sections, read from and written to `config.yaml`."""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from freeal_hf.config.annotators import AnnotatorConfig, EngineConfig
from freeal_hf.config.data import DataConfig, TaskConfig
from freeal_hf.config.hub import HubConfig
from freeal_hf.config.loop import LoopConfig
from freeal_hf.config.options import changed, field_default, option, section
from freeal_hf.config.training import StudentConfig, TrainerConfig
from freeal_hf.errors import InputError


@dataclass
class RunConfig:
    """The configuration of a run. `FreeAL.from_config` runs it.

    Args:
        data (`DataConfig`): The data and how it is read.
        task (`TaskConfig`): The task.
        annotators (`AnnotatorConfig`): The annotators.
        student (`StudentConfig`): The model that the student starts from.
        training (`dict[str, Any]`): The arguments of `FreeALConfig` that differ from their defaults.
        loop (`LoopConfig`): The settings of the loop.
        hub (`HubConfig`): The settings of the push.
        engine (`EngineConfig`): The engine that annotates.
        freeal_hf (`str`, *optional*): In the `config.yaml` of a run, the version that ran last.
        data_fingerprint (`str`, *optional*): In the `config.yaml` of a run, a digest of the ids of all rows.

    Example:

        >>> config = RunConfig.from_options({"data": "reviews.csv", "labels": "good,bad", "learning_rate": 1e-4})
        >>> config.data.data, config.training
        ('reviews.csv', {'learning_rate': 0.0001})
        >>> config.options()
        {'data': 'reviews.csv', 'labels': 'good,bad', 'learning_rate': 0.0001}
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
        """Creates a configuration from options by name.

        Args:
            options (`Mapping[str, Any]`): Values by name of the option. A name that no section has is an argument of
                `FreeALConfig`.

        Raises:
            InputError: If a value cannot be used.
        """
        return cls(
            **{name: section(part, options) for name, part in SECTIONS.items()},
            training={name: value for name, value in options.items() if _section_of(name) == "training"},
            **{name: options[name] for name in _NOTED if name in options},
        )

    @classmethod
    def from_dict(cls, values: Mapping[Any, Any], /, **options: Any) -> "RunConfig":
        """Creates a configuration from the content of a file, with sections or, as in former versions, without.

        Args:
            values (`Mapping`): The content of the file.
            **options: Values by name of the option, which replace those of the file.

        Raises:
            InputError: If a section is not a mapping, an option is in the wrong section or given twice, or a value
                cannot be used.

        Example:

            >>> config = RunConfig.from_dict({"loop": {"shots": 5}, "num-rounds": 3}, shots=4)
            >>> config.loop.shots, config.loop.num_rounds
            (4, 3)
        """
        return cls.from_options({**_flat(values), **options})

    @classmethod
    def from_yaml(cls, path: str | Path, /, **options: Any) -> "RunConfig":
        """Reads a configuration file: the `config.yaml` of a run, or one that a user wrote.

        Args:
            path (`str` or `Path`): The file.
            **options: Values by name of the option, which replace those of the file.

        Raises:
            InputError: If the file or a value in it cannot be used.
        """
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"The configuration {str(path)!r} cannot be read: {error.strerror}.") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"The configuration {str(path)!r} is not valid YAML in UTF-8: {error}") from error
        if not isinstance(values, Mapping):
            raise InputError(f"The configuration {str(path)!r} must be a mapping of option to value.")
        return cls.from_dict(values, **options)

    def options(self) -> dict[str, Any]:
        """Returns the options that differ from their defaults, by name."""
        changed_options = {name: value for options in self._changed().values() for name, value in options.items()}
        return {**self._noted(), **changed_options}

    def without(self, is_left_out: Callable[[str, Any], bool]) -> "RunConfig":
        """Returns a configuration in which some options have their defaults.

        Args:
            is_left_out (`Callable`): Returns whether an option is left out, for its name and value.

        Example:

            >>> config = RunConfig.from_options({"student": "roberta-base", "shots": 5})
            >>> config.without(lambda name, value: name == "shots").options()
            {'student': 'roberta-base'}
        """
        options = self.options()
        return self.from_options({name: options[name] for name in options if not is_left_out(name, options[name])})

    def differences(self, other: "RunConfig") -> dict[str, tuple[Any, Any]]:
        """Returns the options that differ from those of another configuration.

        Args:
            other (`RunConfig`): The other configuration.

        Returns:
            `dict[str, tuple[Any, Any]]`: The values here and in `other`, by name of the option. The value of an
            argument of `FreeALConfig` that is not given is `None`.

        Example:

            >>> RunConfig.from_options({"shots": 5}).differences(RunConfig())
            {'shots': (5, 10)}
        """
        mine, theirs = self.options(), other.options()
        both = {
            name: (mine.get(name, _default_of(name)), theirs.get(name, _default_of(name)))
            for name in {**mine, **theirs}
        }
        return {name: (here, there) for name, (here, there) in both.items() if here != there}

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of a configuration file: options that differ from their defaults, by section.

        Private options are left out. The section `loop` of a run (with `freeal_hf`) is complete, so that a later
        version with other defaults continues it with the same values. `task` is not a section: its options are beside
        the sections, because `task` can be a mapping, as in the file that `--task` names.
        """
        sections = self._changed()
        if self.freeal_hf is not None:
            sections["loop"] = {name: value for name, value in vars(self.loop).items() if value is not None}
        parts = {
            part: {name: value for name, value in options.items() if not metadata_of(name).get("private")}
            for part, options in sections.items()
        }
        return {**self._noted(), **parts.pop("task"), **{part: options for part, options in parts.items() if options}}

    def to_text(self) -> str:
        """Returns the text of a configuration file, see `to_dict`."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def to_yaml(self, path: str | Path) -> None:
        """Writes a configuration file, without private options.

        Args:
            path (`str` or `Path`): The file.
        """
        Path(path).write_text(self.to_text(), encoding="utf-8")

    def _noted(self) -> dict[str, str]:
        return {name: value for name in _NOTED if (value := vars(self)[name]) is not None}

    def _changed(self) -> dict[str, dict[str, Any]]:
        """Returns the options that differ from their defaults by section, in the order of the sections."""
        sections = {name: changed(vars(self)[name]) for name in SECTIONS}
        return {name: sections.get(name, self.training) for name in _PARTS if name not in _NOTED}


_PARTS = {item.name: field_default(item) for item in fields(RunConfig)}
SECTIONS: Mapping[str, type] = {name: type(part) for name, part in _PARTS.items() if name != "training" and part}
"""The dataclass of each section of a `RunConfig` but `training`, by name."""

OPTIONS: Mapping[str, "Field[Any]"] = {item.name: item for part in SECTIONS.values() for item in fields(part)}
"""The field of each option but those of `FreeALConfig`, by name."""

_NOTED = tuple(name for name, part in _PARTS.items() if part is None)
_DECLARED = {item.name: item for part in (RunConfig, TrainerConfig, *SECTIONS.values()) for item in fields(part)}
_SECTION_OF = {item.name: name for name, part in SECTIONS.items() for item in fields(part)}
_FLAGS = {
    item.metadata["flag"].strip("-").replace("-", "_"): name
    for name, item in OPTIONS.items()
    if "flag" in item.metadata
}
_MAPPINGS = {*SECTIONS, "training"} - {"task"}


def metadata_of(name: str) -> Mapping[str, Any]:
    """Returns the metadata of an option.

    Args:
        name (`str`): The name of the option, which can be one of `FreeALConfig`.

    Returns:
        `Mapping[str, Any]`: The metadata.
    """
    return _DECLARED[name].metadata if name in _DECLARED else {}


def _default_of(name: str) -> Any:
    return field_default(OPTIONS[name]) if name in OPTIONS else None


def _flat(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns the options of a configuration file by name. Former versions wrote no sections."""
    options: dict[str, Any] = {}
    for key, value in values.items():
        name = _name(key)
        # The sections `data`, `student` and `engine` have the name of an option, and `task` is not a section.
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
    return "" if name in _NOTED else _SECTION_OF.get(name, "training")


def _name(key: Any) -> str:
    """Returns the name of an option, which the command line can call otherwise."""
    name = str(key).replace("-", "_")
    return _FLAGS.get(name, name)
