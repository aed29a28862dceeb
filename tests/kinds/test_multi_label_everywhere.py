"""Files, shards, report, cards, web app and LLM annotators with any number of labels for each text."""

import csv
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from scipy.special import expit

from freeal_hf import (
    Annotation,
    Demonstration,
    FreeAL,
    FreeALConfig,
    HumanLabel,
    InferenceEndpointsAnnotator,
    LoopConfig,
    kind_of,
)
from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.cards import CardFacts, student_card
from freeal_hf.cli.main import main
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.kinds.label_set_answers import LabelSetAnswers
from freeal_hf.kinds.rounds import read_pool, write_pool
from freeal_hf.labels.label_sets import FinalLabelSets, at_half, best_threshold, final_label_sets, limited
from freeal_hf.reporting import figures
from tests.kinds.test_multi_label import MULTI_TRAINING, NAMES, make_rows, run, task, truth_of  # noqa: F401 - fixtures
from tests.servers.chat import Behaviour, ChatServer, serve

# ---- Files ----

SHOTS = [
    Demonstration("nothing", -1, "selected", "a", labels=()),
    Demonstration("two", 1, "human", "b", labels=(0, 1)),
]


def test_demonstrations_are_stored_with_all_their_labels(task, tmp_path):  # noqa: F811
    write_pool(tmp_path / "pool.jsonl", SHOTS, task)
    assert read_pool(tmp_path / "pool.jsonl", task) == SHOTS


def test_the_demonstrations_of_the_hub_are_read_back(task, tmp_path):  # noqa: F811
    from freeal_hf.hub.files import _write_table
    from freeal_hf.hub.pull import _pool

    (tmp_path / "demonstrations").mkdir()
    table = kind_of(task).demonstration_table(SHOTS)
    _write_table(tmp_path / "demonstrations" / "train.parquet", table)
    assert _pool(tmp_path) == SHOTS


def test_requests_for_a_cluster_keep_no_labels_and_none_of_the_labels_apart(tmp_path):
    pytest.importorskip("ray")
    from freeal_hf.ray.annotation import _read_shard, _write_shards

    shots = (*SHOTS, Demonstration("one label", 0))
    request = AnnotationRequest("a text", shots, "id")
    [(path, _)] = _write_shards([request], tmp_path, 10)
    assert _read_shard(path) == [request]


def test_answers_are_stored_with_none_of_the_labels_and_no_answer(tmp_path):
    answers = LabelSetAnswers.none(3, 2)
    answers.take(0, Annotation(0, labels=(1,), probabilities=(0.25, 0.75)))
    answers.take(1, Annotation(0, labels=()))
    answers.take(2, Annotation(-1, reason="refused"))
    answers.save(tmp_path / "answers.parquet", {})
    found, _ = LabelSetAnswers.load(tmp_path / "answers.parquet")
    assert found.labels.tolist() == [[0, 1], [0, 0], [-1, -1]]
    assert found.confidences[0].tolist() == [0.75, 0.75]
    assert np.isnan(found.confidences[1:]).all()
    assert found.reasons == [None, None, "refused"]


def test_an_annotation_with_one_label_is_refused_in_such_a_task():
    with pytest.raises(AnnotatorError, match=r"give Annotation\(0, labels=\(\.\.\.\)\)"):
        LabelSetAnswers.none(1, 2).take(0, Annotation(1))


def test_human_labels_that_contradict_each_other_are_refused(task):  # noqa: F811
    kind = kind_of(task)
    rows = kind.read_rows(Dataset.from_list(make_rows(8)), gold_column="gold")
    ids = rows["id"][:]
    said = [HumanLabel((0,), id=ids[0]), HumanLabel((), id=ids[0])]
    with pytest.raises(InputError, match="two labels"):
        kind.with_human_labels(kind.collect(rows), rows, said)
    corpus = kind.with_human_labels(kind.collect(rows), rows, [HumanLabel((), id=ids[0])])
    assert corpus.is_human.tolist() == [True] + [False] * 7
    assert corpus.human_demonstrations()[0].labels == ()


# ---- Several annotators, final labels ----


def test_several_annotators_are_fused_for_each_label(task):  # noqa: F811
    kind, count = kind_of(task), 60
    truth = np.random.default_rng(0).integers(2, size=(count, 2))
    parts = []
    for seed in range(3):
        part = LabelSetAnswers.none(count, 2)
        flips = np.random.default_rng(seed + 1).random((count, 2)) < 0.1
        part.labels[:] = truth ^ flips
        parts.append(part)
    parts[0].labels[0] = -1
    fused = kind.fuse(parts, np.full((count, 2), -1))
    assert (fused.labels == truth).mean() > max((part.labels == truth).mean() for part in parts)
    assert not fused.is_missing.any()


