import numpy as np

from freeal_hf.labels.evidence import by_votes


def flipped(gold, share, rng):
    other = (gold + rng.integers(1, 3, len(gold))) % 3
    return np.where(rng.random(len(gold)) < share, other, gold)


def test_a_held_out_student_that_is_better_than_all_annotators_has_one_of_the_votes():
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 3, 400)
    votes = np.column_stack([flipped(gold, 0.5, rng) for _ in range(3)])
    guesses = flipped(gold, 0.2, rng)
    known = np.where(np.arange(400) < 40, gold, -1)
    shares = [np.mean(of(known).argmax(axis=1) == gold) for of in by_votes(votes, guesses, 3)]
    assert max(shares) > max(shares[:2]) + 0.1
    assert max(shares) > np.mean(guesses == gold) - 0.05
