"""What servers say when something is wrong, and what is made of it."""

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from freeal_hf.annotators.http_errors import HTTP_ERRORS, error_object, explained, public_url, requested_wait
from freeal_hf.errors import AnnotatorError, RefusedError, TransientError


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
def test_temporary_errors_are_transient_and_an_overload_is_marked(status: int, overloaded: bool) -> None:
    error = explained(ServerError(status), "http://host", None)
    assert isinstance(error, TransientError)
    assert error.overloaded == overloaded


@pytest.mark.parametrize(
    ("status", "said"), [(401, ""), (402, ""), (403, ""), (404, ""), (429, "insufficient_quota: check your billing")]
)
def test_permanent_errors_end_the_run(status: int, said: str) -> None:
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
def test_a_key_that_the_server_repeats_is_redacted(status: int) -> None:
    assert "sk-secret" not in str(explained(ServerError(status, "no such key: sk-secret"), "http://host", "sk-secret"))


def test_a_long_html_page_is_shortened() -> None:
    assert len(str(explained(ServerError(500, "<p>" * 10_000), "http://host", None))) < 500


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host:8080/v1/?key=1#x", "https://host:8080/v1"),
        ("http://host", "http://host"),
        ("org/model", "org/model"),
    ],
)
def test_an_address_is_shown_without_keys(url: str, shown: str) -> None:
    assert public_url(url) == shown


def test_offline_mode_is_reported_as_the_cause() -> None:
    from huggingface_hub.errors import OfflineModeIsEnabled

    assert issubclass(OfflineModeIsEnabled, HTTP_ERRORS)
    assert "HF_HUB_OFFLINE" in str(explained(OfflineModeIsEnabled("offline"), "http://host", None))


# ---- Error objects with status 200 ----

COMPLETION = {"choices": [{"message": {"content": "A"}}]}


@pytest.mark.parametrize(
    ("payload", "kind", "words"),
    [
        ({"error": {"message": "Slow down", "code": 429}}, TransientError, "Slow down"),
        ({"error": {"message": "Rate limit reached", "type": "tokens"}}, TransientError, "Rate limit reached"),
        ({"error": {"message": "Rate limit exceeded: free-models-per-day", "code": 429}}, AnnotatorError, "per-day"),
        ({"error": {"message": "no", "code": "insufficient_quota"}}, AnnotatorError, "no"),
        ({"error": "Insufficient credits"}, AnnotatorError, "Insufficient credits"),
        ({"error": {"message": "Invalid API key", "code": "401"}}, AnnotatorError, "Invalid API key"),
        ({"detail": "seed is not supported"}, RefusedError, "seed is not supported"),
        ({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}, RefusedError, "seed"),
        ({"object": "error", "message": "Only 5 logprobs", "code": 400}, RefusedError, "Only 5 logprobs"),
        ({"object": "error", "message": {"detail": "bad request"}}, RefusedError, "bad request"),
        ([{"error": {"code": 400, "message": "Unknown name"}}], RefusedError, "Unknown name"),
        ({"message": "upstream is gone", "status": 502}, TransientError, "upstream is gone"),
        ({"choices": [], "error": {"message": "provider failed"}}, TransientError, "provider failed"),
        ({"choices": [{"error": {"code": 502, "message": "provider failed"}}]}, TransientError, "provider failed"),
        ({"errors": [{"message": "context length of 10 exceeded"}]}, RefusedError, "context length"),
    ],
    ids=str,
)
def test_an_error_object_with_status_200_is_classified_by_its_message(
    payload: Any, kind: type[Exception], words: str
) -> None:
    error = error_object(payload, "http://host", None)
    assert isinstance(error, kind)
    assert words in str(error) and "http://host" in str(error)


@pytest.mark.parametrize("payload", [COMPLETION, COMPLETION | {"error": None}, {}, [], None, "text"], ids=str)
def test_a_completion_is_not_an_error_object(payload: Any) -> None:
    assert error_object(payload, "http://host", None) is None


