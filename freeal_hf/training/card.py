"""The model card of a student that was trained with `FreeALTrainer` alone, not in a run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import Trainer

from freeal_hf.cards import CardFacts, Score, merge, student_card
from freeal_hf.config import changed_arguments
from freeal_hf.tasks import NO_LABEL, Task
from freeal_hf.training.selection import Selection

_METRICS = {
    "eval_accuracy": "accuracy",
    "eval_f1": "f1",
    "eval_precision": "precision",
    "eval_recall": "recall",
    "eval_micro_f1": "micro_f1",
    "eval_macro_f1": "macro_f1",
    "eval_exact_match": "exact_match",
}
_NOT_SHOWN = ("output_dir", "hub_", "push_", "report_to", "disable_tqdm", "save_", "logging_", "eval_")


def write_card(
    trainer: Trainer,
    selection: Selection | None,
    model_name: str | None,
    base_model: str | None,
    datasets: str | Sequence[str] | None,
    metadata: Mapping[str, Any],
    *,
    task: Task,
) -> None:
    """Writes the model card of the student to the `output_dir` of the trainer. Text that a user added to it is kept.

    Args:
        trainer (`Trainer`): The trainer, after training.
        selection (`Selection`, *optional*): The selection, if the student was trained.
        model_name (`str`, *optional*): The title of the card. Defaults to the name of the folder.
        base_model (`str`, *optional*): The encoder that was fine-tuned. Defaults to the one that was loaded, if it is
            on the Hub.
        datasets (`str` or `Sequence[str]`, *optional*): The Hub datasets that the student was trained on.
        metadata (`Mapping[str, Any]`): Further metadata, such as `license`. Values that are `None` are left out.
        task (`Task`): The labels of the student.
    """
    dataset_id = datasets if isinstance(datasets, str) else next(iter(datasets or ()), None)
    config: Any = trainer.model.config  # type: ignore[union-attr]
    loaded_from = getattr(config, "_name_or_path", None)
    if base_model is None and loaded_from and not os.path.exists(loaded_from):
        base_model = loaded_from
    card = student_card(
        CardFacts(
            name=model_name or Path(str(trainer.args.output_dir)).name,
            task=task,
            model_id=getattr(trainer, "hub_model_id", None),
            dataset_id=dataset_id,
            base_model=base_model,
            arguments=_arguments(trainer),
            scores=_scores(trainer, dataset_id),
            facts=_facts(trainer, selection),
        )
    )
    for key, value in metadata.items():
        if value is not None:
            card.data[key] = value
    path = Path(str(trainer.args.output_dir)) / "README.md"
    existing = path.read_text(encoding="utf-8") if path.is_file() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(merge(existing, card), encoding="utf-8")


def _arguments(trainer: Trainer) -> dict[str, Any]:
    changed = changed_arguments(trainer.args)  # type: ignore[arg-type]
    plain = {key: value for key, value in changed.items() if not key.startswith(_NOT_SHOWN)}
    return {key: value for key, value in plain.items() if not (isinstance(value, str) and os.path.exists(value))}


def _scores(trainer: Trainer, dataset_id: str | None) -> list[Score]:
    evaluations = [entry for entry in trainer.state.log_history if any(key in entry for key in _METRICS)]
    if not evaluations:
        return []
    last, where = evaluations[-1], "the evaluation data of its training"
    return [
        Score(metric, float(last[key]), where, dataset_id or "evaluation-data")
        for key, metric in _METRICS.items()
        if key in last
    ]


def _facts(trainer: Trainer, selection: Selection | None) -> dict[str, str]:
    facts = {"epochs": f"{trainer.state.epoch or 0:g}"}
    if trainer.train_dataset is not None:
        facts["training texts"] = f"{len(trainer.train_dataset):,}"  # type: ignore[arg-type]
    if selection is not None and (labelled := selection.labels != NO_LABEL).any():
        share = selection.is_clean[labelled].mean()
        facts["share of labels selected as clean"] = f"{100 * share:.1f} %"
    return facts
