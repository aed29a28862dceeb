"""The estimate of the time of a run, and the remaining time while it runs."""

import pytest

from freeal_hf.web.timing import STARTING_SECONDS, Plan, phases, plan_of, seconds_left

PLAN = Plan(rounds=2, texts=100, steps=50, seconds_per_text=1.0, seconds_per_step=2.0)


def event(round, phase, done, total, time):
    return {"round": round, "phase": phase, "done": done, "total": total, "time": time}


def plan(count, **training):
    return plan_of(["a short text"] * count, 1, training, seconds_per_text=0.0, slowness=1.0)


@pytest.mark.parametrize(("count", "steps"), [(32, 120), (100, 120), (747, 144), (5000, 942)])
def test_a_small_corpus_is_planned_with_the_minimum_number_of_steps(count, steps):
    assert plan(count).steps == steps


def test_given_epochs_are_planned_as_given():
    assert plan(100, num_train_epochs=2).steps == 8


def test_long_texts_take_longer_steps():
    long, short = (
        plan_of([text] * 50, 1, {}, seconds_per_text=0.0, slowness=1.0) for text in ("word " * 60, "word " * 20)
    )
    assert long.seconds_per_step == pytest.approx(3 * short.seconds_per_step)


def test_all_rounds_are_in_the_estimate():
    one = Plan(1, 100, 50, 1.0, 2.0)
    assert PLAN.seconds - STARTING_SECONDS > 1.5 * (one.seconds - STARTING_SECONDS)


def test_the_phases_of_all_rounds_are_shown_before_they_begin():
    found = phases([event(0, "annotating", 40, 100, 0.0)], PLAN)
    assert [(phase.round, phase.name, phase.has_begun) for phase in found] == [
        (0, "annotating", True),
        (0, "training", False),
        (1, "annotating", False),
        (1, "training", False),
    ]


def test_the_remaining_time_uses_the_measured_speed_for_later_rounds_too():
    slow = [event(0, "training", 0, 50, 0.0), event(0, "training", 50, 50, 500.0)]
    found = phases([event(0, "annotating", 100, 100, 0.0), *slow], PLAN)
    assert 500 < seconds_left(found, PLAN) < 600  # 50 steps of ten seconds, and 30 texts


def test_the_remaining_time_of_a_phase_counts_down():
    events = [event(0, "annotating", done, 100, 2.0 * done) for done in (0, 50)]
    before = seconds_left(phases(events, PLAN), PLAN)
    after = seconds_left(phases([*events, event(0, "annotating", 100, 100, 200.0)], PLAN), PLAN)
    assert before - after == pytest.approx(100)


def test_a_phase_that_began_again_is_measured_from_its_new_beginning():
    events = [event(0, "annotating", 90, 100, 0.0), event(0, "annotating", 0, 100, 1000.0)]
    (phase, *_) = phases([*events, event(0, "annotating", 10, 100, 1020.0)], PLAN)
    assert (phase.done, phase.speed) == (10, 2.0)


def test_another_round_is_shown_although_it_was_not_planned():
    found = phases([event(2, "annotating", 0, 10, 0.0)], PLAN)
    assert found[-1].round == 2
