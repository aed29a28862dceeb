"""Runs with servers that make prompts cheaper: by a prompt cache, or by batches."""

import json

import pytest

from freeal_hf import InferenceEndpointsAnnotator
from freeal_hf.annotators import batches
from freeal_hf.loop.rounds import Round
from tests.servers import openai_batches
from tests.servers.chat import MODEL, Behaviour, ChatServer, serve

pytestmark = pytest.mark.usefixtures("online")


@pytest.mark.parametrize("cached_tokens", [0, 20])
def test_texts_share_demonstrations_if_the_server_has_a_prompt_cache(cached_tokens, loop, corpus):
    def spoil(completion):
        completion["usage"]["prompt_tokens_details"] = {"cached_tokens": cached_tokens}

    with serve(ChatServer(Behaviour(spoil=spoil))) as server:
        result = loop(InferenceEndpointsAnnotator(server.url), num_rounds=2, refine="all").run(corpus)
        chats = [body["messages"] for body in server.stats.bodies if len(body["messages"]) > 2]
    lists = {json.dumps(chat[:-1]) for chat in chats}
    assert (result.rounds[0]["cached_tokens"] > 0) == (cached_tokens > 0)
    assert len(chats) == len(set(corpus["text"]))
    # A text of the pool has a list of its own, because it is not its own demonstration.
    assert (len(lists) < 0.7 * len(chats)) == (cached_tokens > 0)


@pytest.mark.parametrize("enabled", ["True", "False", "None"])
def test_a_server_can_say_that_it_has_a_prompt_cache(enabled, monkeypatch):
    metrics = f'vllm:other 1\nvllm:cache_config_info{{block_size="16",enable_prefix_caching="{enabled}"}} 1.0\n'
    with serve(ChatServer(Behaviour(metrics=metrics))) as server:
        annotator = InferenceEndpointsAnnotator(server.url)
        annotator.open()
        annotator.close()
    assert annotator.has_prompt_cache == (enabled == "True")


def test_texts_share_demonstrations_if_the_server_says_that_it_has_a_prompt_cache(tmp_path):
    round_ = Round(tmp_path, 0)
    round_.write_metrics({"cached_tokens": 0, "has_prompt_cache": True})
    assert round_.uses_prompt_cache


def test_a_run_in_batches_costs_half_and_has_all_instructions_in_one_batch(loop, corpus, task, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(batches, "POLL_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(batches, "SMALLEST_BATCH", 5)
    prices = tmp_path / "prices.yaml"
    prices.write_text(f"{MODEL}: {{prompt: 1, completion: 1}}")
    worded = task.with_instructions(["Is it food or equipment?"])
    with openai_batches.serve(openai_batches.OpenAIServer()) as server:
        result = loop(f"batch:endpoint:{MODEL}@{server.url}", task=worded, num_rounds=1, prices=str(prices)).run(
            corpus
        )
    [record] = result.rounds
    assert [batch["count"] for batch in server.batches.values()] == [2 * len(set(corpus["text"]))]
    tokens = record["prompt_tokens"] + record["completion_tokens"]
    assert record["cost"] == pytest.approx(0.5 * tokens / 1e6, rel=0.1)  # the tests of the server cost the full price
