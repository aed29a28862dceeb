"""The audit of an entity task: how sentences and entities are shown to a person, and how the answers are read."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.annotators.prompts.grounding import Mention, locate, mentions_of
from freeal_hf.data.human_labels import HumanEntities
from freeal_hf.data.sentences import SPANS, TOKENS, tag_names
from freeal_hf.data.spans import Span, spans_of, tags_of
from freeal_hf.errors import InputError
from freeal_hf.kinds.labels import AuditPart
from freeal_hf.labels.audit import AuditSample
from freeal_hf.labels.entity_audit import EntityAudit, JudgedEntities, SentenceCounts, audit_entities
from freeal_hf.labels.entity_voting import Entities
from freeal_hf.tasks import TokenClassification

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

CORRECTED = "corrected"
"""The column in which a person writes the right entities of a sentence whose entities are wrong."""

NONE = "none"
_MARKED = 60  # characters of the text on each side of an entity that is judged alone


def written(row: Mapping[str, Any], tags: Sequence[str]) -> str:
    """Returns the entities of a row as text, such as `apple (fruit); saw (tool 2)` for the second `saw`.

    Args:
        row (`Mapping`): The row of a round's dataset.
        tags (`Sequence[str]`): The BIO tags of its words.
    """
    found = mentions_of(spans_of(tags), row["text"], row[TOKENS], row["token_starts"])
    return "; ".join(f"{text} ({name}{f' {number}' if number else ''})" for text, name, number in found) or NONE


def read_written(said: str, words: Sequence[str], task: TokenClassification, origin: str) -> list[Span]:
    """Reads entities in the form of `written`.

    Args:
        said (`str`): The entities, or `none`.
        words (`Sequence[str]`): The words of the sentence.
        task (`TokenClassification`): The task with the types.
        origin (`str`): The place of the cell, for errors.

    Returns:
        `list[Span]`: The entities.

    Raises:
        InputError: If an entity has another form or another type, or is not in the sentence, or its place is open.
    """
    if said.strip().casefold() == NONE:
        return []
    names = "|".join(map(re.escape, sorted(task.label_names, key=len, reverse=True)))
    entity = re.compile(rf"\s*(.+?)\s*\(({names})(?: (\d{{1,4}}))?\)\s*(?:;|$)", re.DOTALL)
    mentions, position = [], 0
    while said[position:].strip():
        found = entity.match(said, position)
        if found is None:
            raise InputError(
                f"{origin}: {said[position:].strip()!r} is no list of entities; write them as {NONE!r} or as 'words "
                f"(type); words (type)' with the types {', '.join(task.label_names)}."
            )
        text, name, number = found.groups()
        mentions.append(Mention(text, name, int(number) if number else None))
        position = found.end()
    try:
        return locate(mentions, words)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from error


def read_corrections(
    right: Mapping[str, bool],
    cells: Mapping[str, Mapping[str, str]],
    rows: Mapping[str, Mapping[str, Any]],
    task: TokenClassification,
    origin: str,
) -> list[HumanEntities]:
    """Reads all entities of the answered sentences. Sentences with wrong entities and without a correction are left
    out.

    Args:
        right (`Mapping[str, bool]`): Whether the shown entities of each answered sentence are right, by id.
        cells (`Mapping[str, Mapping[str, str]]`): The cells of the sheet by id.
        rows (`Mapping[str, Mapping[str, Any]]`): The audited rows by id.
        task (`TokenClassification`): The task.
        origin (`str`): The name of the sheet, for errors.

    Raises:
        InputError: If a correction cannot be read, or a sentence is called right and corrected.
    """  # fmt: skip
    found = []
    for sample, is_right in right.items():
        row, said = rows[sample], cells[sample].get(CORRECTED, "").strip()
        if is_right and said and said != written(row, tag_names(row["label"], task.tags)):
            raise InputError(f"{origin}, {sample!r}: the entities are called right, and corrected as {said!r}.")
        if is_right:
            tags = tag_names(row["label"], task.tags)
        elif said:
            tags = tags_of(read_written(said, row[TOKENS], task, f"{origin}, {sample!r}"), len(row[TOKENS]))
        else:
            continue
        found.append(HumanEntities(tags=tuple(tags), id=sample, origin=f"{origin}, {sample!r}"))
    return found


def parts_of(labels: "Dataset", rows: Sequence[int], annotators: Sequence[Entities]) -> list[AuditPart]:
    """Returns the final entities of some rows, which a person can judge alone.

    Entities with another number of votes of the annotators are in other strata, and so are those that annotator and
    student both found, that one of them found, and that none of them found in this form.

    Args:
        labels (`Dataset`): The dataset of a round.
        rows (`Sequence[int]`): The rows.
        annotators (`Sequence[Entities]`): The entities of each of several annotators by distinct sentence, in the
            order of their first rows.
    """
    index: dict[tuple[str, ...], int] = {}
    for words, given in zip(labels[TOKENS], labels["annotator_label"], strict=True):
        if given:  # a row without a sentence has no list of tags
            index.setdefault(tuple(words), len(index))
    tags = labels.features["label"].feature.names
    found = []
    for row in rows:
        cells = labels[int(row)]
        others = [set(spans_of(tag_names(cells[name], tags))) for name in ("annotator_label", "student_label")]
        spans = spans_of(tag_names(cells["label"], tags))
        for number, (span, place) in enumerate(zip(spans, cells[SPANS], strict=True), start=1):
            start, end, text = place["start"], place["end"], cells["text"]
            before, after = text[max(0, start - _MARKED) : start], text[end : end + _MARKED]
            shown = {"text": f"{before}[[{text[start:end]}]]{after}", "entity": f"{text[start:end]} ({span.type})"}
            votes = sum(span in (said[index[tuple(cells[TOKENS])]] or ()) for said in annotators)
            support = 4 * votes + sum(2**i for i, other in enumerate(others) if span in other)
            confidence = cells["label_confidence"]
            found.append(
                AuditPart(f"{cells['id']}#{number}", shown, support, np.nan if confidence is None else confidence)
            )
    return found


def estimate(
    labels: "Dataset",
    texts: Sequence[int],
    human: Sequence[int],
    sample: AuditSample,
    ids: Sequence[str],
    truth: Sequence[HumanEntities],
    judged: JudgedEntities | None,
    tags: Sequence[str],
) -> EntityAudit | None:
    """Estimates F1, precision and recall of the final entities.

    Args:
        labels (`Dataset`): The audited dataset.
        texts (`Sequence[int]`): Its distinct rows without an earlier human label.
        human (`Sequence[int]`): Its distinct rows with one.
        sample (`AuditSample`): The answered sentences.
        ids (`Sequence[str]`): Their ids.
        truth (`Sequence[HumanEntities]`): Their true entities.
        judged (`JudgedEntities`, *optional*): Entities that a person judged alone.
        tags (`Sequence[str]`): The tags of the task.

    Returns:
        `EntityAudit`, *optional*: `None` if a sentence with wrong entities is not corrected.
    """  # fmt: skip
    if missing := len(ids) - len(truth):
        logger.warning(
            "%d of the sentences that are called wrong have no right entities in the column %r. F1, precision and "
            "recall are estimated when all of them have.",
            missing,
            CORRECTED,
        )
        return None
    final = [set(spans_of(tag_names(row, tags))) for row in labels["label"]]
    found = [final[row] for row in np.asarray(texts)[sample.rows]]
    true = [set(spans_of(answer.tags or ())) for answer in truth]
    counts = SentenceCounts(
        np.array([len(a & b) for a, b in zip(found, true, strict=True)]),
        np.array(list(map(len, found))),
        np.array(list(map(len, true))),
    )
    certain = sum(len(final[row]) for row in human)
    return audit_entities(sample, counts, sum(len(final[row]) for row in texts), judged, (certain, certain, certain))
