import logging
import re

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import Annotation, Annotator, FreeAL, FreeALConfig, LoopConfig
from freeal_hf.cli.main import main
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.labels.doubts import answer_doubt, depends_on_text, entity_doubt
from freeal_hf.training.probe import held_out_probabilities
from tests.conftest import FILLERS, FRUIT, QUICK_TRAINING, TOOLS
from tests.entities import TASK, make_sentences

NAMES = ["a", "b", "c"]


def corpus(n=400, shares=(0.4, 0.3, 0.3), separation=1.5, seed=0):
    """True labels, and embeddings that tell them apart."""
    rng = np.random.default_rng(seed)
    gold = rng.choice(len(shares), n, p=shares)
    return gold, separation * np.eye(len(shares), 8)[gold] + rng.normal(size=(n, 8)), rng


def doubt(labels, embeddings):
    return answer_doubt(labels, held_out_probabilities(embeddings, labels, 3), NAMES)


@given(seed=st.integers(0, 200), noise=st.floats(0, 0.4))
def test_answers_that_depend_on_the_texts_are_not_doubtful(seed, noise):
    gold, embeddings, rng = corpus(seed=seed)
    assert doubt(np.where(rng.random(len(gold)) < noise, rng.integers(0, 3, len(gold)), gold), embeddings) is None


def test_skewed_answers_that_depend_on_the_texts_are_not_doubtful():
    gold, embeddings, _ = corpus(2000, shares=(0.97, 0.02, 0.01), separation=4.0)
    assert doubt(gold, embeddings) is None


@pytest.mark.parametrize("shares", [(0.34, 0.33, 0.33), (0.8, 0.1, 0.1), (0.5, 0.5, 0.0)])
def test_random_answers_of_any_shares_are_doubtful(shares):
    found = []
    for seed in range(40):
        _, embeddings, rng = corpus(seed=seed)
        found.append("look independent of the texts" in str(doubt(rng.choice(3, 400, p=shares), embeddings)))
    assert np.mean(found) >= 0.9


@pytest.mark.parametrize(("n", "others"), [(5, 0), (40, 0), (40, 2), (400, 20)])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_one_label_for_nearly_all_texts_is_doubtful(n, others, label):
    _, embeddings, rng = corpus(n)
    labels = np.full(n, label)
    labels[rng.choice(n, others, replace=False)] = (label + 1) % 3
    assert f"gave {n - others} of {n} texts the label '{NAMES[label]}'" in str(doubt(labels, embeddings))


def test_texts_without_an_answer_are_left_out():
    _, embeddings, _ = corpus(40)
    labels = np.where(np.arange(40) < 10, -1, 1)
    assert "gave 30 of 30 texts the label 'b'" in str(doubt(labels, embeddings))
    assert doubt(np.full(40, -1), embeddings) is None


def test_few_answers_that_look_random_are_not_doubtful():
    _, embeddings, rng = corpus(30)
    labels = rng.integers(0, 3, 30)
    assert not depends_on_text(labels, held_out_probabilities(embeddings, labels, 3))
    assert doubt(labels, embeddings) is None


def test_no_entity_or_only_entities_are_doubtful():
    assert "no entity in 30 sentences" in str(entity_doubt(np.zeros(200, dtype=bool), 30))
    assert "100% of all words" in str(entity_doubt(np.ones(200, dtype=bool), 30))
    assert entity_doubt(np.arange(200) % 10 == 0, 30) is None
    assert entity_doubt(np.array([], dtype=bool), 0) is None


class Answers(Annotator):
    """Gives the texts labels of a fixed list by their first word, whatever they are about; knows how often it was
    asked."""

    batch_size = 8

    def __init__(self, choose):
        self.choose, self.calls = choose, 0

    async def annotate(self, task, requests):
        self.calls += len(requests)
        return [Annotation(self.choose(request.text), confidence=1.0) for request in requests]


RANDOM = Answers(lambda text: int(np.random.default_rng(list(text.encode())).integers(2)))


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    words = [[*rng.choice(FILLERS, 4), *rng.choice(FRUIT if i % 2 else TOOLS, 2)] for i in range(160)]
    return Dataset.from_dict({"text": [" ".join(rng.permutation(some)) for some in words]})


@pytest.fixture
def run(task, student_folder, tmp_path):
    def run(data, annotator, task=task, **loop):
        args = FreeALConfig(output_dir=str(tmp_path / "run"), report_to="none", **QUICK_TRAINING)
        return FreeAL(task, annotator, str(student_folder), args, LoopConfig(num_rounds=1, **loop)).run(data)

    return run


@pytest.mark.parametrize("choose", [RANDOM.choose, lambda text: 0, lambda text: 1])
def test_a_run_with_doubtful_answers_stops_and_continues_when_confirmed(run, texts, tmp_path, choose):
    annotator = Answers(choose)
    with pytest.raises(AnnotatorError, match="--allow-doubtful-answers"):
        run(texts, annotator)
    assert not (tmp_path / "run" / "round-0" / "student").exists()
    asked = annotator.calls
    record = run(texts, annotator, allow_doubtful_answers=True).rounds[0]
    assert annotator.calls == asked
    assert record["estimated_label_accuracy"] is None
    assert record["estimated_label_accuracy_range"] is None


def test_without_an_estimate_terminal_and_report_say_unknown(run, texts):
    result = run(texts, RANDOM, allow_doubtful_answers=True)
    assert "unknown" in repr(result)
    page = re.sub(r"<svg.*?</svg>", "", result.report().read_text(), flags=re.DOTALL)
    assert "<b>unknown</b>" in page
    assert not re.search(r"<b>[\d.]+ %</b>right by", page)


def test_confirmed_answers_are_warned_about(run, texts, caplog):
    with caplog.at_level(logging.WARNING, "freeal_hf"):
        run(texts, Answers(lambda text: 0), allow_doubtful_answers=True)
    said = [record.getMessage() for record in caplog.records]
    assert any("gave 160 of 160 texts the label 'fruit'" in message for message in said)
    assert any("160 of 160 labelled rows (100%) have the label 'fruit'" in message for message in said)


def test_an_annotator_that_finds_no_entity_stops_the_run_before_training(run):
    class Silent(Annotator):
        kinds = frozenset({TASK.type})
        batch_size = 8

        async def annotate(self, task, requests):
            return [Annotation(0, spans=()) for _ in requests]

    with pytest.raises(AnnotatorError, match="no entity in 60 sentences"):
        run(make_sentences(), Silent(), TASK)


def test_a_column_with_one_label_needs_the_option_on_the_command_line(texts, student_folder, tmp_path, capsys):
    texts.add_column("llm", ["tool"] * len(texts)).to_csv(tmp_path / "data.csv")
    training = [f"--{key.replace('_', '-')}={value}" for key, value in QUICK_TRAINING.items()]
    command = [
        *("run", "--data", str(tmp_path / "data.csv"), "--labels", "fruit,tool", "--annotator", "column:llm"),
        *("--student", str(student_folder), "--num-rounds", "1", "--output-dir", str(tmp_path / "run"), *training),
    ]
    assert main(command) == 1
    assert "gave 160 of 160 texts the label 'tool'" in capsys.readouterr().err
    assert main([*command, "--allow-doubtful-answers"]) == 0
    assert "unknown" in capsys.readouterr().out


def test_the_option_accepts_only_true_or_false():
    with pytest.raises(InputError, match="allow_doubtful_answers is 'yes'"):
        LoopConfig(allow_doubtful_answers="yes")
