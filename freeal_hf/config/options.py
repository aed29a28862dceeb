"""How an option is declared: a field of a dataclass, whose metadata says everything else about it.

- `help`, `metavar`, `choices`, `action`, `flag`, `none` (what the help shows for a default of `None`), `required`,
  `positional`, `nargs`: the option on the command line. Without `help`, it is no option of the command line.
- `least`: the smallest whole number that it may be; `above`, `most`: the bounds of any number.
- `private`: never written to a file and never pushed, such as a token.
- `local`: written to the run's folder and never pushed, such as where the data are.
- `resumable`: may change when a run resumes.
- `process`: belongs to the process, not to the run: which devices and processes there are.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

from freeal_hf.errors import InputError

T = TypeVar("T")


def option(default: Any = None, **metadata: Any) -> Any:
    """A field that is an option of the command line and of `config.yaml`.

    Args:
        default: Its default; a list or a dictionary is copied.
        **metadata: What there is to say of it; see the top of this module.

    Example:

        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class PoolConfig:
        ...     size: int = option(100, help="size of the pool", least=1)
        >>> PoolConfig()
        PoolConfig(size=100)
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

        >>> from freeal_hf import StudentConfig
        >>> section(StudentConfig, {"student": "roberta-base", "shots": 5})
        StudentConfig(student='roberta-base')
    """
    return config(**{item.name: options[item.name] for item in fields(config) if item.name in options})  # type: ignore[arg-type]


def field_default(item: "Field[Any]") -> Any:
    """The default of a field; `None` if it has none."""
    if item.default_factory is not MISSING:
        return item.default_factory()
    return None if item.default is MISSING else item.default


def changed(config: Any) -> dict[str, Any]:
    """The options of a section that differ from their defaults, by name.

    Example:

        >>> from freeal_hf import LoopConfig
        >>> changed(LoopConfig(shots=4))
        {'shots': 4}
    """
    values = vars(config)
    return {item.name: values[item.name] for item in fields(config) if values[item.name] != field_default(item)}


def check_values(config: Any) -> None:
    """Refuses values that the metadata of a field excludes.

    Args:
        config: A section of the configuration.

    Raises:
        InputError: If a value is none of the `choices`, outside of its bounds, or no truth value.
    """
    for item in fields(config):
        name, value, known = item.name, vars(config)[item.name], item.metadata
        if value is None and item.default is None:
            continue
        if isinstance(item.default, bool) and not isinstance(value, bool):
            raise InputError(f"{name} is {value!r}; it must be true or false.")
        if "choices" in known and value not in known["choices"]:
            raise InputError(f"{name} is {value!r}; choose one of {', '.join(known['choices'])}.")
        if "least" in known and (not isinstance(value, int) or value < known["least"]):
            raise InputError(f"{name} is {value!r}; it must be a whole number of at least {known['least']}.")
        if "above" in known and not known["above"] < value <= known.get("most", math.inf):
            most = f" and at most {known['most']}" if "most" in known else ""
            raise InputError(f"{name} is {value!r}; it must be above {known['above']}{most}.")
