import json

import pytest
import yaml
from datasets import Dataset

from freeal_hf import Annotator, FreeAL, FreeALConfig, LoopConfig, TextClassification, read_data
from freeal_hf.errors import InputError, RunError
from tests.conftest import CONTRACT, QUICK_TRAINING

METRICS = {
    "round",
    "annotator_accuracy",
    "student_accuracy",
    "label_accuracy",
    "estimated_label_accuracy",
    "clean_fraction",
    "clean_accuracy",
    "agreement",
    "changed_labels",
    "annotator_calls",
    "prompt_tokens",
    "completion_tokens",
    "cost",
    "seconds",
}


def training_args(folder, **changes):
    return FreeALConfig(output_dir=str(folder), **{**QUICK_TRAINING, **changes})


@pytest.fixture
def run(task, annotator, student_folder, tmp_path):
    def run(
        data,
        test=None,
        *,
        folder=tmp_path / "run",
        task=task,
        loop=None,
        training=None,
        annotator=annotator,
        **options,
    ):
        args = training_args(folder, **(training or {}))
        loop = FreeAL(task, annotator, str(student_folder), args, LoopConfig(**(loop or {})))
        return loop.run(data, test, **options)

    return run


def test_a_run_writes_all_documented_files(run, corpus):
    folder = run(corpus).output_dir
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "cache.sqlite", "labels.parquet", "labels.csv", "student", "metrics.json"} <= names
    assert {"report.html", "round-0", "round-1"} <= names
    for number in (0, 1):
        inside = {path.name for path in (folder / f"round-{number}").iterdir()}
        assert {"labels.parquet", "demonstrations.jsonl", "student", "metrics.json"} <= inside


def test_the_labelled_data_has_the_documented_columns_and_all_rows(run, corpus):
    data = run(corpus).dataset
    assert data.column_names == [*CONTRACT, "gold"]
    assert data["text"][:] == corpus["text"][:]
    assert data.features["label"].names == ["fruit", "tool"]


def test_the_metrics_have_one_record_for_each_round(run, corpus):
    result = run(corpus)
    records = json.loads((result.output_dir / "metrics.json").read_text())
    assert [record["round"] for record in records] == [0, 1]
    assert set(records[0]) >= METRICS
    assert records[0]["annotator_calls"] == len(set(corpus["text"]))


def test_without_gold_the_accuracies_are_null_and_the_labels_the_same(run, corpus, tmp_path):
    scored = run(corpus)
    unscored = run(corpus.remove_columns("gold"), folder=tmp_path / "other")
    assert unscored.rounds[-1]["label_accuracy"] is None
    assert unscored.dataset["label"][:] == scored.dataset["label"][:]


def test_wrong_gold_changes_nothing_but_the_scores(run, corpus, tmp_path):
    turned = corpus.map(lambda row: {"gold": "tool" if row["gold"] == "fruit" else "fruit"})
    right, wrong = run(corpus), run(turned, folder=tmp_path / "other")
    assert right.dataset.remove_columns("gold").to_dict() == wrong.dataset.remove_columns("gold").to_dict()
    assert right.rounds[0]["label_accuracy"] == pytest.approx(1 - wrong.rounds[0]["label_accuracy"])


def test_the_final_labels_correct_errors_of_the_annotator(run, corpus):
    last = run(corpus).rounds[-1]
    assert last["label_accuracy"] > last["annotator_accuracy"]


def test_only_noisy_texts_are_annotated_again(run, corpus, annotator):
    result = run(corpus)
    first = read_data(result.output_dir / "round-0" / "labels.parquet")
    again = [request.text for request in annotator.asked[len(set(corpus["text"])) :]]
    noisy = {row["text"] for row in _rows(result, 0) if not row["is_clean"]}
    assert len(first) == len(corpus)
    assert set(again) == noisy


def test_a_student_that_has_not_learnt_changes_no_label(run, corpus, annotator, caplog):
    result = run(corpus, training={"learning_rate": 1e-9})
    assert [record["student_has_learnt"] for record in result.rounds] == [False, False]
    assert result.dataset["label"] == result.dataset["annotator_label"]
    assert len(annotator.asked) == len(set(corpus["text"]))
    assert "has not learnt" in caplog.text


def test_demonstrations_are_clean_samples_of_the_previous_round(run, corpus, annotator):
    result = run(corpus)
    clean = {row["text"]: row["annotator_label"] for row in _rows(result, 0) if row["is_clean"]}
    shown = {(shot.text, shot.label) for request in annotator.asked for shot in request.demonstrations}
    assert shown
    assert all(clean[text] == label for text, label in shown)


def test_no_text_is_its_own_demonstration(run, corpus, annotator):
    run(corpus, loop={"refine": "all"})
    assert all(shot.text != request.text for request in annotator.asked for shot in request.demonstrations)


def test_the_student_works_in_a_transformers_pipeline(run, corpus, task):
    from transformers import pipeline

    result = run(corpus)
    assert result.rounds[-1]["student_temperature"] != 1
    rows = result.dataset.select(range(5))
    found = pipeline("text-classification", model=str(result.student))(rows["text"][:])
    assert [answer["label"] for answer in found] == [task.label_names[label] for label in rows["student_label"]]
    assert [answer["score"] for answer in found] == pytest.approx(rows["student_confidence"][:], abs=0.01)


def test_equal_texts_are_annotated_once_and_all_labelled(run, corpus, annotator):
    doubled = Dataset.from_dict({"text": corpus["text"][:] + corpus["text"][:20]})
    data = run(doubled, loop={"num_rounds": 1}).dataset
    assert len(data) == len(doubled)
    assert len(annotator.asked) == len(set(doubled["text"]))
    assert data["label"][80:] == data["label"][:20]


