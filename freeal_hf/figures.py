"""The pictures of a run, drawn once for report and cards: matplotlib figures from the files of its rounds."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.tasks import NO_LABEL

if TYPE_CHECKING:
    from datasets import Dataset
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREEN, _GREY = "#2f6690", "#d1783c", "#3a7d44", "#8d99ae"
_BINS = 40
# A matrix with more labels than this would not be readable.
_MATRIX_LABELS = 30


def quality_per_round(records: Sequence[Mapping[str, Any]]) -> "Figure":
    """Accuracy of annotator, student and final labels in each round; without gold, the estimate alone."""
    figure, axes = _figure()
    names = {
        "annotator_accuracy": ("annotator", _ORANGE),
        "student_accuracy": ("student", _BLUE),
        "label_accuracy": ("final label", _GREEN),
        "estimated_label_accuracy": ("final label, estimated", _GREY),
    }
    rounds = [record["round"] for record in records]
    for key, (name, colour) in names.items():
        values = [record[key] for record in records]
        if all(value is not None for value in values):
            axes.plot(rounds, values, marker="o", label=name, color=colour)
    axes.set(xlabel="round", ylabel="accuracy", title="Quality per round", xticks=rounds)
    axes.legend(frameon=False)
    return figure


def loss_histogram(labels: "Dataset") -> "Figure":
    """The student's losses on the annotator's labels, clean and noisy samples apart."""
    figure, axes = _figure()
    losses = np.asarray(labels["loss"], dtype=float)
    clean = np.asarray(labels["is_clean"], dtype=bool)
    known = ~np.isnan(losses)
    bins = np.linspace(0, max(float(losses[known].max()), 1e-6) if known.any() else 1.0, _BINS + 1)
    axes.hist(
        [losses[known & clean], losses[known & ~clean]],
        bins=bins,
        stacked=True,
        label=["clean", "noisy"],
        color=[_BLUE, _ORANGE],
    )
    axes.set(
        xlabel="loss of the student on the annotator's label (nats)", ylabel="texts", title="Small-loss selection"
    )
    axes.legend(frameon=False)
    return figure


def confusion(labels: "Dataset") -> "Figure":
    """How often each label of the annotator meets each label of the student."""
    names = labels.features["label"].names
    annotator, student = np.asarray(labels["annotator_label"]), np.asarray(labels["student_label"])
    both = (annotator != NO_LABEL) & (student != NO_LABEL)
    counts = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(counts, (annotator[both], student[both]), 1)
    shown = names[:_MATRIX_LABELS]
    figure, axes = _figure(height=1.6 + 0.42 * len(shown))
    counts = counts[: len(shown), : len(shown)]
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        share = count / max(counts[row].sum(), 1)
        axes.text(column, row, str(count), ha="center", va="center", color="white" if share > 0.6 else "black")
    axes.set_xticks(range(len(shown)), shown, rotation=30, ha="right")
    axes.set_yticks(range(len(shown)), shown)
    axes.set(xlabel="student", ylabel="annotator", title="Annotator and student")
    return figure


def as_svg(figure: "Figure") -> str:
    """The figure as an SVG element to put into a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _figure(width: float = 6.4, height: float = 3.6) -> tuple["Figure", Any]:
    # Not pyplot: it keeps every figure alive and picks a window system.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
