"""The web app as a visitor uses it: started by the command line, driven by a browser and by gradio_client."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FRUIT
from tests.hub.conftest import hub_environment
from tests.servers.chat import Behaviour, ChatServer, serve
from tests.servers.hub import HubServer, serve_hub

ROOT = Path(__file__).parents[2]
IN_CI = bool(os.environ.get("CI"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SECRET = "the-operators-own-secret"  # stands in the Space's environment, and nowhere else

if not IN_CI:
    pytest.importorskip("gradio_client", reason="the Space's extra is not installed: pip install 'freeal-hf[space]'")

TASK = {"fruit": "something to eat", "tool": "something to work with"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@dataclass(frozen=True)
class RunningSpace:
    """A Space, its data folder and its process."""

    url: str
    data_dir: Path
    process: subprocess.Popen[bytes]


def free_port() -> int:
    """Returns a port that no server uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(port: int) -> bool:
    """Returns whether a server uses a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(data_dir: Path, environment: dict[str, str], **settings: Any) -> Iterator[RunningSpace]:
    """Runs `freeal-hf space` until the context ends."""
    port = free_port()
    named = {f"FREEAL_SPACE_{name.upper()}": json.dumps(value) for name, value in settings.items()}
    environment = {**environment, **named, "FREEAL_SPACE_DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT)}
    log = data_dir.with_suffix(".log").open("a")
    command = [sys.executable, "-m", "freeal_hf", "space", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        while not answers(port):  # until the time limit of the test, because a busy machine can take minutes
            assert process.poll() is None, data_dir.with_suffix(".log").read_text()
            time.sleep(0.1)
        yield RunningSpace(f"http://127.0.0.1:{port}", data_dir, process)
    finally:
        with suppress(ProcessLookupError):  # it ended by itself, and the log says why
            os.killpg(process.pid, 9)
        process.wait(20)
        log.close()


@pytest.fixture(scope="session")
def chat() -> Iterator[ChatServer]:
    """An endpoint that knows fruit from tools."""

    def oracle(text: str, num_labels: int) -> int:
        return 0 if any(word in text for word in FRUIT) else 1

    with serve(ChatServer(Behaviour(oracle=oracle))) as server:
        yield server


@pytest.fixture(scope="session")
def hub(tmp_path_factory) -> Iterator[HubServer]:
    with serve_hub(HubServer(tmp_path_factory.mktemp("lfs"))) as server:
        yield server


@pytest.fixture(scope="session")
def environment(hub: HubServer, tmp_path_factory) -> dict[str, str]:
    """The operator's: with a secret that no visitor's process may see."""
    found = hub_environment(hub, tmp_path_factory.mktemp("home"))
    return {**found, "HF_TOKEN": SECRET, "TOKENIZERS_PARALLELISM": "false"}


@pytest.fixture(scope="session")
def limits(student_folder: Path, hub: HubServer, chat: ChatServer) -> dict[str, Any]:
    """Settings under which a run takes seconds."""
    return {
        "max_rows": 60,
        "max_megabytes": 1,
        "max_characters": 400,
        "max_labels": 8,
        "max_rounds": 2,
        "visitor_runs": 100,
        "students": {"tiny": str(student_folder)},
        "training": {"num_train_epochs": 3, "learning_rate": 2e-3, "per_device_train_batch_size": 8},
        "own_urls": True,
        "trusted_addresses": [url.removeprefix("http://") for url in (hub.url, chat.url)],
    }


@pytest.fixture(scope="session")
def space(environment, limits, tmp_path_factory) -> Iterator[RunningSpace]:
    with serving(tmp_path_factory.mktemp("space") / "data", environment, **limits) as running:
        yield running


class Visitor:
    """A program that uses the Space as the page does.

    Args:
        url: The Space's address.
        folder: Where it keeps its downloads.
    """

    def __init__(self, url: str, folder: Path) -> None:
        from gradio_client import Client

        self.client = Client(url, verbose=False, download_files=str(folder))

    def __call__(self, name: str, *arguments: Any, **named: Any) -> Any:
        return self.client.predict(*arguments, api_name=f"/{name}", **named)

    def bring(self, file: Path, *, has_header: bool = True) -> str:
        """Uploads a file and gives the id of the new run."""
        from gradio_client import handle_file

        found = self("read_data", file=handle_file(str(file)), has_header=has_header)
        return str(found["run"])

    def prepare(self, file: Path, gold: str = "none") -> str:
        """Uploads a file of fruit and tools, and describes the task."""
        run = self.bring(file)
        self("use_data", run, ["text"], gold)
        self("describe_task", run, TASK, "What is it about?")
        return run

    def start(self, run: str, annotator: str = "Embedded", url: str = "", *, rounds: int = 1, key: str = "") -> None:
        self("start", run, annotator, "", url, "tiny", rounds, key, "")

    def status(self, run: str) -> dict[str, Any]:
        return self("status", run)

    def wait(self, run: str, until: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        """Waits until a run is over, or something else is true of its status."""
        until = until or (lambda status: status["state"] not in ("waiting", "running"))
        deadline = time.monotonic() + 200
        while not until(status := self.status(run)):
            assert time.monotonic() < deadline, status
            time.sleep(0.3)
        return status


@pytest.fixture(scope="session")
def visitor(space: RunningSpace, tmp_path_factory) -> Visitor:
    return Visitor(space.url, tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="session")
def texts(corpus, tmp_path_factory) -> Path:
    """Fifty short texts about fruit or tools, with gold."""
    path = tmp_path_factory.mktemp("texts") / "fruit and tools.csv"
    corpus.select(range(50)).to_csv(str(path), index=False)
    return path


@pytest.fixture(scope="session")
def finished(visitor: Visitor, texts: Path) -> str:
    """The id of a finished run, which no test changes."""
    run = visitor.prepare(texts, "gold")
    visitor.start(run, rounds=2)
    assert visitor.wait(run)["state"] == "finished"
    return run


@pytest.fixture(scope="module")  # while Playwright runs, no test in this process can use asyncio.run
def browser() -> Iterator[Any]:
    if not CHROMIUM and not IN_CI:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    if not IN_CI:
        pytest.importorskip("playwright", reason="playwright is not installed: pip install 'freeal-hf[test-space]'")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # A container has no user namespaces for Chromium's own sandbox; the only page is ours.
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Adds what the browser showed to the report of a failed test: CI keeps no screenshots."""
    report = yield
    if report.when == "call" and report.failed:
        for page, events in getattr(item, "pages", []):
            with suppress(Exception):  # a browser that crashed shows nothing
                report.sections.append((f"Text of {page.url}", page.locator("body").inner_text(timeout=5000)))
                report.sections.append(("Events of the browser", "\n".join(events[-40:])))
    return report


@pytest.fixture
def open_page(request, browser, space: RunningSpace) -> Iterator[Callable[..., Any]]:
    """Opens the Space in its own browser, which shares no cookies or storage.

    Without a run, the first step is open and has the example; with `landing`, the first page is open.
    """
    contexts = []
    request.node.pages = []

    def open_page(run: str = "", *, landing: bool = False, **options: Any) -> Any:
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        events: list[str] = []
        request.node.pages.append((page, events))
        started = time.monotonic()
        page.on("console", lambda said: events.append(f"{said.type}: {said.text}"))
        page.on("requestfailed", lambda sent: events.append(f"failed: {sent.url} {sent.failure}"))
        page.on("response", lambda got: events.append(f"{time.monotonic() - started:.1f} s {got.status} {got.url}"))
        page.set_default_timeout(120_000)
        page.goto(space.url + (f"/?run={run}" if run else ""))
        if not run and not landing:
            page.click("#label-texts")
            page.get_by_label("Example").check()
            # The server hides the field for files. A file that is chosen before that is lost.
            page.get_by_text("747 messages to the customer service").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
