"""The endpoint annotator against servers that were not written for these tests: `make test-servers` installs them.

`SERVERS_VENV` names the folder of their virtual environments, one for each server.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from freeal_hf.annotators.base import Annotation, AnnotationRequest, GenerationRequest
from freeal_hf.annotators.driver import in_order, run
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.work import annotation_work, generation_work
from freeal_hf.tasks import TextClassification

START_SECONDS = 120
TINY_GGUF = Path(__file__).parents[1] / "servers" / "tiny_gguf.py"
TASK = TextClassification(["billing", "shipping", "other"])
TEXTS = ["Where is my parcel?", "I want my money.", "Hello!"]
LITELLM = """
model_list:
  - model_name: embedding-model
    litellm_params: {model: openai/text-embedding-3-small, api_key: none, api_base: "http://127.0.0.1:9/v1"}
  - model_name: chat-model
    litellm_params: {model: openai/gpt-4o, api_key: none, mock_response: "{\\"label\\": \\"B\\"}"}
  - model_name: limited-model
    litellm_params: {model: openai/gpt-4o, api_key: none, mock_response: litellm.RateLimitError}
"""


def program(server: str, name: str) -> str:
    """A program of a server's virtual environment; the test is skipped where it is not installed."""
    path = Path(os.environ.get("SERVERS_VENV", "")) / server / "bin" / name
    if not os.environ.get("SERVERS_VENV") or not path.exists():
        pytest.skip(f"{server} is not installed; `make test-servers` does it")
    return str(path)


@contextmanager
def running(command: Callable[[int], list[str]], log: Path, **environment: str) -> Iterator[str]:
    """Runs a server on a free port, and gives its URL as soon as it takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with log.open("wb") as output:
        server = subprocess.Popen(
            command(port), env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server of llama-cpp-python with a tiny random model."""
    python, folder = program("llama", "python"), tmp_path_factory.mktemp("llama")
    subprocess.run([python, str(TINY_GGUF), str(folder / "tiny.gguf")], check=True)
    command = [python, "-m", "llama_cpp.server", "--model", str(folder / "tiny.gguf"), "--n_ctx", "4096"]
    with running(lambda port: [*command, "--host", "127.0.0.1", "--port", str(port)], folder / "log") as url:
        yield url


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The proxy of LiteLLM with models that give a fixed answer."""
    proxy, folder = program("litellm", "litellm"), tmp_path_factory.mktemp("litellm")
    (folder / "config.yaml").write_text(LITELLM)
    command = [proxy, "--config", str(folder / "config.yaml"), "--host", "127.0.0.1"]
    with running(
        lambda port: [*command, "--port", str(port)],
        folder / "log",
        LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY="true",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
    ) as url:
        yield url


def label(annotator: InferenceEndpointsAnnotator) -> list[Annotation]:
    answers = dict(run(annotation_work(annotator, TASK), [AnnotationRequest(text) for text in TEXTS]))
    return [answers[i] for i in range(len(TEXTS))]


def test_llama_cpp_python_constrains_a_random_model_to_the_labels(llama: str) -> None:
    annotator = InferenceEndpointsAnnotator(llama, concurrency=1)
    assert all(answer.is_labelled for answer in label(annotator))
    assert annotator._features.form.constraint == "json_object"


def test_llama_cpp_python_constrains_a_random_model_to_a_list_of_texts(llama: str) -> None:
    annotator = InferenceEndpointsAnnotator(llama, concurrency=1, generation_max_tokens=600)
    [written] = in_order(run(generation_work(annotator, TASK), [GenerationRequest(1, ("hello",), 3)], max_attempts=2))
    assert written.completion_tokens > 0


def test_answers_of_the_litellm_proxy_are_parsed(litellm: str) -> None:
    annotator = InferenceEndpointsAnnotator("chat-model", base_url=litellm)
    assert [answer.label for answer in label(annotator)] == [1, 1, 1]


def test_a_chat_model_of_litellm_is_chosen(litellm: str, caplog: pytest.LogCaptureFixture) -> None:
    assert [answer.label for answer in label(InferenceEndpointsAnnotator(litellm))] == [1, 1, 1]
    assert "'chat-model' answers" in caplog.text
