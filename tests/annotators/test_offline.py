"""An error that comes from offline mode names the variable that is set."""

import pytest

from freeal_hf.annotators.registry import build_annotator
from freeal_hf.data.tables import read_tables
from freeal_hf.errors import FreeALError, offline_hint
from freeal_hf.training.student import check_loads


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets offline mode instead: the libraries make no call, and so do not repeat it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"])
@pytest.mark.parametrize(("value", "is_named"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_an_offline_variable_that_is_set_is_reported(name, value, is_named, monkeypatch):
    for other in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    assert (name in offline_hint()) == is_named


@pytest.mark.parametrize(
    "load",
    [
        lambda: list(read_tables("user/no-such-dataset")),
        lambda: check_loads("user/no-such-model", shown="user/no-such-model"),
        lambda: build_annotator("local:user/no-such-model"),
        lambda: build_annotator("embedding:user/no-such-model"),
    ],
    ids=["data", "student", "local", "embedding"],
)
def test_errors_of_loading_mention_offline_mode(load):
    with pytest.raises(FreeALError, match="HF_HUB_OFFLINE=1"):
        load()
