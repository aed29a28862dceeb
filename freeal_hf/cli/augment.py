"""The command `augment`: adds a second view of each text, which the consistency loss of the student uses."""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.cli.options import add_options, data_source, quiet_libraries, reading
from freeal_hf.config import ReadingConfig
from freeal_hf.errors import InputError

if TYPE_CHECKING:
    from freeal_hf.training.augmentation import Augmenter

_TRANSLATOR = "Helsinki-NLP/opus-mt-{}-{}"
_MASKED_MODEL = "distilroberta-base"


def add_augment(commands: Any) -> None:
    """Adds the command `augment`."""
    augment = commands.add_parser(
        "augment",
        help="add a second view of each text (back-translation)",
        description="Copies a table and adds the column augmented_text, which `freeal-hf run` uses. If it is stopped, "
        "the same command continues.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    augment.add_argument("--output", required=True, metavar="FILE", help="CSV file to write")
    augment.add_argument(
        "--method",
        choices=["back-translation", "masked-lm", "token-dropout"],
        default="back-translation",
        help="method (default: back-translation)",
    )
    translation = augment.add_argument_group("back-translation")
    translation.add_argument("--via", default="fr", metavar="LANG", help="intermediate language (default: fr)")
    translation.add_argument(
        "--source-language", default="en", metavar="LANG", help="language of the texts (default: en)"
    )
    pair = _TRANSLATOR.format("en", "fr")
    translation.add_argument("--forward-model", metavar="M", help=f"model for the language --via (default: {pair})")
    translation.add_argument("--backward-model", metavar="M", help="model for the way back (default: its counterpart)")
    translation.add_argument("--num-beams", type=int, default=1, metavar="N", help="number of beams (default: 1)")
    other = augment.add_argument_group("masked-lm and token-dropout")
    other.add_argument("--model", default=_MASKED_MODEL, metavar="M", help=f"masked LM (default: {_MASKED_MODEL})")
    other.add_argument(
        "--share", type=float, default=0.15, metavar="X", help="share of tokens to change (default: 0.15)"
    )
    other.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: 0)")
    speed = augment.add_argument_group("speed")
    speed.add_argument("--batch-size", type=int, default=32, metavar="N", help="texts in a batch (default: 32)")
    speed.add_argument(
        "--dtype", choices=["auto", "float32", "bfloat16"], default="auto", help="precision (auto: bfloat16 on a GPU)"
    )
    add_options(augment.add_argument_group("data"), ReadingConfig)


def augment(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Runs the command.

    Raises:
        InputError: If the data or a model cannot be used, or the output cannot be written.
    """
    values = vars(options)
    source, output = data_source(values), Path(values["output"])
    if Path(str(source)).is_file() and output.exists() and output.samefile(str(source)):
        raise InputError(f"--output {str(output)!r} is the file of the texts and would be overwritten; give another.")
    quiet_libraries()
    from tqdm.auto import tqdm

    from freeal_hf.data.files import write_atomically
    from freeal_hf.data.spreadsheets import AUGMENTED_COLUMN, harmless
    from freeal_hf.data.tables import raw_table
    from freeal_hf.data.texts import is_usable, read_data
    from freeal_hf.training.augmentation import augment as augment_texts

    columns = reading(values)
    data = read_data(source, **columns)
    del columns["text_columns"]
    columns.pop("id_column", None)
    table = raw_table(source, **columns)
    if AUGMENTED_COLUMN in table.names:
        raise InputError(f"{source} has a column {AUGMENTED_COLUMN!r} already; remove or rename it to make new views.")
    usable = [row for row, note in enumerate(data["note"]) if is_usable(note)]
    texts = data.select(usable)["text"][:]
    journal = output.with_name(f".{output.name}.views.jsonl")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tqdm(total=len(set(texts)), desc="augmenting", disable=None) as bar:
            found = augment_texts(
                texts, _augmenter(values), batch_size=values["batch_size"], journal=journal, progress=bar.update
            )
        views = [""] * len(data)
        for row, view in zip(usable, found.views, strict=True):
            views[row] = view

        def write(partial: Path) -> None:
            with partial.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(map(harmless, [*table.names, AUGMENTED_COLUMN]))
                writer.writerows(map(harmless, [*row, view]) for row, view in zip(table.rows, views, strict=True))

        write_atomically(output, write)
        journal.unlink()
    except OSError as error:
        raise InputError(f"The views cannot be written to {str(output)!r}: {error.strerror}.") from error
    print(f"{found}: {output}")


def _augmenter(values: dict[str, Any]) -> "Augmenter":
    from freeal_hf.training.augmentation import BackTranslation, MaskedSubstitution, TokenDropout

    if values["method"] == "token-dropout":
        return TokenDropout(share=values["share"], seed=values["seed"])
    if values["method"] == "masked-lm":
        return MaskedSubstitution(values["model"], share=values["share"], seed=values["seed"], dtype=values["dtype"])
    here, there = values["source_language"], values["via"]
    return BackTranslation(
        values.get("forward_model", _TRANSLATOR.format(here, there)),
        values.get("backward_model", _TRANSLATOR.format(there, here)),
        num_beams=values["num_beams"],
        dtype=values["dtype"],
    )