def test_texts_that_cannot_be_labelled_are_kept_with_the_reason(run, corpus):
    data = run(Dataset.from_dict({"text": [*corpus["text"], "", None]}), loop={"num_rounds": 1}).dataset
    assert data["label"][-2:] == [-1, -1]
    assert data["note"][-2:] == ["the text is empty", "the text is missing"]


def test_a_text_without_an_annotator_label_gets_the_students_and_the_reason(run, corpus):
    rows = Dataset.from_dict({"text": [*corpus["text"], "unsure apple"]})
    row = run(rows, loop={"num_rounds": 1}).dataset[-1]
    assert row["annotator_label"] == -1
    assert row["note"] == "not a label"
    assert row["label"] == row["student_label"]


def test_a_label_that_no_text_has_is_reported(run, corpus, caplog):
    three = TextClassification(["fruit", "tool", "animal"])
    data = run(corpus, task=three).dataset
    assert "no text the label 'animal'" in caplog.text
    assert len(data) == len(corpus)


def test_the_inductive_setting_scores_the_student_on_the_test_data(run, corpus):
    test = corpus.select(range(20))
    turned = test.map(lambda row: {"gold": "tool" if row["gold"] == "fruit" else "fruit"})
    result = run(corpus, turned, loop={"setting": "inductive", "num_rounds": 1})
    assert result.rounds[0]["student_accuracy"] < 0.5


def test_the_inductive_setting_needs_test_data(run, corpus):
    with pytest.raises(InputError, match="test data with gold"):
        run(corpus, loop={"setting": "inductive"})


def test_fewer_texts_than_labels_are_refused(run):
    with pytest.raises(InputError, match="1 different text for 2 labels"):
        run(Dataset.from_dict({"text": ["apple", "apple"]}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_rounds", 0), ("shots", -1), ("candidate_fraction", 0.0), ("refine", "some"), ("setting", "both")],
)
def test_an_unusable_loop_setting_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=name):
        LoopConfig(**{name: value})


def test_a_finished_run_makes_no_calls_when_started_again(run, corpus, annotator):
    first = run(corpus)
    annotator.asked.clear()
    assert run(corpus).rounds == first.rounds
    assert annotator.asked == []


def test_more_rounds_continue_after_the_finished_ones(run, corpus, annotator):
    run(corpus, loop={"num_rounds": 1})
    annotator.asked.clear()
    result = run(corpus, loop={"num_rounds": 2})
    assert len(result.rounds) == 2
    assert len(annotator.asked) < len(corpus)


@pytest.mark.parametrize("change", ["data", "task", "loop"])
def test_the_folder_of_another_run_is_refused_with_the_difference(run, corpus, task, change):
    run(corpus, loop={"num_rounds": 1})
    other = {
        "data": {"data": corpus.select(range(50))},
        "task": {"data": corpus, "task": TextClassification(task.label_names)},
        "loop": {"data": corpus, "loop": {"shots": 3}},
    }[change]
    with pytest.raises(RunError, match=r"contains another run.*--resume.*--overwrite"):
        run(**other)


def test_overwrite_starts_the_run_again(run, corpus):
    run(corpus, loop={"num_rounds": 2})
    result = run(corpus.select(range(50)), loop={"num_rounds": 1}, overwrite=True)
    assert len(result.dataset) == 50
    assert not (result.output_dir / "round-1").exists()


def test_a_folder_with_other_files_is_refused_and_not_changed(run, corpus, tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "thesis.tex").write_text("all my work")
    with pytest.raises(RunError, match=r"contains 'thesis\.tex' but no run"):
        run(corpus, folder=folder)
    run(corpus, folder=folder, overwrite=True, loop={"num_rounds": 1})
    assert (folder / "thesis.tex").read_text() == "all my work"


def test_a_run_in_use_is_refused(run, corpus, tmp_path):
    from filelock import FileLock

    folder = tmp_path / "busy"
    folder.mkdir()
    with FileLock(folder / ".lock"), pytest.raises(RunError, match="Another process"):
        run(corpus, folder=folder)


def test_the_configuration_has_all_options_to_repeat_the_run(run, corpus, task):
    folder = run(corpus, loop={"num_rounds": 1, "shots": 4}).output_dir
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert TextClassification.from_dict(config["task"]) == task
    assert config["loop"]["shots"] == 4
    assert config["training"]["learning_rate"] == 2e-3
    assert "hub_token" not in config["training"]


def test_a_spent_budget_leaves_valid_files_and_a_larger_one_continues(run, corpus):
    class Paid(Annotator):
        """Needs ten tokens for a text."""

        def fingerprint(self, task, request):
            return {"text": request.text}

        async def annotate(self, task, requests):
            from dataclasses import replace

            from tests.conftest import KeywordAnnotator

            answers = await KeywordAnnotator().annotate(task, requests)
            return [replace(answer, prompt_tokens=9, completion_tokens=1) for answer in answers]

    stopped = run(corpus, annotator=Paid(), loop={"max_tokens": 600})
    assert len(stopped.rounds) == 1
    assert stopped.rounds[0]["budget_spent"]
    assert 0 < stopped.rounds[0]["prompt_tokens"] + stopped.rounds[0]["completion_tokens"] <= 600
    assert "the budget was spent" in stopped.dataset["note"][:]
    result = run(corpus, annotator=Paid(), loop={"max_tokens": 100_000})
    assert len(result.rounds) == 2
    assert result.rounds[0]["annotator_calls"] == len(set(corpus["text"]))


def _rows(result, number):
    from freeal_hf.kinds.rounds import read_labels

    return list(read_labels(result.output_dir / f"round-{number}" / "labels.parquet"))
