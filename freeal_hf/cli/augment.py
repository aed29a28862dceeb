"""The command `augment`: adds a second view of each text, which the consistency loss of the student uses."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.cli.command import Command
from freeal_hf.cli.options import output_beside, quiet_libraries, writing
from freeal_hf.config import ReadingConfig, option, section
from freeal_hf.data.configured import data_source, layout, reading
from freeal_hf.errors import InputError

if TYPE_CHECKING:
    from freeal_hf.training.augmentation import Augmenter

_TRANSLATOR = "Helsinki-NLP/opus-mt-{}-{}"


@dataclass
class AugmentOptions:
    """What `augment` writes."""

    output: str = option(required=True, help="CSV file to write", metavar="FILE")
    method: str = option("back-translation", help="method", choices=("back-translation", "masked-lm", "token-dropout"))


@dataclass
class TranslationOptions:
    """How views are made by translation."""

    via: str = option("fr", help="intermediate language", metavar="LANG")
    source_language: str = option("en", help="language of the texts", metavar="LANG")
    forward_model: str | None = option(
        help="model for the language --via", none=_TRANSLATOR.format("en", "fr"), metavar="M"
    )
    backward_model: str | None = option(help="model for the way back", none="its counterpart", metavar="M")
    num_beams: int = option(1, help="number of beams", metavar="N")


@dataclass
class SubstitutionOptions:
    """How views are made by changing tokens."""

    model: str = option("distilroberta-base", help="masked LM", metavar="M")
    share: float = option(0.15, help="share of tokens to change", metavar="X")
    seed: int = option(0, help="random seed", metavar="N")


@dataclass
class SpeedOptions:
    """How fast views are made."""

    batch_size: int = option(32, help="texts in a batch", metavar="N")
    dtype: str = option("auto", help="precision, auto: bfloat16 on a GPU", choices=("auto", "float32", "bfloat16"))


def _augment(given: dict[str, Any], _: Sequence[str]) -> None:
    config = section(ReadingConfig, given)
    source, output = data_source(config), output_beside(config, section(AugmentOptions, given).output)
    quiet_libraries()
    from tqdm.auto import tqdm

    from freeal_hf.data.files import write_atomically
    from freeal_hf.data.spreadsheets import AUGMENTED_COLUMN, harmless
    from freeal_hf.data.tables import raw_table
    from freeal_hf.data.texts import is_usable, read_data
    from freeal_hf.training.augmentation import augment as augment_texts

    data = read_data(source, **reading(config))
    table = raw_table(source, **layout(config))
    if AUGMENTED_COLUMN in table.names:
        raise InputError(f"{source} has a column {AUGMENTED_COLUMN!r} already; remove or rename it to make new views.")
    usable = [row for row, note in enumerate(data["note"]) if is_usable(note)]
    texts = data.select(usable)["text"][:]
    journal = output.with_name(f".{output.name}.views.jsonl")
    with writing(output, "views"):
        output.parent.mkdir(parents=True, exist_ok=True)
        with tqdm(total=len(set(texts)), desc="augmenting", disable=None) as bar:
            found = augment_texts(
                texts,
                _augmenter(given),
                batch_size=section(SpeedOptions, given).batch_size,
                journal=journal,
                progress=bar.update,
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
    print(f"{found}: {output}")


def _augmenter(given: dict[str, Any]) -> "Augmenter":
    from freeal_hf.training.augmentation import BackTranslation, MaskedSubstitution, TokenDropout

    method, dtype = section(AugmentOptions, given).method, section(SpeedOptions, given).dtype
    change, translate = section(SubstitutionOptions, given), section(TranslationOptions, given)
    if method == "token-dropout":
        return TokenDropout(share=change.share, seed=change.seed)
    if method == "masked-lm":
        return MaskedSubstitution(change.model, share=change.share, seed=change.seed, dtype=dtype)
    here, there = translate.source_language, translate.via
    return BackTranslation(
        translate.forward_model or _TRANSLATOR.format(here, there),
        translate.backward_model or _TRANSLATOR.format(there, here),
        num_beams=translate.num_beams,
        dtype=dtype,
    )


AUGMENT = Command(
    "augment",
    help="add a second view of each text (back-translation)",
    description="Copies a table and adds the column augmented_text, which `freeal-hf run` uses. If it is stopped, "
    "the same command continues.",
    run=_augment,
    groups={
        "": [AugmentOptions],
        "back-translation": [TranslationOptions],
        "masked-lm and token-dropout": [SubstitutionOptions],
        "speed": [SpeedOptions],
        "data": [ReadingConfig],
    },
)
