"""An annotator without usable answers ends the run early, with the reason. So does a spent budget."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets

from freeal_hf import Annotation, FreeAL, FreeALConfig, InferenceEndpointsAnnotator, LoopConfig
from freeal_hf.annotators.usability import CHECKED
from freeal_hf.errors import AnnotatorError, BudgetExceeded
from freeal_hf.loop.folder import RESULT_FILES
from tests.conftest import FRUIT, QUICK_TRAINING, TOOLS, KeywordAnnotator
from tests.entities import TASK as ENTITIES
from tests.servers.chat import Behaviour, ChatServer, serve

CANARY = "What colour is a ripe banana?"
KEY = "sk-a-secret-that-must-not-leak"
MANY = Dataset.from_dict({"text": [f"the {FRUIT[i % 6]} and {TOOLS[i // 6 % 6]} number {i}" for i in range(1000)]})
CHAT = Behaviour(constraints=(), free_text=f"I'd rather talk.\x1b[2J Your key is {KEY}. {'So it goes. ' * 50}")


@pytest.fixture(autouse=True)
def key(online, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)


@pytest.fixture
def run(task, student_folder, tmp_path):
    def run(data, annotator, *, task=task, human_labels=(), refine_annotator=None, overwrite=False, **loop):
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
        config = LoopConfig(**{"num_rounds": 1, **loop})
        found = FreeAL(task, annotator, str(student_folder), args, config, refine_annotator=refine_annotator)
        return found.run(data, human_labels=human_labels, overwrite=overwrite)

    return run


def endpoint(server):
    return InferenceEndpointsAnnotator(server.url, api_key_env="MY_KEY", concurrency=4)


class Says(KeywordAnnotator):
    """Gives no label, with a reason, to texts that contain a word. Each answer takes ten tokens."""

    def __init__(self, reason, word=""):
        super().__init__()
        self.reason, self.word = reason, word

    def fingerprint(self, task, request):
        return {"text": request.text, "word": self.word}

    async def annotate(self, task, requests):
        known = await super().annotate(task, requests)
        none = Annotation(-1, reason=self.reason, answer="hm")
        answers = [
            none if self.word in request.text else answer for request, answer in zip(requests, known, strict=True)
        ]
        return [replace(answer, prompt_tokens=9, completion_tokens=1) for answer in answers]


def test_a_model_without_usable_answers_ends_the_run_after_50_answers(run, tmp_path):
    with serve(ChatServer(CHAT)) as server, pytest.raises(AnnotatorError) as caught:
        run(MANY, endpoint(server), generated_per_label=0)
    assert len(server.stats.asked) < 100
    said = str(caught.value)
    assert "None of 50 answers" in said
    assert "not a label: 50" in said
    assert "I'd rather talk.\\x1b[2J Your key is ***" in said
    assert len(said) < 600
    assert not (tmp_path / "run" / "labels.csv").exists()
    assert KEY.encode() not in (tmp_path / "run" / "cache.sqlite").read_bytes()


def test_paid_answers_are_not_requested_again(run):
    with serve(ChatServer(CHAT)) as server:
        for expected in (False, True):
            before = sum(server.stats.answered.values())
            with pytest.raises(AnnotatorError, match="None of 50 answers"):
                run(MANY, endpoint(server), generated_per_label=0)
            # the few that were under way when the first run ended
            assert (sum(server.stats.answered.values()) - before < 20) is expected


@pytest.mark.parametrize("fault", ["empty", "cut", "outside"])
def test_no_usable_answer_in_a_small_corpus_ends_the_run(fault, run):
    with (
        serve(ChatServer(Behaviour(always=fault))) as server,
        pytest.raises(AnnotatorError, match="None of 12 answers"),
    ):
        run(MANY.select(range(12)), endpoint(server), generated_per_label=0)


def test_an_answer_without_entities_is_usable_in_an_entity_task(run):
    rows = MANY.select(range(60))
    with serve(ChatServer(CHAT)) as server, pytest.raises(AnnotatorError, match="None of 50 answers"):
        run(rows, endpoint(server), task=ENTITIES, generated_per_label=0)
    with serve(ChatServer(Behaviour(entities=lambda text: []))) as server:
        options = {"generated_per_label": 0, "allow_doubtful_answers": True}
        result = run(rows, endpoint(server), task=ENTITIES, overwrite=True, **options)
    assert not any(any(tags) for tags in result.dataset["label"][:])


def test_an_annotator_that_leaves_most_texts_unlabelled_with_its_own_reason_is_not_stopped(run, corpus):
    result = run(corpus, Says("no known word", FRUIT[0]))
    assert "no known word" in result.dataset["note"][:]
    with pytest.raises(AnnotatorError, match=r"None of \d+ answers .* \(no known word"):
        run(corpus, Says("no known word"), num_rounds=2, overwrite=True)


def test_hard_texts_at_the_top_of_a_file_do_not_stop_a_run(run, corpus):
    hard = Dataset.from_dict({"text": [f"unsure {i}" for i in range(60)]})
    result = run(concatenate_datasets([hard, corpus.select_columns("text")]), KeywordAnnotator())
    assert (np.array(result.dataset["annotator_label"][:60]) == -1).all()
    assert (np.array(result.dataset["annotator_label"][60:]) != -1).all()


def test_a_refine_annotator_without_a_usable_answer_is_reported_and_labels_are_kept(run, corpus, caplog):
    with caplog.at_level(logging.WARNING):
        result = run(corpus, KeywordAnnotator(), refine_annotator=Says("not a label"), num_rounds=2)
    assert "Round 1: None of" in caplog.text
    first, second = result.rounds
    assert second["annotator_accuracy"] == first["annotator_accuracy"]


def test_a_budget_spent_on_demonstrations_is_reported_and_a_larger_one_continues(run, tmp_path):
    rows = MANY.select(range(20))
    with serve(ChatServer()) as server:
        annotator = endpoint(server)
        with pytest.raises(BudgetExceeded) as caught:
            run(rows, annotator, max_tokens=2800)
        said = str(caught.value)
        assert "No text has a label yet" in said
        assert "max_tokens=2800 allows no further call" in said
        assert "higher limit continues" in said
        assert len(server.stats.answered) > 1  # the canary, and some that write
        run(rows, annotator, max_tokens=100_000)
    del server.stats.answered[CANARY]
    # A few texts are asked plainly, too, before the demonstrations are written.
    assert max(server.stats.answered.values()) <= 2
    assert sum(count == 2 for count in server.stats.answered.values()) <= CHECKED
    assert all((tmp_path / "run" / name).exists() for name in RESULT_FILES)


def test_a_model_without_usable_answers_is_detected_before_it_generates(run):
    with serve(ChatServer(CHAT)) as server, pytest.raises(AnnotatorError, match="None of 50 answers"):
        run(MANY, endpoint(server), generated_per_label=20)
    assert not [body for body in server.stats.bodies if "Examples" in body["messages"][-1]["content"]]


def test_a_model_with_usable_answers_gets_few_plain_requests_before_it_generates(run):
    with serve(ChatServer()) as server:
        run(MANY.select(range(60)), endpoint(server), generated_per_label=5)
    prompts = [body["messages"][-1]["content"] for body in server.stats.bodies]
    first = next(i for i, prompt in enumerate(prompts) if "Examples" in prompt)
    assert 0 < sum(prompt.startswith("Text: ") for prompt in prompts[:first]) <= CHECKED


@pytest.mark.parametrize("generated_per_label", [0, 5, 20])
def test_the_estimate_includes_generated_texts_and_their_checks(
    run, task, generated_per_label, student_folder, tmp_path
):
    rows = MANY.select(range(200))
    with serve(ChatServer()) as server:
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
        loop = LoopConfig(num_rounds=1, generated_per_label=generated_per_label)
        estimate = FreeAL(task, endpoint(server), str(student_folder), args, loop).estimate(rows)
        assert not server.stats.bodies
        # The server labels by a hash of the text.
        confirmed = {"generated_per_label": generated_per_label, "allow_doubtful_answers": True}
        record = run(rows, endpoint(server), **confirmed).rounds[0]
    assert estimate.writing_calls == task.num_labels * generated_per_label / 5
    assert ("of that, writing" in str(estimate)) == (generated_per_label > 0)
    assert record["annotator_calls"] <= 1.05 * estimate.calls.high + 10  # the canary's
    # What is written and not confirmed is not shown: fewer tokens are read than foreseen, never more.
    assert record["prompt_tokens"] <= estimate.prompt_tokens.high
    assert record["completion_tokens"] <= estimate.completion_tokens.high


@pytest.mark.parametrize(
    ("loop", "why"),
    [({"num_rounds": 1}, "--num-rounds 1"), ({"num_rounds": 2, "refine": "none"}, "--refine none")],
    ids=str,
)
def test_an_unused_refine_annotator_is_reported_with_the_reason(run, corpus, caplog, loop, why):
    with caplog.at_level(logging.WARNING, logger="freeal_hf"):
        run(corpus, KeywordAnnotator(), refine_annotator=KeywordAnnotator(), **loop)
    assert [why in said for said in caplog.messages if "refine annotator" in said] == [True]


def test_a_budget_too_small_for_an_answer_keeps_the_human_labels(run):
    rows = MANY.select(range(20))
    said = Dataset.from_dict({"text": rows["text"][:4], "label": ["fruit", "fruit", "tool", "tool"]})
    with serve(ChatServer()) as server:
        result = run(rows, endpoint(server), max_tokens=10, human_labels=said)
    assert result.rounds[0]["budget_spent"]
    assert result.dataset["note"][-1] == "the budget was spent"
    assert result.dataset["label"][:4] == [0, 0, 1, 1]
