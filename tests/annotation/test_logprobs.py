"""Probabilities of labels out of tokens' log-probabilities, however the vocabulary cuts the answer up."""

import math

import pytest

from freeal_hf.annotation.logprobs import TokenLogprobs, code_probabilities, name_probability


def token(text: str, **alternatives: float) -> TokenLogprobs:
    given = {other: math.log(p) for other, p in alternatives.items()} or {text: 0.0}
    return TokenLogprobs(text, given.get(text, math.log(0.5)), given)


SURE = 0.0
SPLITS = {
    "letter alone": ['{"', "label", '":', ' "', "A", '"}'],
    "quote with the letter": ['{"label":', ' "A', '"}'],
    "letter with the end": ['{"', "label", '": "', 'A"}'],
    "all in one": ['{"label": "A"}'],
}


@pytest.mark.parametrize("pieces", SPLITS.values(), ids=SPLITS)
def test_the_token_that_holds_the_letter_decides(pieces: list[str]) -> None:
    tokens = [
        TokenLogprobs(p, math.log(0.6), {p: math.log(0.6), p.replace("A", "B"): math.log(0.2)})
        if "A" in p
        else TokenLogprobs(p, SURE, {p: SURE})
        for p in pieces
    ]
    assert code_probabilities(tokens, ["A", "B"]) == pytest.approx((0.75, 0.25))


def test_a_bare_letter_is_an_answer_too() -> None:
    assert code_probabilities([token("B", A=0.1, B=0.9)], ["A", "B"]) == pytest.approx((0.1, 0.9))


def test_spellings_of_one_letter_are_summed() -> None:
    tokens = [TokenLogprobs("A", math.log(0.3), {"A": math.log(0.3), " A": math.log(0.3), "B": math.log(0.2)})]
    assert code_probabilities(tokens, ["A", "B"]) == pytest.approx((0.75, 0.25))


def test_a_letter_outside_the_alternatives_has_no_probability() -> None:
    assert code_probabilities([token("A", A=0.9, B=0.1)], ["A", "B", "C"]) == pytest.approx((0.9, 0.1, 0.0))


def test_other_words_among_the_alternatives_do_not_count() -> None:
    assert code_probabilities([token("A", A=0.4, Sure=0.5, B=0.1)], ["A", "B"]) == pytest.approx((0.8, 0.2))


@pytest.mark.parametrize("tokens", [[], [token("Sure")], [token("")]])
def test_an_answer_without_a_letter_has_no_probabilities(tokens: list[TokenLogprobs]) -> None:
    assert code_probabilities(tokens, ["A", "B"]) is None


def test_the_probability_of_a_name_is_the_product_over_its_tokens() -> None:
    tokens = [
        TokenLogprobs(text, math.log(p), {}) for text, p in [('{"label": "', 0.5), ("pos", 0.8), ('itive"}', 0.5)]
    ]
    assert name_probability(tokens, "positive") == pytest.approx(0.4)


def test_a_name_that_was_not_said_has_no_probability() -> None:
    assert name_probability([token("negative")], "positive") is None
