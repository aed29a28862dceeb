"""The Hub cards of the dataset and the student, made from templates. Text that the owner added to a card is kept."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from freeal_hf.tasks import MultiLabelClassification, Task, TextClassification, TokenClassification

if TYPE_CHECKING:
    from huggingface_hub import DatasetCard, ModelCard, RepoCard

BEGIN = "<!-- freeal-hf: written at each push; your own text is safe above and below these two marks -->"
END = "<!-- freeal-hf: end -->"

# Metadata that must match the files: values, lists of named entries, lists to which the owner can add.
_OURS = ("size_categories",)
_ENTRIES = {"configs": "config_name", "model-index": "name"}
_LISTS = ("tags", "datasets", "task_categories")


@dataclass(frozen=True)
class Score:
    """An evaluation result of a student.

    Args:
        metric (`str`): The name of the metric on the Hub (`"accuracy"`, `"f1"`).
        value (`float`): Its value, from 0 to 1.
        dataset_name (`str`): A description of the evaluation data.
        dataset_id (`str`): The Hub id of the evaluation data, or another name of its type.
        split (`str`, *optional*): The split of the dataset.
    """

    metric: str
    value: float
    dataset_name: str
    dataset_id: str
    split: str | None = None


@dataclass(frozen=True)
class CardWords:
    """The words of the cards for one kind of task.

    Args:
        hub_task (`str`): The name of the task on the Hub.
        labels (`str`): The word for the labels of a text, such as `"entities"`.
        label (`str`): The word for a label of the task, such as `"type"`.
        counted (`str`): The word for what is counted for each label.
        student (`str`): A description of the student.
        usage (`str`): Python lines that use the student, with `{model_id}`.
        limits (`str`): The limits of the student.
        columns (`str`): A description of the columns that differ between kinds of task.
    """

    hub_task: str
    labels: str
    label: str
    counted: str
    student: str
    usage: str
    limits: str
    columns: str


WORDS = {
    TextClassification.type: CardWords(
        hub_task="text-classification",
        labels="labels",
        label="label",
        counted="texts",
        student="A text classifier",
        usage='classify = pipeline("text-classification", model="{model_id}")\nclassify("...")',
        limits="It gives each text exactly one of the labels above.",
        columns="A label of -1 means that there is none.",
    ),
    MultiLabelClassification.type: CardWords(
        hub_task="text-classification",
        labels="labels",
        label="label",
        counted="texts",
        student="A text classifier that gives a text any number of labels",
        usage=(
            'classify = pipeline("text-classification", model="{model_id}", top_k=None)\n'
            "thresholds = classify.model.config.thresholds  # one for each label, in the order of the table\n"
            'classify("...")  # a label applies if its score exceeds its threshold'
        ),
        limits="It gives a text any number of the labels above, or none of them, and decides each label by itself.",
        columns=(
            "Label columns are lists of label ids: an empty list means that none of the labels applies, and null that "
            "there is no answer.\n`label_probabilities` and `student_probabilities` have the probability that each "
            "label applies, and `clean_labels` whether\neach label is clean. `is_clean` is true if all labels of a "
            "text are clean, and confidences are those in all labels of a text\ntogether, as if they were independent."
        ),
    ),
    TokenClassification.type: CardWords(
        hub_task="token-classification",
        labels="entities",
        label="type",
        counted="entities",
        student="A model that finds entities",
        usage=(
            'find = pipeline("token-classification", model="{model_id}", aggregation_strategy="simple")\nfind("...")'
        ),
        limits="It finds only the types above, and no entity inside another one.",
        columns=(
            "Labels are BIO tags, one for each of `tokens` (`O`, `B-` and `I-` of each type; -1: no answer). "
            "`token_starts` has the\nposition of each token in `text`, in characters, and `spans` has the final "
            "entities with `start`, `end` and `type`.\nConfidences and losses are means over the tokens of a "
            "sentence; `is_clean` is true if all entities in it are clean."
        ),
    ),
}
"""The words of the cards, by the type of the task."""


@dataclass(frozen=True)
class CardFacts:
    """The content of a card. Sections without content are left out.

    Args:
        name (`str`): The title of the card.
        task (`Task`): The task.
        dataset_id (`str`, *optional*): The Hub id of the labelled dataset.
        model_id (`str`, *optional*): The Hub id of the student.
        round (`int`, *optional*): The number of the round.
        annotator (`str`, *optional*): The name of the annotator.
        annotator_prompt (`str`, *optional*): The prompt of an LLM for a text.
        base_model (`str`, *optional*): The encoder that was fine-tuned.
        base_revision (`str`, *optional*): The commit of the encoder.
        arguments (`Mapping`): The training arguments that differ from their defaults.
        scores (`Sequence[Score]`): The evaluation results.
        rounds (`Sequence[Sequence[str]]`): The table of the rounds as text: the header and a row for each round.
        pictures (`Mapping[str, str]`): The paths of the figures in the repository, by caption.
        facts (`Mapping[str, str]`): Further values, by their description.
        estimate (`str`, *optional*): A text about the estimated accuracy.
        checked (`int`): The number of labels that a person gave, or checked in an audit of this round.
        label_counts (`Mapping[str, int]`): The number of texts of each label.
        splits (`Mapping[str, int]`): The number of rows of each split.
        columns (`Sequence[str]`): The columns of the dataset.
        config (`str`, *optional*): The `config.yaml` of the run.
        examples (`Mapping[str, str]`): Texts with which a visitor of the Hub can try the student, by their title.
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
    examples: Mapping[str, str] = field(default_factory=dict)


