"""Engines: those of other packages, which register them by an entry point."""

import sys

import pytest

from freeal_hf import EngineConfig, FreeAL, FreeALConfig, InputError, LoopConfig, RunConfig
from tests.conftest import QUICK_TRAINING, KeywordAnnotator

_MODULE = """
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.work import annotation_work
from freeal_hf.errors import InputError

CALLS = []


def engine(config):
    if config.ray_workers > 8:
        raise InputError("The engine queue has 8 workers.")

    def annotate(annotator, task, requests, *, cache, ledger, budget, folder, make_annotator, progress):
        CALLS.append((config.ray_workers, len(requests)))
        answers = run(annotation_work(annotator, task), requests, cache=cache, ledger=ledger, budget=budget)
        for done, _ in enumerate(answers, start=1):
            progress(done)

    return annotate
"""


class CachedAnnotator(KeywordAnnotator):
    """An annotator whose answers can be cached."""

    def fingerprint(self, task, request):
        return {"text": request.text, "id": request.id}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package with the module `queue_engine`, which registers engines."""

    def install(*points):
        site, info = tmp_path / "site", tmp_path / "site" / "queue_engine-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: queue-engine\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join(["[freeal_hf.engines]", *points]))
        (site / "queue_engine.py").write_text(_MODULE)
        monkeypatch.syspath_prepend(site)

    yield install
    sys.modules.pop("queue_engine", None)


@pytest.fixture
def loop_with(task, student_folder, tmp_path):
    def loop_with(engine, name="run", annotator=None):
        args = FreeALConfig(output_dir=str(tmp_path / name), **{**QUICK_TRAINING, "num_train_epochs": 4})
        loop = LoopConfig(num_rounds=1)
        return FreeAL(task, annotator or CachedAnnotator(), str(student_folder), args, loop, engine=engine)

    return loop_with


def test_an_engine_of_another_package_annotates_a_run(installed, loop_with, corpus):
    installed("queue = queue_engine:engine")
    annotator = CachedAnnotator()
    result = loop_with(EngineConfig("queue", ray_workers=3), annotator=annotator).run(corpus)
    calls = sys.modules["queue_engine"].CALLS
    assert {workers for workers, _ in calls} == {3}
    assert sum(count for _, count in calls) == len(annotator.asked) == len(set(corpus["text"]))
    alone = loop_with("local", "alone").run(corpus)
    assert result.dataset["label"][:] == alone.dataset["label"][:]
    assert RunConfig.from_yaml(result.output_dir / "config.yaml").engine.engine == "queue"


def test_an_unknown_engine_is_refused_with_those_that_exist(installed, loop_with):
    installed("queue = queue_engine:engine")
    with pytest.raises(InputError, match=r"no engine 'spark'; the engines are local, queue, ray"):
        loop_with("spark")


def test_an_engine_can_refuse_its_settings_before_a_run(installed, loop_with):
    installed("queue = queue_engine:engine")
    with pytest.raises(InputError, match="has 8 workers"):
        loop_with(EngineConfig("queue", ray_workers=9))


@pytest.mark.parametrize("place", ["queue_engine:motor", "no_such_engine:engine"])
def test_a_broken_entry_point_is_named(installed, loop_with, place):
    installed(f"queue = {place}")
    with pytest.raises(InputError, match=f"'{place}', which a package registers as engine 'queue', cannot be import"):
        loop_with("queue")


def test_a_stored_configuration_can_name_an_engine_that_is_not_installed():
    assert RunConfig.from_options({"engine": "queue"}).engine.engine == "queue"
