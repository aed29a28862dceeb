import numpy as np
import pytest

from freeal_hf.tasks import bio_tags
from freeal_hf.training.selection import SelectionRules
from freeal_hf.training.token_selection import corrected_guesses, group_words, select_clean_words

TAGS = bio_tags(["PER", "LOC"])
OUT, B_PER, I_PER, B_LOC, I_LOC = range(5)


def probabilities(labels, sure):
    """Predictions that give each label its probability and spread the rest."""
    rows = np.tile(((1 - np.array(sure)) / 4)[:, None], 5)
    rows[np.arange(len(labels)), labels] = sure
    return rows


def test_both_tags_of_a_type_are_of_one_type_and_entities_are_numbered():
    words = group_words(np.array([B_PER, I_PER, OUT, B_LOC, -1, I_LOC]), np.array([3, 3]), TAGS)
    assert words.types.tolist() == [0, 1, 1, 2, 2]
    assert words.entities.tolist() == [0, 0, -1, 1, -1, 2]


def test_an_entity_does_not_go_on_into_the_next_sentence():
    assert group_words(np.array([B_PER, I_PER]), np.array([1, 1]), TAGS).entities.tolist() == [0, 1]


def test_an_entity_is_as_clean_as_its_least_credible_word():
    labels = np.array([B_PER, I_PER] * 20 + [OUT] * 40)
    sure = np.full(80, 0.95)
    sure[1] = 0.05
    predicted = probabilities(labels, sure)
    words = group_words(labels, np.array([2] * 20 + [40]), TAGS)
    losses = -np.log(sure)
    posterior, is_clean = select_clean_words(losses, labels, predicted, words, SelectionRules())
    assert not is_clean[:2].any()
    assert is_clean[2:].all()
    assert posterior[0] == posterior[1] < 0.5


def test_many_sure_words_outside_do_not_hide_the_noise_among_entities():
    labels = np.array([OUT] * 2000 + [B_PER] * 20)
    sure = np.full(2020, 0.999)
    sure[2000:] = [0.6] * 14 + [0.1] * 6
    words = group_words(labels, np.array([2020]), TAGS)
    _, is_clean = select_clean_words(-np.log(sure), labels, probabilities(labels, sure), words, SelectionRules())
    assert is_clean[:2014].all()
    assert not is_clean[2014:].any()


def test_a_word_without_a_tag_is_never_clean():
    labels = np.array([OUT, -1, OUT])
    words = group_words(labels, np.array([3]), TAGS)
    losses = np.array([0.1, np.nan, 0.1])
    posterior, is_clean = select_clean_words(losses, labels, np.full((3, 5), 0.2), words, SelectionRules())
    assert is_clean.tolist() == [True, False, True]
    assert posterior[1] == 0


def test_a_missed_entity_is_guessed_where_the_student_is_as_sure_of_it_as_of_true_ones():
    labels = np.array([B_PER] * 10 + [OUT] * 90)
    predicted = probabilities(np.array([B_PER] * 10 + [B_PER] + [OUT] * 89), [0.45] * 11 + [0.98] * 89)
    predicted[:11] = [0.55, 0.45, 0, 0, 0]
    words = group_words(labels, np.array([100]), TAGS)
    assert predicted[10].argmax() == OUT
    guesses = corrected_guesses(predicted, labels, np.ones(100), words, 1.0)
    assert guesses[10].argmax() == B_PER
    np.testing.assert_allclose(guesses.sum(axis=1), 1)


@pytest.mark.parametrize("labels", [[OUT, B_PER, -1], [-1, -1, -1]])
def test_without_correction_guesses_stay_as_they_are(labels):
    predicted = np.random.default_rng(0).dirichlet(np.ones(5), 3)
    words = group_words(np.array(labels), np.array([3]), TAGS)
    guesses = corrected_guesses(predicted, np.array(labels), np.ones(3), words, 0.0)
    np.testing.assert_allclose(guesses, predicted)
