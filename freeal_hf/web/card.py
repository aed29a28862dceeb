"""The card on which a person checks a text: its HTML, which escapes all texts, and its script.

A click on an answer, or its key, triggers the event `submit` of the component with the id of the text and the answer
in the form of `TaskView.read_answer`. Several labels and entities are marked in the browser first, and are then saved.
"""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from freeal_hf.web.pictures import colours

_KEYS = 9  # answers with a key of their own


@dataclass(frozen=True)
class Question:
    """What a person is asked about a text.

    Args:
        sample (`str`): The id of the text.
        text (`str`): The text.
        names (`Sequence[str]`): The labels, or the types of entities.
        chosen (`Sequence[str]`): The labels that are marked at first.
        several (`bool`): Whether any number of labels can be marked.
        words (`Sequence[tuple[int, int]]`): Start and end of each word in the text, if entities are marked.
        tags (`Sequence[str]`): The BIO tags of these words.
        opinions (`Sequence[tuple[str, str]]`): Who gave which label. Nothing is shown if it is empty.
    """

    sample: str
    text: str
    names: Sequence[str]
    chosen: Sequence[str] = ()
    several: bool = False
    words: Sequence[tuple[int, int]] = ()
    tags: Sequence[str] = ()
    opinions: Sequence[tuple[str, str]] = ()
    kind: str = field(init=False)

    def __post_init__(self) -> None:
        kind = "words" if self.words else "several" if self.several else "one"
        object.__setattr__(self, "kind", kind)


def card(question: Question, position: int, count: int) -> str:
    """Returns the HTML of a card.

    Args:
        question (`Question`): The question.
        position (`int`): The number of the text, from 1.
        count (`int`): The number of texts to check.
    """
    opinions = "".join(
        f"<div><dt>{html.escape(who)}</dt><dd>{html.escape(said)}</dd></div>" for who, said in question.opinions
    )
    save = "" if question.kind == "one" else '<button class="save" data-key="Enter">Save <kbd>Enter</kbd></button>'
    return (
        f'<article class="card {question.kind}" tabindex="-1" data-sample="{html.escape(question.sample)}">'
        f'<p class="aside">{position:,} of {count:,}</p>'
        f'<div class="text">{_marked(question) if question.words else html.escape(question.text)}</div>'
        f'<dl class="opinions">{opinions}</dl><p class="aside">{_HELP[question.kind]}</p>'
        f'<div class="answers" role="group" aria-label="Answers">{_answers(question)}{save}</div></article>'
    )


_HELP = {
    "one": "Choose the right label. Its number is also its key.",
    "several": "Mark all labels that apply, or none of them, and save.",
    "words": "Choose a type and click the words of each entity. Click a word again to start a new entity there, or to "
    "remove it.",
}


def _answers(question: Question) -> str:
    shades = colours(question.names)
    found = []
    for number, name in enumerate(question.names, start=1):
        is_pressed = number == 1 if question.words else name in question.chosen
        key = f'data-key="{number}"' if number <= _KEYS else ""
        shown = f"<kbd>{number}</kbd> " if key else ""
        shade = f' style="--shade: {shades[name]}"' if question.words else ""
        found.append(
            f'<button class="answer" data-name="{html.escape(name)}" aria-pressed="{json.dumps(is_pressed)}" {key}'
            f"{shade}>{shown}{html.escape(name)}</button>"
        )
    return "".join(found)


def _marked(question: Question) -> str:
    """Returns the text with a button for each word."""
    shades, position, parts = colours(question.names), 0, []
    for (start, end), tag in zip(question.words, question.tags, strict=True):
        mark, _, name = tag.partition("-")
        shade = f' style="--shade: {shades[name]}"' if name else ""
        parts.append(
            f'{html.escape(question.text[position:start])}<button class="word" data-mark="{mark}" '
            f'data-type="{html.escape(name)}"{shade}>{html.escape(question.text[start:end])}</button>'
        )
        position = end
    return "".join(parts) + html.escape(question.text[position:])


