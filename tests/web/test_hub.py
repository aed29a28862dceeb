"""Datasets from the Hub, pushes to it, and the Space on it, always with the token of the visitor."""

import subprocess
import sys
from importlib.resources import files

import pytest
import yaml

import freeal_hf
from tests.servers.hub import READ_TOKEN, TOKEN, regular
from tests.web.conftest import ROOT, SECRET


def test_a_file_of_a_hub_data_set_is_read(visitor, hub, texts):
    repo = hub.create("dataset", "lab/fruit", private=False)
    repo.commit("data", {"data/train.csv": regular(texts.read_bytes()), "test.csv": regular(b"text\nother\n")})
    run, *_, problems = visitor("read_data", "", "Hub dataset", None, "", "lab/fruit", "", True, "")
    assert run
    assert "50 rows read" in problems


def test_a_hub_file_over_the_limit_is_not_fetched(visitor, hub):
    hub.create("dataset", "lab/large", private=False).commit("data", {"train.csv": regular(b"x" * (2**20 + 1))})
    with pytest.raises(Exception, match="the limit is 1 MB"):
        visitor("read_data", "", "Hub dataset", None, "", "lab/large", "", True, "")


def test_a_private_data_set_is_not_read_with_the_operators_token(visitor, hub):
    hub.create("dataset", "ada/private").commit("data", {"train.csv": regular(b"text\nsecret\n")})
    with pytest.raises(Exception, match=r"40[14]"):
        visitor("read_data", "", "Hub dataset", None, "", "ada/private", "", True, "")
    assert "1 row read" in visitor("read_data", "", "Hub dataset", None, "", "ada/private", "", True, TOKEN)[-1]


def test_results_are_pushed_with_the_visitors_token(finished, visitor, hub):
    said = visitor("push", finished, "my-fruit", TOKEN)
    assert "ada/my-fruit-freeal" in said
    assert {("dataset", "ada/my-fruit-freeal"), ("model", "ada/my-fruit-student")} <= set(hub.repos)


def test_a_push_tells_nobody_the_address_of_the_run(finished, visitor, hub):
    visitor("push", finished, "my-fruit", TOKEN)
    assert not [content for content in hub.uploaded() if finished.encode() in content]


def test_a_push_without_a_login_asks_for_one(finished, visitor, hub):
    with pytest.raises(Exception, match="Log in or enter a token at the top"):
        visitor("push", finished, "my-fruit", "")


def test_a_token_without_write_permission_is_reported(finished, visitor, hub):
    with pytest.raises(Exception, match="403"):
        visitor("push", finished, "other-fruit", READ_TOKEN)


# ---- The Space itself ----


@pytest.fixture
def command(environment):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "freeal_hf", "space", *arguments],
            env={**environment, "HF_TOKEN": TOKEN},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

    return run


def test_the_space_is_deployed_and_updated(command, hub):
    first = command("deploy", "ada/freeal")
    assert first.returncode == 0, first.stderr
    hub.write("space", "ada/freeal", "gone.py", b"import old")
    hub.write("space", "ada/freeal", "NOTES.md", b"the owner's")
    assert command("deploy", "ada/freeal").returncode == 0
    space = hub.repos["space", "ada/freeal"]
    files = space.commits[space.head]
    assert {"app.py", "README.md", "requirements.txt", "NOTES.md"} <= set(files)
    assert "gone.py" not in files
    assert space.private


def test_a_deployed_space_is_pinned_to_this_version_and_holds_no_secret(command, hub):
    command("deploy", "ada/pinned")
    requirements = hub.read("space", "ada/pinned", "requirements.txt").decode()
    assert requirements.strip() == f"freeal-hf[space,demo]=={freeal_hf.__version__}"
    space = hub.repos["space", "ada/pinned"]
    assert not [path for path, blob in space.commits[space.head].items() if SECRET.encode() in (blob.content or b"")]


def test_the_space_names_hardware_and_login_in_its_header():
    header = yaml.safe_load((ROOT / "space" / "README.md").read_text().split("---")[1])
    assert header["sdk"] == "gradio"
    assert header["app_file"] == "app.py"
    assert header["hf_oauth"] is True
    assert "inference-api" in header["hf_oauth_scopes"]


def test_an_invalid_name_of_a_space_is_refused(command):
    done = command("deploy", "freeal")
    assert done.returncode == 1
    assert "USER/NAME" in done.stderr


def test_the_space_is_part_of_the_package():
    config = (ROOT / "setup.cfg").read_text()
    assert "freeal_hf.space_app = space" in config
    assert files("freeal_hf.space_app").joinpath("app.py").is_file()
