"""When another round is not worth its cost: rules that see the figures of the rounds, and no gold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL

if TYPE_CHECKING:
    from datasets import Dataset


class StoppingRule(Protocol):
    """Looks at the rounds so far and says whether the loop has converged."""

    def __call__(self, rounds: Sequence[Mapping[str, Any]]) -> str | None:
        """Why no further round is needed, `None` while one is.

        Args:
            rounds (`Sequence[Mapping]`): The records of `metrics.json`, one a round, at least one.
        """
        ...


@dataclass(frozen=True)
class LabelChanges:
    """Stops when a round has changed hardly any final label.

    Source: classification change (Zhu, Wang and Hovy, COLING 2008), on the final labels of all texts.

    Args:
        at_most (`float`, *optional*, defaults to 0.01): Share of texts whose final label may have changed.
    """

    at_most: float = 0.01

    def __call__(self, rounds: Sequence[Mapping[str, Any]]) -> str | None:
        """See `StoppingRule`."""
        changed = rounds[-1]["changed_labels"]
        if changed is None or changed > self.at_most:
            return None
        return f"{changed:.1%} of the final labels changed in round {rounds[-1]['round']}"


@dataclass(frozen=True)
class NoGain:
    """Stops when a figure has hardly risen, or has fallen, from one round to the next.

    Two figures serve: `agreement`, how often annotator and student give the same label (in the spirit of Stabilizing
    Predictions, Bloodgood and Vijay-Shanker, CoNLL 2009, with the annotator in place of the last model), and
    `estimated_label_accuracy`.

    Args:
        figure (`str`): A key of the records.
        at_least (`float`, *optional*, defaults to 0.002): Gain for which one goes on.
    """

    figure: str
    at_least: float = 0.002

    def __call__(self, rounds: Sequence[Mapping[str, Any]]) -> str | None:
        """See `StoppingRule`."""
        values = [record[self.figure] for record in rounds[-2:]]
        if len(values) < 2 or None in values or values[1] - values[0] >= self.at_least:
            return None
        name = self.figure.replace("_", " ")
        return f"the {name} went from {values[0]:.1%} to {values[1]:.1%} in round {rounds[-1]['round']}"


RULES: dict[str, StoppingRule] = {
    "label_changes": LabelChanges(),
    "agreement": NoGain("agreement"),
    "estimated_accuracy": NoGain("estimated_label_accuracy"),
}
"""The rules that `LoopConfig.stop_on` names."""


def stopping_rule(name: str) -> StoppingRule:
    """The rule of this name; `"never"` is the one that lets all rounds run.

    Raises:
        InputError: If there is none.
    """
    if name == "never":
        return lambda rounds: None
    if name not in RULES:
        raise InputError(f"There is no stopping rule {name!r}; choose never, {', '.join(RULES)}.")

    def converged(rounds: Sequence[Mapping[str, Any]]) -> str | None:
        # A round whose student has not learnt changes no label, which is no sign of convergence.
        has_learnt = all(record.get("student_has_learnt", True) for record in rounds[-2:])
        return RULES[name](rounds) if has_learnt else None

    return converged


def convergence_figures(labels: "Dataset", previous: "Dataset | None") -> dict[str, float | None]:
    """What a round's record says of convergence.

    Args:
        labels (`Dataset`): The round's data set.
        previous (`Dataset`, *optional*): That of the round before, with the same rows in the same order.

    Returns:
        `dict`: `agreement`, the share of the annotator's labels that the student gives too; `changed_labels`, the
        share of final labels that differ from the round before (`None` where there is nothing to compare).
    """
    by_annotator, by_student = labels["annotator_label"][:], labels["student_label"][:]
    same = [a == s for a, s in zip(by_annotator, by_student, strict=True) if a != NO_LABEL]
    changed = [] if previous is None else [a != b for a, b in zip(labels["label"], previous["label"], strict=True)]
    return {"agreement": _share(same), "changed_labels": _share(changed)}


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None
