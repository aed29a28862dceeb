from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from freeal_hf.data.spans import Span, invalid_position, spans_of, tags_of
from freeal_hf.tasks import bio_tags

TYPES = ["PER", "LOC"]
TAGS = st.lists(st.sampled_from(bio_tags(TYPES)), max_size=12)


@given(TAGS)
def test_the_tags_of_spans_are_valid_and_give_the_same_spans(tags):
    written = tags_of(spans_of(tags), len(tags))
    assert invalid_position(written) is None
    assert spans_of(written) == spans_of(tags)


@given(TAGS)
def test_spans_are_the_same_as_those_of_seqeval(tags):
    assert [(name, start, end - 1) for start, end, name in spans_of(tags)] == get_entities(tags)


def test_an_inside_tag_after_another_type_begins_an_entity():
    assert spans_of(["B-PER", "I-LOC", "I-LOC"]) == [Span(0, 1, "PER"), Span(1, 3, "LOC")]


def test_the_first_invalid_tag_is_found():
    assert invalid_position(["O", "B-PER", "I-PER", "O", "I-PER"]) == 4
