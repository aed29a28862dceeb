"""The endpoint annotator against `transformers serve`, a server that was not written for these tests.

It takes a `response_format` and ignores it, refuses fields that it does not know, and returns no log-probabilities:
the lowest step of the ladder of constraints, on which answers are read by parsing.
"""

import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import transformers
from packaging.version import Version

from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.driver import in_order, run
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.work import annotation_work, generation_work
from tests.models import REVIEW_TASK, REVIEWS, WRITE_REVIEWS, WRITTEN_REVIEWS, chat_tokenizer, review_model

START_SECONDS = 120

pytestmark = [
    pytest.mark.skipif(
        not all(map(find_spec, ("fastapi", "uvicorn", "openai"))), reason="transformers[serving] is not installed"
    ),
    pytest.mark.skipif(
        Version(transformers.__version__) < Version("5"), reason="the serve command of transformers 4 only streams"
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model that answers the reviews as a person would."""
    folder = tmp_path_factory.mktemp("review-model")
    review_model().save_pretrained(folder)
    chat_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def annotator(folder, tmp_path_factory):
    """The annotator with a server of that model in its own process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cache = tmp_path_factory.mktemp("transformers-serve")
    log = cache / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [Path(sys.executable).with_name("transformers"), "serve", "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(server, port, log)
        yield InferenceEndpointsAnnotator(folder, base_url=f"http://127.0.0.1:{port}/v1", max_tokens=32, timeout=30)
    finally:
        server.terminate()
        server.wait(10)


def wait_for(server, port, log):
    """Waits until the server takes connections; says why where it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"transformers serve did not start:\n{log.read_text(errors='replace')[-3000:]}")


def label(annotator, texts):
    answers = dict(run(annotation_work(annotator, REVIEW_TASK), [AnnotationRequest(text) for text in texts]))
    return [answers[i] for i in range(len(answers))]


def test_texts_get_the_labels_that_the_model_gives(annotator):
    assert [answer.label for answer in label(annotator, REVIEWS)] == list(REVIEWS.values())


def test_a_text_without_a_usable_answer_has_a_reason(annotator):
    for answer in label(annotator, ["the", "<|im_end|>", "}" * 300]):
        assert answer.is_labelled != (answer.reason is not None)


def test_a_constraint_that_the_server_ignores_is_not_used(annotator):
    label(annotator, ["Never dull."])
    assert annotator._features.form.constraint == "none"


def test_there_is_no_confidence_without_log_probabilities(annotator):
    assert label(annotator, ["Never dull."])[0].confidence is None


def test_tokens_are_counted_as_the_server_counts_them(annotator):
    answer = label(annotator, ["Never dull."])[0]
    assert answer.prompt_tokens > 100 and answer.completion_tokens > 5


def test_texts_are_written_for_a_label(annotator):
    annotator.generation_temperature = 0.1
    assert in_order(run(generation_work(annotator, REVIEW_TASK), [WRITE_REVIEWS]))[0].texts == WRITTEN_REVIEWS
