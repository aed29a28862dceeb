"""The whole loop with an LLM behind HTTP: the command line against a chat server on loopback."""

import csv
import json
import os
import subprocess
import sys

import pytest

from freeal_hf import FreeAL, FreeALConfig, InferenceEndpointsAnnotator, LoopConfig
from tests.conftest import FRUIT, QUICK_TRAINING
from tests.servers.chat import Behaviour, ChatServer, serve

pytestmark = pytest.mark.slow

TOKEN = "hf_thisIsASecretThatMustNotLeak"


def oracle(text, num_labels):
    """Knows fruit from tools, but errs on every tenth text."""
    right = 0 if any(word in text for word in FRUIT) else 1
    return 1 - right if sum(map(ord, text)) % 10 == 0 else right


@pytest.fixture
def server():
    with serve(ChatServer(Behaviour(oracle=oracle, token=TOKEN))) as running:
        yield running


@pytest.fixture
def data(corpus, tmp_path):
    path = tmp_path / "corpus.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=["text", "gold"])
        writer.writeheader()
        writer.writerows(corpus)
    return path


@pytest.fixture
def run(data, student_folder, tmp_path):
    def run(url, *more, key=TOKEN):
        training = [f"--{name}={value}" for name, value in QUICK_TRAINING.items()]
        command = [
            *(sys.executable, "-m", "freeal_hf", "run", "--data", str(data), "--gold-column", "gold"),
            *("--labels", "fruit,tool", "--annotator", f"endpoint:{url}", "--student", str(student_folder)),
            *("--annotator-option", "api_key_env=MY_KEY", "--output-dir", str(tmp_path / "run"), *training, *more),
        ]
        environment = {**os.environ, "MY_KEY": key, "HF_HUB_OFFLINE": "0"}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    return run


def test_an_llm_annotates_noisy_texts_again_in_the_second_round(run, server, corpus, tmp_path):
    done = run(server.url)
    assert done.returncode == 0, done.stderr
    first, second = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert first["annotator_accuracy"] > 0.85
    assert first["prompt_tokens"] > 0
    assert 0 < second["annotator_calls"] < first["annotator_calls"]
    assert "Round 0 will take about" in done.stdout


def test_a_request_with_new_demonstrations_is_not_answered_from_the_cache(run, server, corpus, tmp_path):
    run(server.url, "--refine", "all")
    for text in corpus["text"]:
        chats = [body["messages"] for body in server.stats.bodies]
        shown = [chat for chat in chats if len(chat) > 2]  # not the plain questions before the first demonstrations
        asked = {json.dumps(chat) for chat in shown if chat[-1]["content"] == f'Text: "{text}"'}
        assert len(asked) == 2


def test_the_key_is_in_no_file_and_no_output(run, server, tmp_path):
    done = run(server.url)
    assert TOKEN not in done.stdout + done.stderr
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_an_estimate_makes_no_calls(run, server, tmp_path):
    done = run(server.url, "--estimate")
    assert done.returncode == 0, done.stderr
    assert "prompt tokens" in done.stdout
    assert sum(server.stats.asked.values()) == 0
    assert not (tmp_path / "run").exists()


def estimate(task, corpus, folder, **loop):
    annotator = InferenceEndpointsAnnotator("http://127.0.0.1:9")
    args = FreeALConfig(output_dir=str(folder))
    return FreeAL(task, annotator, args=args, loop=LoopConfig(**loop)).estimate(corpus)


def test_the_estimate_includes_the_demonstrations_and_their_checks(task, corpus, tmp_path):
    without = estimate(task, corpus, tmp_path, generated_per_label=0)
    with_them = estimate(task, corpus, tmp_path, generated_per_label=10)
    # 8 plain questions, 4 calls that write 5 texts each, and the check of these 20 texts
    assert with_them.calls.expected == without.calls.expected + 8 + 4 + 2 * 10
    assert with_them.prompt_tokens.expected / with_them.calls.expected > without.prompt_tokens.expected / 80
    assert with_them.texts == without.texts == len(set(corpus["text"]))


def test_a_budget_in_dollars_without_a_price_is_refused_before_the_first_call(run, server, tmp_path):
    done = run(server.url, "--max-cost", "1")
    assert done.returncode == 1
    assert "--prices" in done.stderr.splitlines()[-1]
    assert sum(server.stats.asked.values()) == 0
    assert not (tmp_path / "run").exists()


def test_a_token_limit_leaves_valid_files_and_a_larger_one_continues(run, server, tmp_path):
    stopped = run(server.url, "--max-tokens", "6000", "--generated-per-label", "0")
    assert stopped.returncode == 0, stopped.stderr
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())[-1]
    assert record["budget_spent"]
    assert 0 < record["prompt_tokens"] + record["completion_tokens"] <= 6000
    asked = sum(server.stats.answered.values())
    assert run(server.url, "--generated-per-label", "0").returncode == 0
    records = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert [record["budget_spent"] for record in records] == [False, False]
    assert sum(server.stats.answered.values()) - asked < sum(r["annotator_calls"] for r in records) + 5


@pytest.mark.parametrize(
    ("behaviour", "key", "message"),
    [
        ({"token": "another"}, TOKEN, "401"),
        ({"always": "429", "retry_after": "0"}, TOKEN, "429"),
    ],
    ids=["a key that is refused", "429 for ever"],
)
def test_a_server_that_gives_no_answer_ends_with_one_clear_line(behaviour, key, message, run):
    with serve(ChatServer(Behaviour(**behaviour))) as server:
        done = run(server.url, "--generated-per-label", "0", key=key)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("freeal-hf: error:")
    assert message in last
    assert "Traceback" not in done.stderr


def test_an_unreachable_server_is_named(run):
    done = run("http://127.0.0.1:9/v1")
    assert done.returncode == 1
    assert "http://127.0.0.1:9" in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("option", ["token={}", "api-key={}", "extra_body={{Authorization: {}}}", "client_secret={}"])
def test_a_key_among_the_options_is_refused_before_it_is_written(option, run, server, tmp_path):
    done = run(server.url, "--annotator-option", option.format(TOKEN))
    assert done.returncode == 1
    assert "environment variable" in done.stderr
    assert TOKEN not in done.stderr
    assert not (tmp_path / "run").exists()
