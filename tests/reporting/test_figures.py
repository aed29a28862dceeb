import warnings

import pytest

from freeal_hf.kinds.registry import kind_of
from freeal_hf.reporting.figures import as_svg, quality_per_round
from freeal_hf.tasks import TextClassification

MEASURE = kind_of(TextClassification(["fruit", "tool"])).measure
NO_GOLD = {"annotator_accuracy": None, "student_accuracy": None, "label_accuracy": None}


@pytest.mark.parametrize("estimate", [None, 0.8])
def test_the_quality_is_drawn_without_a_warning_if_there_is_no_gold(estimate):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = quality_per_round([{"round": 0, **NO_GOLD, "estimated_label_accuracy": estimate}], MEASURE)
    assert (figure.axes[0].get_legend() is None) == (estimate is None)


def test_a_figure_without_values_has_an_explanation():
    figure = quality_per_round([{"round": 0, **NO_GOLD, "estimated_label_accuracy": None}], MEASURE)
    assert "no gold labels and no estimate" in as_svg(figure)
