"""The engine ray has the same labels, budget and ledger as one process, also if workers are killed."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("ray")

from datasets import Dataset

from freeal_hf import (
    Annotation,
    Demonstration,
    EngineConfig,
    FreeAL,
    FreeALConfig,
    LoopConfig,
    MultiLabelClassification,
    TokenClassification,
)
from freeal_hf.annotators.base import AnnotationRequest, Annotator
from freeal_hf.annotators.budget import Budget, Ledger, Price
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.registry import build_annotator
from freeal_hf.annotators.work import annotation_work
from freeal_hf.cli.main import main
from freeal_hf.data.spans import Span
from freeal_hf.data.texts import TextRow
from freeal_hf.errors import AnnotatorError, BudgetExceeded, InputError
from freeal_hf.prediction.predictor import PredictionOptions
from freeal_hf.ray.annotation import Account, _read_shard, _write_shards, fill_cache
from freeal_hf.ray.prediction import write_predictions_on_ray
from tests.conftest import FRUIT, QUICK_TRAINING
from tests.ray_run import CONCURRENCY, CONFIG, TASK, annotate
from tests.servers.chat import Behaviour, ChatServer, by_hash, serve

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("online")]

COUNT = 200
LABELS = [by_hash(f"text number {i}", 2) for i in range(COUNT)]
CANARIES = 10  # more than two workers, a worker that takes the place of a lost one, and the driver ask in all


@pytest.fixture(scope="module")
def ray_cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["NO_KEY"] = "none"
    import ray

    root = str(Path(__file__).parents[2])
    ray.init(
        address="local",
        num_cpus=3,
        object_store_memory=100_000_000,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": root, "HF_HUB_OFFLINE": "0", "NO_KEY": "none"}},
    )
    yield
    ray.shutdown()


@pytest.fixture
def server():
    with serve(ChatServer()) as running:
        yield running


def answered(server):
    return sum(count for text, count in server.stats.answered.items() if text.startswith("text number"))


def kill_once(when, pids):
    """Kills, with SIGKILL, the first process that `pids` names when `when` is true."""

    def wait():
        while not when():
            time.sleep(0.01)
        os.kill(pids()[0], signal.SIGKILL)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def annotating_workers():
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if command.startswith(b"ray::") and b"_AnnotationWorker" in command:
                found.append(int(folder.name))
    return found


def test_the_labels_are_those_of_a_single_process(ray_cluster, server, tmp_path):
    limited = replace(CONFIG, ray_calls_per_minute=12_000)
    labels, ledger = annotate(server.url, tmp_path / "run", COUNT, config=limited)
    assert [labels[i] for i in range(COUNT)] == LABELS
    assert answered(server) == COUNT
    assert ledger.calls >= COUNT
    assert not list((tmp_path / "run" / "shards").iterdir())


def test_a_killed_worker_only_loses_its_active_calls(ray_cluster, server, tmp_path):
    server.behaviour = replace(server.behaviour, latency=0.05)
    killer = kill_once(lambda: answered(server) > 30, annotating_workers)
    labels, _ = annotate(server.url, tmp_path / "run", COUNT)
    killer.join(timeout=10)
    assert not killer.is_alive()
    assert [labels[i] for i in range(COUNT)] == LABELS
    assert COUNT <= answered(server) <= COUNT + CONCURRENCY


def test_a_killed_driver_continues_where_it_stopped(server, tmp_path):
    server.behaviour = replace(server.behaviour, latency=0.1)
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "NO_KEY": "none"}
    command = [sys.executable, "-m", "tests.ray_run", server.url, str(tmp_path / "run"), str(COUNT)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    while answered(server) < 60:
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "run" / "labels.json").read_text()) == LABELS
    # the workers of the killed driver end within a moment: what they ask until then is asked twice
    assert COUNT <= answered(server) <= COUNT + 4 * CONCURRENCY


def test_an_error_ends_a_run_and_its_own_cluster(tmp_path):
    command = [sys.executable, "-m", "tests.ray_run", "http://127.0.0.1:9/v1", str(tmp_path / "run"), "50"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "NO_KEY": "none"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert "AnnotatorError" in done.stderr.strip().splitlines()[-1]


def test_the_budget_limits_all_workers_together_and_a_larger_one_continues(ray_cluster, server, tmp_path):
    with pytest.raises(BudgetExceeded):
        annotate(server.url, tmp_path / "run", COUNT, budget=Budget(max_tokens=12_000))
    with closing(sqlite3.connect(tmp_path / "run" / "cache.sqlite")) as cache:
        answers = [json.loads(answer) for (answer,) in cache.execute("SELECT answer FROM answers")]
    paid = [answer["prompt_tokens"] + answer["completion_tokens"] for answer in answers]
    under_way = 2 * CONCURRENCY  # when the budget was spent: two workers' calls
    assert 0 < sum(paid) <= 12_000 + under_way * max(paid)
    assert len(paid) == answered(server) < COUNT
    labels, _ = annotate(server.url, tmp_path / "run", COUNT)
    assert [labels[i] for i in range(COUNT)] == LABELS
    assert answered(server) == COUNT


def oracle(text, num_labels):
    return 0 if any(word in text for word in FRUIT) else 1


def label_sets(text):
    return ["fruit"] if oracle(text, 2) == 0 else ["tool", "fruit"] if len(text) % 3 == 0 else []


@pytest.mark.parametrize("task", [TASK, MultiLabelClassification(["fruit", "tool"])], ids=lambda task: task.type)
def test_the_whole_loop_gives_the_labels_and_ids_of_one_process(ray_cluster, corpus, student_folder, task, tmp_path):
    found = {}
    for engine in ("local", CONFIG):
        with serve(ChatServer(Behaviour(oracle=oracle, label_sets=label_sets))) as server:
            folder = tmp_path / ("ray" if engine is CONFIG else "local")
            args = FreeALConfig(output_dir=str(folder), **{**QUICK_TRAINING, "num_train_epochs": 2})
            options = {"api_key_env": "NO_KEY"}
            loop = LoopConfig(num_rounds=2, refine="all", generated_per_label=0)
            run = FreeAL(
                task,
                f"endpoint:{server.url}",
                str(student_folder),
                args,
                loop,
                annotator_options=options,
                engine=engine,
            )
            data = corpus if task is TASK else corpus.map(lambda row: {"gold": [row["gold"]]})
            result = run.run(data)
            found[folder.name] = {name: list(result.dataset[name]) for name in ("id", "annotator_label", "label")}
            asked = dict(server.stats.answered)
            found[f"{folder.name} asked"] = {text: asked[text] for text in corpus["text"]}
    assert found["ray"] == found["local"]
    assert found["ray asked"] == found["local asked"]


def test_unusable_answers_end_the_run_before_the_workers_annotate_the_corpus(ray_cluster, student_folder, tmp_path):
    texts = [f"text number {i}" for i in range(COUNT)]
    chat = Behaviour(constraints=(), free_text="I would rather talk.")
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
    loop, options = LoopConfig(generated_per_label=0), {"api_key_env": "NO_KEY"}
    with serve(ChatServer(chat)) as server:
        name = f"endpoint:{server.url}"
        run = FreeAL(TASK, name, str(student_folder), args, loop, annotator_options=options, engine=CONFIG)
        with pytest.raises(AnnotatorError, match="None of 50 answers"):
            run.run(Dataset.from_dict({"text": texts}))
    assert len(set(server.stats.asked) & set(texts)) == 50


class WithoutFingerprint(Annotator):
    async def annotate(self, task, requests):
        return [Annotation(0) for _ in requests]


def test_entities_and_their_demonstrations_reach_the_workers(ray_cluster, tmp_path):
    task = TokenClassification(["fruit"])
    shots = (Demonstration("an old plum", 0, entities=(("plum", "fruit"),)), Demonstration("nothing", -1))
    requests = [AnnotationRequest(f"the apple {i}", shots, str(i), ("the", "apple", str(i))) for i in range(20)]
    ledger, budget = Ledger(owner="round-0"), Budget()
    named = Behaviour(entities=lambda text: [{"text": "Apple", "type": "fruit"}])
    with serve(ChatServer(named)) as server, AnswerCache(tmp_path / "cache.sqlite") as cache:
        make = partial(build_annotator, f"endpoint:{server.url}", options={"api_key_env": "NO_KEY"})
        annotator = make()
        fill_cache(
            annotator,
            task,
            requests,
            cache=cache,
            ledger=ledger,
            budget=budget,
            folder=tmp_path / "shards",
            config=CONFIG,
            make_annotator=make,
            progress=lambda done: None,
        )
        asked = sum(count for text, count in server.stats.asked.items() if text.startswith("the apple"))
        answers = dict(run(annotation_work(annotator, task), requests, cache=cache, ledger=ledger, budget=budget))
        assert sum(count for text, count in server.stats.asked.items() if text.startswith("the apple")) == asked == 20
    assert {answers[i].spans for i in range(20)} == {(Span(1, 2, "fruit"),)}


def test_an_annotator_without_fingerprints_is_refused(tmp_path):
    with AnswerCache(tmp_path / "cache.sqlite") as cache, pytest.raises(InputError, match="fingerprint"):
        fill_cache(
            WithoutFingerprint(),
            TASK,
            [AnnotationRequest("a text")],
            cache=cache,
            ledger=Ledger(),
            budget=Budget(),
            folder=tmp_path / "shards",
            config=CONFIG,
            make_annotator=WithoutFingerprint,
            progress=lambda done: None,
        )


def test_calls_of_all_workers_share_one_rate_limit():
    account = Account(Budget(), None, calls_per_minute=600)
    times = []
    for _ in range(3):
        now = time.monotonic()
        wait, between, count = account.slots()
        times += [now + wait + i * between for i in range(count)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == 15
    assert min(gaps) == pytest.approx(0.1, abs=0.02)


def test_claims_of_all_shards_together_stay_below_the_limit():
    account = Account(Budget(max_cost=1.0), Price(prompt=1.0, completion=2.0), None)
    assert account.claim("a", 400_000, 100_000)
    assert not account.claim("b", 500_000, 0)
    account.settle("a", 200_000, 100_000)
    assert account.claim("b", 500_000, 0)


def test_a_missing_extra_is_reported_in_one_sentence():
    code = (
        "import sys; sys.modules['ray'] = None; from freeal_hf import FreeAL, TextClassification, errors\n"
        "try: FreeAL(TextClassification(['a', 'b']), 'embedding', engine='ray')\n"
        "except errors.InputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "The engine ray needs Ray: pip install 'freeal-hf[ray]'.\n"


def test_invalid_settings_are_refused():
    for setting in ({"ray_workers": 0}, {"ray_shard_size": 0}, {"ray_calls_per_minute": 0.0}):
        with pytest.raises(InputError, match=next(iter(setting))):
            EngineConfig(**setting)


@pytest.fixture(scope="module")
def classifier(student_folder, tmp_path_factory):
    """A student with a random head: what it says is never asserted, only that both engines say it."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("classifier")
    AutoModelForSequenceClassification.from_pretrained(student_folder, num_labels=3).save_pretrained(folder)
    AutoTokenizer.from_pretrained(student_folder).save_pretrained(folder)
    return folder


