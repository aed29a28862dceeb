"""The HTML of the page. Only this module makes HTML of texts, and it escapes them."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from freeal_hf.loop.progress import ANNOTATING, TRAINING
from freeal_hf.web.settings import Settings
from freeal_hf.web.timing import Phase
from freeal_hf.web.verdict import Verdict

_PHASES = {ANNOTATING: "The language model labels texts", TRAINING: "The small model learns"}


def note(message: str, kind: str = "info") -> str:
    """Returns a box with a message. Its kind is `info`, `good`, `warning` or `problem`."""
    role = "alert" if kind == "problem" else "status"
    return f'<div class="note {kind}" role="{role}">{html.escape(message)}</div>' if message else ""


def notes(messages: Iterable[str], kind: str = "warning") -> str:
    """Returns a box for each message."""
    return "".join(note(message, kind) for message in messages)


def heading(text: str) -> str:
    """Returns a heading."""
    return f"<h3>{html.escape(text)}</h3>"


def paragraph(text: str) -> str:
    """Returns a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def aside(text: str) -> str:
    """Returns a small remark."""
    return f'<div class="aside">{html.escape(text)}</div>' if text else ""


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Returns a table of names and values."""
    cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="facts">{cells}</table>'


def preview(columns: Sequence[str], rows: Sequence[Sequence[str | list[str]]], kind: str = "") -> str:
    """Returns a table. Lists are shown word by word. The `kind` `scores` has narrow cells."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="preview {kind}"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(cell: str | list[str]) -> str:
    if isinstance(cell, str):
        return html.escape(cell)
    return " ".join(f'<span class="word">{html.escape(word)}</span>' for word in cell)


def verdict(found: Verdict) -> str:
    """Returns the result of a run in one sentence, with its basis and an alarm."""
    said = f'<p class="headline-result">{html.escape(found.headline)}</p>{paragraph(found.basis)}'
    return note(found.alarm, "problem") + f'<div class="verdict">{said}</div>'


def figures(values: Sequence[tuple[str, str]]) -> str:
    """Returns tiles with the most important numbers."""
    tiles = "".join(
        f'<div class="tile"><div class="value">{html.escape(value)}</div>'
        f'<div class="name">{html.escape(name)}</div></div>'
        for name, value in values
    )
    return f'<div class="tiles">{tiles}</div>'


def limits(settings: Settings) -> str:
    """Returns the limits of the Space."""
    return note(
        f"Limits: {settings.max_rows:,} rows, {settings.max_megabytes} MB, {settings.max_labels} labels, "
        f"{settings.max_rounds} rounds and {settings.run_minutes:g} minutes for a run. Texts are truncated after "
        f"{settings.max_characters:,} characters. Runs at the same time: {settings.concurrent_runs}; others wait. "
        f"Your data are only on this Space, and are deleted {settings.keep_hours:g} hours after their last use."
    )


def progress(phases: Sequence[Phase]) -> str:
    """Returns a progress bar for each phase of each round."""
    bars = []
    for phase in phases:
        name = f"{_PHASES[phase.name]}{f', round {phase.round + 1}' if phase.round else ''}"
        unit = "texts" if phase.name == ANNOTATING else "steps"
        share = 100 * phase.done // phase.total if phase.total else 100 if phase.has_begun else 0
        said = f"{phase.done:,} of {phase.total:,} {unit}" if phase.total else f"no {unit}"
        if not phase.has_begun:
            said = "to come"
        bars.append(
            f'<div class="phase"><span class="what">{name}</span>'
            f'<span class="bar" role="progressbar" aria-label="{name}" aria-valuemin="0" '
            f'aria-valuemax="100" aria-valuenow="{share}"><i style="width:{share}%"></i></span>'
            f'<span class="said">{said}</span></div>'
        )
    return f'<div class="phases">{"".join(bars)}</div>'


def labelled(events: Sequence[Mapping[str, Any]]) -> str:
    """Returns a table of the texts of a running run that have a label, the newest first."""
    rows = [row for event in events for row in event.get("labelled", ())]
    if not rows:
        return ""
    cells = [[text, label, percent(confidence)] for text, label, confidence in reversed(rows)]
    title = f"The first {len(rows):,} labelled texts" if len(rows) > 1 else "The first labelled text"
    return heading(title) + preview(["text", "label", "confidence"], cells, "live")


def percent(share: float | None) -> str:
    """Returns a share as percentage, and `unknown` for none."""
    return "unknown" if share is None or share != share else f"{share:.0%}"
