"""The conclusion of a round: its final labels, the demonstrations for the next round, and its metrics."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from freeal_hf.config import LoopConfig
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.corpus import Corpus
from freeal_hf.kinds.counts import count_rows
from freeal_hf.kinds.rounds import Selection
from freeal_hf.labels.counts import count_warnings, describe_counts
from freeal_hf.loop.preparation import RunData
from freeal_hf.loop.rounds import Round
from freeal_hf.loop.stopping import convergence_figures

logger = logging.getLogger(__name__)


def conclude(
    round_: Round,
    earlier: Sequence[Round],
    data: RunData,
    corpus: Corpus,
    answers: Any,
    votes: np.ndarray | None,
    selection: Selection,
    *,
    kind: TaskKind[Any, Any, Any],
    loop: LoopConfig,
    seed: int,
) -> dict[str, Any]:
    """Writes the labels, the demonstration pool and the test labels of a round.

    Args:
        round_ (`Round`): The round.
        earlier (`Sequence[Round]`): The earlier rounds, the oldest first.
        data (`RunData`): The data.
        corpus (`Corpus`): The texts with all human labels.
        answers (`Answers`): The answers after the round.
        votes (`np.ndarray`, *optional*): The answers of each of several annotators.
        selection (`Selection`): The student's losses, small-loss selection, probabilities and embeddings.
        kind (`TaskKind`): The kind of the task.
        loop (`LoopConfig`): The settings of the loop.
        seed (`int`): Seed of the random choices.

    Returns:
        `dict[str, Any]`: The metrics of the round for its record, without costs.
    """
    shares = kind.class_shares(loop.class_shares)
    # Only human labels are compared with earlier students.
    past = [one.read_probabilities() for one in earlier if one.is_trained] if corpus.is_human.any() else []
    labels, estimate = kind.label_rows(
        data.dataset, corpus, answers, selection, round_.number, seed, votes, shares, past
    )
    for worse in estimate.get("worse_annotators", ()):
        logger.warning(
            "Round %d: annotator %d of the run labels %.0f %% of %d texts like the person, and annotator %d labels "
            "%.0f %% of them like the person. The answers of annotator %d are not used to train the student.",
            round_.number,
            worse["annotator"],
            100 * worse["accuracy"],
            worse["compared"],
            worse["best"],
            100 * worse["best_accuracy"],
            worse["annotator"],
        )
    if (temperature := estimate.get("student_temperature")) is not None:
        from freeal_hf.training.calibration import calibrate_saved

        calibrate_saved(round_.student_path, temperature)
    round_.write_labels(labels)
    if not estimate["student_has_learnt"]:
        logger.warning(
            "The student of round %d has not learnt its labels, so it changes no label and finds no noisy one. Train "
            "it longer (--num-train-epochs), or check --learning-rate and --student.",
            round_.number,
        )
        selection = replace(selection, is_clean=np.zeros_like(selection.is_clean))
    wants_pool = loop.pool_size and loop.shots
    pool = kind.choose_pool(corpus, answers, selection, loop, seed) if wants_pool else []
    round_.write_demonstrations(pool, kind.task)
    counts = count_rows(kind, data.dataset, corpus, answers, labels)
    before = earlier[-1].read_labels() if earlier else None
    figures = {**kind.score(labels), **estimate, **convergence_figures(labels, before), "counts": counts}
    if data.test is not None:
        rows = kind.test_rows(data.test, round_.student_path, round_.number)
        round_.write_test_labels(rows)
        if loop.setting == "inductive":
            figures |= {name: score for name, score in kind.score(rows).items() if name.startswith("student_")}
    logger.info("Round %d: %s", round_.number, describe_counts(counts))
    for warning in count_warnings(counts):
        logger.warning("Round %d: %s", round_.number, warning)
    return figures
