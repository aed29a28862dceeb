import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.labels.fusion import final_labels, has_learnt, held_out_probabilities
from freeal_hf.labels.voting import agreed_labels, fuse_votes


def corpus(n=600, num_labels=3, separation=3.0, seed=0):
    """Gold labels and embeddings that tell them apart."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, num_labels, n)
    return gold, separation * np.eye(num_labels, 8)[gold] + rng.normal(size=(n, 8)), rng


def flipped(gold, share, rng, num_labels=3):
    return np.where(rng.random(len(gold)) < share, (gold + rng.integers(1, num_labels, len(gold))) % num_labels, gold)


def fused(labels, embeddings, confidences=None, **options):
    student = held_out_probabilities(embeddings, labels, 3)
    confidences = np.full(len(labels), np.nan) if confidences is None else confidences
    return final_labels(labels, confidences, student, embeddings, **options)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.3])
def test_random_errors_are_mended(share):
    gold, embeddings, rng = corpus()
    labels = flipped(gold, share, rng)
    assert np.mean(fused(labels, embeddings).labels == gold) > np.mean(labels == gold) + share / 4


def test_the_estimate_is_near_the_truth_where_few_errors_are_random():
    gold, embeddings, rng = corpus()
    found = fused(flipped(gold, 0.1, rng), embeddings)
    assert found.estimate.value == pytest.approx(np.mean(found.labels == gold), abs=0.05)


def predicting(labels, confidence, num_labels=3):
    """Probabilities of a student that predicts these labels with one confidence."""
    others = (1 - confidence) / (num_labels - 1)
    return (confidence - others) * np.eye(num_labels)[labels] + others


@pytest.mark.parametrize("separation", [1.0, 1.5, 3.0])
def test_a_weaker_student_overrules_nothing_although_it_is_sure(separation):
    gold, embeddings, rng = corpus(separation=separation)
    student = predicting(flipped(gold, 0.2, rng), 0.9)
    found = final_labels(gold, np.full(len(gold), np.nan), student, embeddings)
    assert np.mean(found.labels == gold) > 0.995


def test_a_student_that_resisted_random_errors_decides_where_held_out_predictions_show_these():
    gold, embeddings, rng = corpus(1500)
    labels, guesses = flipped(gold, 0.3, rng), flipped(gold, 0.05, rng)
    found = final_labels(labels, np.full(len(gold), np.nan), predicting(guesses, 0.9), embeddings)
    assert np.mean(found.labels == gold) > np.mean(guesses == gold) - 0.005


def test_a_student_that_memorised_its_labels_changes_none():
    gold, embeddings, rng = corpus(1500)
    labels = flipped(gold, 0.3, rng)
    found = final_labels(labels, np.full(len(gold), np.nan), predicting(labels, 0.999), embeddings)
    assert (found.labels == labels).all()


def test_an_annotator_that_is_less_confident_than_its_agreement_is_overruled_more_often():
    gold, embeddings, rng = corpus(separation=2.0)
    labels, student = np.where(rng.random(len(gold)) < 0.3, 0, gold), predicting(flipped(gold, 0.1, rng), 0.9)
    silent, modest = (
        final_labels(labels, confidences, student, embeddings).labels
        for confidences in (np.full(len(gold), np.nan), np.full(len(gold), 0.6))
    )
    assert np.mean(modest == gold) > np.mean(silent == gold) + 0.05


def test_cross_fitted_students_replace_the_probe():
    gold, informative, rng = corpus(1500)
    embeddings = rng.normal(size=(1500, 8))
    labels, nothing = flipped(gold, 0.3, rng), np.full(1500, np.nan)
    student = predicting(flipped(gold, 0.05, rng), 0.9)
    held_out = held_out_probabilities(informative, labels, 3)
    alone = final_labels(labels, nothing, student, embeddings).labels
    helped = final_labels(labels, nothing, student, embeddings, held_out=held_out).labels
    assert np.mean(helped == gold) > np.mean(alone == gold) + 0.1


def test_human_labels_of_texts_that_the_annotator_was_not_asked_for_give_no_estimate():
    gold, embeddings, rng = corpus(400)
    human = np.where(np.arange(len(gold)) < 60, gold, -1)
    answers = np.where(human == -1, biased(gold, rng), -1)
    inclusion = np.where(human == -1, np.nan, 60 / len(gold))
    assert fused(answers, embeddings, human=human, inclusion=inclusion).estimate is None


def test_a_student_that_understood_nothing_overrules_nothing():
    gold, embeddings, rng = corpus(separation=0.0)
    labels = flipped(gold, 0.1, rng)
    found = fused(labels, embeddings, np.full(len(gold), 0.9))
    assert (found.labels == labels).all()


def test_a_confidence_that_is_the_same_everywhere_says_nothing():
    gold, embeddings, rng = corpus(separation=1.5)
    labels = flipped(gold, 0.2, rng)
    silent, sure = fused(labels, embeddings), fused(labels, embeddings, np.full(len(gold), 0.95))
    assert (sure.labels == silent.labels).all()
    assert sure.estimate == silent.estimate


def test_a_weak_agreement_with_the_student_leaves_the_accuracy_unknown():
    gold, embeddings, rng = corpus(separation=1.5)
    found = fused(flipped(gold, 0.2, rng), embeddings)
    assert found.estimate is None
    assert "freeal-hf audit" in found.basis
    assert not np.isnan(found.confidences).any()


def biased(gold, rng):
    """Labels of an annotator that takes most texts of label 1 for label 0: an error that a student learns."""
    return np.where((gold == 1) & (rng.random(len(gold)) < 0.7), 0, gold)


def test_a_few_human_labels_mend_an_error_that_the_student_shares():
    gold, embeddings, rng = corpus(separation=1.5)
    labels = biased(gold, rng)
    human = np.where(np.arange(len(gold)) < 60, gold, -1)
    alone, helped = fused(labels, embeddings).labels[60:], fused(labels, embeddings, human=human).labels[60:]
    assert np.mean(helped == gold[60:]) > np.mean(alone == gold[60:]) + 0.05


def test_the_estimate_from_a_random_sample_holds_the_truth():
    held = []
    for seed in range(8):
        gold, embeddings, rng = corpus(400, separation=1.0, seed=seed)
        human = np.where(np.arange(len(gold)) < 60, gold, -1)
        inclusion = np.where(human == -1, np.nan, 60 / len(gold))
        found = fused(biased(gold, rng), embeddings, human=human, inclusion=inclusion)
        held.append(found.estimate.low <= np.mean(found.labels == gold) <= found.estimate.high)
    assert sum(held) >= 7


def test_a_student_that_memorised_its_labels_does_not_raise_the_estimate():
    gold, embeddings, rng = corpus(900, separation=1.0)
    labels = flipped(gold, 0.3, rng)
    human = np.where(np.arange(900) < 100, gold, -1)
    inclusion = np.where(human < 0, np.nan, 100 / 900)
    taught = np.where(human < 0, labels, human)
    nothing = np.full(900, np.nan)
    found = final_labels(labels, nothing, predicting(taught, 0.98), embeddings, human=human, inclusion=inclusion)
    right = np.mean(found.labels == gold)
    assert found.estimate.low < right < found.estimate.high
    assert found.estimate.value == pytest.approx(right, abs=0.05)


def test_a_student_that_memorised_the_answers_does_not_keep_people_from_correcting_them():
    gold, embeddings, rng = corpus(900)
    answers = np.where((gold == 0) & (rng.random(900) < 0.5), 1, gold)
    human = np.where(np.arange(900) < 100, gold, -1)
    taught = np.where(human < 0, answers, human)
    found = final_labels(answers, np.full(900, np.nan), predicting(taught, 0.99), embeddings, human=human)
    assert np.mean(found.labels[100:] == gold[100:]) > np.mean(answers[100:] == gold[100:]) + 0.1


def test_a_student_that_agreed_with_people_before_it_saw_their_labels_outweighs_the_answers():
    gold, embeddings, rng = corpus(900, separation=0.5)
    answers, guesses = flipped(gold, 0.4, rng), flipped(gold, 0.05, rng)
    human = np.where(np.arange(900) < 100, gold, -1)
    student = predicting(np.where(human < 0, guesses, human), 0.9)
    alone, with_earlier = (
        np.mean(final_labels(answers, np.full(900, np.nan), student, embeddings, human=human, **more).labels == gold)
        for more in ({}, {"untaught": predicting(guesses, 0.9)})
    )
    assert with_earlier > max(alone + 0.1, 0.9)


def test_human_labels_that_were_not_drawn_at_random_give_no_estimate():
    gold, embeddings, rng = corpus(400)
    human = np.where(np.arange(len(gold)) < 60, gold, -1)
    found = fused(biased(gold, rng), embeddings, human=human)
    assert found.estimate is None
    assert "may not be a random sample" in found.basis


def test_known_shares_move_the_labels_and_bound_what_can_be_right():
    gold, embeddings, rng = corpus(separation=2.0)
    labels = biased(gold, rng)
    alone, found = fused(labels, embeddings), fused(labels, embeddings, class_shares=np.full(3, 1 / 3))
    assert np.sum(found.labels == 1) > np.sum(alone.labels == 1)
    assert np.mean(found.labels == gold) >= np.mean(alone.labels == gold)
    assert found.shares_are_given
    assert not alone.shares_are_given


def test_the_mean_label_confidence_is_the_estimate():
    gold, embeddings, rng = corpus()
    found = fused(flipped(gold, 0.2, rng), embeddings)
    assert found.confidences.mean() == pytest.approx(found.estimate.value, abs=1e-3)


def test_surer_labels_are_more_often_right():
    gold, embeddings, rng = corpus(separation=2.0)
    found = fused(flipped(gold, 0.2, rng), embeddings)
    surest = np.argsort(-found.confidences)[:200]
    assert np.mean(found.labels[surest] == gold[surest]) > np.mean(found.labels == gold)


def test_a_text_without_an_answer_gets_the_students_label():
    gold, embeddings, _ = corpus()
    labels = np.where(np.arange(len(gold)) < 10, -1, gold)
    found = fused(labels, embeddings)
    assert (found.labels[:10] == held_out_probabilities(embeddings, labels, 3)[:10].argmax(axis=1)).all()


def test_human_labels_are_final_and_certain():
    gold, embeddings, _ = corpus()
    human = np.where(np.arange(len(gold)) < 20, (gold + 1) % 3, -1)
    found = fused(gold, embeddings, human=human)
    assert (found.labels[:20] == human[:20]).all()
    assert (found.confidences[:20] == 1).all()


def test_several_annotators_are_fused_with_the_student():
    gold, embeddings, rng = corpus(separation=2.0)
    votes = np.column_stack([flipped(gold, share, rng) for share in (0.2, 0.3, 0.4, 0.4)])
    found = fused(votes[:, 0], embeddings, votes=votes)
    assert np.mean(found.labels == gold) > 0.9


def test_a_label_that_is_never_final_has_no_estimate():
    gold, embeddings, _ = corpus()
    gold = np.where(gold == 2, 0, gold)
    human = np.where(np.arange(len(gold)) < 60, gold, -1)
    found = fused(gold, embeddings, human=human, inclusion=np.full(len(gold), 0.1))
    assert [estimate is None for estimate in found.by_label] == [False, False, True]


def many_labels(num_labels=50, texts=10):
    """A few texts of each of many labels, of unequal shares, some of which an annotator takes for a similar one."""
    rng = np.random.default_rng(0)
    gold = rng.choice(num_labels, num_labels * texts, p=rng.dirichlet(np.ones(num_labels)))
    centres = rng.normal(size=(num_labels, 64))
    embeddings = centres[gold] + 1.5 * rng.normal(size=(len(gold), 64))
    similar = np.argsort(-(centres @ centres.T), axis=1)[:, 1]
    is_taken = (rng.random(num_labels) < 0.4)[gold] & (rng.random(len(gold)) < 0.6)
    labels = np.where(is_taken, similar[gold], gold)
    labels = np.where(rng.random(len(gold)) < 0.1, rng.integers(0, num_labels, len(gold)), labels)
    student = held_out_probabilities(embeddings, labels, num_labels)
    shares = (np.bincount(gold, minlength=num_labels) + 1) / (len(gold) + num_labels)
    return gold, labels, student, embeddings, shares


@pytest.mark.parametrize("knows_shares", [False, True])
@pytest.mark.parametrize("count", [0, 60])
def test_many_labels_with_few_texts_do_not_make_the_final_labels_worse(count, knows_shares):
    gold, labels, student, embeddings, shares = many_labels()
    human = np.where(np.arange(len(gold)) < count, gold, -1)
    found = final_labels(
        labels,
        np.full(len(gold), np.nan),
        student,
        embeddings,
        human=human,
        class_shares=shares if knows_shares else None,
    )
    assert np.mean(found.labels[count:] == gold[count:]) >= np.mean(labels[count:] == gold[count:])


CONFIDENCES = st.one_of(
    st.just(float("nan")), st.sampled_from([0.0, 0.05, 0.5, 1.0]), st.floats(0, 1, allow_subnormal=False)
)


@st.composite
def situations(draw, students=("random", "constant", "one label", "none", "knowing")):
    """Answers, confidences, human labels and votes of a few texts, and what a student makes of them."""
    n, num_labels, m = draw(st.integers(1, 40)), draw(st.integers(2, 5)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    answers = np.array(draw(st.lists(st.integers(-1, num_labels - 1), min_size=n, max_size=n)))
    student = {
        "random": rng.dirichlet(np.ones(num_labels), n),
        "constant": np.full((n, num_labels), 1 / num_labels),
        "one label": np.tile(rng.dirichlet(np.ones(num_labels)), (n, 1)),
        "none": np.full((n, num_labels), np.nan),
        "knowing": 0.8 * np.eye(num_labels)[answers] + 0.2 / num_labels,
    }[draw(st.sampled_from(students))]
    embeddings = rng.normal(size=(n, 4)) * draw(st.sampled_from([0.0, 1.0]))
    confidences = np.array(draw(st.lists(CONFIDENCES, min_size=n, max_size=n)))
    if draw(st.booleans()):
        confidences[:] = draw(CONFIDENCES)
    human = np.where(rng.random(n) < draw(st.sampled_from([0.0, 0.3])), rng.integers(0, num_labels, n), -1)
    votes = None
    if draw(st.booleans()):
        votes = rng.integers(-1, num_labels, (n, m))
        answers = agreed_labels(votes, fuse_votes(votes, num_labels, human).probabilities)
    return answers, confidences, student, embeddings, {"votes": votes, "human": human}


@given(situations())
def test_any_answers_give_labels_probabilities_and_ordered_ranges(situation):
    *arguments, options = situation
    found = final_labels(*arguments, **options)
    num_labels = arguments[2].shape[1]
    assert ((found.labels >= -1) & (found.labels < num_labels)).all()
    known = found.confidences[~np.isnan(found.confidences)]
    assert ((known > 0) & (known <= 1)).all()
    for estimate in filter(None, [found.estimate, *found.by_label]):
        assert 0 <= estimate.low <= estimate.value + 1e-9
        assert estimate.value <= estimate.high + 1e-9 <= 1 + 2e-9


@given(situations(students=("constant", "one label", "none")))
def test_a_student_that_is_not_used_changes_no_answer(situation):
    *arguments, options = situation
    found, answers = final_labels(*arguments, **options), arguments[0]
    answered = (answers != -1) & (options["human"] == -1)
    if not found.student_has_learnt and found.pool is None:
        assert (found.labels[answered] == answers[answered]).all()


@given(situations(students=("constant", "none")))
def test_a_student_without_an_opinion_has_never_learnt(situation):
    *arguments, options = situation
    assert not final_labels(*arguments, **options).student_has_learnt


@given(situations())
def test_a_text_with_an_answer_keeps_a_label_and_human_labels_stay(situation):
    *arguments, options = situation
    found = final_labels(*arguments, **options).labels
    assert (found[arguments[0] != -1] != -1).all()
    by_hand = options["human"] != -1
    assert (found[by_hand] == options["human"][by_hand]).all()


@given(situations(), st.randoms(use_true_random=False))
def test_no_label_is_chosen_because_of_its_position(situation, random):
    answers, confidences, student, embeddings, options = situation
    new = list(range(student.shape[1]))
    random.shuffle(new)
    new_id = np.array([*new, -1])  # the last one stands for -1
    turned = np.empty_like(student)
    turned[:, new] = student
    votes = None if options["votes"] is None else new_id[options["votes"]]
    first = final_labels(answers, confidences, student, embeddings, **options)
    second = final_labels(
        new_id[answers], confidences, turned, embeddings, votes=votes, human=new_id[options["human"]]
    )
    assert second.student_has_learnt == first.student_has_learnt
    assert (second.labels == new_id[first.labels]).all()


def test_a_confidence_below_chance_does_not_change_an_answer_that_the_student_shares():
    gold, embeddings, _ = corpus()
    found = fused(gold, embeddings, np.full(len(gold), 0.05))
    assert (found.labels == gold).mean() > 0.95


@pytest.mark.parametrize("confidence", [0.0, 0.1, 1 / 3, np.nan])
def test_a_confidence_at_or_below_chance_does_not_change_an_answer_of_a_student_that_is_not_used(confidence):
    gold, embeddings, _ = corpus()
    uniform = np.full((len(gold), 3), 1 / 3)
    found = final_labels(gold, np.full(len(gold), confidence), uniform, embeddings)
    assert (found.labels == gold).all()


def test_several_annotators_keep_their_fused_labels_when_the_student_has_not_learnt():
    gold, embeddings, rng = corpus(separation=2.0)
    votes = np.column_stack([flipped(gold, share, rng) for share in (0.2, 0.3, 0.4)])
    answers = agreed_labels(votes, fuse_votes(votes, 3).probabilities)
    none = np.full(len(gold), np.nan)
    found = final_labels(answers, none, rng.dirichlet(np.ones(3), len(gold)), embeddings, votes=votes)
    assert not found.student_has_learnt
    assert (found.labels == answers).all()


def test_answers_at_random_and_one_label_for_everything_have_no_estimate():
    gold, embeddings, rng = corpus()
    for labels in (rng.integers(0, 3, len(gold)), np.zeros(len(gold), dtype=int)):
        found = fused(labels, embeddings, np.full(len(gold), 0.99))
        assert found.estimate is None
        assert found.by_label == [None] * 3
        assert np.isnan(found.confidences).all()


def test_held_out_predictions_do_not_follow_a_label_that_only_its_own_text_has():
    gold, embeddings, _ = corpus()
    labels = gold.copy()
    labels[0] = (gold[0] + 1) % 3
    assert held_out_probabilities(embeddings, labels, 3)[0].argmax() == gold[0]


def test_a_student_that_has_not_learnt_its_labels_is_not_heard():
    gold, embeddings, rng = corpus()
    labels = np.where(np.arange(len(gold)) < 10, -1, flipped(gold, 0.1, rng))
    found = final_labels(labels, np.full(len(gold), np.nan), rng.dirichlet(np.ones(3), len(gold)), embeddings)
    assert not found.student_has_learnt
    assert (found.labels[10:] == labels[10:]).all()
    assert (found.labels[:10] == gold[:10]).mean() > 0.8


def test_human_labels_correct_the_answers_also_where_the_student_has_not_learnt():
    gold, embeddings, rng = corpus()
    answers = np.where((gold == 0) & (rng.random(len(gold)) < 0.7), 1, gold)
    human = np.where(np.arange(len(gold)) % 3 == 0, gold, -1)
    none, uniform = np.full(len(gold), np.nan), np.full((len(gold), 3), 1 / 3)
    found = final_labels(answers, none, uniform, embeddings, human=human)
    others = human == -1
    assert not found.student_has_learnt
    assert (found.labels == gold)[others].mean() > (answers == gold)[others].mean() + 0.1


def test_a_student_that_resists_the_noise_has_learnt():
    gold, embeddings, rng = corpus()
    labels = flipped(gold, 0.4, rng)
    assert has_learnt(labels, np.eye(3)[gold], held_out_probabilities(embeddings, labels, 3))


def test_a_student_that_collapsed_to_the_commonest_label_has_not_learnt():
    labels = np.array([0] * 31 + [1] * 9)
    held_out = np.eye(2)[np.where(np.arange(40) % 8 == 0, 1 - labels, labels)]
    assert not has_learnt(labels, np.tile([0.9, 0.1], (40, 1)), held_out)
    assert has_learnt(labels, held_out, held_out)
