"""Signals end the server, its runs and their children, and the runs continue after the next start."""

import signal
import time

import psutil
import pytest

from tests.web.conftest import ROOT, Visitor, serving


def processes_of(data_dir):
    """The processes of runs below a folder, with all that they started."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(data_dir) in word for word in process.cmdline()):
                found += [process, *process.children(recursive=True)]
        except psutil.Error:  # it ended meanwhile
            continue
    return found


def wait_until(is_so):
    deadline = time.monotonic() + 100
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_signal_ends_every_process_and_the_run_continues_after_the_next_start(
    environment, limits, texts, tmp_path, number, exit_code
):
    limits = {**limits, "training": {**limits["training"], "num_train_epochs": 2000, "dataloader_num_workers": 1}}
    data_dir = tmp_path / "data"
    with serving(data_dir, environment, **limits) as space:
        visitor = Visitor(space.url, tmp_path)
        run = visitor.prepare(texts)
        visitor.start(run)
        visitor.wait(run, lambda status: (status["progress"] or {}).get("phase") == "training")
        assert processes_of(data_dir)
        space.process.send_signal(number)
        assert space.process.wait(60) == exit_code
        wait_until(lambda: not processes_of(data_dir))
    assert "Traceback" not in data_dir.with_suffix(".log").read_text()
    # A thread of Python's multiprocessing may say that a worker has ended.
    assert f'File "{ROOT}/freeal_hf' not in (data_dir / "runs" / run / "log.txt").read_text()
    with serving(data_dir, environment, **limits) as space:
        visitor = Visitor(space.url, tmp_path)
        assert visitor.wait(run, lambda status: status["state"] == "running")
        visitor("stop", run)
        assert visitor.wait(run)["state"] == "stopped"
