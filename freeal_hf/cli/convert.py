"""The command `convert`: writes sentences with entities in the format of another tool."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeal_hf.cli.command import Command
from freeal_hf.config import option, section
from freeal_hf.errors import InputError

_NAMES = ("freeal", "conll", "spacy", "spacy-jsonl", "label-studio", "prodigy")


@dataclass
class ConvertOptions:
    """What is converted."""

    source: str = option(positional=True, help="file to read", metavar="FILE")
    output: str = option(required=True, help="file to write", metavar="FILE")
    source_format: str | None = option(help="format of the file", none="by the name of the file", choices=_NAMES)
    output_format: str | None = option(help="format of the output", none="by the name of the output", choices=_NAMES)


def _convert(given: dict[str, Any], _: Sequence[str]) -> None:
    options = section(ConvertOptions, given)
    from freeal_hf.data.files import write_atomically
    from freeal_hf.exchange.formats import format_of

    source, output = Path(options.source), Path(options.output)
    if not source.is_file():
        raise InputError(f"There is no file {options.source!r}.")
    if output.exists() and output.samefile(source):
        raise InputError(f"The output {options.output!r} is the file to read; give another name.")
    reading = format_of(source, options.source_format, "--source-format")
    writing = format_of(output, options.output_format, "--output-format")
    items, num_dropped = reading.read(source)
    if not items:
        raise InputError(f"{options.source!r} has no sentences.")
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, lambda path: writing.write(path, items))
    labelled = [item.places for item in items if item.places is not None]
    empty, entities = sum(not some for some in labelled), sum(map(len, labelled))
    print(
        f"{len(items):,} sentences in {output}: {len(labelled):,} are labelled ({empty:,} of them without entities), "
        f"with {entities:,} entities."
    )
    if num_dropped:
        print(f"{num_dropped:,} entities are left out: they overlap a longer one, and a word can only have one tag.")


CONVERT = Command(
    "convert",
    help="convert files with entities of other tools",
    description="Reads sentences with entities in one format, and writes them in another one: JSON lines of this "
    "package (freeal, which also reads the files of a run), CoNLL, spaCy (DocBin, JSON lines), Label Studio, Prodigy. "
    "Sentences that are not labelled stay apart from sentences without entities.",
    run=_convert,
    groups={"": [ConvertOptions]},
)
