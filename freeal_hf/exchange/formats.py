"""The known formats, by name."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from freeal_hf.errors import InputError
from freeal_hf.exchange.conll import read_conll, write_conll
from freeal_hf.exchange.label_studio import read_label_studio, write_label_studio
from freeal_hf.exchange.marked import Marked
from freeal_hf.exchange.own import read_own, write_own
from freeal_hf.exchange.prodigy import read_prodigy, read_spacy_lines, write_prodigy, write_spacy_lines
from freeal_hf.exchange.spacy_docs import read_docs, write_docs


class Format(NamedTuple):
    """A format of sentences with entities.

    Args:
        read (`Callable`): Reads a file: the sentences, and the number of entities that overlap a longer one.
        write (`Callable`): Writes a file.
        suffixes (`tuple[str, ...]`): The ends of the names of its files that no other format has.
    """

    read: Callable[[Path], tuple[list[Marked], int]]
    write: Callable[[Path, Iterable[Marked]], None]
    suffixes: tuple[str, ...] = ()


FORMATS = {
    "freeal": Format(read_own, write_own, (".csv", ".tsv", ".parquet")),
    "conll": Format(read_conll, write_conll, (".conll", ".bio", ".iob")),
    "spacy": Format(read_docs, write_docs, (".spacy",)),
    "spacy-jsonl": Format(read_spacy_lines, write_spacy_lines),
    "label-studio": Format(read_label_studio, write_label_studio),
    "prodigy": Format(read_prodigy, write_prodigy),
}


def format_of(path: Path, name: str | None, option: str) -> Format:
    """Returns a format by its name, or by the name of a file.

    Args:
        path (`Path`): The file.
        name (`str`, *optional*): The name of the format.
        option (`str`): The option that gives it, for the error.

    Raises:
        InputError: If the format is unknown, or the file can have several ones.
    """
    if name is not None:
        if name not in FORMATS:
            raise InputError(f"{name!r} is not a format; the formats are {', '.join(FORMATS)}.")
        return FORMATS[name]
    for form in FORMATS.values():
        if path.name.endswith(form.suffixes):
            return form
    raise InputError(f"The format of {str(path)!r} is not clear from its name; give {option} ({', '.join(FORMATS)}).")
