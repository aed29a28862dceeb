import logging

import pytest
from datasets import Dataset

from freeal_hf import Annotation, Annotator, FreeAL, FreeALConfig, LoopConfig
from freeal_hf.data.spans import Span
from freeal_hf.labels.counts import describe_counts, loss_warning, skew_warning
from tests.conftest import FRUIT, QUICK_TRAINING, TOOLS
from tests.entities import TASK, make_sentences

COUNTS = {
    "rows": 100,
    "texts": 90,
    "labelled": 80,
    "unlabelled": {"not a label": 12, "the text is empty": 8},
    "most_frequent_label": {"label": "fruit", "rows": 50},
    "labelled_by_student": 12,
    "human_labels": {"matched": 3, "new_texts": 2},
    "dropped_entities": 4,
}
TEXTS = [f"{name} {other}" for name in (*FRUIT, *TOOLS) for other in ("my", "old", "new", "big")]


class Partly(Annotator):
    """Leaves a quarter of the texts without a label."""

    batch_size = 8

    async def annotate(self, task, requests):
        return [
            Annotation(-1, reason="not a label")
            if request.text.endswith("big")
            else Annotation(0 if request.text.split()[0] in FRUIT else 1)
            for request in requests
        ]


@pytest.fixture(scope="module")
def finished(task, student_folder, tmp_path_factory):
    """48 texts, one of them twice, and three rows without a text; a person labelled two texts and a new one."""
    args = FreeALConfig(output_dir=str(tmp_path_factory.mktemp("counts") / "run"), **QUICK_TRAINING)
    loop = FreeAL(task, Partly(), str(student_folder), args, LoopConfig(num_rounds=1))
    human = Dataset.from_dict({"text": ["apple big", "saw my", "a ripe mango"], "label": ["fruit", "tool", "fruit"]})
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("freeal_hf")
    logger.addHandler(handler)
    level, _ = logger.level, logger.setLevel(logging.INFO)
    try:
        data = Dataset.from_dict({"text": [*TEXTS, TEXTS[0], "", " ", ""]})
        result = loop.run(data, human_labels=human, allow_new_texts=True)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return result, [(record.levelname, record.getMessage()) for record in records]


def test_every_row_is_counted_as_labelled_or_by_its_reason(finished):
    counts = finished[0].rounds[0]["counts"]
    assert counts["rows"] == 52
    assert counts["texts"] == 48
    assert counts["unlabelled"] == {"not a label": 11, "the text is empty": 3}
    assert counts["labelled"] + sum(counts["unlabelled"].values()) == counts["rows"]
    assert counts["labelled_by_student"] == 11
    assert counts["most_frequent_label"] == {"label": "fruit", "rows": 20}


def test_human_labels_are_counted_by_whether_their_text_is_in_the_data(finished):
    assert finished[0].rounds[0]["counts"]["human_labels"] == {"matched": 2, "new_texts": 1}


def test_the_counts_are_shown_in_terminal_and_report(finished):
    result, messages = finished
    said = describe_counts(result.rounds[0]["counts"])
    assert ("INFO", f"Round 0: {said}") in messages
    assert said in repr(result)
    assert "14 rows got no label: not a label (11), the text is empty (3)." in result.report().read_text()


def test_many_rows_without_a_label_are_warned_about(finished):
    result, messages = finished
    (warning,) = [text for level, text in messages if level == "WARNING" and "got no label" in text]
    assert "14 of 52 rows (27%)" in warning
    assert "Warning: 14 of 52 rows" in result.report().read_text()


def test_few_rows_without_a_label_are_not_warned_about():
    assert loss_warning({**COUNTS, "labelled": 95, "unlabelled": {"not a label": 5}}) is None
    assert "6 of 100" in str(loss_warning({**COUNTS, "labelled": 94, "unlabelled": {"not a label": 6}}))


def test_one_label_for_nearly_all_rows_is_warned_about():
    def warning(rows):
        return skew_warning({**COUNTS, "labelled": 100, "most_frequent_label": {"label": "fruit", "rows": rows}})

    assert warning(94) is None
    assert "95 of 100 labelled rows (95%) have the label 'fruit'" in str(warning(95))
    assert skew_warning({**COUNTS, "most_frequent_label": None}) is None


def test_the_description_names_every_count():
    assert describe_counts(COUNTS) == (
        "100 rows read, 90 distinct texts, 80 rows labelled. 20 rows got no label: not a label (12), the text is "
        "empty (8). The student alone labelled 12 of these. Human labels matched 3 texts. 2 human labels are about "
        "texts that are not in the data. 4 entities were dropped: their words do not "
        "follow each other in the sentence, they overlap a longer entity, or the task does not have their type."
    )


def test_dropped_entities_are_counted(student_folder, tmp_path):
    class Drops(Annotator):
        kinds = frozenset({TASK.type})
        batch_size = 8

        async def annotate(self, task, requests):
            return [Annotation(0, spans=(Span(0, 1, "fruit"),), num_dropped=2) for _ in requests]

    args = FreeALConfig(output_dir=str(tmp_path / "run"), report_to="none", **QUICK_TRAINING)
    loop = FreeAL(TASK, Drops(), str(student_folder), args, LoopConfig(num_rounds=1))
    counts = loop.run(make_sentences().select(range(12))).rounds[0]["counts"]
    assert counts["dropped_entities"] == 24
    assert counts["labelled"] == counts["rows"] == 12
