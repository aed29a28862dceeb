"""Makes Markdown tables of the results of `student.py`: accuracies, gaps closed, and quality of the selection."""

from typing import Any

import pandas as pd

SELECTION = {
    "clean_share": "clean share",
    "clean_accuracy": "clean right",
    "recall_of_wrong": "wrong found",
    "auroc": "AUROC",
    "best_70_accuracy": "best 70 % right",
}


def report(results: list[dict[str, Any]]) -> str:
    """All tables.

    Args:
        results: Lines of the results file.

    Returns:
        Markdown; accuracies in percent, mean ± standard deviation over seeds.
    """
    if not results:
        return "nothing has been run yet"
    frame = pd.DataFrame([{**line["cell"], **line["outcome"]} for line in results])
    frame["rows"] = frame["rows"].fillna(0).astype(int).replace(0, "all")
    return "\n\n".join([accuracies(frame), distances(frame), selections(frame)])


def accuracies(frame: pd.DataFrame) -> str:
    """One line for each kind of labels, method and length."""
    lines = ["| labels | rows | method | epochs | seeds | test | training texts | held-out, noisy | processor s |"]
    for (labels, rows, epochs, method), group in frame.groupby(["labels", "rows", "epochs", "method"], sort=False):
        scores = [spread(group[f"{part}_accuracy"]) for part in ("test", "transductive", "held_out")]
        seconds = f"{group['processor_seconds'].mean():.0f}"
        lines.append(_row(labels, rows, method, epochs, len(group), *scores, seconds))
    return _table(lines)


def distances(frame: pd.DataFrame) -> str:
    """Share of the distance from plain training to the ceiling that a method closes, by seeds that ran all three.

    Where a method has run for several lengths, its length is the one that agrees best with the held-out noisy labels.
    """
    lines = ["| labels | rows | seeds | epochs of plain | plain | gold | method | epochs | test | distance closed |"]
    for (labels, rows), group in frame.groupby(["labels", "rows"], sort=False):
        is_ceiling = (frame["labels"] == f"{labels.split(':')[0]}:gold") & (frame["method"] == "plain")
        ceiling = frame[is_ceiling & (frame["rows"] == rows)]
        if labels.endswith(":gold") or ceiling.empty or "plain" not in set(group["method"]):
            continue
        plain, gold = (best_length(part) for part in (group[group["method"] == "plain"], ceiling))
        for method, cells in group[group["method"] != "plain"].groupby("method", sort=False):
            chosen = best_length(cells)
            seeds = sorted(set(plain["seed"]) & set(gold["seed"]) & set(chosen["seed"]))
            if not seeds:
                continue
            low, high, score = (part[part["seed"].isin(seeds)]["test_accuracy"] for part in (plain, gold, chosen))
            gap = high.mean() - low.mean()
            closed = f"{100 * (score.mean() - low.mean()) / gap:.0f} %" if gap > 0 else "no distance"
            lengths = plain["epochs"].iloc[0], chosen["epochs"].iloc[0]
            lines.append(
                _row(labels, rows, len(seeds), lengths[0], spread(low), spread(high), method, lengths[1])
                + f" {spread(score)} | {closed} |"
            )
    return _table(lines)


def best_length(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of the number of epochs with the highest mean accuracy on held-out noisy labels.

    Lengths are compared by the seeds that all of them have run.
    """
    seeds = set.intersection(*(set(group["seed"]) for _, group in cells.groupby("epochs"))) or set(cells["seed"])
    scores = cells[cells["seed"].isin(seeds)].groupby("epochs")["held_out_accuracy"].mean()
    return cells[cells["epochs"] == scores.idxmax()]


def selections(frame: pd.DataFrame) -> str:
    """The selection's quality, epoch by epoch, means over seeds."""
    diary = [
        {**cell[["labels", "rows", "method", "epochs", "seed"]], **record}
        for _, cell in frame.iterrows()
        for record in cell["diary"]
    ]
    lines = ["| labels | rows | method | epochs | after epoch | " + " | ".join(SELECTION.values()) + " |"]
    keys = ["labels", "rows", "method", "epochs", "epoch"]
    for key, group in pd.DataFrame(diary, columns=[*keys, "seed", *SELECTION]).groupby(keys, sort=False):
        found = [f"{100 * group[name].mean():.1f}" for name in SELECTION]
        lines.append(_row(*key[:-1], round(key[-1]), *found))
    return _table(lines)


def spread(values: pd.Series) -> str:
    """Mean and, of several values, standard deviation, in percent."""
    return f"{100 * values.mean():.1f}" + (f" ± {100 * values.std():.1f}" if len(values) > 1 else "")


def _row(*fields: object) -> str:
    return "| " + " | ".join(str(field) for field in fields) + " |"


def _table(lines: list[str]) -> str:
    return "\n".join([lines[0], "|---" * (lines[0].count("|") - 1) + "|", *lines[1:]])
