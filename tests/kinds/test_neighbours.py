import numpy as np

from freeal_hf.kinds.neighbours import noisy_without_people
from freeal_hf.tasks import NO_LABEL

LINE = np.column_stack([np.cos(np.arange(6) / 4), np.sin(np.arange(6) / 4)]).astype(np.float16)
FALSE = np.zeros(6, dtype=bool)


def rows(*numbers):
    return np.isin(np.arange(6), numbers)


def test_without_human_labels_nothing_changes():
    assert noisy_without_people(rows(1, 4), np.zeros(6), FALSE, LINE).tolist() == rows(1, 4).tolist()


def test_a_text_with_a_human_label_is_as_noisy_as_the_most_similar_other_text():
    found = noisy_without_people(rows(1), np.zeros(6), rows(0, 5), LINE)
    assert found.tolist() == rows(0, 1).tolist()


def test_only_texts_with_the_same_answer_are_similar():
    answers = np.array([0, 1, 1, 0, 0, 0])
    assert noisy_without_people(rows(1, 2), answers, rows(0), LINE).tolist() == rows(1, 2).tolist()


def test_a_loss_on_a_human_label_makes_no_answer_noisy():
    assert not noisy_without_people(rows(0), np.zeros(6), rows(0), LINE).any()


def test_a_text_with_a_human_label_and_no_answer_is_not_noisy():
    answers = np.array([NO_LABEL, NO_LABEL, 0, 0, 0, 0])
    assert noisy_without_people(rows(0, 1), answers, rows(0), LINE).tolist() == rows(1).tolist()


def test_an_answer_that_no_other_text_has_is_not_noisy():
    assert not noisy_without_people(rows(0), np.array([1, 0, 0, 0, 0, 0]), rows(0), LINE).any()


def test_answers_for_both_kinds_of_text_are_equally_often_annotated_again():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(4000, 4))
    answers = (embeddings[:, 0] > 0).astype(int)
    is_noisy = embeddings[:, 1] > 0.5
    is_human = rng.random(4000) < 0.25
    found = noisy_without_people(np.where(is_human, rng.random(4000) < 0.1, is_noisy), answers, is_human, embeddings)
    assert abs(found[is_human].mean() - is_noisy[~is_human].mean()) < 0.04
    assert (found == is_noisy)[is_human].mean() > 0.9
