"""The plotly figures of the results, for light and dark pages.

Plotly interprets HTML in texts, so all texts of a visitor are escaped.
"""

import html
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from freeal_hf.kinds.labels import Measure
from freeal_hf.loop.rounds import Round
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

# The hues of Okabe and Ito (2008), which colour-blind people can tell apart, with a contrast of 3 to both backgrounds.
_BLUE, _ORANGE, _GREEN, _PURPLE, _OCHRE, _GREY = "#2f7fc1", "#d9600f", "#1b9169", "#b65fa8", "#a07a10", "#7d8590"
_COLOURS = (_BLUE, _ORANGE, _GREEN, _PURPLE, _OCHRE, _GREY)
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "hexagon", "triangle-down")
_INK = "#7d8590"  # the colour of the page replaces it, see theme.py
_HOVER_WIDTH = 36  # characters that fit on a phone
_KINDS = {"clean": "probably right", "noisy": "doubtful", "demonstration": "an example for the language model"}
_PARTS = (("clean", "probably right", _BLUE, ""), ("noisy", "doubtful", _ORANGE, "/"))
_MOST_POINTS = 2000
_TSNE_FROM = 30


def quality(rounds: Sequence[Mapping[str, Any]], measure: Measure, final: str) -> go.Figure:
    """Draws the scores in each round; without gold the estimate, agreement and share of clean labels.

    Args:
        rounds (`Sequence[Mapping]`): The metrics of each round.
        measure (`Measure`): The score.
        final (`str`): The name of the score of the final labels.

    Returns:
        `go.Figure`: The figure.
    """
    has_gold = all(record["label_accuracy"] is not None for record in rounds)
    exact = {
        f"annotator_{measure.key}": ("language model", _ORANGE, "square"),
        f"student_{measure.key}": ("small model", _BLUE, "circle"),
        f"label_{measure.key}": (final, _GREEN, "diamond"),
    }
    without_gold = {
        f"estimated_label_{measure.key}": (f"{final}, estimated", _GREEN, "diamond"),
        "agreement": ("both models agree", _BLUE, "circle"),
        "clean_fraction": ("not doubtful", _ORANGE, "square"),
    }
    figure = _figure(y_title=measure.name if has_gold else "share of the texts", x_title="round")
    for key, (name, colour, symbol) in (exact if has_gold else without_gold).items():
        values = [record.get(key) for record in rounds]
        if all(value is not None for value in values):
            figure.add_scatter(
                x=[record["round"] + 1 for record in rounds],
                y=values,
                name=name,
                mode="lines+markers",
                marker={"symbol": symbol, "size": 11},
                hovertemplate="%{y:.1%}",
                cliponaxis=False,
                line_color=colour,
            )
    figure.update_xaxes(dtick=1, range=[0.7, len(rounds) + 0.3])
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    return figure


def confidences(values: Sequence[float]) -> go.Figure:
    """Draws the number of texts by the confidence of their final labels.

    Args:
        values (`Sequence[float]`): The confidences, NaN for none.

    Returns:
        `go.Figure`: The figure.
    """
    found = np.asarray(values, dtype=float)
    counts, edges = np.histogram(found[~np.isnan(found)], bins=20, range=(0, 1))
    figure = _figure(height=240, x_title="confidence of the label", y_title="texts")
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts,
        width=np.diff(edges) * 0.9,
        marker_color=_BLUE,
        customdata=[f"{low:.0%} to {high:.0%}" for low, high in pairwise(edges)],
        hovertemplate="%{y:,} texts<br>confidence %{customdata}<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    return figure


