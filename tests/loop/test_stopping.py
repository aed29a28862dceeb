import pytest
from datasets import Dataset

from freeal_hf import FreeAL, FreeALConfig
from freeal_hf.config import LoopConfig
from freeal_hf.errors import InputError
from freeal_hf.loop.stopping import RULES, LabelChanges, NoGain, convergence_figures, stopping_rule
from tests.conftest import QUICK_TRAINING


def rounds(figure, *values):
    return [{"round": i, figure: value} for i, value in enumerate(values)]


def labels(final, annotator, student):
    return Dataset.from_dict({"label": final, "annotator_label": annotator, "student_label": student})


@pytest.mark.parametrize(("changed", "stops"), [(None, False), (0.2, False), (0.01, True), (0.0, True)])
def test_few_changed_labels_end_the_loop(changed, stops):
    assert bool(LabelChanges()(rounds("changed_labels", None, changed))) is stops


@pytest.mark.parametrize(("values", "stops"), [((0.8,), False), ((0.8, 0.85), False), ((0.8, 0.8), True)])
def test_a_metric_that_no_longer_increases_ends_the_loop(values, stops):
    assert bool(NoGain("agreement")(rounds("agreement", *values))) is stops


def test_an_unknown_metric_does_not_end_the_loop():
    assert NoGain("agreement")(rounds("agreement", 0.8, None)) is None


def test_the_warning_for_an_unknown_accuracy_names_the_remedy(caplog):
    records = rounds("estimated_label_accuracy", 0.8, None)
    assert stopping_rule("estimated_accuracy")(records) is None
    assert "estimated label accuracy of round 1 is unknown" in caplog.text
    assert "--audit N" in caplog.text


def test_the_reason_has_the_values_of_the_metric():
    assert NoGain("agreement")(rounds("agreement", 0.8, 0.75)) == "the agreement went from 80.0% to 75.0% in round 1"


def test_agreement_counts_the_texts_that_the_annotator_labelled():
    assert convergence_figures(labels([0] * 4, [0, 1, 1, -1], [0, 1, 0, 0]), None)["agreement"] == pytest.approx(2 / 3)


def test_agreement_leaves_out_sentences_without_an_answer_of_the_annotator():
    by_annotator, by_student = [[1, 0], [-1, -1], [0, 3]], [[1, 0], [0, 0], [0, 0]]
    assert convergence_figures(labels(by_student, by_annotator, by_student), None)["agreement"] == 0.5


def test_agreement_of_sets_of_labels_includes_empty_sets():
    by_annotator, by_student = [[], [1], None], [[], [0], [1]]
    assert convergence_figures(labels(by_student, by_annotator, by_student), None)["agreement"] == 0.5


def test_changed_labels_are_compared_with_the_previous_round():
    one, other = labels([0, 1, 1, 0], [0] * 4, [0] * 4), labels([0, 1, 0, 0], [0] * 4, [0] * 4)
    assert convergence_figures(one, None)["changed_labels"] is None
    assert convergence_figures(other, one)["changed_labels"] == 0.25


@pytest.mark.parametrize(("learnt", "stops"), [((True, True), True), ((False, True), False), ((True, False), False)])
def test_a_round_whose_student_has_not_learnt_does_not_end_the_loop(learnt, stops):
    records = [{"round": i, "changed_labels": 0.0, "student_has_learnt": value} for i, value in enumerate(learnt)]
    assert bool(stopping_rule("label_changes")(records)) is stops


def test_every_rule_has_its_option():
    assert {"never", *RULES} == set(LoopConfig.__dataclass_fields__["stop_on"].metadata["choices"])


def test_an_unknown_rule_is_refused_with_its_name():
    with pytest.raises(InputError, match="no stopping rule 'soon'"):
        stopping_rule("soon")


def test_a_converged_run_ends_and_continues_with_another_rule(corpus, task, annotator, student_folder, tmp_path):
    def run(stop_on, num_rounds):
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **{**QUICK_TRAINING, "num_train_epochs": 2})
        loop = LoopConfig(num_rounds=num_rounds, refine="none", stop_on=stop_on)
        return FreeAL(task, annotator, str(student_folder), args, loop).run(corpus).rounds

    assert len(run("agreement", 4)) == 2  # nothing is asked again and the seed is the same: nothing changes
    assert len(run("agreement", 4)) == 2
    assert len(run("never", 3)) == 3


def test_a_rule_of_the_user_ends_the_loop(corpus, task, annotator, student_folder, tmp_path):
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
    seen = []

    def after_first_round(records):
        seen.append([record["round"] for record in records])
        return "one round is enough"

    loop = FreeAL(
        task, annotator, str(student_folder), args, LoopConfig(num_rounds=3), stopping_rule=after_first_round
    )
    assert [record["round"] for record in loop.run(corpus).rounds] == [0]
    assert seen == [[0]]