SCRIPT = """
const set = (button, is) => button.setAttribute("aria-pressed", is);
const send = (right) => trigger("submit", { sample: element.querySelector(".card").dataset.sample, right });
const all = (selector) => [...element.querySelectorAll(selector)];

function mark(word) {
  const words = all(".word"), at = words.indexOf(word);
  const chosen = element.querySelector(".answer[aria-pressed=true]"), type = chosen.dataset.name;
  const [before, after] = [words[at - 1], words[at + 1]];
  const continues = (one) => one && one.dataset.mark !== "O" && one.dataset.type === type;
  const put = (one, name, sign) => {
    Object.assign(one.dataset, { mark: sign, type: name });
    one.setAttribute("style", name && chosen.getAttribute("style"));
  };
  if (!continues(word)) {
    put(word, type, continues(before) ? "I" : "B");
    if (continues(after)) after.dataset.mark = "I";
  } else if (word.dataset.mark === "I") word.dataset.mark = "B";
  else put(word, "", "O");
  if (after && after.dataset.mark === "I" && after.dataset.type !== word.dataset.type) after.dataset.mark = "B";
}

function save() {
  const several = all(".answer[aria-pressed=true]").map((one) => one.dataset.name);
  const tags = all(".word").map(({ dataset: { mark, type } }) => (mark === "O" ? mark : `${mark}-${type}`));
  send(JSON.stringify(tags.length ? tags : several));
}

element.addEventListener("click", ({ target }) => {
  const button = target.closest("button"), card = element.querySelector(".card");
  if (!button) return;
  if (button.matches(".word")) mark(button);
  else if (button.matches(".save")) save();
  else if (card.matches(".one")) send(button.dataset.name);
  else if (card.matches(".several")) set(button, button.getAttribute("aria-pressed") !== "true");
  else all(".answer").forEach((one) => set(one, one === button));
});

// A new card takes the focus that the former one had, so that Tab continues there.
watch("value", () => document.activeElement === document.body && element.querySelector(".card")?.focus());

// Keys of the card, and s and u for the buttons below it.
document.addEventListener("keydown", (event) => {
  const isBusy = event.ctrlKey || event.metaKey || event.altKey || !element.offsetParent;
  const { activeElement: focused } = document;
  if (isBusy || focused.matches("input:not([type=radio]), textarea, select, [contenteditable=true]")) return;
  if (event.key === "Enter" && focused.matches("button:not(.save), a, input")) return;
  const below = { s: "#skip-text", u: "#undo" }[event.key];
  const button = below
    ? document.querySelector(below)
    : element.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
});
"""
"""The script of the component of the card."""

STYLE = """
.card { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 12px 16px; margin: 0; }
.card p { margin: 0; }
.card .text { font-size: 1.15rem; line-height: 1.7; margin: 8px 0; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.card .opinions { display: grid; grid-template-columns: repeat(auto-fit, minmax(11em, 1fr)); gap: 8px 16px;
  margin: 8px 0; }
.card .opinions:empty { display: none; }
.card dt { color: var(--body-text-color-subdued); font-size: 0.85rem; }
.card dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.card .answers { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 8px; }
.card .answers button { margin: 0; border: 1px solid var(--neutral-500); border-radius: 6px; padding: 8px 12px;
  min-height: 44px; background: var(--background-fill-primary); color: var(--body-text-color); cursor: pointer;
  text-align: left; overflow-wrap: anywhere; }
.card .answers button:hover { background: var(--background-fill-secondary); }
.card .answers button[aria-pressed=true] { outline: 3px solid var(--shade, var(--primary-600));
  outline-offset: -3px; font-weight: 650; }
.card .answers .save { background: var(--primary-700); border-color: var(--primary-700); color: white;
  font-weight: 600; }
.card .answers .save:hover { background: var(--primary-800); }
.card kbd { border: 1px solid currentcolor; border-radius: 4px; padding: 0 5px; font-size: 0.8em; color: inherit; }
.card.several .answer::before { content: "☐ " / ""; }
.card.several .answer[aria-pressed=true]::before { content: "☑ " / ""; }
.card .word { display: inline; border: 0; background: none; padding: 2px 1px; margin: 0; font: inherit;
  color: inherit; cursor: pointer; border-bottom: 1px dotted var(--neutral-400); white-space: pre-wrap; }
.card .word:not([data-mark="O"]) { background: color-mix(in srgb, var(--shade) 28%, transparent);
  border-bottom: 3px solid var(--shade); }
.card .word[data-mark="B"] { border-left: 3px solid var(--shade); }
.card .word[data-mark="B"]::before { content: attr(data-type) " "; font-size: 0.7em; vertical-align: super; }
@media (max-width: 640px) { .card kbd { display: none; } .card .answers button { flex: 1 1 40%; } }
"""
"""The style of the card."""
