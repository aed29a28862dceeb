"""The token and key of a visitor are only in memory: not in the browser, in pages of the server or in files."""

import json
import re
from importlib.metadata import requires, version

import httpx
import pytest
import yaml
from packaging.requirements import Requirement

from tests.servers.hub import TOKEN
from tests.web.conftest import ROOT

KEY = "a-key-that-nobody-may-find"

STORED = """async () => {
  const databases = [];
  for (const { name } of await indexedDB.databases()) {
    const database = await new Promise((resolve, reject) => {
      const request = indexedDB.open(name);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    for (const store of database.objectStoreNames) {
      databases.push(await new Promise((resolve) => {
        const request = database.transaction(store).objectStore(store).getAll();
        request.onsuccess = () => resolve(request.result);
      }));
    }
  }
  const caches_found = [];
  if (window.caches) {
    for (const name of await caches.keys()) {
      for (const request of await (await caches.open(name)).keys()) {
        caches_found.push(request.url, await (await caches.match(request)).text());
      }
    }
  }
  return JSON.stringify({
    local: { ...localStorage },
    session: { ...sessionStorage },
    databases,
    caches_found,
    cookies: document.cookie,
    address: window.location.href,
    fields: [...document.querySelectorAll("input, textarea")].map((field) => field.value),
    content: document.documentElement.outerHTML,
  });
}"""


@pytest.fixture(scope="module")
def visited(browser, space, visitor, chat, texts):
    """A run that was started in a browser with a key and a token: its page, its id, Gradio's names of the session."""
    run = visitor.prepare(texts)
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(120_000)
    sessions = set()
    page.on("request", lambda request: sessions.update(re.findall(r'session_hash"?[:=]"?(\w+)', _all_of(request))))
    page.goto(f"{space.url}/?run={run}")
    page.get_by_role("radio", name="A chat model on my own server").check()
    page.get_by_label("Model", exact=True).fill("")
    page.get_by_label("Address of the server").fill(chat.url)
    page.get_by_label("Your key for this model").locator("visible=true").fill(KEY)
    page.get_by_role("button", name="Hugging Face token").click()
    page.get_by_label("Your token").fill(TOKEN)
    page.locator("#estimate").get_by_text("paid from your account").wait_for()
    page.click("#start:not([disabled])")
    page.wait_for_selector("#tiles .tile")
    yield page, run, sessions
    context.close()


def _all_of(request):
    return request.url + (request.post_data_buffer or b"").decode(errors="replace")


@pytest.mark.parametrize("secret", [KEY, TOKEN])
def test_the_browser_stores_no_secret_after_a_run(visited, secret):
    page, _, _ = visited
    assert secret not in page.evaluate(STORED)
    assert secret not in json.dumps(page.context.cookies())


def test_no_text_is_kept_in_the_browser(visited):
    stored = json.loads(visited[0].evaluate(STORED))
    kept = json.dumps([stored["local"], stored["session"], stored["databases"], stored["caches_found"]])
    assert "apple" not in kept
    assert "gradio" not in kept


@pytest.mark.parametrize("secret", [KEY, TOKEN])
def test_no_page_of_the_server_has_a_secret(visited, space, secret):
    page, run, sessions = visited
    paths = [
        *("/", f"/?run={run}", "/config", "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/app_id"),
        *(
            "/gradio_api/runs",
            "/gradio_api/runs/",
            "/gradio_api/run-history/records",
            "/gradio_api/run-history/buckets",
        ),
        *("/monitoring", "/monitoring/summary", "/gradio_api/profiling/traces", "/gradio_api/startup-events"),
        *(f"/gradio_api/deep_link?session_hash={session}" for session in sessions),
    ]
    assert sessions
    for path in paths:
        answer = page.context.request.get(space.url + path)
        assert secret not in answer.text(), path


@pytest.mark.parametrize("path", ["/gradio_api/runs", "/gradio_api/runs/", "/gradio_api/deep_link?session_hash=x"])
def test_pages_of_gradio_with_inputs_of_visitors_do_not_exist(space, path):
    assert httpx.get(space.url + path).status_code == 404


@pytest.mark.parametrize("secret", [KEY, TOKEN])
def test_no_file_has_a_secret_after_a_run(visited, space, secret):
    for session in visited[2]:
        httpx.get(f"{space.url}/gradio_api/deep_link?session_hash={session}")
    files = [path for path in space.data_dir.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert secret not in space.data_dir.with_suffix(".log").read_text()


def test_the_space_is_deployed_with_the_gradio_that_is_tested():
    header = yaml.safe_load((ROOT / "space" / "README.md").read_text().split("---")[1])
    named = [Requirement(line) for line in requires("freeal-hf") if line.startswith("gradio")]
    assert named
    assert all(header["sdk_version"] in one.specifier and version("gradio") in one.specifier for one in named)
