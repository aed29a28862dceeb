"""The estimated quality of sets of labels."""

import numpy as np
import pytest

from freeal_hf import MultiLabelClassification
from freeal_hf.labels.label_set_estimate import label_set_figures
from freeal_hf.labels.label_sets import final_label_sets

TASK = MultiLabelClassification(["a", "b"])


@pytest.fixture(scope="module")
def figures():
    """The estimate for labels without an error, of which a person has checked 40."""
    rng = np.random.default_rng(0)
    truth = (rng.random((120, 2)) < [0.5, 0.2]).astype(int)
    embeddings = truth + rng.normal(size=truth.shape) * 0.1
    human, inclusion = np.full(truth.shape, -1), np.full(len(truth), np.nan)
    human[:40], inclusion[:40] = truth[:40], 40 / 120
    unknown = np.full(truth.shape, np.nan)
    final = final_label_sets(truth, unknown, truth * 0.8 + 0.1, embeddings, human=human, inclusion=inclusion)
    return label_set_figures(final, human, inclusion, TASK)


def test_a_sample_without_an_error_does_not_show_that_there_is_none(figures):
    assert figures["estimated_label_micro_f1"] == 1
    assert 0.8 < figures["estimated_label_micro_f1_range"][0] < 1
    for of in ("f1", "accuracy"):
        assert all(found["value"] == 1 > found["low"] for found in figures[f"estimated_label_{of}_by_label"].values())


def test_the_estimate_of_a_rare_label_is_less_certain(figures):
    found = figures["estimated_label_f1_by_label"]
    assert found["b"]["low"] < found["a"]["low"]
