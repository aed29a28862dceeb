"""What servers say when something is wrong, and what is made of it."""

import pytest

from freeal_hf.annotation.calls import RefusedError, TransientError
from freeal_hf.annotation.http_errors import HTTP_ERRORS, explained, public_url
from freeal_hf.errors import AnnotatorError


class Response:
    def __init__(self, status: int, text: str, **headers: str) -> None:
        self.status_code, self.text, self.headers = status, text, headers


class ServerError(OSError):
    """As huggingface_hub's: an `OSError` with the response."""

    def __init__(self, status: int, text: str = "", **headers: str) -> None:
        super().__init__(text)
        self.response = Response(status, text, **headers)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("This model's maximum context length is 8192 tokens. However, you requested 9000", "text too long"),
        ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096", "text too long"),
        ("the request exceeds the available context size", "text too long"),
        ("prompt is too long: 210000 tokens > 200000 maximum", "text too long"),
        ("The response was filtered due to the content management policy", "content filter"),
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "request refused"),
        ("bad request", "request refused"),
    ],
)
def test_a_refusal_says_what_was_wrong_with_the_text(said: str, reason: str) -> None:
    error = explained(ServerError(400, said), "http://host", None)
    assert isinstance(error, RefusedError)
    assert error.reason == reason


@pytest.mark.parametrize(("status", "overloaded"), [(429, True), (503, True), (529, True), (500, False), (502, False)])
def test_what_may_pass_is_tried_again_and_overload_is_known(status: int, overloaded: bool) -> None:
    error = explained(ServerError(status), "http://host", None)
    assert isinstance(error, TransientError)
    assert error.overloaded == overloaded


@pytest.mark.parametrize(
    ("status", "said"), [(401, ""), (402, ""), (403, ""), (404, ""), (429, "insufficient_quota: check your billing")]
)
def test_what_no_retry_can_mend_ends_the_run(status: int, said: str) -> None:
    assert isinstance(explained(ServerError(status, said), "http://host", None), AnnotatorError)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), ("", None)],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    error = explained(ServerError(429, "", **{"Retry-After": value}), "http://host", None)
    assert isinstance(error, TransientError)
    assert error.retry_after == seconds


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_a_key_that_the_server_repeats_is_blotted_out(status: int) -> None:
    assert "sk-secret" not in str(explained(ServerError(status, "no such key: sk-secret"), "http://host", "sk-secret"))


def test_a_long_page_of_html_is_not_shown_whole() -> None:
    assert len(str(explained(ServerError(500, "<p>" * 10_000), "http://host", None))) < 500


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host:8080/v1/?key=1#x", "https://host:8080/v1"),
        ("http://host", "http://host"),
        ("org/model", "org/model"),
    ],
)
def test_an_address_is_shown_without_what_may_be_a_key(url: str, shown: str) -> None:
    assert public_url(url) == shown


def test_offline_mode_is_named_as_the_cause() -> None:
    from huggingface_hub.errors import OfflineModeIsEnabled

    assert issubclass(OfflineModeIsEnabled, HTTP_ERRORS)
    assert "HF_HUB_OFFLINE" in str(explained(OfflineModeIsEnabled("offline"), "http://host", None))
