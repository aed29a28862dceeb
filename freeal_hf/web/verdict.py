"""What the results of a run say about its labels, in one sentence, without Gradio."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from freeal_hf.data.counting import counted

if TYPE_CHECKING:
    import pandas as pd

    from freeal_hf.web.views.base import ResultTexts, TaskView

_CHECKED = "Estimated from labels that a person checked."
_WITH_TRUE_LABELS = "Compared with the true labels of your data. Without these, the page would say: “{}”"
_WIDE = 0.3  # a wider range says too little
_NEARLY_ALL, _ENOUGH_TEXTS = 0.9, 20


@dataclass(frozen=True)
class Verdict:
    """The result of a run in words.

    Args:
        headline (`str`): How many labels are right, as a range, or that this cannot be known yet.
        basis (`str`): How this is known.
        alarm (`str`): That nearly all labels are the same; empty if they are not.
        doubtful (`int`): The number of texts that a person should check first.
    """

    headline: str
    basis: str
    alarm: str
    doubtful: int


def verdict_of(view: "TaskView", last: Mapping[str, Any], labels: "pd.DataFrame", doubtful: int) -> Verdict:
    """Returns the result of a run in words.

    Args:
        view (`TaskView`): The words of the kind of task.
        last (`Mapping`): The record of the last round.
        labels (`DataFrame`): The rows of `TaskView.frame`.
        doubtful (`int`): The number of texts on which the language model and the small model differ.
    """
    headline, basis = _estimate(view.results, last)
    if measured := view.measured(last):
        headline, basis = measured, _WITH_TRUE_LABELS.format(headline)
    return Verdict(headline, basis, _alarm(labels), doubtful)


def _estimate(said: "ResultTexts", last: Mapping[str, Any]) -> tuple[str, str]:
    """Returns how many labels are right as far as it is known without true labels, and how it is known."""
    low, high = last.get("estimated_label_accuracy_range") or (0.0, 1.0)
    is_checked = last.get("estimated_label_accuracy_source") == "audit"
    between = said.range(low, high)
    if last.get("estimated_label_accuracy") is None:
        return said.unknown, "No reliable estimate is possible without labels of a person."
    if high - low > _WIDE:
        return said.unknown, f"The estimate is not precise: {between}."
    headline = f"{between[0].upper()}{between[1:]}."
    return headline, _CHECKED if is_checked else "Estimated; not checked by a person."


def _alarm(labels: "pd.DataFrame") -> str:
    shares = labels["label"].value_counts(normalize=True)
    if len(labels) < _ENOUGH_TEXTS or shares.empty or shares.iloc[0] < _NEARLY_ALL:
        return ""
    return (
        f"Nearly all texts have the same label: {100 * shares.iloc[0]:.0f} of 100 are {str(shares.index[0])!r}. If "
        "your texts are not like that, the labels are wrong: describe them better, or choose another language model."
    )


def first_to_check(verdict: Verdict) -> str:
    """Returns the caption of the button that opens the doubtful texts; empty if there are none."""
    return f"Check these {counted(verdict.doubtful, 'text')} first" if verdict.doubtful else ""
