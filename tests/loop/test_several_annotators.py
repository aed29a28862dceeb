import numpy as np
import pytest

from freeal_hf import Annotation, Annotator, FreeAL, FreeALConfig, LoopConfig
from freeal_hf.annotators.registry import split_specs
from freeal_hf.cli.main import main
from freeal_hf.errors import InputError
from tests.conftest import FRUIT, QUICK_TRAINING, KeywordAnnotator
from tests.models import save_nli_model


class Errs(Annotator):
    """Errs on a share of the texts, which its number picks."""

    batch_size = 8

    def __init__(self, number, share):
        self.rng = np.random.default_rng(number)
        self.share = share

    async def annotate(self, task, requests):
        right = [0 if any(word in request.text for word in FRUIT) else 1 for request in requests]
        return [Annotation(1 - label if self.rng.random() < self.share else label) for label in right]


class Knows(KeywordAnnotator):
    """Never errs."""

    @staticmethod
    def _answer(text):
        return Annotation(0 if any(word in text for word in FRUIT) else 1)


@pytest.fixture
def run(task, student_folder, tmp_path):
    def run(data, annotator, *, num_rounds=1, refine_annotator=None, **loop):
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
        config = LoopConfig(num_rounds=num_rounds, **loop)
        return FreeAL(task, annotator, str(student_folder), args, config, refine_annotator=refine_annotator).run(data)

    return run


def test_fused_annotators_are_better_than_each_of_them(run, corpus):
    found = run(corpus, [Errs(0, 0.15), Errs(1, 0.2), Errs(2, 0.25)]).rounds[0]
    assert found["annotator_calls"] == 3 * len(set(corpus["text"]))
    assert found["annotator_accuracy"] > 0.88


def test_a_zero_shot_encoder_is_one_more_voter_with_the_class_shares_of_the_run(
    run, corpus, task, student_folder, tmp_path
):
    spec, shares = f"zero-shot:{save_nli_model(tmp_path / 'nli')}", {"fruit": 0.7, "tool": 0.3}
    found = run(corpus, [KeywordAnnotator(), Knows(), spec], class_shares=shares)
    assert found.rounds[0]["annotator_calls"] == 3 * len(set(corpus["text"]))
    args = FreeALConfig(output_dir=str(tmp_path / "run"))
    settings = FreeAL(task, spec, str(student_folder), args, LoopConfig(class_shares=shares)).settings
    [[entry], _] = settings.annotators(corpus)
    assert entry.annotator.class_shares == entry.make().class_shares == shares


def test_several_annotators_are_used_again_in_the_next_round(run, corpus):
    result = run(corpus, [Errs(0, 0.15), Errs(1, 0.2), Errs(2, 0.25)], num_rounds=2)
    assert result.rounds[1]["annotator_accuracy"] > 0.85


def test_a_refine_annotator_labels_only_noisy_texts(run, corpus):
    first, second = KeywordAnnotator(), Knows()
    result = run(corpus, first, refine_annotator=second, num_rounds=2)
    assert len(first.asked) == len(set(corpus["text"]))
    assert 0 < len(second.asked) < len(corpus) / 2
    assert result.rounds[1]["annotator_accuracy"] > result.rounds[0]["annotator_accuracy"]


def test_texts_with_the_highest_loss_are_refined_first(run, corpus):
    second = Knows()
    result = run(corpus, KeywordAnnotator(), refine_annotator=second, num_rounds=2, refine="all")
    from freeal_hf.kinds.rounds import read_labels

    rows = read_labels(result.output_dir / "round-0" / "labels.parquet")
    loss = dict(zip(rows["text"], rows["loss"], strict=True))
    asked = [loss[request.text] for request in second.asked]
    assert asked == sorted(asked, reverse=True)


def test_a_refine_annotator_without_a_price_is_refused_with_a_budget_in_dollars(run, corpus):
    first = KeywordAnnotator()
    with pytest.raises(InputError, match="price"):
        run(corpus, first, refine_annotator=KeywordAnnotator(), num_rounds=2, max_cost=1.0)
    assert first.asked == []


@pytest.mark.parametrize(
    ("spec", "specs"),
    [
        ("embedding", ["embedding"]),
        ("column:a, b", ["column:a", "column:b"]),
        ("endpoint:org/a + endpoint:org/b", ["endpoint:org/a", "endpoint:org/b"]),
    ],
)
def test_a_specification_names_one_annotator_or_several(spec, specs):
    assert split_specs(spec) == specs


def test_the_command_line_takes_several_columns_and_a_refine_annotator(corpus, student_folder, tmp_path):
    other = {"fruit": "tool", "tool": "fruit"}
    rows = [
        {
            "text": row["text"],
            **{name: other[row["gold"]] if i % k == 0 else row["gold"] for name, k in COLUMNS.items()},
        }
        for i, row in enumerate(corpus)
    ]
    type(corpus).from_list(rows).to_csv(tmp_path / "data.csv")
    training = [f"--{key.replace('_', '-')}={value}" for key, value in QUICK_TRAINING.items()]
    command = [
        *("run", "--data", str(tmp_path / "data.csv"), "--labels", "fruit,tool", "--annotator", "column:a,b"),
        *("--annotator", "column:c", "--refine-annotator", "column:d", "--student", str(student_folder)),
        *("--output-dir", str(tmp_path / "run"), *training),
    ]
    assert main(command) == 0
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert "annotator: column:a,b + column:c" in config
    assert "refine_annotator: column:d" in config


COLUMNS = {"a": 9, "b": 7, "c": 5, "d": 11}
