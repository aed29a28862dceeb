"""A dedicated endpoint is started if it is paused, and only the process that started it pauses it again."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.dedicated import DedicatedEndpoint
from freeal_hf.annotators.driver import run, session
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.work import annotation_work
from freeal_hf.errors import AnnotatorError
from freeal_hf.tasks import TextClassification
from tests.servers.chat import ChatServer
from tests.servers.management import NAME, NAMESPACE, ManagementServer, serve_management


@pytest.fixture
def manage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ManagementServer]]:
    """Starts a management API with one endpoint in the given state, and makes it huggingface_hub's."""
    with ExitStack() as stack:

        def start(state: str, url: str = "http://127.0.0.1:9", **options: object) -> ManagementServer:
            server = stack.enter_context(serve_management(ManagementServer(state, url, **options)))
            monkeypatch.setattr("freeal_hf.annotators.dedicated.POLL_SECONDS", 0.01)
            # huggingface_hub has no environment variable for this address
            monkeypatch.setattr("huggingface_hub.constants.INFERENCE_ENDPOINTS_ENDPOINT", f"{server.url}/v2")
            return server

        yield start


def endpoint(**options: float) -> DedicatedEndpoint:
    return DedicatedEndpoint(NAME, NAMESPACE, "hf_test", **options)


@pytest.mark.parametrize(
    ("state", "actions"),
    [("paused", ["resume", "pause"]), ("scaledToZero", ["request", "scale-to-zero"])],
)
def test_a_stopped_endpoint_is_started_and_stopped_in_the_same_way(
    state: str, actions: list[str], manage: Callable[..., ManagementServer], start: Callable[..., ChatServer]
) -> None:
    server = manage(state, start().url)
    dedicated = endpoint()
    assert dedicated.open() == server.model_url
    dedicated.close()
    assert (server.actions, server.state) == (actions, state)


@pytest.mark.parametrize("state", ["running", "initializing"])
def test_an_endpoint_that_was_already_running_is_not_stopped(
    state: str, manage: Callable[..., ManagementServer], start: Callable[..., ChatServer]
) -> None:
    server = manage(state, start().url)
    dedicated = endpoint()
    dedicated.open()
    dedicated.close()
    assert (server.actions, server.state) == ([], "running")


def test_nested_sessions_start_and_stop_the_endpoint_once(
    manage: Callable[..., ManagementServer], start: Callable[..., ChatServer]
) -> None:
    server = manage("paused", start().url)
    dedicated = endpoint()
    for step in (dedicated.open, dedicated.open, dedicated.close):
        step()
    assert server.state == "running"
    dedicated.close()
    assert server.actions == ["resume", "pause"]


def test_an_endpoint_that_fails_to_start_is_stopped_and_its_logs_are_shown(
    manage: Callable[..., ManagementServer],
) -> None:
    server = manage("paused", becomes="failed")
    with pytest.raises(AnnotatorError, match=r"failed to start.*endpoints/my-endpoint"):
        endpoint().open()
    assert server.actions == ["resume", "pause"]


def test_an_endpoint_that_does_not_start_in_time_is_stopped(manage: Callable[..., ManagementServer]) -> None:
    server = manage("paused", looks=10**6)
    with pytest.raises(AnnotatorError, match="still initializing"):
        endpoint(wait_seconds=0.05).open()
    assert server.actions == ["resume", "pause"]


def test_an_endpoint_that_cannot_be_stopped_is_reported_as_running(
    manage: Callable[..., ManagementServer], start: Callable[..., ChatServer]
) -> None:
    manage("paused", start().url, refuses=("pause",))
    dedicated = endpoint()
    dedicated.open()
    with pytest.raises(AnnotatorError, match=r"still running and costs money.*pause it at"):
        dedicated.close()


def test_an_endpoint_that_does_not_exist_is_reported(manage: Callable[..., ManagementServer]) -> None:
    manage("paused")
    with pytest.raises(AnnotatorError, match="no-such-endpoint"):
        DedicatedEndpoint("no-such-endpoint", NAMESPACE, "hf_test").open()


def annotate(annotator: InferenceEndpointsAnnotator, task: TextClassification) -> list[int]:
    return [
        annotation.label for _, annotation in run(annotation_work(annotator, task), [AnnotationRequest("a parcel")])
    ]


def test_an_annotator_named_after_an_endpoint_labels_through_it(
    task: TextClassification, manage: Callable[..., ManagementServer], start: Callable[..., ChatServer]
) -> None:
    server = manage("paused", start(oracle=lambda text, n: 1).url, looks=0)
    annotator = InferenceEndpointsAnnotator(NAME, namespace=NAMESPACE, token="hf_test")
    assert annotate(annotator, task) == [1]
    assert server.actions == ["resume", "pause"]


def test_the_endpoint_is_stopped_if_the_run_fails(
    task: TextClassification, manage: Callable[..., ManagementServer], start: Callable[..., ChatServer]
) -> None:
    server = manage("paused", start(token="another").url, looks=0)
    annotator = InferenceEndpointsAnnotator(NAME, namespace=NAMESPACE, token="hf_test")
    with pytest.raises(AnnotatorError, match="401"):
        annotate(annotator, task)
    assert server.actions == ["resume", "pause"]


def test_a_session_keeps_the_endpoint_running_between_runs(
    task: TextClassification, manage: Callable[..., ManagementServer], start: Callable[..., ChatServer]
) -> None:
    server = manage("paused", start().url, looks=0)
    annotator = InferenceEndpointsAnnotator(NAME, namespace=NAMESPACE, token="hf_test")
    with session(annotator):
        annotate(annotator, task)
        annotate(annotator, task)
    assert server.actions == ["resume", "pause"]
