"""The command `doctor`: prints what a bug report needs, and what is missing on a machine."""

import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from typing import Any

import freeal_hf
from freeal_hf.cli.command import Command

_LIBRARIES = ("torch", "transformers", "huggingface_hub", "datasets", "accelerate", "numpy", "scikit-learn")
_DEVELOPMENT = ("bench", "docs", "examples", "quality", "test", "test-space")


def _doctor(given: dict[str, Any], _: Sequence[str]) -> None:
    rows = {
        "freeal-hf": freeal_hf.__version__,
        "Python": f"{platform.python_version()} on {platform.platform()}",
        **{name: _version(name) or "not installed" for name in _LIBRARIES},
        "devices": ", ".join(_devices()),
        "Hub": _hub(),
        **{f"extra {name}": _extra(needed) for name, needed in _extras().items()},
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:{width}}  {value}")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> list[str]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    mps = ["Apple GPU (mps)"] if torch.backends.mps.is_available() else []
    return [*gpus, *mps, f"CPU with {os.cpu_count()} cores, {torch.get_num_threads()} threads"]


def _hub() -> str:
    """Returns whose token the Hub accepts, or why it cannot be asked. There are no repetitions, so that it is fast."""
    from freeal_hf.hub.client import connect, explained

    api = connect()
    try:
        return f"{api.endpoint}, logged in as {api.whoami()['name']}"
    except Exception as error:  # the command describes the machine, also if the network fails in an unknown way
        return f"{api.endpoint}, not logged in. {explained('your account', error)}"


def _extras() -> dict[str, list[str]]:
    """Returns the packages of each extra that a user can install."""
    found: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("freeal-hf") or ():
        package, _, condition = line.partition(";")
        extra = re.search(r"extra == ['\"]([^'\"]+)", condition)
        if extra and extra[1] not in _DEVELOPMENT:
            found.setdefault(extra[1], []).append(re.split(r"[^\w.-]", package.strip())[0])
    return found


def _extra(needed: Sequence[str]) -> str:
    missing = [name for name in needed if _version(name) is None]
    return f"needs {', '.join(missing)}" if missing else "installed"


DOCTOR = Command(
    "doctor",
    help="print versions, devices, the login of the Hub, and extras",
    description="Prints versions, devices, the account that the Hub sees, and which extras are installed. It never "
    "prints a token: its output can be a part of a bug report.",
    run=_doctor,
    groups={},
)
