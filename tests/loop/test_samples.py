"""Runs with several samples of a language model for each text."""

import pytest

from freeal_hf import InferenceEndpointsAnnotator, LoopConfig
from freeal_hf.annotators.column import ColumnAnnotator
from freeal_hf.errors import InputError
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop.folder import RunFolder
from tests.conftest import FRUIT, KeywordAnnotator
from tests.servers.chat import Behaviour, ChatServer, serve

pytestmark = pytest.mark.usefixtures("online")


@pytest.fixture
def server():
    """Knows fruit from tools, but takes the label that is shown first for every text with a cherry."""

    def by_name(text, names):
        if "cherry" in text:
            return 0
        return names.index("fruit" if any(word in text for word in FRUIT) else "tool")

    with serve(ChatServer(Behaviour(logprobs=False, by_name=by_name))) as running:
        yield running


def test_the_share_of_the_answers_is_the_confidence_of_a_text(loop, server, corpus):
    labels = loop(InferenceEndpointsAnnotator(server.url), samples=2).run(corpus).dataset
    found = dict(zip(labels["text"], labels["annotator_confidence"], strict=True))
    assert {share for text, share in found.items() if "cherry" in text} == {0.5}
    assert {share for text, share in found.items() if "cherry" not in text} == {1.0}


def test_a_run_continued_after_its_budget_asks_each_sample_once(loop, server, corpus):
    annotator = InferenceEndpointsAnnotator(server.url)
    texts = set(corpus["text"])
    stopped = loop(annotator, samples=3, max_tokens=20_000).run(corpus)
    assert stopped.rounds[0]["budget_spent"]
    assert 0 < sum(server.stats.answered[text] for text in texts) < 3 * len(texts)
    result = loop(annotator, samples=3).run(corpus, resume=True)
    assert {server.stats.answered[text] for text in texts} == {3}
    assert result.rounds[0]["annotator_calls"] >= 3 * len(texts)


def test_later_rounds_have_as_many_samples(loop, server, corpus):
    second = loop(InferenceEndpointsAnnotator(server.url), samples=2, num_rounds=2, refine="all").run(corpus).rounds[1]
    assert second["annotator_calls"] == 2 * len(set(corpus["text"]))


def test_the_progress_counts_texts_and_not_samples(loop, server, corpus, tmp_path):
    loop(InferenceEndpointsAnnotator(server.url), samples=2).run(corpus)
    steps = [line for line in (tmp_path / "run" / "progress.jsonl").read_text().splitlines() if "annotat" in line]
    assert steps
    assert f'"done": {len(set(corpus["text"]))}' in steps[-1]


def test_the_estimate_counts_every_sample(loop, corpus):
    annotator = InferenceEndpointsAnnotator("http://127.0.0.1:9")
    calls = [loop(annotator, generated_per_label=10, samples=n).estimate(corpus).calls.expected for n in (1, 3)]
    assert calls[1] - calls[0] == 2 * len(set(corpus["text"]))


def test_a_language_model_is_asked_with_each_instruction(loop, server, corpus, task):
    worded = task.with_instructions(["Is it food or equipment?"])
    loop([InferenceEndpointsAnnotator(server.url), KeywordAnnotator()], task=worded).run(corpus)
    asked = [body["messages"] for body in server.stats.bodies if "Text: " in body["messages"][-1]["content"]]
    for wording in (task.description, "Is it food or equipment?"):
        texts = [chat[-1]["content"] for chat in asked if wording in chat[0]["content"]]
        assert len(texts) == len(set(texts)) == len(set(corpus["text"]))


def test_each_instruction_votes_as_an_annotator_of_its_own(loop, server, corpus, task, tmp_path):
    worded = task.with_instructions(["Is it food or equipment?", "Can one eat it?"])
    loop(InferenceEndpointsAnnotator(server.url), task=worded).run(corpus)
    answers, _ = RunFolder(tmp_path / "run").round(0).read_answers(kind_of(task))
    assert len(answers.parts) == 3
    assert not any(part.is_missing.any() for part in answers.parts)


def test_the_estimate_counts_every_instruction(loop, corpus, task):
    annotator = InferenceEndpointsAnnotator("http://127.0.0.1:9")
    worded = task.with_instructions(["Is it food or equipment?"])
    assert loop(annotator, task=worded, samples=3).estimate(corpus).calls.expected == 6 * len(set(corpus["text"]))


@pytest.mark.parametrize("annotator", [ColumnAnnotator({}, "guess"), KeywordAnnotator()], ids=["column", "your own"])
def test_samples_are_refused_without_a_language_model(annotator, loop, corpus, tmp_path):
    with pytest.raises(InputError, match=r"samples is 3, but .* language model.*Leave --samples out"):
        loop(annotator, samples=3).run(corpus)
    assert not (tmp_path / "run").exists()


def test_other_annotators_label_each_text_once_beside_a_language_model(loop, server, corpus):
    other, texts = KeywordAnnotator(), set(corpus["text"])
    loop([InferenceEndpointsAnnotator(server.url), other], samples=2).run(corpus)
    assert {server.stats.answered[text] for text in texts} == {2}
    assert len(other.asked) == len(texts)


@pytest.mark.parametrize("samples", [0, 1.5, "2"])
def test_a_number_of_samples_that_cannot_be_used_is_refused(samples):
    with pytest.raises(InputError, match="samples is"):
        LoopConfig(samples=samples)
