"""The pictures of a run, drawn once for report and cards: matplotlib figures from the files of its rounds."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.tasks import NO_LABEL, is_missing

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
    # Most words are outside of entities, whatever an annotator does: their accuracy would say nothing.
    is_f1 = any(record.get("label_f1") is not None for record in records)
    for key, (name, colour) in names.items():
        key = key.replace("_accuracy", "_f1") if is_f1 else key
        values = [record.get(key) for record in records]
        if all(value is not None for value in values):
            axes.plot(rounds, values, marker="o", label=name, color=colour)
    axes.set(xlabel="round", ylabel="entity F1" if is_f1 else "accuracy", title="Quality per round", xticks=rounds)
    axes.legend(frameon=False)
    return figure


def coverage(labels: "Dataset") -> "Figure":
    """Share of right labels by share of texts kept, the surest first: as estimated, and true where there is gold."""
    figure, axes = _figure()
    confidence = np.asarray(labels["label_confidence"][:], dtype=float)
    order = np.argsort(-np.nan_to_num(confidence, nan=-1.0), kind="stable")[: int((~np.isnan(confidence)).sum())]
    kept = np.arange(1, len(order) + 1)
    axes.plot(kept / len(confidence), np.cumsum(confidence[order]) / kept, label="estimated", color=_GREY)
    if "gold" in labels.column_names:
        final, gold = labels["label"][:], labels["gold"][:]
        is_known = np.array([not is_missing(label) for label in gold])[order]
        right = np.array([label == true for label, true in zip(final, gold, strict=True)])[order]
        scored = np.cumsum(is_known)
        if scored[-1:].any():
            shown = scored > 0
            share = (np.cumsum(right & is_known)[shown] / scored[shown], kept[shown] / len(confidence))
            axes.plot(share[1], share[0], label="true (gold)", color=_GREEN)
    axes.set(xlabel="share of the texts kept, surest first", ylabel="right labels", title="Coverage and precision")
    axes.legend(frameon=False)
    return figure


def loss_histogram(labels: "Dataset") -> "Figure":
    """The student's losses on the annotator's labels, clean and noisy samples apart."""
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
        xlabel="loss of the student on the annotator's label (nats)", ylabel="texts", title="Small-loss selection"
    )
    axes.legend(frameon=False)
    return figure


def confusion(labels: "Dataset") -> "Figure":
    """How often each label of the annotator meets each label of the student."""
    names = label_names(labels)
    counts = _counts(flat(labels["annotator_label"]), flat(labels["student_label"]), len(names))
    return _matrix(counts, names, rows="annotator", columns="student", title="Annotator and student")


def label_changes(before: "Dataset", after: "Dataset") -> "Figure":
    """How often each final label of a round became each final label of the next one, for the same texts."""
    names = label_names(after)
    counts = _counts(flat(before["label"]), flat(after["label"]), len(names))
    old, new = (str(int(labels[0]["round"])) for labels in (before, after))
    return _matrix(counts, names, rows=f"round {old}", columns=f"round {new}", title="Final labels that changed")


def label_names(labels: "Dataset") -> list[str]:
    """The names of a dataset's labels, or of its words' tags."""
    feature = labels.features["label"]
    return list(getattr(feature, "feature", feature).names)


def flat(column: Iterable[Any]) -> np.ndarray:
    """A column of label ids; of words' tag ids those of all sentences in a row."""
    values = list(column)
    return np.concatenate(values).astype(int) if values and np.ndim(values[0]) else np.array(values)


def _counts(first: Any, second: Any, num_labels: int) -> np.ndarray:
    first, second = np.asarray(first), np.asarray(second)
    both = (first != NO_LABEL) & (second != NO_LABEL)
    counts = np.zeros((num_labels, num_labels), dtype=int)
    np.add.at(counts, (first[both], second[both]), 1)
    return counts


def _matrix(counts: np.ndarray, names: Sequence[str], *, rows: str, columns: str, title: str) -> "Figure":
    shown = list(names[:_MATRIX_LABELS])
    figure, axes = _figure(height=1.6 + 0.42 * len(shown))
    counts = counts[: len(shown), : len(shown)]
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        share = count / max(counts[row].sum(), 1)
        axes.text(column, row, str(count), ha="center", va="center", color="white" if share > 0.6 else "black")
    axes.set_xticks(range(len(shown)), shown, rotation=30, ha="right")
    axes.set_yticks(range(len(shown)), shown)
    axes.set(xlabel=columns, ylabel=rows, title=title)
    return figure


def as_svg(figure: "Figure") -> str:
    """The figure as an SVG element to put into a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def write_png(figure: "Figure", path: Path) -> None:
    """Writes the figure as a PNG file."""
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def _figure(width: float = 6.4, height: float = 3.6) -> tuple["Figure", Any]:
    # Not pyplot: it keeps every figure alive and picks a window system.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