def test_predictions_are_those_of_a_single_process_and_finished_shards_are_not_labelled_again(
    ray_cluster, classifier, corpus, tmp_path
):
    data, found = tmp_path / "data.csv", {}
    data.write_text('text\n""\n' + "".join(f"{text}\n" for text in corpus["text"]))
    words = ["predict", "--model", str(classifier), "--data", str(data), "--probabilities", "--embeddings"]
    for engine in ("local", "ray"):
        output = tmp_path / f"{engine}.csv"
        assert main([*words, "--output", str(output), "--engine", engine, "--ray-shard-size", "30"]) == 0
        found[engine] = list(csv.DictReader(output.open(newline="")))
    assert len(found["ray"]) == len(corpus) + 1
    for one, other in zip(found["local"], found["ray"], strict=True):
        vectors = [json.loads(row.pop("embedding") or "[]") for row in (one, other)]
        assert vectors[0] == pytest.approx(vectors[1], abs=2e-6)
        for column, value in one.items():
            # a text's batch has other texts in it, which shows in the last digit
            is_number = column.startswith(("confidence", "probability")) and value
            assert (
                float(other[column]) == pytest.approx(float(value), abs=2e-6) if is_number else other[column] == value
            )
    assert not list(tmp_path.glob(".*"))


def test_an_existing_shard_of_predictions_is_used(ray_cluster, classifier, tmp_path):
    header = ["id", "text", "label", "confidence", "note"]
    rows = [TextRow(str(i), f"text number {i}", None) for i in range(4)]

    def texts(fail):
        yield rows[:2]
        if fail:
            raise KeyboardInterrupt
        yield rows[2:]

    path = tmp_path / "predictions.csv"
    config = replace(CONFIG, ray_shard_size=2)
    with pytest.raises(KeyboardInterrupt):
        write_predictions_on_ray(path, str(classifier), PredictionOptions(2), header, texts(True), config)
    (shard,) = (tmp_path / ".predictions.csv.shards").glob("*.parquet")
    shard.with_suffix(".csv").write_bytes(b"0,kept,,,\r\n")
    write_predictions_on_ray(path, str(classifier), PredictionOptions(2), header, texts(False), config)
    written = [row["text"] for row in csv.DictReader(path.open(newline=""))]
    assert written == ["kept", "text number 2", "text number 3"]


