"""A command of `freeal-hf`. Its options are the fields of dataclasses."""

import argparse
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, get_args, get_type_hints


@dataclass(frozen=True)
class Command:
    """A command.

    Args:
        name (`str`): Its name on the command line.
        help (`str`): One line in the list of commands.
        description (`str`): What it does.
        run (`Callable`): Runs it with the options that were given, by name, and the words that no option takes.
        groups (`Mapping[str, Sequence[type]]`): The dataclasses whose fields are its options, by the title of a group
            in its help; `""` for the first options.
        about_groups (`Mapping[str, str]`, *optional*): A line below the titles of some groups.
        epilog (`str`, *optional*): The end of its help.
        usage (`str`, *optional*): The first line of its help.
    """

    name: str
    help: str
    description: str
    run: Callable[[dict[str, Any], Sequence[str]], None]
    groups: Mapping[str, Sequence[type]]
    about_groups: Mapping[str, str] = field(default_factory=dict)
    epilog: str | None = None
    usage: str | None = None

    def add_to(self, commands: Any) -> None:
        """Adds the command to a parser. Only options that are given have a value there.

        Args:
            commands: What `ArgumentParser.add_subparsers` returns.
        """
        parser = commands.add_parser(
            self.name,
            help=self.help,
            description=self.description,
            epilog=self.epilog,
            usage=self.usage,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )
        for title, parts in self.groups.items():
            group = parser.add_argument_group(title, self.about_groups.get(title)) if title else parser
            for part in parts:
                add_options(group, part)

    @property
    def option_names(self) -> list[str]:
        """The names of its options, such as `--shots`."""
        commands = argparse.ArgumentParser().add_subparsers()
        self.add_to(commands)
        return list(commands.choices[self.name]._option_string_actions)


def unknown_word(word: str, names: Sequence[str]) -> str:
    """Returns the error for an argument that is neither an option nor the value of one.

    Args:
        word (`str`): The word.
        names (`Sequence[str]`): The names of the options.

    Example:

        >>> unknown_word("--shot", ["--shots", "--seed"])
        "there is no option '--shot'; did you mean --shots?"
    """
    if not word.startswith("-"):
        return f"{word!r} does not belong to an option; quote values that contain blanks."
    name = word.partition("=")[0]
    near = difflib.get_close_matches(name.replace("_", "-"), [one for one in names if "_" not in one], n=1)
    return f"there is no option {name!r}; " + (f"did you mean {near[0]}?" if near else "--help lists all.")


def add_options(group: Any, config: type) -> None:
    """Adds an option for each field of a dataclass that has help.

    Args:
        group: A parser, or an argument group of one.
        config (`type`): The dataclass; its fields are declared with `freeal_hf.config.option`.

    Example:

        >>> from freeal_hf import LoopConfig
        >>> parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
        >>> add_options(parser, LoopConfig)
        >>> vars(parser.parse_args(["--shots", "4", "--max-cost", "1.5"]))
        {'shots': 4, 'max_cost': 1.5}
    """
    types = get_type_hints(config)
    for item in fields(config):
        if "help" in item.metadata:
            _add_option(group, item, types[item.name])


def _add_option(group: Any, item: Field[Any], hint: Any) -> None:
    known = item.metadata
    default = known.get("none") if item.default in (None, MISSING) else item.default
    is_nothing = default is None or default is False or default == ""
    shown = "" if is_nothing else f" (default: {default})"
    given = {"help": known["help"] + shown}
    if "action" in known:
        given["action"] = known["action"]
    elif isinstance(item.default, bool):
        given["action"] = argparse.BooleanOptionalAction
    else:
        given["type"] = _type_of(hint)
    takes_value = "type" in given or given["action"] == "append"
    if takes_value and "choices" in known:
        given["choices"] = known["choices"]
    if takes_value and ("metavar" in known or "choices" not in known):
        given["metavar"] = known.get("metavar", "X")
    if known.get("positional"):
        if known.get("nargs") == "?":
            given["default"] = item.default  # argparse would check SUPPRESS against the choices
        group.add_argument(item.name, nargs=known.get("nargs"), **given)
        return
    if known.get("required"):
        given["required"] = True
    if known.get("action") == "store_false":
        given["dest"] = item.name
    group.add_argument(known.get("flag", f"--{item.name.replace('_', '-')}"), **given)


def _type_of(hint: Any) -> type:
    """The type of a value: that of the field, or the first one of several."""
    first = next((one for one in get_args(hint) if one is not type(None)), hint)
    return first if first in (int, float) else str
