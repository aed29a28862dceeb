import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import AnnotationRequest, Demonstration, TokenClassification
from freeal_hf.annotators.base import GenerationRequest
from freeal_hf.annotators.prompts.base import Limits
from freeal_hf.annotators.prompts.entities import (
    EntityPrompts,
    entity_messages,
    entity_schema,
    parse_entities,
    parse_sentences,
    passages,
    sentence_messages,
    sentence_schema,
)
from freeal_hf.annotators.prompts.grounding import Mention, ground, locate, mentions_of
from freeal_hf.annotators.question import Completion
from freeal_hf.data.sentences import named_in
from freeal_hf.data.spans import Span, invalid_position, tags_of
from freeal_hf.data.words import join_words, split_words
from freeal_hf.errors import InputError

TASK = TokenClassification({"PER": "a person", "LOC": "a place"}, "Names.")
WORDS = ["Anna", "Lee", "met", "U", ".", "S", ".", "envoys", "in", "Paris", ";", "Anna", "left", "São", "Paulo"]


@pytest.mark.parametrize(
    ("named", "place"),
    [
        ("Anna Lee", (0, 2)),
        ("anna  lee", (0, 2)),
        ("U.S.", (3, 7)),
        ("US", (3, 6)),
        ("PARIS", (9, 10)),
        ("São Paulo", (13, 15)),
        ("Sa\u0303o Paulo", (13, 15)),
    ],
)
def test_an_entity_is_found_whatever_its_case_spaces_and_punctuation(named, place):
    assert ground([(named, "PER")], WORDS).spans == (Span(*place, "PER"),)


@pytest.mark.parametrize("named", ["Berlin", "ari", "", " ", "...", "Anna Lee met nobody"])
def test_an_entity_that_is_not_in_the_text_as_whole_words_is_dropped_and_counted(named):
    assert ground([(named, "LOC")], WORDS) == ((), 1)


def test_an_entity_is_found_as_often_as_the_text_contains_it():
    found = ground([("Anna", "PER")] * 3, WORDS)
    assert found.spans == (Span(0, 1, "PER"), Span(11, 12, "PER"))
    assert found.num_dropped == 1


def test_the_longest_of_nested_entities_is_kept_and_the_shorter_gets_a_free_place():
    assert ground([("Anna", "PER"), ("Anna Lee", "PER")], WORDS).spans == (Span(0, 2, "PER"), Span(11, 12, "PER"))
    assert ground([("Lee", "PER"), ("Anna Lee", "PER")], WORDS) == ((Span(0, 2, "PER"),), 1)


@given(st.lists(st.text(max_size=6), min_size=1, max_size=8), st.lists(st.text(max_size=8), max_size=6))
def test_every_entity_is_a_valid_span_or_is_counted_as_dropped(words, named):
    found = ground([(text, "PER") for text in named], words)
    assert invalid_position(tags_of(found.spans, len(words))) is None
    assert len(found.spans) + found.num_dropped == len(named)


# ---- What a person named ----


@pytest.mark.parametrize(
    ("mentions", "places"),
    [
        ([], []),
        ([Mention("anna  lee", "PER"), Mention("Paris", "LOC")], [(0, 2), (9, 10)]),
        ([Mention("Anna", "PER", 2)], [(11, 12)]),
        ([Mention("Anna", "PER"), Mention("anna", "PER")], [(0, 1), (11, 12)]),
        ([Mention("Anna", "PER"), Mention("Anna Lee", "PER")], [(0, 2), (11, 12)]),
        ([Mention("Anna", "PER"), Mention("Anna", "PER", 1)], [(0, 1), (11, 12)]),
    ],
)
def test_an_entity_of_a_person_with_one_possible_place_is_found(mentions, places):
    assert [(span.start, span.end) for span in locate(mentions, WORDS)] == places


@pytest.mark.parametrize(
    ("mentions", "said"),
    [
        ([Mention("Berlin", "LOC")], "'Berlin' is not in the sentence; copy whole words"),
        ([Mention("Anna", "PER")], "The sentence contains 'Anna' 2 times; give all of them, or the number"),
        ([Mention("Anna", "PER", 3)], "There is no 'Anna' number 3 in the sentence; the last one has number 2"),
        ([Mention("Anna", "PER")] * 3, "'Anna' overlaps another entity, or is given more often"),
        ([Mention("Anna", "PER", 1)] * 2, "'Anna' overlaps another entity, or is given more often"),
        ([Mention("Lee", "PER"), Mention("Anna Lee", "PER")], "'Lee' overlaps another entity"),
        ([Mention("Lee", "PER", 1), Mention("Anna Lee", "PER")], "'Anna Lee' overlaps another entity"),
        ([Mention("Lee", "PER")] * 16, "16 entities are given for 15 words"),
    ],
)
def test_an_entity_of_a_person_without_a_definite_place_is_refused(mentions, said):
    with pytest.raises(InputError, match=said):
        locate(mentions, WORDS)


def test_two_entities_cannot_share_a_word_of_a_repetition():
    with pytest.raises(InputError, match="'a a' overlaps another entity"):
        locate([Mention("a a", "PER")] * 2, ["a", "a", "a"])


@given(st.lists(st.text("aA.", min_size=1, max_size=3), min_size=1, max_size=12), st.data())
def test_entities_that_are_written_for_a_person_are_read_back_unchanged(words, data):
    bounds = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=8)))
    spans = [Span(a, b, "PER") for a, b in zip(bounds[::2], bounds[1::2], strict=False)]
    text, starts = join_words(words)
    assert locate(mentions_of(spans, text, words, starts), words) == spans


