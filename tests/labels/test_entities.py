import numpy as np
import pytest

from freeal_hf.labels.entities import fuse_entities, has_learnt, valid_tags
from freeal_hf.tasks import bio_tags

TAGS = bio_tags(["fruit", "tool"])
O, B, I = 0, 1, 2  # noqa: E741


@pytest.mark.parametrize(
    ("taught", "student", "learnt"),
    [
        ([O, O, B, I], [O, O, B, I], True),
        ([O, O, B, I], [O, O, B, O], True),
        ([O, O, B, I], [O, O, O, O], False),
        ([O, O, B, I], [B, I, I, I], False),
        ([O, O, O, B, I], [B, O, O, B, I], True),
        ([O, O, -1, -1], [B, I, B, I], False),
        ([O, O, -1, -1], [O, O, B, I], True),
        ([-1, -1], [B, I], False),
        ([B, I], [B, I], True),
    ],
)
def test_a_student_that_finds_nothing_or_everything_has_not_learnt(taught, student, learnt):
    labels, clean = np.array(taught), np.zeros(len(taught), dtype=bool)
    assert has_learnt(labels, np.array(student), clean, [len(taught)], TAGS) == learnt


@pytest.mark.parametrize(("found", "learnt"), [([B, O, B, I], True), ([B, I, O, B], False)])
def test_a_student_that_finds_fewer_than_half_of_the_clean_entities_has_not_learnt(found, learnt):
    labels, clean = np.array([B, O, B, I, O]), np.array([False, True, True, True, True])
    assert has_learnt(labels, np.array([*found, O]), clean, [2, 3], TAGS) == learnt


def sure(*tags):
    """Probabilities of a student that is sure of its tags."""
    return np.eye(len(TAGS))[list(tags)] * 0.9 + 0.02


def test_a_noisy_entity_is_final_only_if_the_student_finds_it():
    labels = np.array([B, I, O, B, O])
    final, _ = fuse_entities(labels, np.zeros(5, dtype=bool), sure(O, O, O, B, O), [5], TAGS)
    assert final.tolist() == [O, O, O, B, O]


def test_an_unsure_student_removes_no_entity():
    student = np.tile([0.6, 0.2, 0.1, 0.05, 0.05], (2, 1))
    final, confidence = fuse_entities(np.array([B, O]), np.zeros(2, dtype=bool), student, [2], TAGS)
    assert final.tolist() == [B, O]
    assert confidence.tolist() == pytest.approx([0.44, 0.6])


def test_an_entity_is_not_shortened_because_its_first_words_are_surer():
    student = sure(B, O)
    student[1] = [0.5, 0.02, 0.44, 0.02, 0.02]
    final, _ = fuse_entities(np.array([B, I]), np.zeros(2, dtype=bool), student, [2], TAGS)
    assert final.tolist() == [B, I]


def test_an_entity_that_the_annotator_did_not_name_needs_a_surer_student_if_most_entities_are_clean():
    student = np.concatenate([sure(B, B, B, B), [[0.45, 0.5, 0.02, 0.02, 0.01]]])
    labels, noisy = np.array([B, B, B, B, O]), np.zeros(5, dtype=bool)
    assert fuse_entities(labels, noisy, student, [5], TAGS)[0].tolist() == [B, B, B, B, B]
    mostly_clean = np.array([True, True, True, True, False])
    assert fuse_entities(labels, mostly_clean, student, [5], TAGS)[0].tolist() == [B, B, B, B, O]


def test_the_more_probable_of_overlapping_entities_is_final():
    student = sure(O, B, O)
    student[0] = [0.3, 0.6, 0.04, 0.04, 0.02]
    final, confidence = fuse_entities(np.array([B, I, O]), np.zeros(3, dtype=bool), student, [3], TAGS)
    assert final.tolist() == [B, B, O]
    assert confidence.tolist() == pytest.approx([0.72, 0.644, 0.92])


def test_a_clean_entity_of_the_annotator_outweighs_an_unsure_student():
    student = np.tile([0.6, 0.2, 0.1, 0.05, 0.05], (2, 1))
    final, confidence = fuse_entities(np.array([B, O]), np.ones(2, dtype=bool), student, [2], TAGS)
    assert final.tolist() == [B, O]
    assert confidence.tolist() == pytest.approx([0.6, 0.8])


def test_a_student_with_equal_probabilities_finds_nothing():
    assert valid_tags(np.full((3, 5), 0.2), [3], TAGS).tolist() == [O, O, O]
    assert valid_tags(np.array([[0.2, 0.4, 0.0, 0.4, 0.0]]), [1], TAGS).tolist() == [O]


def test_the_annotators_entity_is_preferred_if_both_are_equally_probable():
    student = np.array([[0.1, 0.45, 0.0, 0.45, 0.0]])
    for tag in (B, TAGS.index("B-tool")):
        assert fuse_entities(np.array([tag]), np.zeros(1, dtype=bool), student, [1], TAGS)[0].tolist() == [tag]
