"""Rules that end the loop when it has converged. They use the metrics of the rounds, but no gold."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


class StoppingRule(Protocol):
    """Decides from the finished rounds whether the loop has converged."""

    def __call__(self, rounds: Sequence[Mapping[str, Any]]) -> str | None:
        """Returns why no further round is needed.

        Args:
            rounds (`Sequence[Mapping]`): The records of `metrics.json`, one for each round, at least one.

        Returns:
            `str` or `None`: The reason; `None` if another round is needed.
        """
        ...


@dataclass(frozen=True)
class LabelChanges:
    """Stops if a round has changed almost no final labels.

    Source: classification change (Zhu, Wang and Hovy, COLING 2008), on the final labels of all texts.

    Args:
        at_most (`float`, *optional*, defaults to 0.01): The maximum share of texts whose final label has changed.

    Example:

        >>> LabelChanges()([{"round": 1, "changed_labels": 0.004}])
        '0.4% of the final labels changed in round 1'
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
    """Stops if a metric has almost not increased, or has decreased, since the previous round.

    It is used for two metrics: `estimated_label_accuracy`, and `agreement`, the share of texts to which annotator and
    student give the same label.

    Source: for `agreement`, Stabilizing Predictions (Bloodgood and Vijay-Shanker, CoNLL 2009), with the annotator in
    place of the previous model.

    Args:
        figure (`str`): A key of the records.
        at_least (`float`, *optional*, defaults to 0.002): The minimum increase for another round.
        remedy (`str`, *optional*, defaults to `""`): What makes the metric known. If the metric of a round is unknown,
            the rule cannot end the loop, and a warning says so.

    Example:

        >>> NoGain("agreement")([{"round": 0, "agreement": 0.9}, {"round": 1, "agreement": 0.9}])
        'the agreement went from 90.0% to 90.0% in round 1'
    """

    figure: str
    at_least: float = 0.002
    remedy: str = ""

    def __call__(self, rounds: Sequence[Mapping[str, Any]]) -> str | None:
        """See `StoppingRule`."""
        name, number = self.figure.replace("_", " "), rounds[-1]["round"]
        if rounds[-1][self.figure] is None:
            said = "The %s of round %d is unknown, so that the stopping rule cannot end the loop after it. %s"
            logger.warning(said, name, number, self.remedy)
            return None
        values = [record[self.figure] for record in rounds[-2:]]
        if len(values) < 2 or None in values or values[1] - values[0] >= self.at_least:
            return None
        return f"the {name} went from {values[0]:.1%} to {values[1]:.1%} in round {number}"


RULES: dict[str, StoppingRule] = {
    "label_changes": LabelChanges(),
    "agreement": NoGain("agreement"),
    "estimated_accuracy": NoGain(
        "estimated_label_accuracy", remedy="It is known with human labels of a random sample (--audit N)."
    ),
}
"""The rules by their name in `LoopConfig.stop_on`."""


def stopping_rule(name: str) -> StoppingRule:
    """Returns a rule by name.

    Args:
        name (`str`): A key of `RULES`, or `"never"`, which runs all rounds.

    Returns:
        `StoppingRule`: The rule.

    Raises:
        InputError: If there is no such rule.
    """
    if name == "never":
        return lambda rounds: None
    if name not in RULES:
        raise InputError(f"There is no stopping rule {name!r}; choose never, {', '.join(RULES)}.")

    def converged(rounds: Sequence[Mapping[str, Any]]) -> str | None:
        # If the student has not learnt its labels, no label changes, which does not mean convergence.
        has_learnt = all(record.get("student_has_learnt", True) for record in rounds[-2:])
        return RULES[name](rounds) if has_learnt else None

    return converged


def convergence_figures(labels: "Dataset", previous: "Dataset | None") -> dict[str, float | None]:
    """Computes the metrics of convergence for the record of a round.

    Args:
        labels (`Dataset`): The dataset of the round.
        previous (`Dataset`, *optional*): The dataset of the previous round, with the same rows in the same order.

    Returns:
        `dict[str, float | None]`: `agreement`, the share of annotator labels that the student also gives, and
        `changed_labels`, the share of final labels that differ from the previous round (`None` if there is nothing to
        compare).
    """
    by_annotator, by_student = labels["annotator_label"][:], labels["student_label"][:]
    same = [a == s for a, s in zip(by_annotator, by_student, strict=True) if _is_answer(a)]
    changed = [] if previous is None else [a != b for a, b in zip(labels["label"], previous["label"], strict=True)]
    return {"agreement": _share(same), "changed_labels": _share(changed)}


def _is_answer(label: int | list[int] | None) -> bool:
    """Whether there is a label. Each word of a sentence without an answer has the tag -1."""
    return NO_LABEL not in label if isinstance(label, list) else label not in (NO_LABEL, None)


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None
