"""The sentence with which the results open."""

import pandas as pd
import pytest

from freeal_hf.web.verdict import first_to_check, verdict_of
from freeal_hf.web.views.registry import VIEWS

LABELS, LABEL_SETS, ENTITIES = VIEWS.values()


def labels(*counts):
    names = "abcdef"
    return pd.DataFrame({"label": [names[i] for i, count in enumerate(counts) for _ in range(count)]})


def record(low=None, high=None, **more):
    estimated = None if low is None else (low + high) / 2
    return {
        "estimated_label_accuracy": estimated,
        "estimated_label_accuracy_range": None if low is None else [low, high],
        **more,
    }


MIXED = labels(50, 50)


def test_the_range_is_the_headline():
    found = verdict_of(LABELS, record(0.7, 0.82), MIXED, 62)
    assert found.headline == "Between 70 and 82 of 100 labels are probably right."
    assert found.basis == "Estimated; not checked by a person."
    assert first_to_check(found) == "Check these 62 texts first"


@pytest.mark.parametrize("last", [record(), record(0.4, 0.9), {}])
def test_an_unknown_or_wide_range_cannot_be_known_yet(last):
    assert verdict_of(LABELS, last, MIXED, 3).headline == "How many labels are right cannot be known yet."


def test_a_wide_range_is_still_told_below():
    assert "between 40 and 90 of 100" in verdict_of(LABELS, record(0.4, 0.9), MIXED, 3).basis


def test_an_audit_is_named_as_the_basis():
    found = verdict_of(LABELS, record(0.7, 0.8, estimated_label_accuracy_source="audit"), MIXED, 3)
    assert "a person checked" in found.basis


def test_true_labels_are_the_headline_and_the_estimate_is_told_beside_them():
    found = verdict_of(LABELS, record(0.7, 0.82, label_accuracy=0.876), MIXED, 3)
    assert found.headline == "88 of 100 labels are right."
    assert "Between 70 and 82 of 100" in found.basis


def test_several_labels_of_a_text_are_right_together():
    found = verdict_of(LABEL_SETS, record(0.7, 0.82, label_exact_match=0.876), MIXED, 3)
    assert found.headline == "88 of 100 texts have exactly the right labels."
    assert "Between 70 and 82 of 100 texts probably have exactly the right labels." in found.basis


def test_entities_are_compared_in_both_directions():
    scores = {"label_f1": 0.82, "label_precision": 0.9, "label_recall": 0.75}
    found = verdict_of(ENTITIES, record(**scores), MIXED, 3)
    assert found.headline == "90 of 100 entities are right, and 75 of 100 true entities were found."


@pytest.mark.parametrize(("counts", "warns"), [((95, 5), True), ((89, 11), False), ((19,), False)])
def test_nearly_equal_labels_raise_an_alarm(counts, warns):
    assert bool(verdict_of(LABELS, record(0.7, 0.8), labels(*counts), 0).alarm) == warns


def test_nothing_to_check_has_no_button():
    assert first_to_check(verdict_of(LABELS, record(0.9, 0.95), MIXED, 0)) == ""
