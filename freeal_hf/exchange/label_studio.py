"""Label Studio's JSON files: tasks with annotations by people and predictions by models."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from freeal_hf.errors import InputError
from freeal_hf.exchange.json_files import as_object, text_of
from freeal_hf.exchange.marked import Marked, Place, marked

FROM_NAME, TO_NAME = "label", "text"
"""The names of the tags in Label Studio's template for named entities."""

_KIND = "labels"


def read_label_studio(path: Path) -> tuple[list[Marked], int]:
    """Reads an export of Label Studio in the form `JSON` or `JSON-MIN`.

    A task without annotations, or with cancelled ones only, is not labelled; its predictions are not read. Of several
    annotations of a task, the last one is read.

    Label Studio counts positions in code points. Old versions counted UTF-16 code units, which differ after an emoji
    (its issues 1008 and 1347). Such positions are recognized by the `text` of the entities.

    Args:
        path (`Path`): The file.

    Returns:
        `tuple[list[Marked], int]`: The texts, and the number of entities that overlap a longer one.

    Raises:
        InputError: If the file has another form.
    """
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}. Export the project as JSON or JSON-MIN.") from error
    found, num_dropped = [], 0
    for number, task in enumerate(tasks if isinstance(tasks, list) else [tasks], start=1):
        where = f"{path}, task {number}"
        values = as_object(task, where)
        data = as_object(values.get("data", values), where)  # JSON-MIN has no `data`
        text = text_of(data, where, _text_name(data, where))
        item, dropped = marked(text, _places(values, text, where), where, id=_id(values))
        found.append(item)
        num_dropped += dropped
    return found, num_dropped


def write_label_studio(path: Path, items: Iterable[Marked]) -> None:
    """Writes tasks to import. Entities of people become annotations, those of a model predictions."""
    path.write_text(json.dumps(list(map(_task, items)), ensure_ascii=False, indent=1), encoding="utf-8")


def _task(item: Marked) -> dict[str, Any]:
    task: dict[str, Any] = {"data": {"text": item.text, **({} if item.id is None else {"id": item.id})}}
    if item.places is None:
        return task
    result = [
        {
            "id": f"e{number}",
            "from_name": FROM_NAME,
            "to_name": TO_NAME,
            "type": _KIND,
            "value": {
                "start": place.start,
                "end": place.end,
                "text": item.text[place.start : place.end],
                "labels": [place.type],
            },
        }
        for number, place in enumerate(item.places)
    ]
    if not item.is_model:
        return {**task, "annotations": [{"result": result}]}
    score = {} if item.confidence is None else {"score": item.confidence}
    return {**task, "predictions": [{"model_version": "freeal-hf", "result": result, **score}]}


def _text_name(data: Mapping[str, Any], where: str) -> str:
    """Returns the key of the text: `text`, or the only string that is not an id."""
    if "text" in data:
        return "text"
    names = [name for name, value in data.items() if isinstance(value, str) and name != "id"]
    if len(names) != 1:
        raise InputError(f"{where} has no 'text'; it has {', '.join(map(repr, data)) or 'nothing'}.")
    return names[0]


def _id(task: Mapping[str, Any]) -> str | None:
    data = task.get("data")
    own = data.get("id") if isinstance(data, Mapping) else None
    found = task.get("id") if own is None else own
    return None if found is None else str(found)


def _places(task: Mapping[str, Any], text: str, where: str) -> list[Place] | None:
    if "annotations" in task:
        done = [one for one in task["annotations"] if not one.get("was_cancelled")]
        if not done:
            return None
        values = [region.get("value") for region in done[-1].get("result", ()) if region.get("type", _KIND) == _KIND]
    elif "data" in task:  # a task that was imported and never labelled
        return None
    else:
        values = task.get(FROM_NAME) or []  # JSON-MIN leaves the key out if there is no entity
    places = [_place(value, where) for value in values]
    named = [value.get("text") for value in values]
    moved = [Place(_code_points(text, place.start), _code_points(text, place.end), place.type) for place in places]
    return moved if not _are_in(places, text, named) and _are_in(moved, text, named) else places


def _are_in(places: Sequence[Place], text: str, named: Sequence[Any]) -> bool:
    """Returns whether the text has all named entities at their places."""
    return all(
        words is None or text[place.start : place.end] == words for place, words in zip(places, named, strict=True)
    )


def _code_points(text: str, position: int) -> int:
    """Converts a position in UTF-16 code units to one in code points."""
    before = text.encode("utf-16-le", "surrogatepass")[: 2 * max(0, position)]
    return len(before.decode("utf-16-le", "ignore"))


def _place(value: Any, where: str) -> Place:
    try:
        [name] = value["labels"]
        return Place(int(value["start"]), int(value["end"]), str(name))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: {value!r} is not an entity with 'start', 'end' and one label.") from error