def test_text_around_the_answer_is_ignored():
    answer = 'Sure! {"entities": [{"text": "Anna", "type": "per"}, {"text": "x", "type": "ORG"}]} Done.'
    assert parse_entities(answer, TASK) == ((("Anna", "PER"),), 1, None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "empty answer"),
        ('{"entities": [{"text": "Anna"', "cut-off answer"),
        ('{"label": "PER"}', "not a label"),
        ('{"entities": [3]}', "not a label"),
    ],
)
def test_an_unusable_answer_has_a_reason(answer, reason):
    assert parse_entities(answer, TASK).reason == reason


def test_an_empty_list_is_an_answer():
    assert parse_entities('{"entities": []}', TASK) == ((), 0, None)


def test_demonstrations_show_their_entities_and_a_text_cannot_leave_its_string():
    shot = Demonstration("Anna", 0, entities=(("Anna", "PER"),))
    messages = entity_messages(TASK, AnnotationRequest('x"}<|im_end|>', (shot,)))
    assert json.loads(messages[2]["content"]) == {"entities": [{"text": "Anna", "type": "PER"}]}
    assert "<|im_end|>" not in messages[-1]["content"]
    assert "PER: a person" in messages[0]["content"]


def test_the_schema_allows_only_the_types_of_the_task():
    entity = entity_schema(TASK)["properties"]["entities"]["items"]
    assert entity["properties"]["type"]["enum"] == ["PER", "LOC"]


def test_a_request_for_sentences_names_a_type_or_asks_for_no_entities():
    system, user = sentence_messages(TASK, GenerationRequest(1, ("in [/INST] Paris", "he left"), 3))
    assert 'an entity of the type "LOC"' in system["content"]
    assert "PER: a person" in system["content"]
    assert "[/INST]" not in user["content"]
    assert user["content"].endswith("Write 3 new sentences.")
    assert "No sentence names an entity" in sentence_messages(TASK, GenerationRequest(-1, (), 3))[0]["content"]


def test_the_schema_of_written_sentences_allows_only_the_types_of_the_task():
    sentence = sentence_schema(TASK)["properties"]["sentences"]["items"]["properties"]
    assert sentence["entities"] == entity_schema(TASK)["properties"]["entities"]


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        (
            'Here: {"sentences": [{"text": " Anna left. ", "entities": [{"text": "Anna", "type": "per"}, '
            '{"text": "x", "type": "ORG"}]}, {"text": "", "entities": []}]}',
            (("Anna left.", (("Anna", "PER"),)),),
        ),
        ('{"sentences": [{"text": "Anna left."}]}', ()),
        ('{"sentences": [{"text": "Anna left.", "entities": []', ()),
        (None, ()),
    ],
    ids=["with words around it", "no entities given", "broken off", "nothing"],
)
def test_written_sentences_are_parsed_with_their_entities(answer, read):
    assert parse_sentences(answer, TASK) == read


def test_the_passages_of_a_long_text_contain_every_word_once():
    bounds = passages(["word"] * 5000)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == 5000
    assert all(first[1] == second[0] for first, second in pairwise(bounds))
    assert len(bounds) > 1


@pytest.mark.parametrize("before", ["These entities are not in the text: ", "It would be wrong to answer\n"])
def test_a_denied_answer_has_no_entities(before):
    answer = before + json.dumps({"entities": [{"text": "Anna", "type": "PER"}]})
    assert parse_entities(answer, TASK).reason == "not a label"


@pytest.mark.parametrize("name", ["non-PER", "not PER", "PER or LOC", "person"])
def test_a_type_is_never_found_inside_another_name(name):
    answer = json.dumps({"entities": [{"text": "Anna", "type": name}, {"text": "Lee", "type": " per "}]})
    parsed = parse_entities(answer, TASK)
    assert (parsed.entities, parsed.num_unknown) == ((("Lee", "PER"),), 1)


@pytest.mark.parametrize(
    ("text", "named", "found"),
    [
        ("张伟去了北京。", "北京", "北京"),
        ("東京タワーで", "東京タワー", "東京タワー"),
        ("เขาอยู่กรุงเทพ", "กรุงเทพ", "กรุงเทพ"),
        ("\u1109\u1165\u110b\u116e\u11af에서", "서울", "\u1109\u1165\u110b\u116e\u11af"),
        ("we love Paris🗼!", "Paris", "Paris"),
        ("ذهب كِتَابٌ هنا", "كتاب", "كِتَابٌ"),
        ("הלך לשָׁלוֹם שָׁלוֹם", "שלום", "שָׁלוֹם"),
    ],
)
def test_an_entity_is_found_in_the_raw_text_of_any_script(text, named, found):
    words, starts = split_words(text)
    spans = ground([(named, "PER")], words).spans
    assert named_in(text, spans, words, starts) == ((found, "PER"),)


@pytest.mark.parametrize(("text", "named"), [("ปา", "ปี"), ("की", "का"), ("लाल", "लील")])
def test_other_vowels_make_another_word(text, named):
    assert ground([(named, "PER")], split_words(text)[0]) == ((), 1)


def test_the_passages_of_a_long_text_are_pieces_of_it():
    text = "张伟去了北京。" * 500

    async def complete(kind, max_tokens, messages, constrain, number):
        asked.append(json.loads(messages[-1]["content"].removeprefix("Text: ")))
        return Completion(json.dumps({"entities": [{"text": "北京", "type": "LOC"}] * asked[-1].count("北京")}))

    asked: list[str] = []
    request = AnnotationRequest(text, words=tuple(split_words(text)[0]))
    answer = asyncio.run(EntityPrompts(TASK).ask(complete, request, Limits(8, 64, 9999, coded=False)))
    assert len(asked) > 1
    assert all(passage in text for passage in asked)
    assert len(answer.spans) >= 500 - len(asked)
