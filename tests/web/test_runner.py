"""Runs on disk and their processes, without a page."""

import json
import os
import signal
import time
from dataclasses import asdict

import psutil
import pytest

from freeal_hf.cli import ending
from freeal_hf.cli.ending import End
from freeal_hf.web import runner
from freeal_hf.web.runner import BusyError, Runner
from freeal_hf.web.settings import Settings, read_settings
from freeal_hf.web.store import (
    DOUBTFUL,
    DRAFT,
    FAILED,
    FINISHED,
    RUNNING,
    STOPPED,
    WAITING,
    FullError,
    Store,
    UnknownRunError,
)


@pytest.fixture
def runs(tmp_path):
    """A store, and a runner that starts no run."""

    def build(**settings):
        found = Settings(data_dir=str(tmp_path), **{"concurrent_runs": 0, **settings})
        store = Store(tmp_path / "runs")
        return store, Runner(store, found)

    return build


def test_a_run_has_an_unguessable_name_and_its_own_folder(runs):
    store, _ = runs()
    names = {store.create().id for _ in range(20)}
    assert len(names) == 20
    assert {len(name) for name in names} == {32}
    assert store.folder.stat().st_mode & 0o077 == 0


def test_a_full_queue_refuses_further_runs(runs):
    store, looking_after = runs(waiting_runs=1)
    looking_after.start(store.create().id, {})
    with pytest.raises(BusyError, match="limit of 1 waiting run "):
        looking_after.start(store.create().id, {})


def filled(store, number, visitor="", **changes):
    """Creates runs with data, which were used one second after the other."""
    made = [store.create(visitor).id for _ in range(number)]
    return [store.update(run, **{"data": {"file": "a"}, "touched": 1.0 + i, **changes}) for i, run in enumerate(made)]


def test_a_started_run_is_never_deleted_for_another(tmp_path):
    store = Store(tmp_path / "runs", most=2)
    filled(store, 2, state=FINISHED)
    with pytest.raises(FullError, match="limit of 2 runs on this Space"):
        store.surplus(store.create())


def test_the_draft_that_was_not_used_for_the_longest_time_makes_room(tmp_path):
    store = Store(tmp_path / "runs", most=3)
    filled(store, 1, state=FINISHED)
    drafts = filled(store, 2)
    assert store.surplus(store.create()) == drafts[:1]


def test_an_example_without_answers_makes_room(tmp_path):
    store = Store(tmp_path / "runs", most=3)
    checked, *untouched = filled(store, 3, state=FINISHED, is_example=True)
    checked.corrections.write_text("id,label\n")
    assert store.surplus(store.create()) == untouched[:1]


def test_a_draft_without_data_takes_no_place(tmp_path):
    store = Store(tmp_path / "runs", most=2)
    filled(store, 1)
    for _ in range(5):
        store.create()
    assert store.surplus(store.create()) == []


def test_one_visitor_cannot_take_the_places_of_others(tmp_path):
    store = Store(tmp_path / "runs", most=100, most_of_visitor=3)
    others = filled(store, 3, "192.0.2.7")
    own = filled(store, 3, "198.51.100.1", touched=9.0)
    assert store.surplus(store.create("198.51.100.1"))[0] in own
    assert store.surplus(store.create("203.0.113.5")) == []
    for run in own:
        store.update(run.id, state=FINISHED)
    with pytest.raises(FullError, match="limit of 3 runs for one visitor"):
        store.surplus(store.create("198.51.100.1"))
    assert {run.id for run in others} <= {run.id for run in store.all()}


def test_the_address_of_a_visitor_is_not_stored(tmp_path):
    store = Store(tmp_path / "runs")
    run = store.create("192.0.2.7")
    assert run.visitor
    assert "192.0.2.7" not in (run.folder / "space.json").read_text()


def test_the_queue_moves_on_after_a_failure(runs):
    """Here of a record that cannot be read; it may also be a full disk."""
    store, looking_after = runs(concurrent_runs=1)
    broken = store.create()
    looking_after.watch()
    (broken.folder / "space.json").write_text("{", encoding="utf-8")
    time.sleep(1.5)
    store.folder.joinpath(broken.id, "space.json").unlink()
    run = store.create()
    run.request.write_text("labels: []", encoding="utf-8")
    store.update(run.id, state=WAITING)
    assert wait_for_end(store, run.id).state == FAILED


def test_the_queue_is_served_in_order(runs):
    store, looking_after = runs()
    first, second = store.create().id, store.create().id
    looking_after.start(first, {})
    looking_after.start(second, {})
    assert looking_after.position(store.read(second)) == 1
    looking_after.stop(first)
    assert looking_after.position(store.read(second)) == 0


def test_an_unused_run_is_deleted_after_the_stated_time(runs):
    store, looking_after = runs(keep_hours=1)
    old, new = store.create().id, store.create().id
    store.update(old, touched=time.time() - 3700)
    looking_after.clean()
    with pytest.raises(UnknownRunError):
        store.read(old)
    assert store.read(new).id == new


def test_downloads_are_deleted_after_the_stated_time(runs, tmp_path):
    _, looking_after = runs(keep_hours=1)
    kept = runner.files_folder(looking_after.settings) / "token"
    kept.mkdir(parents=True)
    os.utime(kept, (0, 0))
    looking_after.clean()
    assert not kept.exists()


