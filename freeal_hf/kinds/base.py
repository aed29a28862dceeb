"""What a kind of task brings to the loop, so that there is one loop: `text_rounds` or `entity_rounds`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from freeal_hf.data.sentences import read_sentences
from freeal_hf.data.texts import read_data
from freeal_hf.errors import InputError
from freeal_hf.kinds import entities as entity_rounds
from freeal_hf.kinds import single_label as text_rounds
from freeal_hf.labels.metrics import score_entities, score_round
from freeal_hf.tasks import TokenClassification

if TYPE_CHECKING:
    from datasets import Dataset


class Kind(Protocol):
    """A module with these functions; answers, corpus and rows of one kind go with no other."""

    collect: Callable[[Any], Any]
    with_human_labels: Callable[..., Any]
    no_answers: Callable[[Any], Any]
    load_answers: Callable[[Path], tuple[Any, dict[str, Any]]]
    fuse: Callable[[Any, Any, np.ndarray], Any]
    losses: Callable[[Any, Any], np.ndarray]
    found_labels: Callable[[Any, Any, Any], np.ndarray]
    is_noisy: Callable[[Any, Any, Any, Any], np.ndarray]
    training_set: Callable[[Any, Any, Any], "Dataset"]
    doubt: Callable[["Dataset", np.ndarray, Any, int], str | None]
    choose_pool: Callable[..., Any]
    label_rows: Callable[..., tuple["Dataset", dict[str, Any]]]
    test_rows: Callable[["Dataset", Path, Any, int], "Dataset"]


def kind_of(task: Any) -> Kind:
    """The functions for a kind of task."""
    return entity_rounds if isinstance(task, TokenClassification) else text_rounds


def read_rows(source: Any, task: Any, **options: Any) -> "Dataset":
    """Reads the data of a task: `read_data` or `read_sentences`, with their options.

    Raises:
        InputError: As they do.
    """
    if isinstance(task, TokenClassification):
        if options.pop("augmented_column", None) is not None:
            raise InputError(
                "A paraphrase has other words than the sentence, so that an entity task takes no augmented_column; "
                "leave it out. The student makes its second views itself."
            )
        return read_sentences(source, task, **options)
    return read_data(source, task, **options)


def score(labels: "Dataset", task: Any) -> dict[str, Any]:
    """The quality figures of a round's data set: `score_round` or `score_entities`."""
    return score_entities(labels) if isinstance(task, TokenClassification) else score_round(labels)
