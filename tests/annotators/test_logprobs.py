"""Probabilities of labels out of tokens' log-probabilities, however the vocabulary cuts the answer up."""

import math

import pytest

from freeal_hf.annotators.logprobs import TokenLogprobs, code_probabilities, name_probability, tokens_of


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
def test_the_token_with_the_letter_is_used(pieces: list[str]) -> None:
    tokens = [
        TokenLogprobs(p, math.log(0.6), {p: math.log(0.6), p.replace("A", "B"): math.log(0.2)})
        if "A" in p
        else TokenLogprobs(p, SURE, {p: SURE})
        for p in pieces
    ]
    assert code_probabilities(tokens, ["A", "B"]) == pytest.approx((0.75, 0.25))


def test_a_letter_without_json_is_an_answer() -> None:
    assert code_probabilities([token("B", A=0.1, B=0.9)], ["A", "B"]) == pytest.approx((0.1, 0.9))


def test_spellings_of_one_letter_are_summed() -> None:
    tokens = [TokenLogprobs("A", math.log(0.3), {"A": math.log(0.3), " A": math.log(0.3), "B": math.log(0.2)})]
    assert code_probabilities(tokens, ["A", "B"]) == pytest.approx((0.75, 0.25))


def test_a_letter_outside_the_alternatives_has_no_probability() -> None:
    assert code_probabilities([token("A", A=0.9, B=0.1)], ["A", "B", "C"]) == pytest.approx((0.9, 0.1, 0.0))


def test_other_words_among_the_alternatives_do_not_count() -> None:
    assert code_probabilities([token("A", A=0.48, Sure=0.4, B=0.12)], ["A", "B"]) == pytest.approx((0.8, 0.2))


@pytest.mark.parametrize("tokens", [[], [token("Sure")], [token("")]])
def test_an_answer_without_a_letter_has_no_probabilities(tokens: list[TokenLogprobs]) -> None:
    assert code_probabilities(tokens, ["A", "B"]) is None


@pytest.mark.parametrize("forced", [math.log(0.0006), -20.0, -9999.0, -math.inf, math.nan])
@pytest.mark.parametrize("listed", [True, False])
def test_a_letter_that_only_a_grammar_forced_has_no_probability(forced: float, listed: bool) -> None:
    # The log-probabilities are from before the mask: the model wanted to say something else.
    alternatives = {"A": forced, "Sure": math.log(0.9)} if listed else {"A": forced}
    assert code_probabilities([TokenLogprobs("A", forced, alternatives)], ["A", "B"]) is None


def test_an_alternative_that_is_not_a_number_is_ignored() -> None:
    tokens = [TokenLogprobs("A", math.log(0.8), {"A": math.log(0.8), "B": math.nan})]
    assert code_probabilities(tokens, ["A", "B"]) == (1.0, 0.0)


def named(*pieces: tuple[str, dict[str, float]]) -> list[TokenLogprobs]:
    return [
        TokenLogprobs(text, math.log(found[text]), {other: math.log(p) for other, p in found.items()})
        for text, found in pieces
    ]


NAMES = ["positive", "negative", "post"]


def test_the_probability_of_a_name_is_the_product_over_its_tokens() -> None:
    tokens = named(
        ('{"label": "', {'{"label": "': 0.5}),
        ("pos", {"pos": 0.8, "neg": 0.2}),
        ('itive"}', {'itive"}': 0.5, 't"}': 0.4}),
    )
    assert name_probability(tokens, "positive", NAMES) == pytest.approx(0.4)


def test_a_name_that_only_a_grammar_forced_has_no_probability() -> None:
    first = named(("pos", {"pos": 0.001, "Sure": 0.9, "neg": 0.01}), ("itive", {"itive": 1.0}))
    later = named(("pos", {"pos": 0.9}), ("itive", {"itive": 0.001, "sible": 0.9}))
    assert name_probability(first, "positive", NAMES) is None
    assert name_probability(later, "positive", NAMES) is None


def test_the_name_is_not_taken_from_the_name_of_the_field() -> None:
    tokens = named(('{"label": "', {'{"label": "': 0.01}), ("be", {"be": 0.7, "do": 0.3}), ('"}', {'"}': 1.0}))
    assert name_probability(tokens, "be", ["be", "do"]) == pytest.approx(0.7)


def test_a_name_that_is_not_in_the_answer_has_no_probability() -> None:
    assert name_probability([token("negative")], "positive", NAMES) is None


def test_the_tokens_of_reasoning_are_left_out() -> None:
    pieces = ["<think>", '{"label": "A"}', "?", "</think>", "Ġ", '{"label": "', "B", '"}', "<|im_end|>"]
    tokens = [TokenLogprobs(piece, SURE, {piece: SURE}) for piece in pieces]
    assert [token.text for token in tokens_of(tokens, '{"label": "B"}')] == pieces[5:]


def test_an_answer_that_is_not_in_the_tokens_has_none() -> None:
    assert tokens_of([TokenLogprobs("spam", SURE, {})], "ham") == ()
