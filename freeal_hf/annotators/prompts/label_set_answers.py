"""Parses the set of labels in an answer of an LLM. An answer that is not clear has no labels."""

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

from freeal_hf.annotators.final_answer import final_answer
from freeal_hf.annotators.pacing import UnusableAnswer
from freeal_hf.annotators.prompts.label_answers import denies, field_denies
from freeal_hf.tasks import NO_LABEL, Task

_FIELDS = ("labels", "label", "categories", "classes", "answer")
_OBJECT_OR_LIST = re.compile(r"\{[^{}]*\}|\[[^\[\]{}]*\]")
_PARTS = re.compile(r"\s*(?:[;,|\n]|\band\b|&)\s*")
_ITEM = re.compile(r"^(?:[-*•]|\d+[.):])\s+")
_NONE = frozenset(("none", "none of them", "none of the labels", "no label", "no labels", "(none)", "[]", "{}"))
_AROUND = " \t\r\n\"'`*_.“”‘’"


class ParsedLabels(NamedTuple):
    """The label ids in ascending order, or `None` and the reason why there is no answer."""

    labels: tuple[int, ...] | None
    reason: UnusableAnswer | None


def parse_labels(answer: str | None, task: Task, max_labels: int | None = None) -> ParsedLabels:
    """Parses the labels in an answer.

    An answer is used if it is one of these, and each of its labels is a label of the task:

    - the requested JSON object: `{"labels": [...]}`, or a truth value for each label; also a list alone. No other field
      can contradict it (`"negated": true`);
    - such an object or list in a text that does not deny it;
    - only the names of labels with separators, or "none".

    If a label is not in the task, the whole answer is unusable, because the other labels may not be complete.

    Args:
        answer (`str`, *optional*): The answer of the model, with its reasoning.
        task (`Task`): The task.
        max_labels (`int`, *optional*): The maximum number of labels of a text.

    Example:

        >>> from freeal_hf.tasks import MultiLabelClassification
        >>> task = MultiLabelClassification(["toxic", "threat"])
        >>> parse_labels('{"labels": ["threat"]}', task), parse_labels("None.", task), parse_labels("toxic?", task)
        (ParsedLabels(labels=(1,), reason=None), ParsedLabels(labels=(), reason=None), ParsedLabels(labels=None, reason='not a label'))
    """  # noqa: E501 - a tuple of results
    said, is_cut_off = final_answer(answer)
    text = unicodedata.normalize("NFC", said).replace("’", "'").strip()
    if not text:
        return ParsedLabels(None, "cut-off answer" if is_cut_off else "empty answer")
    found = _in_text(text, task)
    if found is None:
        is_open = any(text.count(start) > text.count(end) for start, end in ("{}", "[]"))
        return ParsedLabels(None, "cut-off answer" if is_open else "not a label")
    if max_labels is not None and len(found) > max_labels:
        return ParsedLabels(None, "several labels")
    return ParsedLabels(found, None)


def _in_text(text: str, task: Task) -> tuple[int, ...] | None:
    bare = re.sub(r"\A```[a-z]*|```\Z", "", text).strip()
    try:
        return _in_value(json.loads(bare), task)
    except (ValueError, RecursionError):
        pass
    places = list(_OBJECT_OR_LIST.finditer(text))
    if places:
        values = [value for value in (_in_json(place[0], task) for place in places) if value is not None]
        outside = _OBJECT_OR_LIST.sub(" ", text)
        is_clear = len(values) == len(places) and len(set(values)) == 1 and not denies(outside)
        return values[0] if is_clear else None
    if "{" in text or "[" in text:
        return None
    plain = text.strip(_AROUND)
    if (label := task.label_of(plain)) != NO_LABEL:
        return (label,)
    if plain.casefold() in _NONE:
        return ()
    return _ids([_ITEM.sub("", part.strip()).strip(_AROUND) for part in _PARTS.split(plain)], task)


def _in_json(text: str, task: Task) -> tuple[int, ...] | None:
    try:
        return _in_value(json.loads(text), task)
    except (ValueError, RecursionError):
        return None


def _in_value(value: Any, task: Task) -> tuple[int, ...] | None:
    """Returns the labels in a JSON value; `None` if it is neither a list of labels nor an object with one."""
    if isinstance(value, list):
        return _ids(value, task)
    if not isinstance(value, dict):
        return None
    fields = {str(name).casefold(): item for name, item in value.items()}
    for name in _FIELDS:
        if isinstance(fields.get(name), list | dict):
            is_denied = any(field_denies(str(other), item) for other, item in value.items())
            return None if is_denied else _in_value(fields[name], task)
    if fields and all(isinstance(item, bool) for item in value.values()):
        every = _ids(list(value), task)
        has_all = every is not None and len(every) == len(value) == task.num_labels
        return _ids([name for name, applies in value.items() if applies], task) if has_all else None
    return None


def _ids(names: Sequence[Any], task: Task) -> tuple[int, ...] | None:
    found = {task.label_of(name) if isinstance(name, str) else NO_LABEL for name in names}
    return None if NO_LABEL in found else tuple(sorted(found))