def test_the_final_labels_use_the_answers_that_a_refine_annotator_has_replaced(task):  # noqa: F811
    first, second = LabelSetAnswers.none(2, 2), LabelSetAnswers.none(2, 2)
    first.labels[:] = [[1, 0], [0, 0]]
    whole = LabelSetAnswers(first.labels, first.confidences, [None, None], [first, second])
    assert kind_of(task).votes(whole, 1) is None  # the refine annotator has not answered yet
    second.labels[0] = [1, 1]
    assert kind_of(task).votes(whole, 1).tolist() == [[[1, 0], [1, 1]], [[0, 0], [-1, -1]]]


def test_the_threshold_of_rare_calibrated_labels_is_below_one_half():
    rare = np.concatenate([np.full((5, 1), 0.45), np.full((95, 1), 0.01)])
    assert 0.01 < best_threshold(rare) < 0.45


def test_an_unknown_probability_of_one_label_does_not_hide_the_others():
    labels, unknown = np.array([[1, 0], [0, 1]]), np.array([[0.9, np.nan], [0.2, np.nan]])
    assert FinalLabelSets(labels, unknown, []).confidences.tolist() == [0.9, 0.8]
    assert np.isnan(FinalLabelSets(labels, np.full((2, 2), np.nan), []).confidences).all()


def test_thresholds_move_probabilities_and_the_most_probable_labels_are_kept():
    moved = at_half(np.array([[0.3, 0.3]]), np.array([0.3, 0.6]))
    assert moved[0, 0] == pytest.approx(0.5)
    assert moved[0, 1] < 0.3
    assert limited(np.array([[1, 1, 1]]), np.array([[0.6, 0.9, 0.7]]), 2).tolist() == [[0, 1, 1]]


def test_human_labels_correct_an_annotator_that_names_too_many_labels():
    rng, count = np.random.default_rng(0), 300
    embeddings = rng.normal(size=(count, 8))
    truth = np.column_stack([embeddings[:, 0] > 1.3, embeddings[:, 1] > 1.3]).astype(int)
    named = truth | (rng.random((count, 2)) < 0.4)
    student = np.clip(named * 0.6 + 0.2, 0, 1)
    human, inclusion = np.full((count, 2), -1), np.full(count, np.nan)
    human[:80], inclusion[:80] = truth[:80], 80 / count
    final = final_label_sets(named, np.full((count, 2), np.nan), student, embeddings, human=human, inclusion=inclusion)
    open_ = slice(80, None)
    assert (final.labels[:80] == truth[:80]).all()

    def f1(found):
        return 2 * (found & truth[open_]).sum() / (found.sum() + truth[open_].sum())

    assert f1(final.labels[open_]) > f1(named[open_]) + 0.15


def test_known_shares_move_the_labels_that_an_annotator_names_too_often_towards_them():
    rng, count = np.random.default_rng(0), 300
    embeddings = rng.normal(size=(count, 8))
    truth = np.column_stack([embeddings[:, 0] > 1, embeddings[:, 1] > 1]).astype(int)
    named = truth | (rng.random((count, 2)) < 0.3)
    student = expit(2 * embeddings[:, :2] + 2 * named - 1)
    shares, none = np.array([0.17, 0.9]), np.full((count, 2), np.nan)
    free = final_label_sets(named, none, student, embeddings).labels.mean(axis=0)
    held = final_label_sets(named, none, student, embeddings, class_shares=shares).labels.mean(axis=0)
    assert abs(held[0] - 0.16) < abs(free[0] - 0.16)
    assert held[1] > free[1]


# ---- Report, cards ----


def test_the_picture_of_annotator_and_student_counts_each_label(task):  # noqa: F811
    labels = Dataset.from_dict({"annotator_label": [[0], [0, 1], [], None], "student_label": [[0], [0], [1], [0]]})
    crossed = kind_of(task).crossed(labels["annotator_label"], labels["student_label"], ("annotator", "student"))
    assert dict(zip(crossed.rows, crossed.counts.tolist(), strict=True)) == {
        "fruit": [2, 0, 0, 1],
        "tool": [0, 1, 1, 1],
    }
    figures.confusion(labels, kind_of(task))


