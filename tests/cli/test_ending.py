"""How `freeal-hf run` ends: exit code, what it prints, and the record that `--end-file` asks for."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from freeal_hf.cli.ending import BUDGET_SPENT, FAILED, FINISHED, STOPPED, TRIED, End, read_end, record_end
from freeal_hf.cli.main import main
from freeal_hf.errors import InputError
from tests.conftest import FRUIT, QUICK_TRAINING
from tests.servers.chat import Behaviour, ChatServer, serve

pytestmark = pytest.mark.slow


@pytest.fixture
def server():
    def oracle(text, num_labels):
        return 0 if any(word in text for word in FRUIT) else 1

    with serve(ChatServer(Behaviour(oracle=oracle))) as running:
        yield running


@pytest.fixture
def data(corpus, tmp_path):
    path = tmp_path / "corpus.csv"
    corpus.to_csv(str(path), index=False)
    return path


@pytest.fixture
def words(data, student_folder, tmp_path):
    """Command-line words of a run of one round, but for its annotator."""
    return [
        *("run", "--data", str(data), "--labels", "fruit,tool", "--student", str(student_folder)),
        *("--output-dir", str(tmp_path / "run"), "--end-file", str(tmp_path / "end.json"), "--num-rounds", "1"),
        *[f"--{name}={value}" for name, value in QUICK_TRAINING.items()],
    ]


@pytest.fixture
def start(words, server):
    """Starts a run that asks the server."""

    def start(*more):
        command = [sys.executable, "-m", "freeal_hf", *words, "--annotator", f"endpoint:{server.url}", *more]
        environment = {**os.environ, "HF_HUB_OFFLINE": "0"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    return start


def wait_until(is_so, process):
    deadline = time.monotonic() + 100
    while not is_so():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_stopped_by_a_signal_continues_later_without_repeated_calls(start, server, tmp_path, number, exit_code):
    server.behaviour.latency = 0.3
    process = start("--annotator-option", "concurrency=4")
    wait_until(lambda: sum(server.stats.answered.values()) > 40, process)
    process.send_signal(number)
    printed = process.communicate(timeout=60)[1].decode()
    assert process.returncode == exit_code, printed
    assert "Traceback" not in printed
    assert "freeal-hf: stopped." in printed
    assert read_end(tmp_path / "end.json") == End(STOPPED)

    server.behaviour.latency = 0.0
    before = len(server.stats.bodies)
    again = start("--annotator-option", "concurrency=4")
    assert again.wait(200) == 0, again.stderr.read().decode()
    assert read_end(tmp_path / "end.json") == End(FINISHED)
    # A text may be asked about again in another way: plainly at first, later with demonstrations.
    questions = [json.dumps(body, sort_keys=True) for body in server.stats.bodies]
    is_first = [question not in questions[:place] for place, question in enumerate(questions)]
    asked_twice = [place for place in range(len(questions)) if not is_first[place]]
    assert all(place >= before for place in asked_twice)
    assert len(asked_twice) <= 2  # the canary's questions to the server


def test_a_signal_during_training_stops_a_run(words, data, tmp_path):
    command = [sys.executable, "-m", "freeal_hf", *words, "--annotator", "column:gold", "--num-train-epochs", "500"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    checkpoints = tmp_path / "run" / "round-0" / "training"
    wait_until(lambda: any(checkpoints.glob("checkpoint-*/trainer_state.json")), process)
    process.terminate()
    printed = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 143
    assert "Traceback" not in printed
    assert read_end(tmp_path / "end.json") == End(STOPPED)


def test_a_killed_run_leaves_no_record(start, server, tmp_path):
    (tmp_path / "end.json").write_text(json.dumps({"state": FINISHED, "message": ""}))
    server.behaviour.latency = 0.3
    process = start()
    wait_until(lambda: server.stats.answered, process)
    process.kill()
    process.wait()
    process.stderr.close()
    assert read_end(tmp_path / "end.json") is None


def test_a_refused_run_records_its_message(words, tmp_path, capsys):
    assert main([*words, "--annotator", "column:nowhere"]) == 1
    end = read_end(tmp_path / "end.json")
    assert end.state == FAILED
    assert "nowhere" in end.message
    assert end.message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_spent_budget_is_distinguished_from_a_finished_run(start, tmp_path):
    process = start("--max-tokens", "12000")
    printed = process.communicate(timeout=200)[1].decode()
    assert process.returncode == 0, printed
    assert read_end(tmp_path / "end.json").state == BUDGET_SPENT


def test_a_trial_labels_some_texts_which_are_not_paid_for_again(words, server, tmp_path):
    def run(*more):
        command = [sys.executable, "-m", "freeal_hf", *words, "--annotator", f"endpoint:{server.url}", *more]
        environment = {**os.environ, "HF_HUB_OFFLINE": "0"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    lines = [line.split("\t") for line in run("--try-texts", "5").splitlines() if "\t" in line]
    assert read_end(tmp_path / "end.json").state == TRIED
    assert len(lines) >= 5
    assert all(label == ("fruit" if any(word in text for word in FRUIT) else "tool") for label, text in lines)
    bodies = [json.dumps(body, sort_keys=True) for body in server.stats.bodies]
    assert sum(server.stats.answered.values()) < 80
    run()
    assert read_end(tmp_path / "end.json") == End(FINISHED)
    later = [json.dumps(body, sort_keys=True) for body in server.stats.bodies[len(bodies) :]]
    assert len(set(later) & set(bodies)) <= 2  # the canary's questions to the server


def test_an_unexpected_error_is_recorded_without_its_text(tmp_path):
    def fail():
        raise KeyError("hf_secret")

    with pytest.raises(KeyError):
        record_end(tmp_path / "end.json", fail)
    end = read_end(tmp_path / "end.json")
    assert end.state == FAILED
    assert "KeyError" in end.message
    assert "hf_secret" not in end.message


def test_the_error_of_a_run_is_raised_even_if_its_end_cannot_be_written(tmp_path):
    def fail():
        raise InputError("this is wrong")

    with pytest.raises(InputError, match="this is wrong"):
        record_end(tmp_path / "no folder" / "end.json", fail)
