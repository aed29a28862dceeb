"""`freeal-hf doctor`, run as a process against the loopback Hub."""

import subprocess
import sys

import pytest

import freeal_hf
from tests.hub.conftest import hub_environment
from tests.servers.hub import HubServer, serve_hub


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    with serve_hub(HubServer(tmp_path_factory.mktemp("lfs"))) as hub:
        environment = hub_environment(hub, tmp_path_factory.mktemp("home"))
        command = [sys.executable, "-m", "freeal_hf", "doctor"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_it_prints_the_version(printed):
    assert f"freeal-hf        {freeal_hf.__version__}\n" in printed


def test_it_prints_the_account_that_the_hub_sees(printed):
    assert "logged in as ada" in printed


def test_it_prints_no_token(printed):
    assert "hf_" not in printed


def test_it_says_which_extras_are_installed(printed):
    assert "extra demo       installed\n" in printed