@pytest.mark.parametrize(
    ("end", "state", "message"),
    [
        (End(ending.FINISHED), FINISHED, ""),
        (End(ending.BUDGET_SPENT, "The budget is spent."), FINISHED, "The budget is spent."),
        (End(ending.FAILED, "There is no such model."), FAILED, "There is no such model."),
        (End(ending.DOUBTFUL, "All answers are the same."), DOUBTFUL, "All answers are the same."),
        (End(ending.STOPPED), WAITING, ""),
    ],
)
def test_a_run_that_ended_without_the_server_is_shown_as_it_ended(runs, end, state, message):
    store, looking_after = runs()
    run = store.create()
    run.log.write_text("freeal-hf: error: this was an earlier attempt\n")
    run.end.write_text(json.dumps(asdict(end)))
    store.update(run.id, state=RUNNING, pid=2**22 + 1)
    looking_after.watch()
    found = store.read(run.id)
    assert (found.state, found.message) == (state, message)


def test_a_killed_run_is_shown_as_interrupted_despite_an_earlier_record(runs):
    store, looking_after = runs(concurrent_runs=1)
    run = store.create()
    run.end.write_text(json.dumps(asdict(End(ending.FINISHED))))
    run.log.write_text("freeal-hf: error: this was an earlier attempt\n")
    looking_after.start(run.id, {})
    os.kill(store.read(run.id).pid, signal.SIGKILL)
    looking_after.watch()
    assert wait_for_end(store, run.id).state == STOPPED
    assert "interrupted" in store.read(run.id).message


def test_a_failed_run_shows_its_error(runs):
    store, looking_after = runs(concurrent_runs=1)
    run = store.create()
    run.request.write_text("labels: [fruit, tool]\nannotator: column:nowhere\n")
    looking_after.start(run.id, {})
    looking_after.watch()
    assert wait_for_end(store, run.id).state == FAILED
    assert "data" in store.read(run.id).message


def wait_for_end(store, run_id):
    deadline = time.monotonic() + 60
    while store.read(run_id).state in (WAITING, RUNNING) and time.monotonic() < deadline:
        time.sleep(0.1)
    return store.read(run_id)


def test_closing_stops_a_run_and_the_next_server_continues_it(runs):
    store, looking_after = runs(concurrent_runs=1)
    run = store.create()
    os.mkfifo(run.request)  # its process waits here for its configuration
    looking_after.start(run.id, {})
    pid = store.read(run.id).pid
    looking_after.close()
    assert not psutil.pid_exists(pid)
    assert store.read(run.id).state == RUNNING


def test_a_run_leaves_the_processor_to_the_page(runs):
    store, looking_after = runs(concurrent_runs=1)
    run = store.create()
    os.mkfifo(run.request)  # its process waits here for its configuration
    looking_after.start(run.id, {})
    process = psutil.Process(store.read(run.id).pid)
    deadline = time.monotonic() + 60
    while process.nice() <= os.getpriority(os.PRIO_PROCESS, 0) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.nice() > os.getpriority(os.PRIO_PROCESS, 0)
    looking_after.close()


def test_after_a_trial_the_choices_can_be_changed(runs):
    store, looking_after = runs()
    run = store.create()
    run.end.write_text(json.dumps(asdict(End(ending.TRIED, "20 of 747 texts are labelled."))))
    store.update(run.id, state=RUNNING, pid=2**22 + 1, choice={"trial": True})
    looking_after.watch()
    found = store.read(run.id)
    assert found.state == DRAFT
    assert "press Label all texts" in found.message


def test_after_a_restart_of_the_space_a_run_waits_to_go_on(runs):
    store, looking_after = runs()
    run = store.create().id
    store.update(run, state=RUNNING, pid=2**22 + 1)
    looking_after.watch()
    assert store.read(run).state == WAITING


def test_after_a_restart_a_run_with_a_visitors_key_asks_for_it_again(runs):
    store, looking_after = runs()
    run = store.create().id
    store.update(run, state=RUNNING, pid=2**22 + 1, needs_secret=True)
    looking_after.watch()
    assert store.read(run).state == STOPPED
    assert "token or key again" in store.read(run).message


def test_after_a_restart_a_waiting_run_with_a_visitors_key_asks_for_it_again(runs):
    store, looking_after = runs(concurrent_runs=1)
    run = store.create().id
    store.update(run, state=WAITING, needs_secret=True)
    looking_after.watch()
    assert store.read(run).state == STOPPED


def test_a_run_is_stopped_after_its_time(runs):
    store, looking_after = runs(concurrent_runs=1, run_minutes=0.001)
    run = store.create()
    run.texts.write_text('{"text": "an apple"}\n{"text": "a saw"}\n')
    run.request.write_text(f"data: {run.texts}\nlabels: [fruit, tool]\noutput_dir: {run.output}\n")
    looking_after.watch()
    looking_after.start(run.id, {})
    wait_for_end(store, run.id)
    assert "0.001 minutes, the limit" in store.read(run.id).message


def test_the_process_of_a_run_gets_the_token_of_the_visitor_only(runs, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "operator")
    monkeypatch.setenv("OPENAI_API_KEY", "operator")
    monkeypatch.setenv("HTTPS_PROXY", "http://operator")
    store, looking_after = runs()
    run = store.create()
    assert looking_after.environment(run, {"HF_TOKEN": "visitor"})["HF_TOKEN"] == "visitor"
    without = looking_after.environment(run, {})
    assert "operator" not in " ".join(without.values())
    assert without["HF_HUB_DISABLE_IMPLICIT_TOKEN"] == "1"


def test_an_invalid_setting_is_named():
    with pytest.raises(ValueError, match="FREEAL_SPACE_MAX_ROWS is 'many'"):
        read_settings({"FREEAL_SPACE_MAX_ROWS": "many"})