def losses(events: Sequence[Mapping[str, Any]], unit: str = "texts", *, has_slider: bool = False) -> go.Figure:
    """Draws the histogram of the losses of clean and noisy samples.

    Args:
        events (`Sequence[Mapping]`): The events of a run that contain a histogram.
        unit (`str`): The samples: texts or words.
        has_slider (`bool`): Whether a slider changes the epoch. Otherwise the newest is shown.

    Returns:
        `go.Figure`: The figure.
    """
    figure = _figure(height=430 if has_slider else 320, x_title="how hard to learn (loss)", y_title=unit)
    found = [event for event in events if "edges" in event]
    if not found:
        return figure
    highest = max(event["edges"][-1] for event in found)
    shown = found if has_slider else found[-1:]
    steps = []
    for number, event in enumerate(shown):
        edges = np.asarray(event["edges"])
        for key, name, colour, pattern in _PARTS:
            figure.add_bar(
                x=(edges[:-1] + edges[1:]) / 2,
                y=event[key],
                width=np.diff(edges),
                name=name,
                marker={"color": colour, "pattern": {"shape": pattern, "solidity": 0.6}},
                hovertemplate=f"%{{y:,}} {unit}, {name}<extra></extra>",
                visible=number == len(shown) - 1,
            )
        visible = [i // 2 == number for i in range(2 * len(shown))]
        label = f"{event['round'] + 1} · {event['epoch']}"
        steps.append({"method": "update", "label": label, "args": [{"visible": visible}]})
    figure.update_layout(barmode="stack")
    if has_slider:
        slider = {"active": len(shown) - 1, "steps": steps, "pad": {"t": 56, "b": 8}, "bordercolor": _GREY}
        figure.update_layout(sliders=[{**slider, "currentvalue": {"prefix": "round · pass over the texts: "}}])
    figure.update_xaxes(range=[0, highest])
    return figure


def counts(found: Mapping[str, int], names: Sequence[str], unit: str = "texts") -> go.Figure:
    """Draws the number of texts of each label, or of entities of each type.

    Args:
        found (`Mapping[str, int]`): The counts by name.
        names (`Sequence[str]`): The labels or types.
        unit (`str`): The counted objects.

    Returns:
        `go.Figure`: The figure.
    """
    figure = _figure(x_title=unit, y_title="")
    figure.add_bar(
        x=[int(found.get(name, 0)) for name in names],
        y=[_label(name) for name in names],
        orientation="h",
        marker_color=_BLUE,
        hovertemplate=f"%{{y}}: %{{x:,}} {unit}<extra></extra>",
        text=[f"{int(found.get(name, 0)):,}" for name in names],
        textposition="outside",
        cliponaxis=False,
        showlegend=False,
    )
    figure.update_xaxes(nticks=4)
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(height=max(200, 90 + 34 * len(names)))
    return figure


def text_map(
    labels: "pd.DataFrame", names: Sequence[str], round_: Round, task: Task, ids: Sequence[str], by: str = "label"
) -> go.Figure:
    """Draws a map of the embeddings of the texts in two dimensions, coloured by label.

    Args:
        labels (`DataFrame`): The labelled rows.
        names (`Sequence[str]`): The labels.
        round_ (`Round`): The round, with embeddings and demonstrations.
        task (`Task`): The task.
        ids (`Sequence[str]`): The ids of the rows of the embeddings.
        by (`str`): The column of the labels.

    Returns:
        `go.Figure`: The figure.
    """
    shown = labels.set_index("id").reindex(ids).reset_index()
    points = _project(round_)
    chosen = {shot.id for shot in round_.read_demonstrations(task)}
    kinds = np.where(shown["is_clean"].astype(bool), "clean", "noisy").astype(object)
    kinds[shown["id"].isin(chosen)] = "demonstration"
    if len(shown) > _MOST_POINTS:
        kept = np.random.default_rng(0).choice(len(shown), _MOST_POINTS, replace=False)
        shown, points, kinds = shown.iloc[kept], points[kept], kinds[kept]
    figure = _figure(height=560)
    colour_of = colours(names)
    symbol_of = {name: _SYMBOLS[number % len(_SYMBOLS)] for number, name in enumerate(names)}
    for kind, suffix in (("clean", ""), ("noisy", "-open"), ("demonstration", "")):
        for name in names:
            rows = np.flatnonzero((shown[by] == name).to_numpy() & (kinds == kind))
            part = shown.iloc[rows]
            figure.add_scatter(
                x=points[rows, 0],
                y=points[rows, 1],
                mode="markers",
                name=_label(name),
                legendgroup=name,
                showlegend=False,
                marker={
                    "color": colour_of[name],
                    "symbol": symbol_of[name] + suffix,
                    "size": 14 if kind == "demonstration" else 7,
                    "line": {"width": 1.5 if kind == "noisy" else 0, "color": colour_of[name]},
                },
                hovertext=[_hover(row, kind) for row in part.itertuples()],
                hoverinfo="text",
            )
    for name in names:  # the legend has all labels, also those without a clean text
        marker = {"color": colour_of[name], "symbol": symbol_of[name], "size": 9}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=_label(name), legendgroup=name)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def _project(round_: Round) -> np.ndarray:
    """Projects the embeddings by t-SNE of their first principal components. This is computed once for each round."""
    kept = round_.path / "map.npy"
    if kept.is_file():
        return np.load(kept, allow_pickle=False)
    embeddings = round_.read_selection().embeddings.astype(np.float32)
    centred = embeddings - embeddings.mean(axis=0)
    left, scales, _ = np.linalg.svd(centred, full_matrices=False)
    points = left[:, :30] * scales[:30]
    if len(points) >= _TSNE_FROM:
        from sklearn.manifold import TSNE

        perplexity = min(30, len(points) / 4)
        points = TSNE(perplexity=perplexity, init=points[:, :2] / points[:, 0].std(), random_state=0).fit_transform(
            points
        )
    points = points[:, :2]
    np.save(kept, points)
    return points


def _hover(row: Any, kind: str) -> str:
    text = html.escape(row.text if len(row.text) <= 300 else row.text[:299] + "…")
    said = [
        f"label: {row.label}",
        f"language model: {row.annotator_label}",
        f"small model: {row.student_label}",
        _KINDS[kind],
    ]
    return f"{_wrapped(text)}<br><br>" + "<br>".join(_wrapped(html.escape(part)) for part in said)


def _wrapped(text: str) -> str:
    return "<br>".join(textwrap.wrap(text, _HOVER_WIDTH))


def _label(name: str) -> str:
    return html.escape(name if len(name) <= 30 else name[:29] + "…")


def colours(names: Sequence[str]) -> dict[str, str]:
    """Returns the colour of each label, the same in all figures."""
    return {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(names)}


def _figure(*, height: int = 300, x_title: str = "", y_title: str = "") -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": _INK, "size": 13, "family": "system-ui, sans-serif"},
        margin={"l": 56, "r": 24, "t": 40, "b": 48},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis_title=x_title,
        yaxis_title=y_title,
        hoverlabel={"align": "left", "namelength": -1},
        dragmode="pan",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": _INK, "activecolor": _BLUE},
    )
    figure.update_xaxes(gridcolor="rgba(134,142,153,0.25)", zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor="rgba(134,142,153,0.25)", zeroline=False, automargin=True, title_standoff=16)
    return figure
