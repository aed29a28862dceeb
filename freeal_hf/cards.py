"""Cards of dataset and student: what was measured, filled into the templates; the owner's own text stays."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from freeal_hf.tasks import Task, TokenClassification

if TYPE_CHECKING:
    from huggingface_hub import DatasetCard, ModelCard, RepoCard

BEGIN = "<!-- freeal-hf: written at each push; your own text is safe above and below these two marks -->"
END = "<!-- freeal-hf: end -->"

# Metadata that must fit the files: a value, lists of named entries, lists to which the owner may add.
_OURS = ("size_categories",)
_ENTRIES = {"configs": "config_name", "model-index": "name"}
_LISTS = ("tags", "datasets", "task_categories")


@dataclass(frozen=True)
class Score:
    """One evaluation result of a student.

    Args:
        metric (`str`): Metric as the Hub names it (`"accuracy"`, `"f1"`).
        value (`float`): Its value, from 0 to 1.
        dataset_name (`str`): What it was measured on, in words.
        dataset_id (`str`): Hub id of that dataset, or another type name.
        split (`str`, *optional*): Split of the dataset.
    """

    metric: str
    value: float
    dataset_name: str
    dataset_id: str
    split: str | None = None


@dataclass(frozen=True)
class CardFacts:
    """What a card may say. What is not given is left out of the card.

    Args:
        name (`str`): Title of the card.
        task (`Task`): What is labelled.
        dataset_id (`str`, *optional*): Hub id of the labelled dataset.
        model_id (`str`, *optional*): Hub id of the student.
        round (`int`, *optional*): Round that the files are of.
        annotator (`str`, *optional*): Who labelled.
        annotator_prompt (`str`, *optional*): What an LLM was asked about a text.
        base_model (`str`, *optional*): Encoder that the student started from.
        base_revision (`str`, *optional*): Its commit.
        arguments (`Mapping`): Training arguments that differ from their defaults.
        scores (`Sequence[Score]`): Evaluation results.
        rounds (`Sequence[Sequence[str]]`): Table of the rounds as text, its header first.
        pictures (`Mapping[str, str]`): Caption to path in the repository.
        facts (`Mapping[str, str]`): Further measured facts: what to how much.
        estimate (`str`, *optional*): How good the labels are without gold, and how that was estimated.
        checked (`int`): Labels that a person checked in an audit of this round.
        label_counts (`Mapping[str, int]`): Label to number of texts.
        splits (`Mapping[str, int]`): Split to number of rows.
        columns (`Sequence[str]`): Columns of the dataset.
        config (`str`, *optional*): `config.yaml` of the run.
    """

    name: str
    task: Task
    dataset_id: str | None = None
    model_id: str | None = None
    round: int | None = None
    annotator: str | None = None
    annotator_prompt: str | None = None
    base_model: str | None = None
    base_revision: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    scores: Sequence[Score] = ()
    rounds: Sequence[Sequence[str]] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    estimate: str | None = None
    checked: int = 0
    label_counts: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str, int] = field(default_factory=dict)
    columns: Sequence[str] = ()
    config: str | None = None


def dataset_card(facts: CardFacts) -> "DatasetCard":
    """The card of the labelled dataset.

    Args:
        facts (`CardFacts`): What the run measured.
    """
    from huggingface_hub import DatasetCard, DatasetCardData

    rows = sum(facts.splits.values())
    data_files = [{"split": split, "path": f"data/{split}-*"} for split in facts.splits]
    data = DatasetCardData(
        pretty_name=facts.name,
        task_categories=[facts.task.type],
        annotations_creators=["machine-generated"],
        size_categories=[_size_category(rows)],
        tags=["freeal", "freeal-hf", "weak-supervision", "noisy-labels", "machine-labelled"],
        configs=[
            {"config_name": "default", "data_files": data_files, "default": True},
            *({"config_name": name, "data_files": f"{name}/*.parquet"} for name in ("demonstrations", "rounds")),
        ],
    )
    return DatasetCard.from_template(data, template_str=_template("dataset_card.md"), **_values(facts))


def student_card(facts: CardFacts) -> "ModelCard":
    """The card of a student, with its scores as evaluation results that the Hub shows.

    Args:
        facts (`CardFacts`): What its training measured.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    results = [
        EvalResult(
            task_type=facts.task.type,
            dataset_type=score.dataset_id,
            dataset_name=score.dataset_name,
            dataset_split=score.split,
            metric_type=score.metric,
            metric_value=score.value,
        )
        for score in facts.scores
    ]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=facts.task.type,
        base_model=facts.base_model,
        datasets=[facts.dataset_id] if facts.dataset_id else None,
        tags=["freeal", "freeal-hf", "weak-supervision", "noisy-labels"],
        model_name=facts.name if results else None,
        eval_results=results or None,
    )
    return ModelCard.from_template(data, template_str=_template("model_card.md"), **_values(facts))


def merge(existing: str | None, card: "RepoCard") -> str:
    """The README to write: the new card inside the README that is there.

    The text between the two marks is replaced; without marks the card goes to the end. The owner's metadata wins,
    but for what has to fit the files; lists are joined.

    Args:
        existing (`str`, *optional*): The README that is there.
        card (`RepoCard`): The new card.
    """
    import yaml
    from huggingface_hub import RepoCard

    if existing is None:
        return str(card)
    old = RepoCard(existing, ignore_metadata_errors=True)
    ours = _generated(card.text)
    start, end = old.text.find(BEGIN), old.text.rfind(END)
    if start >= 0 and end > start:
        text = old.text[:start] + ours + old.text[end + len(END) :]
    else:
        text = old.text.rstrip() + "\n\n" + ours + "\n"
    values = {**card.data.to_dict(), **old.data.to_dict()}
    for key, value in card.data.to_dict().items():
        if key in _OURS:
            values[key] = value
        elif key in _ENTRIES:
            names = {entry[_ENTRIES[key]] for entry in value}
            values[key] = [*value, *(entry for entry in values[key] if entry.get(_ENTRIES[key]) not in names)]
        elif key in _LISTS and isinstance(values[key], list):
            values[key] = list(dict.fromkeys([*values[key], *value]))
    metadata = yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip()
    return f"---\n{metadata}\n---\n{text}"


def _generated(text: str) -> str:
    return text[text.index(BEGIN) : text.rindex(END) + len(END)]


def _template(name: str) -> str:
    return files("freeal_hf.card_templates").joinpath(name).read_text(encoding="utf-8")


def _values(facts: CardFacts) -> dict[str, Any]:
    values = {name: getattr(facts, name) for name in CardFacts.__dataclass_fields__}
    of_entities = isinstance(facts.task, TokenClassification)
    return {**values, "of_entities": of_entities, "begin": BEGIN, "end": END, "cell": _cell, "fence": _fence}


def _cell(text: Any) -> str:
    """Text that stays inside its table cell or paragraph, and is no HTML."""
    plain = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([|\\`*_\[\]])", r"\\\1", plain)


def _fence(text: str) -> str:
    """A fence longer than any in the text."""
    return "`" * max(3, 1 + max((len(ticks) for ticks in re.findall(r"`+", text)), default=0))


def _size_category(rows: int) -> str:
    bounds = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for bound, name in bounds.items() if rows < bound), "1M<n<10M" if rows < 10**7 else "10M<n<100M")
