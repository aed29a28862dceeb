"""Estimates before a run, prices, and how near they come."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web

from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.budget import Ledger, Price
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.column import ColumnAnnotator
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.estimate import Interval, estimate_annotation
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.prices import hub_price, load_prices, price_of
from freeal_hf.annotators.work import annotation_work
from freeal_hf.errors import InputError
from freeal_hf.tasks import TextClassification
from tests.servers.background import running
from tests.servers.chat import ChatServer

REQUESTS = [AnnotationRequest("Where is my parcel? " * (1 + i % 7) + str(i)) for i in range(400)]
UNREACHABLE = "http://127.0.0.1:9"


def test_an_estimate_makes_no_call(task: TextClassification) -> None:
    estimate = estimate_annotation(InferenceEndpointsAnnotator("m", base_url=UNREACHABLE), task, REQUESTS)
    assert estimate.calls == Interval(400, 400, 400)
    assert not estimate.is_measured


@pytest.mark.parametrize("probe", [0, 40])
def test_the_costs_of_a_run_are_within_the_estimated_interval(
    probe: int, task: TextClassification, start: Callable[..., ChatServer]
) -> None:
    annotator, price = InferenceEndpointsAnnotator(start().url), Price(1.0, 2.0)
    estimate = estimate_annotation(annotator, task, REQUESTS, price=price, probe=probe)
    ledger = Ledger(price=price)
    list(run(annotation_work(annotator, task), REQUESTS, ledger=ledger))
    assert estimate.prompt_tokens.low <= ledger.prompt_tokens <= estimate.prompt_tokens.high
    assert estimate.completion_tokens.low <= ledger.completion_tokens <= estimate.completion_tokens.high
    assert estimate.cost is not None
    assert ledger.cost is not None
    assert estimate.cost.low <= ledger.cost <= estimate.cost.high


def test_a_probe_narrows_the_interval(task: TextClassification, start: Callable[..., ChatServer]) -> None:
    annotator = InferenceEndpointsAnnotator(start().url)
    wide, narrow = (estimate_annotation(annotator, task, REQUESTS, probe=probe).prompt_tokens for probe in (0, 40))
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_the_calls_of_a_probe_are_cached_and_recorded(
    task: TextClassification, start: Callable[..., ChatServer], tmp_path: Path
) -> None:
    server, ledger = start(), Ledger(owner="round-0")
    annotator = InferenceEndpointsAnnotator(server.url)
    with AnswerCache(tmp_path / "c.sqlite") as cache:
        estimate_annotation(annotator, task, REQUESTS, cache=cache, ledger=ledger, probe=10)
        list(run(annotation_work(annotator, task), REQUESTS, cache=cache, ledger=ledger))
    assert ledger.calls == server.stats.answered.total()
    assert max(server.stats.asked[request.text] for request in REQUESTS) == 1


def test_equal_texts_are_counted_once(task: TextClassification) -> None:
    annotator = InferenceEndpointsAnnotator("m", base_url=UNREACHABLE)
    assert estimate_annotation(annotator, task, REQUESTS * 3).calls.expected == 400


def test_cached_answers_are_left_out(
    task: TextClassification, start: Callable[..., ChatServer], tmp_path: Path
) -> None:
    annotator = InferenceEndpointsAnnotator(start().url)
    with AnswerCache(tmp_path / "c.sqlite") as cache:
        list(run(annotation_work(annotator, task), REQUESTS[:200], cache=cache))
        calls = estimate_annotation(annotator, task, REQUESTS, cache=cache).calls
    assert calls.low < 200 < calls.high


def test_the_estimate_for_no_texts_is_zero(task: TextClassification) -> None:
    estimate = estimate_annotation(InferenceEndpointsAnnotator("m", base_url=UNREACHABLE), task, [], probe=5)
    assert estimate.prompt_tokens.high == 0


def test_an_annotator_without_prompts_needs_no_tokens(task: TextClassification) -> None:
    estimate = estimate_annotation(ColumnAnnotator({}, "c"), task, REQUESTS)
    assert estimate.prompt_tokens == Interval(0, 0, 0)


def test_an_estimate_is_shown_as_a_table(task: TextClassification) -> None:
    annotator = InferenceEndpointsAnnotator("gpt-4o-mini", base_url=UNREACHABLE)
    shown = str(estimate_annotation(annotator, task, REQUESTS, price=Price(1.0, 2.5)))
    assert [line.split("  ")[0] for line in shown.splitlines()] == [
        "texts", "calls", "prompt tokens", "completion tokens", "cost", "time", "from"
    ]  # fmt: skip
    assert "$" in shown


def test_without_a_price_the_estimate_is_in_tokens_and_says_so(task: TextClassification) -> None:
    annotator = InferenceEndpointsAnnotator("gpt-4o-mini", base_url=UNREACHABLE)
    shown = str(estimate_annotation(annotator, task, REQUESTS, price=price_of(annotator)))
    assert "not known; give the price of the model with --prices FILE" in shown
    assert "$" not in shown


# ---- Prices ----


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[object], None]]:
    """The router of the inference providers on loopback; the argument is its list of models."""
    with ExitStack() as stack:

        def serve(models: object) -> None:
            async def listed(_: web.Request) -> web.Response:
                return web.json_response({"data": models})

            app = web.Application()
            app.router.add_get("/v1/models", listed)
            url = stack.enter_context(running(app))
            monkeypatch.setattr("huggingface_hub.constants.INFERENCE_PROXY_TEMPLATE", url + "/{provider}")

        yield serve


MODELS = [
    {
        "id": "org/name",
        "providers": [
            {"provider": "cheap", "pricing": {"input": 0.1, "output": 0.4}},
            {"provider": "fast", "pricing": {"input": 0.5, "output": 0.3}},
            {"provider": "silent"},
        ],
    }
]


@pytest.mark.parametrize(
    ("model", "provider", "price"),
    [
        ("org/name", "cheap", Price(0.1, 0.4)),
        ("org/name:fast", None, Price(0.5, 0.3)),
        ("org/name", None, Price(0.5, 0.4)),
        ("org/name", "silent", None),
        ("org/unheard-of", None, None),
    ],
)
def test_the_price_of_an_inference_provider_is_read_from_the_hub(
    model: str, provider: str | None, price: Price | None, router: Callable[[object], None]
) -> None:
    router(MODELS)
    assert price_of(InferenceEndpointsAnnotator(model, provider=provider)) == price


@pytest.mark.parametrize("models", [None, "x", [{}], [{"id": "org/name", "providers": 3}]], ids=str)
def test_a_list_of_prices_that_cannot_be_read_gives_no_price(models: object, router: Callable[[object], None]) -> None:
    router(models)
    assert hub_price("org/name") is None


def test_a_price_of_the_user_is_preferred_to_that_of_the_hub(tmp_path: Path, router: Callable[[object], None]) -> None:
    router(MODELS)
    (tmp_path / "prices.yaml").write_text("org/name: {prompt: 1, completion: 2.5, cached: 0.1}\n")
    annotator = InferenceEndpointsAnnotator("org/name")
    assert price_of(annotator, load_prices(tmp_path / "prices.yaml")) == Price(1.0, 2.5, cached=0.1)


def test_the_model_of_another_server_has_no_price_of_the_hub(router: Callable[[object], None]) -> None:
    router(MODELS)
    assert price_of(InferenceEndpointsAnnotator("org/name", base_url=UNREACHABLE)) is None


@pytest.mark.parametrize(
    "content",
    ["- a\n- b", "m: 3", "m: {prompt: 1}", "m: {prompt: x, completion: 1}", "[", "m: {prompt: -1, completion: 1}"],
)
def test_a_price_table_that_cannot_be_read_is_refused_with_an_example(content: str, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(content)
    with pytest.raises(InputError, match="prompt"):
        load_prices(tmp_path / "prices.yaml")


def test_a_missing_price_table_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        load_prices(tmp_path / "nowhere.yaml")
