"""The content of the cards of a round: facts and figures from the folder of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.prompts.base import Limits
from freeal_hf.annotators.prompts.registry import prompts_of
from freeal_hf.annotators.registry import reads_prompts
from freeal_hf.cards import CardFacts, Score
from freeal_hf.config import AnnotatorConfig, RunConfig, metadata_of
from freeal_hf.data.human_labels import has_human_label
from freeal_hf.hub.files import column_names, label_columns, public_config, split_files
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.registry import kind_of
from freeal_hf.labels.counts import describe_counts
from freeal_hf.loop.folder import RunFolder
from freeal_hf.reporting import figures
from freeal_hf.reporting.report import summary_rows
from freeal_hf.tasks import Task

_SHOWN = ("label", "annotator_label", "student_label", "loss", "is_clean", "round", "note")


def round_facts(
    folder: RunFolder, number: int, task: Task, dataset_id: str, model_id: str, columns: Sequence[str]
) -> tuple[CardFacts, RunConfig]:
    """Collects the content of the cards of a round, and its public configuration.

    Args:
        folder (`RunFolder`): The folder of the run.
        number (`int`): The number of the round.
        task (`Task`): The task.
        dataset_id (`str`): The Hub id of the dataset.
        model_id (`str`): The Hub id of the student.
        columns (`Sequence[str]`): The columns of the user that are pushed.

    Returns:
        `tuple[CardFacts, RunConfig]`: The content of the cards, and the configuration.
    """
    kind = kind_of(task)
    labels_path = folder.round(number).labels_path
    labels = label_columns(labels_path, _SHOWN)
    records = [record for i in range(number + 1) if (record := folder.metrics(i)) is not None]
    last = records[-1]
    all_columns = column_names(labels_path)
    config = public_config(folder, dataset_id, has_gold="gold" in columns)
    splits = {split: _num_rows(path) for split, path in split_files(folder, number).items()}
    counts = kind.label_counts(labels)
    annotators, base_model = config.annotators, config.student.student
    facts = CardFacts(
        name=dataset_id.split("/")[-1],
        task=task,
        dataset_id=dataset_id,
        model_id=model_id,
        round=number,
        annotator=_annotator_names(annotators),
        annotator_prompt=_prompt(task, annotators) if _read_prompts(annotators.annotator) else None,
        base_model=base_model,
        base_revision=_revision(base_model) if base_model else None,
        arguments=_training_arguments(config.training),
        scores=_scores(kind.card_scores, last, config.loop.setting, dataset_id),
        rounds=summary_rows(records),
        pictures={caption: f"figures/{name}.png" for name, caption in _pictures(number, records).items()},
        facts={**kind.card_facts(last), **_measured(records)},
        estimate=_audited(kind, last) + kind.card_estimate({**last, **last.get("model_estimate", {})}),
        checked=max(last.get("audited_texts", 0), sum(map(has_human_label, labels["note"]))),
        label_counts={name: counts[name] for name in task.label_names},
        splits=splits,
        columns=[name for name in all_columns if name != "gold" or name in columns],
        config=_config_text(config),
        examples=_examples(folder, task),
    )
    return facts, config


def _examples(folder: RunFolder, task: Task) -> dict[str, str]:
    """Returns a text of each label that the annotator wrote. Texts of the user are not shown on the student's page."""
    written = folder.round(0).read_generated(task)
    return {task.label_names[shot.label]: shot.text for shot in reversed(written) if shot.label >= 0}


def _config_text(config: RunConfig) -> str:
    given = {"annotator": config.annotators.annotator, "student": config.student.student}
    missing = [name for name, value in given.items() if not isinstance(value, str)]
    notes = [f"# The {name} was only on the machine of the run: give one here or with --{name}." for name in missing]
    return "\n".join([*notes, config.without(lambda name, _: name in missing).to_text().rstrip()])


def draw_figures(folder: RunFolder, number: int, staging: Path) -> dict[str, Path]:
    """Draws the figures of a round as PNG files. Existing files are kept.

    Args:
        folder (`RunFolder`): The folder of the run.
        number (`int`): The number of the round.
        staging (`Path`): The folder for the files.

    Returns:
        `dict[str, Path]`: The local files by their path in the repository.
    """
    records = [record for i in range(number + 1) if (record := folder.metrics(i)) is not None]
    files = {f"figures/{name}.png": staging / f"{name}.png" for name in _pictures(number, records)}
    if all(path.exists() for path in files.values()):
        return files
    labels, kind = label_columns(folder.round(number).labels_path, _SHOWN), kind_of(folder.task())
    drawn = {
        "quality": figures.quality_per_round(records, kind.measure),
        "losses": figures.loss_histogram(labels),
        "confusion": figures.confusion(labels, kind),
    }
    if "figures/changes.png" in files:
        before = label_columns(folder.round(number - 1).labels_path, _SHOWN)
        drawn["changes"] = figures.label_changes(before, labels, kind)
    for name, figure in drawn.items():
        figures.write_png(figure, staging / f"{name}.png")
    return files


