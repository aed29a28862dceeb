"""The answer cache: entries are kept if several processes write, and if a process is killed."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.annotators.cache import AnswerCache, canonical_json, request_key
from freeal_hf.errors import RunError

KEY = request_key("{}")


def test_an_answer_written_by_one_process_is_read_by_the_next(tmp_path: Path) -> None:
    with AnswerCache(tmp_path / "c.sqlite") as cache:
        cache.write({KEY: {"label": 1}}, owner="round-0")
    with AnswerCache(tmp_path / "c.sqlite") as cache:
        assert cache.read([KEY])[KEY] == ("round-0", {"label": 1})


def test_an_unknown_request_has_no_answer(tmp_path: Path) -> None:
    with AnswerCache(tmp_path / "c.sqlite") as cache:
        assert cache.read([KEY]) == {}


def test_an_existing_answer_is_not_replaced(tmp_path: Path) -> None:
    with AnswerCache(tmp_path / "c.sqlite") as cache:
        cache.write({KEY: {"label": 1}})
        cache.write({KEY: {"label": 2}})
        assert cache.read([KEY])[KEY].answer == {"label": 1}


def test_more_keys_than_sqlite_has_variables_are_read(tmp_path: Path) -> None:
    answers = {request_key(str(i)): {"label": i} for i in range(1234)}
    with AnswerCache(tmp_path / "c.sqlite") as cache:
        cache.write(answers)
        assert {key: found.answer for key, found in cache.read(list(answers)).items()} == answers


def test_a_closed_cache_leaves_one_file(tmp_path: Path) -> None:
    with AnswerCache(tmp_path / "c.sqlite") as cache:
        cache.write({KEY: {"label": 1}})
    assert [path.name for path in tmp_path.iterdir()] == ["c.sqlite"]


def test_two_caches_on_one_file_see_and_keep_each_others_answers(tmp_path: Path) -> None:
    with AnswerCache(tmp_path / "c.sqlite") as one, AnswerCache(tmp_path / "c.sqlite") as two:

        def fill(cache: AnswerCache, start: int) -> None:
            for i in range(start, 400, 2):
                cache.write({request_key(str(i)): {"label": i}})

        threads = [threading.Thread(target=fill, args=(cache, i)) for i, cache in enumerate((one, two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(one) == len(two) == 400


def test_connections_that_create_the_file_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def open_and_write(path: Path, number: int) -> int:
        together.wait()
        with AnswerCache(path) as cache:
            cache.write({request_key(str(number)): {"label": number}})
            return len(cache)

    with ThreadPoolExecutor(8) as pool:
        for attempt in range(10):
            path = tmp_path / f"{attempt}.sqlite"
            assert max(pool.map(partial(open_and_write, path), range(8))) == 8


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 200)
    with pytest.raises(RunError, match=r"notes.txt.*not an answer cache"):
        AnswerCache(path)


def test_a_damaged_cache_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with AnswerCache(path) as cache:
        cache.write({request_key(str(i)): {"text": "x" * 500} for i in range(200)})
    content = bytearray(path.read_bytes())
    content[4096:20480] = b"\xff" * 16384
    path.write_bytes(content)
    with pytest.raises(RunError, match="Move it away"):
        AnswerCache(path)


def test_the_database_of_another_program_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "firefox.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(RunError, match="another program"):
        AnswerCache(path)
    assert path.read_bytes() == before


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="missing"):
        AnswerCache(tmp_path / "missing" / "c.sqlite")


_FILL_THE_DISK = """
import resource, signal, sys
from freeal_hf.annotators.cache import AnswerCache, request_key
from freeal_hf.errors import RunError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
cache = AnswerCache(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
written = 0
try:
    for i in range(100_000):
        cache.write({request_key(str(i)): {"text": "x" * 1000}})
        written = i + 1
except RunError as error:
    print(written, error)
"""


def test_a_full_disk_does_not_lose_written_answers(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    run = subprocess.run([sys.executable, "-c", _FILL_THE_DISK, str(path)], capture_output=True, text=True, check=True)
    written, message = run.stdout.split(" ", 1)
    assert "free space" in message
    with AnswerCache(path) as cache:
        assert len(cache) == int(written) > 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB, where this process may make one."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a file system")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_answers_that_arrive_when_the_disk_is_full_are_written_to_the_reserve(small_disk: Path) -> None:
    written = 0
    with AnswerCache(small_disk / "c.sqlite") as cache:
        with pytest.raises(RunError, match="free space"):
            for i in range(100_000):
                cache.write({request_key(str(i)): {"text": "x" * 1000}})
                written = i + 1
        assert len(cache) == written + 1


_KILLED = """
import os, signal, sys
from freeal_hf.annotators.cache import AnswerCache, request_key
cache = AnswerCache(sys.argv[1])
cache.write({request_key("1"): {"label": 1}})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_answer_survives_kill_9_right_after_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    run = subprocess.run([sys.executable, "-c", _KILLED, str(path)], check=False)
    assert run.returncode == -signal.SIGKILL
    with AnswerCache(path) as cache:
        assert cache.read([request_key("1")])


values = st.text() | st.integers() | st.lists(st.text())


@given(st.dictionaries(st.text(), values))
def test_the_order_of_fields_does_not_change_the_key(fields: dict[str, object]) -> None:
    turned = dict(reversed(fields.items()))
    assert request_key(canonical_json(fields)) == request_key(canonical_json(turned))


@given(st.text(), st.text())
def test_different_texts_have_different_keys(one: str, two: str) -> None:
    keys = {request_key(canonical_json({"text": text})) for text in (one, two)}
    assert len(keys) == len({one, two})
