import asyncio

import numpy as np
import pytest

from freeal_hf import AnnotationRequest, Demonstration, TokenClassification
from freeal_hf.annotators.candidates import ORDINARY, candidate_texts, candidates, find_entities, type_phrases
from freeal_hf.annotators.embedding import EmbeddingAnnotator
from freeal_hf.data.spans import Span
from freeal_hf.data.words import split_words

TASK = TokenClassification({"drug": "a chemical, such as aspirin", "city": "a place (e.g. Rome)"})


def named(text):
    words = text.split()
    return [" ".join(words[start:end]) for start, end in candidates(words)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("in New York City today", ["New York City", "today"]),
        ("the renal failure of 12 rats", ["renal", "renal failure", "failure", "rats"]),
        ("He met Anna .", ["met", "met Anna", "Anna"]),
        ("with Aspirin and New Drugs", ["Aspirin", "New Drugs"]),
        ("12 % , of the", []),
    ],
)
def test_candidates_are_sequences_of_content_words_and_whole_names(text, found):
    assert named(text) == found


def test_the_phrases_of_a_type_are_its_name_its_description_and_entities_that_a_person_marked():
    shot = Demonstration("Oslo", 1, source="human", entities=(("Oslo", "city"),))
    assert type_phrases(TASK, (shot,)) == [["drug", "a chemical", "aspirin"], ["city", "a place", "Rome", "Oslo"]]


def test_entities_of_earlier_answers_are_no_phrases():
    shot = Demonstration("Oslo", 1, source="selected", entities=(("Oslo", "city"),))
    assert type_phrases(TASK, (shot,)) == type_phrases(TASK)


def embed(texts):
    """Drugs, cities and everything else point in directions of their own; "Roman lead" in between."""
    known = {"aspirin": (1, 0, 0), "lead": (0.9, 0, 0.4), "Rome": (0, 1, 0), "Roman lead": (0.7, 0.7, 0)}
    vectors = np.array([known.get(text, (0, 0, 1)) for text in texts], dtype=float)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_nearest_of_overlapping_candidates_is_found():
    words = ["we", "gave", "aspirin", "lead", "in", "Rome"]
    assert find_entities(words, TASK, type_phrases(TASK), embed) == (
        Span(2, 3, "drug"),
        Span(3, 4, "drug"),
        Span(5, 6, "city"),
    )


def test_a_candidate_that_is_as_near_to_ordinary_words_is_not_found():
    assert find_entities(["gave", "numbers"], TASK, type_phrases(TASK), embed) == ()
    assert find_entities(["of", "the"], TASK, type_phrases(TASK), embed) == ()
    assert embed(ORDINARY).shape == (len(ORDINARY), 3)


def test_the_embedding_annotator_finds_entities_by_their_description():
    requests = [
        AnnotationRequest(text, words=tuple(text.split()))
        for text in ("we gave her ibuprofen at noon", "the train stops in Madrid", "of the")
    ]
    answers = asyncio.run(EmbeddingAnnotator().annotate(TASK, requests))
    found = [
        [(" ".join(request.words[span.start : span.end]), span.type) for span in answer.spans]
        for request, answer in zip(requests, answers, strict=True)
    ]
    assert ("ibuprofen", "drug") in found[0]
    assert ("Madrid", "city") in found[1]
    assert found[2] == []


def test_a_candidate_that_is_as_near_to_two_types_is_left_out():
    task = TokenClassification({"a": "the same", "b": "the same"})

    def embed(texts):
        return np.array([[0.0, 1.0] if text in ORDINARY else [1.0, 0.0] for text in texts])

    assert find_entities(["see", "Zanzibar"], task, [["x"], ["x"]], embed) == ()
    assert find_entities(["see", "Zanzibar"], task, [["x"], ORDINARY], embed)[-1].type == "a"


def test_in_a_script_without_blanks_runs_of_characters_are_candidates():
    words, _ = split_words("在北京。")
    assert candidate_texts(words) == ["在", "在北", "在北京", "北", "北京", "京"]
