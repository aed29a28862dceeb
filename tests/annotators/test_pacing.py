"""One call: what is tried again, how long is waited, how many go at once."""

import asyncio
import random
import time

import pytest

from freeal_hf.annotators.pacing import Pace, ask, kind_of_reason, with_answer
from freeal_hf.errors import AnnotatorError, RefusedError, TransientError


def ask_until(outcomes: list[object], *, max_attempts: int = 5, timeout: float | None = None) -> tuple[object, int]:
    """Asks an annotator whose attempts end as listed: an exception is raised, a float is slept, the rest returned."""
    left = iter(outcomes)

    async def call() -> object:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, float):
            await asyncio.sleep(outcome)
        return outcome

    return asyncio.run(
        ask(call, pace=Pace(4), order=0, timeout=timeout, max_attempts=max_attempts, on_retry=lambda: None)
    )


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeal_hf.annotators.pacing._FIRST_BACKOFF", 0.0)


def test_a_temporary_failure_is_repeated() -> None:
    assert ask_until([TransientError("server error", "500"), "yes"]) == ("yes", 2)


def test_the_last_failure_is_raised_when_the_attempts_are_used_up() -> None:
    failures = [TransientError("server error", str(i)) for i in range(3)]
    with pytest.raises(TransientError, match="2"):
        ask_until([*failures, "too late"], max_attempts=3)


def test_an_attempt_that_times_out_is_repeated() -> None:
    assert ask_until([30.0, "yes"], timeout=0.05) == ("yes", 2)


@pytest.mark.parametrize("error", [RefusedError("request refused", "400"), AnnotatorError("wrong key")])
def test_a_permanent_failure_is_not_repeated(error: Exception) -> None:
    with pytest.raises(type(error)):
        ask_until([error, "never asked"])


def test_a_server_that_asks_to_wait_too_long_ends_the_run() -> None:
    with pytest.raises(AnnotatorError, match="86400 s"):
        ask_until([TransientError("rate limited", "429", retry_after=86400, overloaded=True), "yes"])


def test_retry_after_delays_all_calls() -> None:
    async def run() -> float:
        pace = Pace(4)
        pace.slow_down(time.monotonic(), retry_after=0.2)
        started = time.monotonic()
        await asyncio.gather(*(pace.acquire(i) for i in range(2)))
        return time.monotonic() - started

    assert asyncio.run(run()) >= 0.2


def outcomes(pace: Pace, refused: int, accepted: int) -> None:
    """Records calls that begin now."""
    started = time.monotonic()
    for _ in range(refused):
        pace.slow_down(started, None)
    for _ in range(accepted):
        pace.speed_up(started)


def test_the_pace_doubles_each_round_trip_without_an_overload() -> None:
    pace = Pace(64)
    outcomes(pace, refused=0, accepted=8)
    assert pace.limit == 16
    outcomes(pace, refused=0, accepted=16)
    assert pace.limit == 32


def test_the_pace_follows_the_calls_that_the_server_accepts() -> None:
    pace = Pace(64)
    outcomes(pace, refused=0, accepted=8 + 16 + 32)
    outcomes(pace, refused=48, accepted=16)
    assert pace.limit == pytest.approx(1.2 * 16)


def test_a_server_that_refuses_one_call_in_ten_does_not_slow_the_pace_down() -> None:
    pace, rng = Pace(64), random.Random(0)
    for _ in range(5000):
        refused = rng.random() < 0.1
        outcomes(pace, refused=refused, accepted=not refused)
    limits = []
    for _ in range(1000):
        refused = rng.random() < 0.1
        outcomes(pace, refused=refused, accepted=not refused)
        limits.append(pace.limit)
    assert sum(limits) / len(limits) > 48


def test_the_pace_recovers_within_a_few_round_trips() -> None:
    pace = Pace(64)
    for _ in range(9):
        outcomes(pace, refused=int(pace.limit), accepted=0)
    assert pace.limit == 1
    outcomes(pace, refused=0, accepted=1 + 2 + 4 + 8 + 16 + 32)
    assert pace.limit == 64


def test_calls_that_began_before_the_limit_was_lowered_do_not_lower_it_again() -> None:
    pace = Pace(8)
    started = time.monotonic()
    for _ in range(4):
        pace.speed_up(started)
    for _ in range(40):
        pace.slow_down(started, None)
    assert pace.limit == pytest.approx(1.2 * 4)


def test_overloads_are_reported_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "freeal_hf.annotators.pacing"):
        outcomes(Pace(8), refused=100, accepted=0)
    assert len(caplog.records) == 1


def test_waiting_calls_go_in_the_order_of_their_texts() -> None:
    async def run() -> list[int]:
        pace, went = Pace(1), []

        async def one(order: int) -> None:
            await pace.acquire(order)
            went.append(order)
            pace.release()

        await pace.acquire(0)
        waiting = [asyncio.create_task(one(order)) for order in (3, 1, 2)]
        await asyncio.sleep(0)
        pace.release()
        await asyncio.gather(*waiting)
        return went

    assert asyncio.run(run()) == [1, 2, 3]


def test_a_cancelled_wait_frees_its_place() -> None:
    async def run() -> None:
        pace = Pace(1)
        await pace.acquire(0)
        waiting = asyncio.create_task(pace.acquire(1))
        await asyncio.sleep(0)
        pace.release()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(pace.acquire(2), 1)

    asyncio.run(run())


@pytest.mark.parametrize("reason", ["not a label", "several labels", "cut-off answer"])
def test_the_reason_of_an_unusable_answer_shows_its_start_and_keeps_its_kind(reason: str) -> None:
    shown = with_answer(reason, "Non-spam (answer: " + "x" * 100)
    assert shown is not None
    assert shown.startswith(f"{reason} (answer: 'Non-spam")
    assert len(shown) < 120
    assert kind_of_reason(shown) == reason


@pytest.mark.parametrize(
    ("reason", "answer"),
    [("column 'gold': not a label", "secret"), ("empty answer", ""), ("timeout", None), (None, "A")],
)
def test_any_other_reason_shows_no_answer(reason: str | None, answer: str | None) -> None:
    assert with_answer(reason, answer) == reason
