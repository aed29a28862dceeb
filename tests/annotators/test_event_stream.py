"""A server that answers with an event stream that was not requested."""

import json

import pytest

from freeal_hf.annotators.event_stream import completion_in


def stream(*chunks, end="data: [DONE]\n\n"):
    """The body of an event stream."""
    return ("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end).encode()


def chunk(finish_reason=None, **delta):
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def test_json_is_returned_unchanged():
    assert completion_in(b'{"choices": []}') == {"choices": []}


def test_chunks_are_joined_to_a_completion():
    opening, usage = {"choices": [], "prompt_filter_results": []}, {"choices": [], "usage": {"prompt_tokens": 7}}
    completion = completion_in(stream(opening, chunk(content='{"la'), chunk("stop", content='bel": "A"}'), usage))
    (choice,) = completion["choices"]
    assert choice["message"] == {"content": '{"label": "A"}'}
    assert choice["finish_reason"] == "stop"
    assert completion["usage"] == {"prompt_tokens": 7}


def test_reasoning_and_log_probabilities_are_kept():
    token = {"token": "A", "logprob": -0.1, "top_logprobs": []}
    answer = chunk("stop", content="A")
    answer["choices"][0]["logprobs"] = {"content": [token]}
    (choice,) = completion_in(stream(chunk(role="assistant", reasoning_content="Well"), answer))["choices"]
    assert choice["message"] == {"content": "A", "reasoning_content": "Well"}
    assert choice["logprobs"] == {"content": [token]}


def test_a_stream_without_a_finish_reason_is_cut_off():
    (choice,) = completion_in(stream(chunk(content="A"), end=""))["choices"]
    assert choice["finish_reason"] == "length"


@pytest.mark.parametrize("payload", [{"error": {"message": "no"}}, {"choices": [{"message": {"content": "A"}}]}])
def test_an_error_or_a_complete_completion_in_one_event_is_returned(payload):
    assert completion_in(stream(payload)) == payload


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"data:\n\n", b'data: {"choices": [{"del'])
def test_any_other_body_is_not_json(body):
    with pytest.raises(json.JSONDecodeError):
        completion_in(body)