def dataset_card(facts: CardFacts) -> "DatasetCard":
    """Makes the card of the labelled dataset.

    Args:
        facts (`CardFacts`): The content of the card.

    Returns:
        `DatasetCard`: The card.

    Example:

        >>> card = dataset_card(CardFacts("reviews", TextClassification(["good", "bad"]), splits={"train": 20}))
        >>> card.data.size_categories
        ['n<1K']
    """
    from huggingface_hub import DatasetCard, DatasetCardData

    rows = sum(facts.splits.values())
    data_files = [{"split": split, "path": f"data/{split}-*"} for split in facts.splits]
    data = DatasetCardData(
        pretty_name=facts.name,
        task_categories=[WORDS[facts.task.type].hub_task],
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
    """Makes the card of a student. Its scores are evaluation results in the metadata, which the Hub shows.

    Args:
        facts (`CardFacts`): The content of the card.

    Returns:
        `ModelCard`: The card.

    Example:

        >>> card = student_card(CardFacts("reviews-student", TextClassification(["good", "bad"])))
        >>> card.data.pipeline_tag
        'text-classification'
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    results = [
        EvalResult(
            task_type=WORDS[facts.task.type].hub_task,
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
        pipeline_tag=WORDS[facts.task.type].hub_task,
        base_model=facts.base_model,
        datasets=[facts.dataset_id] if facts.dataset_id else None,
        tags=["freeal", "freeal-hf", "weak-supervision", "noisy-labels"],
        model_name=facts.name if results else None,
        eval_results=results or None,
        widget=[{"example_title": title, "text": text} for title, text in facts.examples.items()] or None,
    )
    return ModelCard.from_template(data, template_str=_template("model_card.md"), **_values(facts))


def merge(existing: str | None, card: "RepoCard") -> str:
    """Inserts a card into an existing README.

    The text between the two marks is replaced. If there are no marks, the card is added at the end. Metadata of the
    owner is kept, except for values that must match the files; lists are joined.

    Args:
        existing (`str`, *optional*): The existing README.
        card (`RepoCard`): The new card.

    Returns:
        `str`: The new README.
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
    words = WORDS[facts.task.type]
    return {**vars(facts), "words": words, "begin": BEGIN, "end": END, "cell": _cell, "fence": _fence}


def _cell(text: Any) -> str:
    """Escapes a text for a table cell or paragraph: line breaks, column separators and HTML."""
    plain = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([|\\`*_\[\]])", r"\\\1", plain)


def _fence(text: str) -> str:
    """Returns a code fence that is longer than any fence in the text."""
    return "`" * max(3, 1 + max((len(ticks) for ticks in re.findall(r"`+", text)), default=0))


def _size_category(rows: int) -> str:
    bounds = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for bound, name in bounds.items() if rows < bound), "1M<n<10M" if rows < 10**7 else "10M<n<100M")
