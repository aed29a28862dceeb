"""The login with Hugging Face, as on a Space, and an expired login."""

import shutil
import time

import pytest

from tests.servers.hub import TOKEN, USER
from tests.servers.openid import OpenIDServer, serve_openid
from tests.web.conftest import serving


@pytest.fixture(scope="module")
def provider():
    with serve_openid(OpenIDServer(USER, TOKEN)) as server:
        yield server


@pytest.fixture(scope="module")
def hosted(provider, environment, limits, space, finished, tmp_path_factory):
    """A Space as huggingface.co hosts it, with a finished run in its storage."""
    data_dir = tmp_path_factory.mktemp("hosted") / "data"
    shutil.copytree(space.data_dir / "runs" / finished, data_dir / "runs" / finished)
    oauth = {
        "OAUTH_CLIENT_ID": "space",
        "OAUTH_CLIENT_SECRET": "a-secret-of-the-space",
        "OAUTH_SCOPES": "openid profile inference-api contribute-repos",
        "OPENID_PROVIDER_URL": provider.url,
    }
    hosted_there = {**environment, **oauth, "SYSTEM": "spaces", "SPACE_ID": "ada/freeal"}
    with serving(data_dir, hosted_there, **limits) as running:
        yield running


@pytest.fixture
def page(hosted, finished, browser):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(120_000)
    # The cookie of the login is for secure origins alone, and localhost is one.
    page.goto(hosted.url.replace("127.0.0.1", "localhost") + f"/?run={finished}")
    page.wait_for_selector("#tiles .tile")
    yield page
    context.close()


def log_in(page):
    page.get_by_role("button", name="Sign in with Hugging Face").click()
    page.get_by_role("button", name=f"Logout ({USER})").wait_for()
    page.wait_for_selector("#tiles .tile")  # the login comes back to the run


def push(page, name):
    page.get_by_role("tab", name="Download").click()
    field = page.locator("#push-name input, #push-name textarea")
    if not field.is_visible():
        page.get_by_role("button", name="Upload to the Hugging Face Hub").click()
    field.fill(name)
    page.click("#push")


def test_a_visitor_who_is_logged_in_pushes_with_that_login(page, hub):
    log_in(page)
    push(page, "logged-in")
    page.get_by_text("ada/logged-in-freeal").wait_for()
    assert ("dataset", "ada/logged-in-freeal") in hub.repos


def test_an_expired_login_is_requested_again_and_the_run_is_kept(page, provider, hub):
    provider.lifetime = 1
    with page.expect_request("**/login/callback**"):
        page.get_by_role("button", name="Sign in with Hugging Face").click()
    page.wait_for_load_state()
    page.wait_for_selector("#tiles .tile")
    time.sleep(1.1)
    push(page, "again")
    page.get_by_text("is missing or has expired").wait_for()
    provider.lifetime = 3600
    page.reload()
    log_in(page)
    push(page, "again")
    page.get_by_text("ada/again-freeal").wait_for()
    assert ("dataset", "ada/again-freeal") in hub.repos
