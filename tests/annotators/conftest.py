"""What the annotation tests share: a task, and servers on loopback."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from freeal_hf.tasks import TextClassification
from tests.servers.chat import Behaviour, ChatServer, serve


@pytest.fixture(autouse=True)
def online(online: None) -> None:
    """All annotators may call the servers on loopback."""


@pytest.fixture
def task() -> TextClassification:
    return TextClassification(
        {"billing": "money, invoices, refunds", "shipping": "parcels and delivery", "other": "anything else"},
        description="What a customer writes to a shop about.",
    )


@pytest.fixture
def start() -> Iterator[Callable[..., ChatServer]]:
    """Starts a chat server that behaves as the arguments say; it ends with the test."""
    with ExitStack() as stack:
        yield lambda **behaviour: stack.enter_context(serve(ChatServer(Behaviour(**behaviour))))