def _pictures(number: int, records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    captions = {
        "quality": "Quality per round",
        "losses": "Losses, clean and noisy",
        "confusion": "Annotator and student",
    }
    return {**captions, "changes": "Changes of final labels"} if number > 0 and len(records) > 1 else captions


def _annotator_names(annotators: AnnotatorConfig) -> str:
    """Returns the names of the annotators, and of those that replace them in later rounds."""
    refiner = annotators.refine_annotator
    return _annotator_name(annotators.annotator) + (
        f"; noisy texts again by {_annotator_name(refiner)}" if refiner else ""
    )


def _annotator_name(annotator: str | Mapping[str, Any] | None) -> str:
    if isinstance(annotator, Mapping):
        return " ".join(str(value) for value in annotator.values())
    return "labels in a column of the data" if annotator == "column:annotator_label" else annotator or "embedding"


def _read_prompts(annotator: str | Mapping[str, Any] | None) -> bool:
    """Returns whether one of the annotators is a language model that reads the prompt of this package."""
    named = annotator.get("class", "") if isinstance(annotator, Mapping) else annotator or ""
    return any(map(reads_prompts, named.split(" + ")))


def _prompt(task: Task, annotators: AnnotatorConfig) -> str:
    candidates = bool(annotators.annotator_options.get("candidates"))
    limits = Limits(max_tokens=0, max_list_tokens=0, max_text_length=100, coded=False, candidates=candidates)
    messages = prompts_of(task).asked(AnnotationRequest("{text}"), limits)["messages"]
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages)


def _revision(model: str) -> str | None:
    """Returns the commit of a Hub model in the cache of this machine, which is the one that was loaded."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(model, "config.json")
    except HFValidationError:
        return None
    return Path(cached).parent.name if isinstance(cached, str) else None


def _training_arguments(training: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in training.items() if not metadata_of(name).get("resumable")}


def _scores(names: Sequence[str], record: Mapping[str, Any], setting: str, dataset_id: str) -> list[Score]:
    inductive = setting == "inductive"
    split = "test" if inductive else "train"
    where = "held-out texts" if inductive else "the labelled texts themselves (transductive)"
    scores = {name: record.get(f"student_{name}") for name in names}
    return [
        Score(name, float(score), f"{dataset_id.split('/')[-1]}, {where}, against gold", dataset_id, split)
        for name, score in scores.items()
        if score is not None
    ]


def _measured(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    calls = sum(record["annotator_calls"] for record in records)
    tokens = sum(record["prompt_tokens"] + record["completion_tokens"] for record in records)
    costs = [record["cost"] for record in records]
    known = f"${sum(costs):,.2f}" if None not in costs else "unknown: there is no price for the model"
    return {
        "calls of the annotator, all rounds": f"{calls:,}",
        "input and output tokens, all rounds": f"{tokens:,}",
        "cost of the annotator": known,
        **({"rows, this round": describe_counts(records[-1]["counts"])} if "counts" in records[-1] else {}),
        "share of clean samples, this round": f"{100 * records[-1]['clean_fraction']:.1f} %",
        "time, all rounds": f"{sum(record['seconds'] for record in records):,.0f} s",
    }


def _audited(kind: TaskKind[Any, Any, Any], record: Mapping[str, Any]) -> str:
    if not record.get("audited_texts"):
        return ""
    right, (low, high) = record["audited_label_accuracy"], record["audited_label_accuracy_range"]
    said = (
        f"A person checked a random sample of {record['audited_texts']:,} texts: **{100 * right:.1f} %** of the "
        f"{kind.audit.right} ({100 * low:.1f} to {100 * high:.1f} %, 95 % interval)."
    )
    if (kappa := record.get("audited_annotator_kappa")) is not None:
        said += f" Cohen's kappa of annotator and person is {kappa['value']:.2f}."
    if (test := record.get("alt_test")) is not None:
        said += (
            f" Two people agree on {100 * record['people_agreement']['value']:.1f} % of {test['texts']:,} texts; by "
            f"the alt-test the annotator can{'' if test['passed'] else 'not'} replace one of them."
        )
    return f"{said} "


def _num_rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
