"""The matplotlib figures of a run, for the report and the cards."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.labels import Crossed, Measure

if TYPE_CHECKING:
    from datasets import Dataset
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREEN, _GREY = "#2f6690", "#d1783c", "#3a7d44", "#8d99ae"
_BINS = 40
# A matrix with more labels is not readable.
_MATRIX_LABELS = 30


def quality_per_round(records: Sequence[Mapping[str, Any]], measure: Measure) -> "Figure":
    """Draws the score of annotator, student and final labels in each round.

    Args:
        records (`Sequence[Mapping[str, Any]]`): The metrics of each round. Without gold there is only the estimated
            accuracy; without an estimate the figure says so.
        measure (`Measure`): The score.

    Returns:
        `Figure`: The figure.
    """
    figure, axes = _figure()
    is_known = any(record.get(f"label_{measure.key}") is not None for record in records)
    score, title = (measure.key, measure.name) if is_known else ("accuracy", "accuracy")
    names = {
        f"annotator_{score}": ("annotator", _ORANGE),
        f"student_{score}": ("student", _BLUE),
        f"label_{score}": ("final label", _GREEN),
        f"estimated_label_{score}": ("final label, estimated", _GREY),
    }
    rounds = [record["round"] for record in records]
    for key, (name, colour) in names.items():
        values = [record.get(key) for record in records]
        if all(value is not None for value in values):
            axes.plot(rounds, values, marker="o", label=name, color=colour)
    axes.set(xlabel="round", ylabel=title, title="Quality per round", xticks=rounds)
    if axes.lines:
        axes.legend(frameon=False)
    else:
        axes.text(0.5, 0.5, "no gold labels and no estimate", ha="center", va="center", transform=axes.transAxes)
    return figure


def coverage(labels: "Dataset", kind: TaskKind[Any, Any, Any]) -> "Figure":
    """Draws the share of right labels among the most confident texts: estimated, and true if there is gold.

    Args:
        labels (`Dataset`): The dataset of a round.
        kind (`TaskKind`): The kind of the task.

    Returns:
        `Figure`: The figure.
    """
    figure, axes = _figure()
    confidence = np.asarray(labels["label_confidence"][:], dtype=float)
    order = np.argsort(-np.nan_to_num(confidence, nan=-1.0), kind="stable")[: int((~np.isnan(confidence)).sum())]
    kept = np.arange(1, len(order) + 1)
    axes.plot(kept / len(confidence), np.cumsum(confidence[order]) / kept, label="mean label confidence", color=_GREY)
    if "gold" in labels.column_names:
        final, gold = labels["label"][:], labels["gold"][:]
        is_known = np.array([not kind.is_missing(label) for label in gold])[order]
        right = np.array([label == true for label, true in zip(final, gold, strict=True)])[order]
        scored = np.cumsum(is_known)
        if scored[-1:].any():
            shown = scored > 0
            share = (np.cumsum(right & is_known)[shown] / scored[shown], kept[shown] / len(confidence))
            axes.plot(share[1], share[0], label="true (gold)", color=_GREEN)
    axes.set(
        xlabel="share of texts, in order of confidence", ylabel="share of right labels", title="Coverage and precision"
    )
    axes.legend(frameon=False)
    return figure


def loss_histogram(labels: "Dataset") -> "Figure":
    """Draws the histogram of the losses of clean and noisy samples.

    Args:
        labels (`Dataset`): The dataset of a round.

    Returns:
        `Figure`: The figure.
    """
    figure, axes = _figure()
    losses = np.asarray(labels["loss"][:], dtype=float)
    clean = np.asarray(labels["is_clean"][:], dtype=bool)
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
        xlabel="loss of the student for the label of the annotator (nats)",
        ylabel="texts",
        title="Small-loss selection",
    )
    axes.legend(frameon=False)
    return figure


def confusion(labels: "Dataset", kind: TaskKind[Any, Any, Any]) -> "Figure":
    """Draws the confusion matrix of annotator and student.

    Args:
        labels (`Dataset`): The dataset of a round.
        kind (`TaskKind`): The kind of the task.

    Returns:
        `Figure`: The figure.
    """
    crossed = kind.crossed(labels["annotator_label"], labels["student_label"], ("annotator", "student"))
    return _matrix(crossed, "Annotator and student")


def label_changes(before: "Dataset", after: "Dataset", kind: TaskKind[Any, Any, Any]) -> "Figure":
    """Draws how often each final label of a round became each final label of the next round.

    Args:
        before (`Dataset`): The dataset of a round.
        after (`Dataset`): The dataset of the next round, with the same rows.
        kind (`TaskKind`): The kind of the task.

    Returns:
        `Figure`: The figure.
    """
    old, new = (f"round {int(labels[0]['round'])}" for labels in (before, after))
    return _matrix(kind.crossed(before["label"], after["label"], (old, new)), "Changes of final labels")


def _matrix(crossed: Crossed, title: str) -> "Figure":
    rows, columns = crossed.rows[:_MATRIX_LABELS], crossed.columns[:_MATRIX_LABELS]
    figure, axes = _figure(height=1.6 + 0.42 * len(rows))
    counts = crossed.counts[: len(rows), : len(columns)]
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        share = count / max(counts[row].sum(), 1)
        axes.text(column, row, str(count), ha="center", va="center", color="white" if share > 0.6 else "black")
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel=crossed.titles[1], ylabel=crossed.titles[0], title=title)
    return figure


def as_svg(figure: "Figure") -> str:
    """Converts a figure to an SVG element for an HTML page.

    Args:
        figure (`Figure`): The figure.

    Returns:
        `str`: The element.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def write_png(figure: "Figure", path: Path) -> None:
    """Writes a figure as a PNG file.

    Args:
        figure (`Figure`): The figure.
        path (`Path`): The file.
    """
    figure.savefig(path, format="png", dpi=120, bbox_inches="tight", metadata={"Software": None})


def _figure(width: float = 6.4, height: float = 3.6) -> tuple["Figure", Any]:
    # Do not use pyplot, which keeps all figures in memory and chooses a GUI backend.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
