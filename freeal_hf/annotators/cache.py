"""The answer cache. Each paid answer is written to it before it is used."""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from freeal_hf.annotators.json_bytes import from_json, json_bytes
from freeal_hf.errors import RunError

_APPLICATION_ID = 0x46414C31  # "FAL1": marks the file as ours in SQLite's header
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, owner TEXT NOT NULL, answer TEXT NOT NULL, created REAL NOT NULL
) WITHOUT ROWID
"""
_BATCHES = """
CREATE TABLE IF NOT EXISTS batches (
    name TEXT PRIMARY KEY, server TEXT NOT NULL, id TEXT, created REAL NOT NULL, keys TEXT NOT NULL
) WITHOUT ROWID
"""
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_MOST_VARIABLES = 500  # in a statement; SQLite before 3.32 allows 999
_BUSY_SECONDS = 60.0
_RESERVE_BYTES = 4 * 2**20


class CachedAnswer(NamedTuple):
    """An answer in the cache, and who paid for it."""

    owner: str
    answer: dict[str, Any]


@dataclass(frozen=True)
class PendingBatch:
    """A batch of requests that a provider answers later.

    Args:
        name (`str`): A name that no other batch has.
        server (`str`): The API and its address, without a key.
        id (`str`, *optional*): The id that the provider gave; `None` as long as it is not known.
        created (`float`): Seconds since 1970.
        keys (`tuple[str, ...]`): What identifies its requests.
    """

    name: str
    server: str
    id: str | None
    created: float
    keys: tuple[str, ...]


def request_key(request: str) -> bytes:
    """Returns the key of a request in the cache: the SHA-256 hash of its canonical JSON.

    Example:

        >>> request_key('{"text":"a plum"}').hex()[:8]
        '6f32e39a'
    """
    return hashlib.sha256(request.encode()).digest()


def canonical_json(values: Mapping[str, Any]) -> str:
    """Returns the canonical JSON text of values: sorted keys, no spaces, ASCII.

    Example:

        >>> canonical_json({"text": "é", "model": "m"})
        '{"model":"m","text":"\\\\u00e9"}'
    """
    return _CANONICAL.encode(values)


class AnswerCache:
    """Answers by request, in one SQLite file. The cache is a context manager.

    It uses `sqlite3` of the standard library and not `diskcache`, because the write-ahead log is sufficient (a
    committed answer is kept after `kill -9`, several processes can use one file, and a transaction can have many
    answers), any SQLite shell can read the file, no eviction can delete a paid answer, and nothing is unpickled, so
    that the cache of another person cannot execute code. Commits are not flushed one by one (`synchronous=NORMAL`): a
    power failure can lose the last ones, a killed process loses none.

    The stored values are those of the parsed annotation and of the unchanged output of the model
    (`Annotation.answer`).

    Args:
        path (`str` or `Path`): The file. It is created if it does not exist. Two runs can share it.

    Raises:
        RunError: If the file is not an answer cache, is damaged, or cannot be written.

    Example:

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, AnswerCache(f"{folder}/cache.sqlite") as cache:
        ...     cache.write({b"key": {"label": 1}}, owner="round-0")
        ...     cache.read([b"key", b"other"])
        {b'key': CachedAnswer(owner='round-0', answer={'label': 1})}
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._reserve = self.path.with_name(self.path.name + ".reserve")
        with self._explained():
            self._connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._explained():
                self._prepare()
        except RunError:
            self._connection.close()
            raise

    def read(self, keys: Sequence[bytes]) -> dict[bytes, CachedAnswer]:
        """Returns the answers that are in the cache, by key."""
        found: dict[bytes, CachedAnswer] = {}
        with self._lock, self._explained():
            for start in range(0, len(keys), _MOST_VARIABLES):
                some = keys[start : start + _MOST_VARIABLES]
                rows = self._connection.execute(
                    f"SELECT key, owner, answer FROM answers WHERE key IN ({','.join('?' * len(some))})", some
                )
                found.update({key: CachedAnswer(owner, from_json(answer)) for key, owner, answer in rows})
        return found

    def write(self, answers: Mapping[bytes, Mapping[str, Any]], owner: str = "") -> None:
        """Writes answers to disk in one transaction, and returns when they are written.

        Args:
            answers (`Mapping[bytes, Mapping]`): Answers by key, as values that JSON can represent. An existing answer
                is not replaced.
            owner (`str`, *optional*): Who paid for them.

        Raises:
            RunError: If the disk is full or the file cannot be written. If the disk is full, the answers are first
                written to reserved space, and then the error is raised.
        """
        now = time.time()
        rows = [(key, owner, json_bytes(answer).decode(), now) for key, answer in answers.items()]
        with self._lock, self._explained():
            try:
                self._insert(rows)
            except sqlite3.OperationalError as error:
                if "locked" in str(error) or not self._reserve.exists():
                    raise
                self._reserve.unlink()
                self._insert(rows)
                raise

    def pending_batches(self, server: str) -> list[PendingBatch]:
        """Returns the batches of a server that are not forgotten, the oldest first."""
        with self._lock, self._explained():
            rows = self._connection.execute(
                "SELECT name, server, id, created, keys FROM batches WHERE server = ? ORDER BY created", (server,)
            ).fetchall()
        return [PendingBatch(name, of, id, created, tuple(json.loads(keys))) for name, of, id, created, keys in rows]

    def write_batch(self, batch: PendingBatch) -> None:
        """Writes a batch to disk, or its id if it is there. It is also kept after a power failure."""
        row = (batch.name, batch.server, batch.id, batch.created, json.dumps(batch.keys))
        with self._lock, self._explained():
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?)", row)
            self._connection.execute("PRAGMA synchronous=NORMAL")

    def forget_batch(self, batch: PendingBatch) -> None:
        """Removes a batch, whose results were all read or which was never submitted."""
        with self._lock, self._explained():
            self._connection.execute("DELETE FROM batches WHERE name = ?", (batch.name,))

    def take_over(self, path: str | Path) -> None:
        """Copies all answers of another cache file with their owners in one transaction.

        Raises:
            RunError: If one of the files cannot be used.
        """
        with self._lock, self._explained():
            self._connection.execute("ATTACH DATABASE ? AS other", (str(path),))
            try:
                with self._transaction("BEGIN IMMEDIATE"):
                    self._connection.execute("INSERT OR IGNORE INTO answers SELECT * FROM other.answers")
            finally:
                self._connection.execute("DETACH DATABASE other")

    def __len__(self) -> int:
        with self._lock, self._explained():
            return int(self._connection.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()
            self._reserve.unlink(missing_ok=True)

    def __enter__(self) -> "AnswerCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        run = self._connection.execute
        with self._transaction("BEGIN"):  # one snapshot, because another process may be creating the file
            application_id = run("PRAGMA application_id").fetchone()[0]
            tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application_id != _APPLICATION_ID and tables:
            raise RunError(
                f"{str(self.path)!r} is a database of another program, not an answer cache; give another file."
            )
        self._switch_to_write_ahead_log()
        run("PRAGMA synchronous=NORMAL")
        with self._transaction("BEGIN IMMEDIATE"):
            run(f"PRAGMA application_id={_APPLICATION_ID}")
            run(_SCHEMA)
            run(_BATCHES)
        if run("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check failed")
        with self._reserve.open("wb") as reserve:
            reserve.write(b"\1" * _RESERVE_BYTES)

    def _switch_to_write_ahead_log(self) -> None:
        # SQLite ignores its busy timeout here: it fails with "locked" if another process makes the same switch.
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _insert(self, rows: list[tuple[bytes, str, str, float]]) -> None:
        with self._transaction("BEGIN IMMEDIATE"):
            self._connection.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", rows)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._connection.execute(begin)
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"The answer cache {str(self.path)!r} cannot be written: {error}. Free space or "
                "fix the permissions, then start the same command again."
            ) from error
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.OperationalError as error:
            raise RunError(
                f"The answer cache {str(self.path)!r} cannot be used: {error}. All earlier answers "
                "are kept; free space, fix the permissions or end the other process, and start the same command again."
            ) from error
        except sqlite3.DatabaseError as error:
            raise RunError(
                f"{str(self.path)!r} is not an answer cache, or is damaged ({error}). Move it away to start a new "
                f"one (its answers are paid for again), or recover it: sqlite3 {self.path} .recover"
            ) from error