def test_the_report_shows_micro_and_macro_f1_and_sets_of_labels(run):  # noqa: F811
    page = run.report().read_text(encoding="utf-8")
    assert "micro F1 of the final labels" in page
    assert "final macro F1" in page
    assert "none of the labels" in page
    assert "fruit 56" in repr(run)


def test_the_card_shows_how_the_student_is_used_with_thresholds(task):  # noqa: F811
    card = str(student_card(CardFacts("student", task, model_id="ada/student")))
    assert "top_k=None" in card
    assert "thresholds" in card
    assert "pipeline_tag: text-classification" in card


def test_the_estimate_on_the_card_says_that_nothing_is_known_without_people(run):  # noqa: F811
    said = kind_of(run.task).card_estimate(run.rounds[-1])
    assert "**unknown**" in said
    assert "micro F1 of the final labels is" in said


# ---- The page ----


def test_the_page_corrects_sets_of_labels_on_cards(run):  # noqa: F811
    pytest.importorskip("gradio")
    from freeal_hf.web.views.registry import view_of

    view, ids = view_of(run.task.to_dict()), run.dataset["id"][:]
    frame = view.frame(run.dataset, {ids[0]: "(none)", ids[1]: "fruit;tool"})
    assert frame["correction"].tolist()[:3] == ["none of the labels", "fruit, tool", ""]
    questions = [view.ask(row, NAMES, is_blind=False) for row in frame.itertuples()]
    assert [list(question.chosen) for question in questions[:2]] == [[], ["fruit", "tool"]]
    assert all(question.kind == "several" for question in questions)
    assert view.read_answer("tool;fruit", None, NAMES) == "fruit;tool"
    assert view.read_answer("(none)", None, NAMES) == "(none)"
    with pytest.raises(InputError, match="are not labels of the task"):
        view.read_answer("metal", None, NAMES)
    assert view.counts(frame) == Counter({"fruit": 56, "tool": 40})
    assert set(frame["main_label"]) <= set(view.map_names(NAMES))
    assert view.headline(frame)
    assert "macro F1" in view.scores(run.rounds)


# ---- Commands ----


@pytest.mark.parametrize("strategy", ["least-confidence", "margin", "entropy", "bald", "contrastive"])
def test_select_trains_a_student_on_labelled_texts(strategy, student_folder, tmp_path):
    rows = make_rows(24)
    texts = [f'"{row["text"]}"' for row in rows]
    (tmp_path / "texts.csv").write_text("\n".join(["text", *texts]))
    labelled = [f"{text},{';'.join(row['gold']) or '(none)'}" for text, row in zip(texts, rows[:8], strict=False)]
    (tmp_path / "human.csv").write_text("\n".join(["text,label", *labelled]))
    command = ["select", "--data", str(tmp_path / "texts.csv"), "--budget", "3", "--strategy", strategy]
    command += ["--output", str(tmp_path / "chosen.csv"), "--labels", "fruit,tool", "--multi-label"]
    assert main([*command, "--labelled", str(tmp_path / "human.csv"), "--student", str(student_folder)]) == 0
    with (tmp_path / "chosen.csv").open(encoding="utf-8-sig") as file:
        chosen = list(csv.DictReader(file))
    assert {row["strategy"] for row in chosen} == {strategy}
    assert {row["text"] for row in chosen}.isdisjoint(row["text"] for row in rows[:8])


@pytest.mark.slow
def test_a_language_model_gives_probabilities_and_is_shown_demonstrations(
    task,  # noqa: F811
    student_folder,
    tmp_path,
    monkeypatch,
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_KEY", "none")
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **MULTI_TRAINING)
    data = Dataset.from_list([{"text": row["text"], "gold": row["gold"]} for row in make_rows(48)])

    def label_sets(text):
        return truth_of(text)[:1] if len(text) % 9 == 0 else truth_of(text)

    with serve(ChatServer(Behaviour(label_sets=label_sets))) as server:
        annotator = InferenceEndpointsAnnotator(server.url, api_key_env="NO_KEY")
        loop = LoopConfig(num_rounds=2, stop_on="never", refine="all", shots=6)
        result = FreeAL(task, annotator, str(student_folder), args, loop).run(data)
        shown = [body for body in server.stats.bodies if len(body["messages"]) > 3]
    assert result.rounds[0]["annotator_micro_f1"] > 0.8
    answers = {message["content"] for body in shown for message in body["messages"] if message["role"] == "assistant"}
    assert '{"fruit": true, "tool": false}' in answers
    first = result.output_dir / "round-0" / "annotations.parquet"
    assert pq.read_table(first)["confidence"].null_count == 0
