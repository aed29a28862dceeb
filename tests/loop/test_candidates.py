"""Runs in which a language model gives all plausible labels of a text."""

import numpy as np
import pytest

from freeal_hf import (
    Annotation,
    Annotator,
    InferenceEndpointsAnnotator,
    MultiLabelClassification,
)
from freeal_hf.errors import InputError
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop.folder import RunFolder
from tests.conftest import FRUIT, KeywordAnnotator
from tests.servers.chat import Behaviour, ChatServer, serve


class Admits(Annotator):
    """Gives candidates for the texts with a cherry or a hammer, and otherwise knows the label."""

    batch_size = 8

    async def annotate(self, task, requests):
        return [self._answer(request.text) for request in requests]

    @staticmethod
    def _answer(text):
        if "cherry" in text or "hammer" in text:
            return Annotation(-1, reason="several candidates", labels=(0, 1))
        return Annotation(0 if any(word in text for word in FRUIT) else 1)


pytestmark = pytest.mark.usefixtures("online")


def test_the_student_decides_between_the_candidates_of_a_language_model(loop, corpus):
    def label_sets(text):
        is_unclear = "cherry" in text
        return ["fruit", "tool"] if is_unclear else ["fruit" if any(word in text for word in FRUIT) else "tool"]

    with serve(ChatServer(Behaviour(label_sets=label_sets))) as server:
        result = loop(InferenceEndpointsAnnotator(server.url, candidates=True)).run(corpus)
    unclear = result.dataset.filter(lambda row: "cherry" in row["text"])
    assert set(unclear["annotator_label"]) == {-1}
    assert set(unclear["note"]) == {'several candidates (answer: \'{"labels": ["fruit", "tool"]}\')'}
    assert np.mean(np.array(unclear["label"]) == np.array(unclear["gold"])) > 0.75
    assert result.rounds[0]["texts_with_candidates"] == len(set(unclear["text"]))


def test_candidates_are_asked_again_with_demonstrations_and_kept_on_disk(loop, corpus, task, tmp_path):
    result = loop(Admits(), num_rounds=2).run(corpus)
    unclear = {text for text in corpus["text"] if "cherry" in text or "hammer" in text}
    assert result.rounds[1]["annotator_calls"] >= len(unclear)
    round_ = RunFolder(tmp_path / "run").round(1)
    answers, _ = round_.read_answers(kind_of(task))
    assert set(answers.candidates.values()) == {(0, 1)}
    assert len(answers.candidates) == len(unclear)


def test_another_annotator_labels_a_text_with_candidates(loop, corpus):
    result = loop([Admits(), KeywordAnnotator()]).run(corpus)
    unclear = result.dataset.filter(lambda row: "cherry" in row["text"])
    assert -1 not in unclear["annotator_label"]


def test_candidates_are_refused_in_tasks_without_exactly_one_label(loop, corpus, tmp_path):
    task = MultiLabelClassification(["fruit", "tool"])
    annotator = InferenceEndpointsAnnotator("http://127.0.0.1:9", candidates=True)
    with pytest.raises(InputError, match=r"candidates=true .* 'multi-label-classification'\. Leave candidates out"):
        loop(annotator, task=task).run(corpus.remove_columns("gold"))
    assert not (tmp_path / "run").exists()


def test_the_estimate_counts_longer_answers(loop, corpus):
    def most(**options):
        annotator = InferenceEndpointsAnnotator("http://127.0.0.1:9", **options)
        return loop(annotator).estimate(corpus).completion_tokens.high

    assert most(candidates=True) == 2 * most()
