import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.data.spans import Span, invalid_position, spans_of, tags_of
from freeal_hf.labels.entity_voting import f1_residuals, fuse_entity_votes, rank_annotators
from freeal_hf.tasks import bio_tags

APPLE, PIE, APPLE_PIE = Span(0, 1, "fruit"), Span(1, 2, "tool"), Span(0, 2, "fruit")
TAGS = st.lists(st.sampled_from(bio_tags(["fruit", "tool"])), min_size=5, max_size=5)


@pytest.mark.parametrize(
    ("said", "fused"),
    [
        ([[APPLE], [APPLE, PIE], [PIE]], [APPLE, PIE]),
        ([[APPLE], [APPLE_PIE], [APPLE]], [APPLE]),
        ([[APPLE], [Span(0, 1, "tool")], []], []),
        ([[APPLE], [APPLE, PIE]], [APPLE, PIE]),
        ([[APPLE], [], None], [APPLE]),
        ([[APPLE], None], [APPLE]),
        ([None, None], None),
        ([[APPLE_PIE]], [APPLE_PIE]),
    ],
)
def test_an_entity_is_kept_if_at_least_half_of_the_annotators_with_an_answer_name_it(said, fused):
    assert fuse_entity_votes([[spans] for spans in said]) == [fused]


def test_of_tied_overlapping_entities_the_shortest_is_kept():
    assert fuse_entity_votes([[[APPLE_PIE]], [[PIE]]]) == [[PIE]]
    assert fuse_entity_votes([[[APPLE_PIE]], [[APPLE_PIE]], [[PIE]]]) == [[APPLE_PIE]]


@given(st.lists(st.lists(st.one_of(st.none(), TAGS), min_size=4, max_size=4), min_size=1, max_size=5))
def test_fused_entities_never_overlap_and_were_named(tags):
    said = [[None if row is None else spans_of(row) for row in annotator] for annotator in tags]
    for i, spans in enumerate(fuse_entity_votes(said)):
        assert (spans is None) == all(part[i] is None for part in said)
        assert invalid_position(tags_of(spans or [], 5)) is None
        assert len(spans_of(tags_of(spans or [], 5))) == len(spans or [])
        assert all(any(span in (part[i] or []) for part in said) for span in spans or [])


def noisy(truth, found, wrong, seed):
    """An annotator that names a share of the true entities, and wrong ones beside them."""
    rng = np.random.default_rng(seed)
    return [
        [span for span in spans if rng.random() < found] + [span for span in [PIE] if rng.random() < wrong]
        for spans in truth
    ]


def f1(fused, truth):
    right, told, true = (np.array(values) for values in zip(*counts(fused, truth), strict=True))
    return f1_residuals(right, told, true)[0]


def counts(fused, truth):
    return [(len(set(a) & set(b)), len(a), len(b)) for a, b in zip(fused, truth, strict=True)]


TRUTH = [[APPLE] if i % 3 else [APPLE, Span(3, 5, "tool")] for i in range(120)]


def test_marked_sentences_show_that_one_annotator_is_better_than_the_others_together():
    said = [noisy(TRUTH, 0.95, 0.05, 1), noisy(TRUTH, 0.3, 0.4, 2), noisy(TRUTH, 0.3, 0.4, 3)]
    known = [spans if i < 30 else None for i, spans in enumerate(TRUTH)]
    counted, learned = fuse_entity_votes(said), fuse_entity_votes(said, known)
    assert f1(learned[30:], TRUTH[30:]) > f1(counted[30:], TRUTH[30:]) + 0.1


def test_the_entities_of_one_good_annotator_beside_two_weak_ones_are_kept():
    truth = [[Span(a, a + 1, "fruit") for a in range(i % 4)] for i in range(200)]
    good, *weak = (
        [
            [span for span in spans if rng.random() < share]
            + [Span(a, a + 2, "tool") for a in rng.integers(4, 60, 2) if rng.random() > share]
            for spans in truth
        ]
        for rng, share in zip(map(np.random.default_rng, range(3)), (0.9, 0.35, 0.35), strict=True)
    )
    assert f1(fuse_entity_votes([good, *weak]), truth) >= f1(good, truth) - 0.02
    twins = fuse_entity_votes([weak[0], weak[0], good])  # two equal annotators outvote the good one
    assert f1(twins, truth) >= f1(weak[0], truth) - 0.02


def test_agreement_adds_nothing_to_the_votes_of_annotators_with_the_same_errors():
    rng = np.random.default_rng(0)
    shared = [[Span(a, a + 1, "fruit") for a in range(3)] for _ in range(100)]  # whether they are right is not known

    def named(spans):
        own = [Span(int(a), int(a) + 1, "tool") for a in rng.integers(4, 60, 1)]
        return [*(span for span in spans if rng.random() < 0.8), *(own if rng.random() < 0.6 else [])]

    said = [[named(spans) for spans in shared] for _ in range(3)]
    fused = fuse_entity_votes(said)
    assert all(sum(span in part[i] for part in said) >= 2 for i, spans in enumerate(fused) for span in spans)


def test_marked_sentences_change_nothing_if_they_show_nothing():
    said = [noisy(TRUTH, 0.7, 0.1, seed) for seed in range(3)]
    known = [spans if i < 30 else None for i, spans in enumerate(TRUTH)]
    assert fuse_entity_votes(said, [spans if i < 9 else None for i, spans in enumerate(known)]) == fuse_entity_votes(
        said
    )
    assert f1(fuse_entity_votes(said, known), TRUTH) >= f1(fuse_entity_votes(said), TRUTH)


def test_annotators_are_ranked_by_their_f1_against_the_others():
    said = [noisy(TRUTH, 0.9, 0.1, 1), noisy(TRUTH, 0.9, 0.1, 2), noisy(TRUTH, 0.3, 0.5, 3), [None] * 120]
    good, other, bad, none = rank_annotators(said)
    assert min(good, other) > bad
    assert np.isnan(none)


def test_the_residuals_of_f1_give_its_standard_error():
    rng = np.random.default_rng(0)
    right, told, true = rng.binomial(3, 0.5, 2000), np.full(2000, 4), np.full(2000, 3)
    value, residuals = f1_residuals(right, told, true)
    draws = [f1_residuals(right[rows], told[rows], true[rows])[0] for rows in rng.integers(0, 2000, (400, 2000))]
    assert value == pytest.approx(2 * right.sum() / 14000)
    assert residuals.mean() == pytest.approx(0, abs=1e-12)
    assert residuals.std() / np.sqrt(2000) == pytest.approx(np.std(draws), rel=0.15)
