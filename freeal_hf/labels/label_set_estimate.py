"""The estimated quality of final sets of labels, for the record of a round and in words."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from freeal_hf.labels.label_sets import FinalLabelSets
from freeal_hf.tasks import MultiLabelClassification

UNKNOWN = (
    "there are no human labels of a random sample. Agreement with the student does not show the accuracy, because a "
    "student also learns the errors of the annotator. `freeal-hf audit` measures it"
)


def label_set_figures(final: FinalLabelSets, task: MultiLabelClassification) -> dict[str, Any]:
    """Returns the metrics of final sets of labels for a round's record in `metrics.json`.

    Args:
        final (`FinalLabelSets`): The final sets.
        task (`MultiLabelClassification`): What is labelled.

    Returns:
        `dict`: The metrics of `estimate_figures`. `estimated_label_accuracy_by_label` has, for each label, the share
        of texts for which it is decided right.
    """
    by_label = {
        name: None if found.estimate is None else asdict(found.estimate)
        for name, found in zip(task.label_names, final.by_label, strict=True)
    }
    return {
        "student_has_learnt": final.student_has_learnt,
        "estimated_label_accuracy": None,
        "estimated_label_accuracy_range": None,
        "estimated_label_accuracy_source": None,
        "estimated_label_accuracy_basis": UNKNOWN,
        "estimated_label_accuracy_by_label": by_label,
        "most_labels_right": None,
        "class_shares_given": False,
        "worse_annotators": [],
    }


def estimate_in_words(record: Mapping[str, Any]) -> str:
    """Describes the estimated quality of the labels of a round, for a card.

    Args:
        record (`Mapping`): The round's record.
    """
    basis = record.get("estimated_label_accuracy_basis", UNKNOWN)
    return f"The accuracy of the labels is **unknown**: {basis}. `label_confidence` only orders the texts."
