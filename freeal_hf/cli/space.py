"""The command `space`: starts the web app on this machine, or uploads it to the Hub. It never imports the web app."""

import os
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import freeal_hf
from freeal_hf.cli.command import Command
from freeal_hf.config import option, section
from freeal_hf.errors import InputError

_REQUIREMENTS = "requirements.txt"
_FILES = ("README.md", "app.py", _REQUIREMENTS)


@dataclass
class SpaceOptions:
    """Where the Space is started."""

    action: str | None = option(
        positional=True, nargs="?", choices=("deploy",), help="create or update the Space on the Hub"
    )
    repo: str | None = option(positional=True, nargs="?", help="the Space on the Hub", metavar="USER/NAME")
    port: int | None = option(help="port on this machine", none="the first free port from 7860", metavar="N")
    package: str | None = option(
        help="wheel or Git address (git+https://...) that the Space installs, such as of a version without a release",
        none="the release of this version on PyPI",
        metavar="WHEEL",
    )
    public: bool = option(False, action="store_true", help="make a new Space public (default: private)")


def _space(given: dict[str, Any], _: Sequence[str]) -> None:
    options = section(SpaceOptions, given)
    if options.action == "deploy":
        _deploy(options.repo, options.package, private=not options.public)
        return
    missing = [name for name in ("gradio", "plotly") if find_spec(name) is None]
    if missing:
        raise InputError(f"The Space needs {missing[0]}: pip install 'freeal-hf[space]'.")
    environment = dict(os.environ)
    if options.port is not None:
        environment["GRADIO_SERVER_PORT"] = str(options.port)
    # On the user's own machine, URLs of endpoints are safe.
    environment.setdefault("FREEAL_SPACE_OWN_URLS", "true")
    # The app replaces this process, so that any signal to this process ends it.
    environment.setdefault("PYTHONSAFEPATH", "1")  # `python -m` must not import modules from the current folder
    os.execve(sys.executable, [sys.executable, "-m", "freeal_hf.web"], environment)


def space_files(package: str | None = None) -> dict[str, bytes]:
    """Returns the files of a Space on the Hub by path.

    Args:
        package (`str`, *optional*): A wheel, which is one of the files, or an address that pip installs. By default
            the Space installs the release of this version.

    Returns:
        `dict[str, bytes]`: The content of the files.

    Raises:
        InputError: If the package is no wheel of freeal-hf and no address.
    """
    folder = files("freeal_hf.space_app")
    found = {name: folder.joinpath(name).read_bytes() for name in _FILES}
    named = found[_REQUIREMENTS].decode().strip()
    if package is None:
        needed = [f"{named}=={freeal_hf.__version__}"]
    elif "://" in package:
        needed = [f"{named} @ {package}"]
    else:
        wheel = Path(package)
        # Spaces install requirements before they copy other files, so the wheel itself is installed by app.py.
        needed, found[wheel.name] = _needed_by(wheel, named), wheel.read_bytes()
    return {**found, _REQUIREMENTS: "".join(f"{line}\n" for line in needed).encode()}


def _needed_by(wheel: Path, named: str) -> list[str]:
    """Returns the requirements of a wheel with the extras of a requirement."""
    from importlib.metadata import PathDistribution

    from packaging.requirements import Requirement

    if not (wheel.is_file() and wheel.name.startswith("freeal_hf-") and wheel.suffix == ".whl"):
        raise InputError(
            f"{str(wheel)!r} is not a wheel of freeal-hf; build one with `pip wheel --no-deps .`, or give the address "
            "of a Git repository, such as git+https://github.com/OWNER/freeal-hf."
        )
    about = next(entry for entry in zipfile.Path(wheel).iterdir() if entry.name.endswith(".dist-info"))
    extras = ["", *Requirement(named).extras]
    needed = []
    for requirement in map(Requirement, PathDistribution(about).requires or ()):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            requirement.marker = None
            needed.append(str(requirement))
    return needed


def _deploy(repo: str | None, package: str | None, *, private: bool) -> None:
    if repo is None or repo.count("/") != 1:
        raise InputError(f"{repo!r} is not the name of a Space; give USER/NAME, such as ada/freeal.")
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    from freeal_hf.hub.client import calling, connect

    wanted = space_files(package)
    api, place = connect(), f"Space {repo}"
    calling(place, api.create_repo, repo, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
    there = calling(place, api.list_repo_files, repo, repo_type="space")
    # Modules and wheels of a former version are deleted. Other files belong to the owner of the Space.
    old = [path for path in there if path.endswith((".py", ".whl")) and "/" not in path and path not in wanted]
    operations = [
        *(CommitOperationAdd(path, content) for path, content in wanted.items()),
        *(CommitOperationDelete(path) for path in old),
    ]
    message = f"Deploy freeal-hf {freeal_hf.__version__}"
    calling(place, api.create_commit, repo, operations, commit_message=message, repo_type="space")
    print(
        f"{api.endpoint}/spaces/{repo} now has freeal-hf {freeal_hf.__version__}. Check its settings:\n"
        "  hardware            the free CPU is enough to try it; a larger CPU or a GPU for more than 1,000 texts\n"
        "  persistent storage  without it, a restart of the Space deletes all runs\n"
        "  variables           FREEAL_SPACE_MAX_ROWS and others: see its README.md\n"
        "  secrets             none is needed: visitors use their own login"
    )


SPACE = Command(
    "space",
    help="start the web app on this machine, or upload it to the Hub as a Space",
    description="Starts the web app on this machine. `freeal-hf space deploy USER/NAME` uploads it to the Hub.",
    epilog="Environment variables set limits and other settings: see space/README.md.",
    run=_space,
    groups={"": [SpaceOptions]},
)