def test_a_key_in_an_error_object_is_not_shown() -> None:
    error = error_object({"error": {"message": "no such key: sk-secret", "code": 500}}, "http://host", "sk-secret")
    assert "sk-secret" not in str(error)


@pytest.mark.parametrize("key", ["hf_abcdefghijklmnopqrst", "sk-proj-0123456789abcdef"])
def test_texts_that_look_like_keys_are_redacted(key: str) -> None:
    assert key not in str(explained(ServerError(400, f"the upstream key {key} expired"), "http://host", None))


# ---- Rate limits and quotas ----


NOW = 1_800_000_000
IN_A_MINUTE = datetime.fromtimestamp(NOW, timezone.utc) + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("headers", "said", "seconds"),
    [
        ({"retry-after": "7"}, "", 7),
        ({"Retry-After": "7"}, "", 7),
        ({"retry-after": format_datetime(IN_A_MINUTE, usegmt=True)}, "", 60),
        ({"retry-after-ms": "1500", "retry-after": "2"}, "", 1.5),
        ({"x-ratelimit-reset-requests": "6m0s"}, "", 360),
        ({"x-ratelimit-reset-tokens": "20ms"}, "", 0.02),
        (
            {
                "x-ratelimit-remaining-requests": "5",
                "x-ratelimit-reset-requests": "1h",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "12s",
            },
            "",
            12,
        ),
        ({"x-ratelimit-reset": str(NOW + 60)}, "", 60),
        ({"x-ratelimit-reset": str(NOW * 1000 + 60_000)}, "", 60),
        ({"x-ratelimit-reset": "60"}, "", 60),
        ({"anthropic-ratelimit-requests-reset": IN_A_MINUTE.isoformat().replace("+00:00", "Z")}, "", 60),
        ({"ratelimit": '"api";r=0;t=55'}, "", 55),
        ({"ratelimit": "limit=10, remaining=0, reset=5"}, "", 5),
        ({}, "Rate limit reached. Please try again in 7m12.5s.", 432.5),
        ({}, "Please retry in 34.07s.", 34.07),
        ({}, "Too many requests. Wait 20 seconds, then try again.", 20),
        ({}, '{"error": {"details": [{"retryDelay": "34s"}]}}', 34),
        ({}, "Too many requests", None),
        ({"content-type": "text/html"}, "try again later", None),
    ],
    ids=str,
)
def test_the_time_that_a_server_asks_to_wait_is_read(
    headers: dict[str, str], said: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freeal_hf.annotators.http_errors.time.time", lambda: NOW)
    wait = requested_wait(headers, said)
    assert wait == (None if seconds is None else pytest.approx(seconds))


def test_a_reset_in_an_error_object_is_waited_for() -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}
    payload = {"error": {"message": "Rate limit exceeded", "code": 429, "metadata": {"headers": headers}}}
    error = error_object(payload, "http://host", None)
    assert isinstance(error, TransientError)
    assert (error.retry_after, error.overloaded) == (30, True)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (402, "anything"),
        (429, '{"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}'),
        (429, "You have exceeded your monthly included credits"),
        (429, "Rate limit exceeded: free-models-per-day"),
        (429, "Daily limit reached"),
    ],
)
def test_a_used_up_quota_ends_the_run_with_the_message_of_the_server(status: int, said: str) -> None:
    error = explained(ServerError(status, said), "http://host", None)
    assert isinstance(error, AnnotatorError)
    assert "quota" in str(error) and ("anything" in str(error) or status == 429)


def test_a_quota_that_is_renewed_in_a_stated_time_is_waited_for() -> None:
    said = "You exceeded your current quota, please check your plan and billing details. Please retry in 34.07s."
    error = explained(ServerError(429, said), "http://host", None)
    assert isinstance(error, TransientError)
    assert error.retry_after == pytest.approx(34.07)
