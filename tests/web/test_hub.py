"""Datasets from the Hub, pushes to it, and the Space on it, always with the token of the visitor."""

import shutil
import subprocess
import sys
import zipfile
from importlib.resources import files

import httpx
import pytest
import yaml

import freeal_hf
from tests.servers.hub import READ_TOKEN, TOKEN, regular
from tests.web.conftest import ROOT, SECRET, free_port


def test_a_file_of_a_hub_data_set_is_read(visitor, hub, texts):
    repo = hub.create("dataset", "lab/fruit", private=False)
    repo.commit("data", {"data/train.csv": regular(texts.read_bytes()), "test.csv": regular(b"text\nother\n")})
    found = visitor("read_data", dataset="lab/fruit")
    assert found["run"]
    assert found["rows"] == 50


def test_a_hub_file_over_the_limit_is_not_fetched(visitor, hub):
    hub.create("dataset", "lab/large", private=False).commit("data", {"train.csv": regular(b"x" * (2**20 + 1))})
    with pytest.raises(Exception, match="the limit is 1 MB"):
        visitor("read_data", dataset="lab/large")


def test_a_private_data_set_is_not_read_with_the_operators_token(visitor, hub):
    hub.create("dataset", "ada/private").commit("data", {"train.csv": regular(b"text\nsecret\n")})
    with pytest.raises(Exception, match=r"40[14]"):
        visitor("read_data", dataset="ada/private")
    assert visitor("read_data", dataset="ada/private", token=TOKEN)["rows"] == 1


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


@pytest.fixture
def wheel(tmp_path):
    """A wheel of freeal-hf with requirements, but without its modules."""
    path = tmp_path / "freeal_hf-9.9-py3-none-any.whl"
    about = [
        "Metadata-Version: 2.4",
        "Name: freeal-hf",
        "Version: 9.9",
        "Provides-Extra: space",
        "Provides-Extra: test",
        "Requires-Dist: torch>=2.4",
        'Requires-Dist: plotly>=6; extra == "space"',
        'Requires-Dist: pytest; extra == "test"',
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("freeal_hf-9.9.dist-info/METADATA", "\n".join(about) + "\n")
    return path


def test_a_space_can_be_deployed_before_a_release_from_a_wheel(command, hub, wheel):
    hub.create("space", "ada/wheel").commit("old", {"freeal_hf-9.8-py3-none-any.whl": regular(b"old")})
    done = command("deploy", "ada/wheel", "--package", str(wheel))
    assert done.returncode == 0, done.stderr
    assert hub.read("space", "ada/wheel", "requirements.txt").decode().split() == ["torch>=2.4", "plotly>=6"]
    assert hub.read("space", "ada/wheel", wheel.name) == wheel.read_bytes()
    space = hub.repos["space", "ada/wheel"]
    assert "freeal_hf-9.8-py3-none-any.whl" not in space.commits[space.head]


def test_a_space_can_be_deployed_before_a_release_from_a_git_address(command, hub):
    command("deploy", "ada/git", "--package", "git+https://github.com/ada/freeal-hf")
    requirements = hub.read("space", "ada/git", "requirements.txt").decode()
    assert requirements == "freeal-hf[space,demo] @ git+https://github.com/ada/freeal-hf\n"


def test_a_missing_wheel_is_refused_before_the_space_is_made(command, hub):
    done = command("deploy", "ada/missing", "--package", "dist/freeal_hf-9.9-py3-none-any.whl")
    assert done.returncode == 1
    assert "is not a wheel of freeal-hf" in done.stderr
    assert ("space", "ada/missing") not in hub.repos


def test_the_folder_of_the_space_starts_alone(environment, tmp_path):
    shutil.copytree(ROOT / "space", tmp_path / "space")
    settings = {"GRADIO_SERVER_PORT": str(free_port()), "FREEAL_SPACE_DATA_DIR": str(tmp_path / "data")}
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        env={**environment, **settings, "PYTHONUNBUFFERED": "1"},
        cwd=tmp_path / "space",
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = next(line for line in process.stdout if "http://127.0.0.1" in line).split()[-1]
        assert "FreeAL" in httpx.get(address).text
    finally:
        process.kill()
        process.communicate()


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
