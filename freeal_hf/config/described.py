"""Objects of a run as values for `config.yaml` and cards: training arguments and annotators."""

from collections.abc import Sequence
from dataclasses import fields
from enum import Enum
from typing import TYPE_CHECKING, Any

from freeal_hf.config.run import metadata_of

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig

_PLAIN = (str, int, float, bool, list, tuple, dict, type(None))


def changed_arguments(args: "FreeALConfig") -> dict[str, Any]:
    """Returns the training arguments that differ from their defaults, and `output_dir`.

    Args:
        args (`FreeALConfig`): The arguments.

    Returns:
        `dict[str, Any]`: Values that YAML can hold, by field name.
    """
    own = [item.name for item in fields(args) if metadata_of(item.name).get("process")]
    defaults = type(args)(output_dir=args.output_dir, **{name: getattr(args, name) for name in own})
    changed: dict[str, Any] = {"output_dir": str(args.output_dir)}
    for item in fields(args):
        value = getattr(args, item.name)
        default = item.default if item.name in own else getattr(defaults, item.name)
        if item.init and not metadata_of(item.name).get("private") and value != default:
            value = value.value if isinstance(value, Enum) else value
            changed[item.name] = value if isinstance(value, _PLAIN) else str(value)
    if args.epochs_are_given:  # as many as by default, but no corpus is small enough to change that
        changed["num_train_epochs"] = args.num_train_epochs
    return changed


def each_annotator(*named: Any) -> list[Any]:
    """Returns the given annotators in one list.

    Args:
        *named (`Any`): `None`, an annotator or name, or a sequence of them.

    Returns:
        `list[Any]`: The annotators.

    Example:

        >>> each_annotator("embedding", None, ["column:a", "column:b"])
        ['embedding', 'column:a', 'column:b']
    """
    found: list[Any] = []
    for one in named:
        found += one if isinstance(one, Sequence) and not isinstance(one, str) else [] if one is None else [one]
    return found


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