def test_entities_are_predicted_as_by_a_single_process(ray_cluster, student_folder, tmp_path):
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tagger, data, found = tmp_path / "tagger", tmp_path / "data.jsonl", {}
    torch.manual_seed(0)
    names = dict(enumerate(["O", "B-fruit", "I-fruit"]))
    AutoModelForTokenClassification.from_pretrained(student_folder, id2label=names).save_pretrained(tagger)
    AutoTokenizer.from_pretrained(student_folder).save_pretrained(tagger)
    rows = [["my", "apple"], [], ["a", "red", "plum", "on", "the", "table"], ["the", "saw"]]
    data.write_text("".join(json.dumps({"tokens": words}) + "\n" for words in rows))
    for engine in ("local", "ray"):
        output = tmp_path / f"{engine}.csv"
        words = ["predict", "--model", str(tagger), "--data", str(data), "--output", str(output)]
        assert main([*words, "--engine", engine, "--ray-shard-size", "2"]) == 0
        found[engine] = [
            (
                row["text"],
                [(span["start"], span["end"], span["type"]) for span in json.loads(row["spans"])],
                row["note"],
            )
            for row in csv.DictReader(output.open(newline=""))
        ]
    assert len(found["ray"]) == len(rows)
    assert any(len(row) > 2 for row in found["ray"])
    assert found["ray"] == found["local"]


def test_a_shard_preserves_every_field_of_a_request(tmp_path):
    shots = (Demonstration("a plum", 0, id="1"), Demonstration("my saw", -1, entities=(("saw", "tool"),)))
    requests = [AnnotationRequest("a text"), AnnotationRequest("a pear", shots, "7", ("a", "pear"), 3, (1, 0), "why")]
    [(path, count)] = list(_write_shards(requests, tmp_path, 10))
    assert count == 2
    assert _read_shard(path) == requests
