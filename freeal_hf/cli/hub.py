"""The commands for the Hub, `push` and `pull`, and what `run --resume-from` reads from it."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.cli.command import Command
from freeal_hf.cli.options import TerminalOptions, described_result
from freeal_hf.config import HubConfig, RepositoryConfig, RunConfig, option, section
from freeal_hf.data.files import read_json
from freeal_hf.errors import InputError
from freeal_hf.loop.folder import CONFIG, STUDENT, RunFolder

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


@dataclass
class PushOptions:
    """What is pushed."""

    run_dir: str = option(positional=True, help="folder of the run", metavar="RUN_DIR")


@dataclass
class PullOptions(TerminalOptions):
    """What is pulled."""

    repo: str = option(positional=True, help="dataset repository of the run", metavar="REPO")
    revision: str | None = option(help="round to pull, such as round-1", none="the newest", metavar="TAG")
    output_dir: str | None = option(help="folder to create", none="runs/NAME", metavar="DIR")


def _push(given: dict[str, Any], _: Sequence[str]) -> None:
    import datasets

    from freeal_hf.hub.push import prepare_push, push_rounds

    datasets.disable_progress_bars()
    run_dir = given.pop("run_dir")
    folder = RunFolder(run_dir)
    if not (folder / CONFIG).is_file():
        raise InputError(f"{run_dir!r} is not the folder of a run; give OUTPUT_DIR of freeal-hf run.")
    config = folder.config(**given)
    private = config.training.get("hub_private_repo") is not False
    target = prepare_push(folder, config.hub, model_id=config.training.get("hub_model_id"), private=private)
    print("On the Hub:", *push_rounds(folder, target), sep="\n  ")


def _pull(given: dict[str, Any], _: Sequence[str]) -> None:
    from freeal_hf.hub.pull import pull_run
    from freeal_hf.loop.results import load_result

    options = section(PullOptions, given)
    folder = pull_run(options.repo, options.output_dir or default_folder(options.repo), revision=options.revision)
    result = load_result(folder.path)
    print(described_result(result, as_json=options.json))


def resumed(repo: str, file: str | None, given: Mapping[str, Any]) -> tuple[RunConfig, "Dataset", "Dataset | None"]:
    """Returns the configuration, texts and test texts of a run that is resumed from the Hub.

    Args:
        repo (`str`): The dataset repository of the run.
        file (`str`, *optional*): The configuration file of the command.
        given (`Mapping`): The other options of the command, by name.

    Returns:
        `tuple[RunConfig, Dataset, Dataset | None]`: The configuration, the texts, and the test texts if there are any
        and no other test data is given.

    Raises:
        InputError: If an option that cannot be pushed is missing, or an option contradicts the pushed ones.
    """
    from freeal_hf.hub.pull import holds_run, input_of, pull_run, test_of

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "--resume-from works in one process only: pull the run first (freeal-hf pull), and launch it in its "
            "folder."
        )
    options = {**(RunConfig.from_yaml(file).options() if file is not None else {}), **given}
    if "data" in options:
        raise InputError("--resume-from uses the texts of the run; leave --data out.")
    output_dir = options.setdefault("output_dir", default_folder(repo))
    folder = RunFolder(output_dir) if holds_run(output_dir, repo) else pull_run(repo, output_dir)
    # The names of joined columns are not pushed with the dataset, but are stored with the student.
    student = read_json(folder / STUDENT / "config.json")
    config = folder.config(**{"text_columns": student.get("text_columns") or ["text"], **options})
    for name, value in (("annotator", config.annotators.annotator), ("student", config.student.student)):
        if not isinstance(value, str):
            raise InputError(f"The {name} of {repo} was only on its own machine; give one with --{name}.")
    rounds = config.loop.num_rounds
    if folder.metrics(rounds - 1) is not None:
        logger.warning("All %d rounds of %s are finished; --num-rounds %d adds one.", rounds, repo, rounds + 1)
    return config, input_of(folder), None if config.data.test_data else test_of(folder)


def default_folder(repo: str) -> str:
    """Returns the default folder for a pull.

    Args:
        repo (`str`): The dataset repository.
    """
    return str(Path("runs") / repo.split("/")[-1])


PUSH = Command(
    "push",
    help="push the rounds of a run to the Hub",
    description="Pushes all finished rounds that are not on the Hub yet. It can be repeated.",
    run=_push,
    groups={"": [PushOptions, RepositoryConfig, HubConfig]},
)
PULL = Command(
    "pull",
    help="download a round from the Hub",
    description="Creates the folder of a run from its dataset repository on the Hub, with labels and student.",
    run=_pull,
    groups={"": [PullOptions]},
)
