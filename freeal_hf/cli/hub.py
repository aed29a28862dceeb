"""The commands and options for the Hub: `push`, `pull`, `run --push-to-hub` and `run --resume-from`."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.cli.options import add_options
from freeal_hf.config import NOTED, HubConfig, section
from freeal_hf.data.files import read_json
from freeal_hf.errors import InputError
from freeal_hf.loop.folder import STUDENT, RunFolder

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


def add_hub_options(group: Any) -> None:
    """Adds the options that `run` and `push` have in common.

    Args:
        group (`Any`): The argument group of a parser.
    """
    group.add_argument("--hub-model-id", metavar="ID", help="model repository (default: USER/FOLDER-student)")
    add_options(group, HubConfig)
    group.add_argument(
        "--hub-public",
        dest="hub_private_repo",
        action="store_false",
        help="make new repositories public (default: private)",
    )


def add_push(commands: Any) -> None:
    """Adds the command `push`."""
    push = commands.add_parser(
        "push",
        help="push the rounds of a run to the Hub",
        description="Pushes all finished rounds that are not on the Hub yet. It can be repeated.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    push.add_argument("run_dir", metavar="RUN_DIR", help="folder of the run")
    add_hub_options(push)


def add_pull(commands: Any) -> None:
    """Adds the command `pull`."""
    pull = commands.add_parser(
        "pull",
        help="download a round from the Hub",
        description="Creates the folder of a run from its dataset repository on the Hub, with labels and student.",
        allow_abbrev=False,
    )
    pull.add_argument("repo", metavar="REPO", help="dataset repository of the run")
    pull.add_argument("--revision", metavar="TAG", help="round to pull, such as round-1 (default: the newest)")
    pull.add_argument("--output-dir", metavar="DIR", help="folder to create (default: runs/NAME)")


def push(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Runs the command `push`."""
    import datasets

    from freeal_hf.hub.files import read_config
    from freeal_hf.hub.push import prepare_push, push_rounds

    datasets.disable_progress_bars()
    folder = RunFolder(options.run_dir)
    if not (folder / "config.yaml").is_file():
        raise InputError(f"{options.run_dir!r} is not the folder of a run; give OUTPUT_DIR of freeal-hf run.")
    values = {**read_config(folder), **vars(options)}
    target = prepare_push(
        folder,
        section(HubConfig, values),
        model_id=values.get("hub_model_id"),
        private=values.get("hub_private_repo") is not False,
    )
    print("On the Hub:", *push_rounds(folder, target), sep="\n  ")


def pull(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Runs the command `pull`."""
    from freeal_hf.hub.pull import pull_run
    from freeal_hf.loop.results import load_result
    from freeal_hf.reporting.report import summary

    folder = pull_run(options.repo, options.output_dir or default_folder(options.repo), revision=options.revision)
    result = load_result(folder.path)
    print(f"{summary(result.rounds)}\n\nLabels, student and report are in {result.output_dir}/")


def resumed(values: Mapping[str, Any]) -> tuple[dict[str, Any], "Dataset", "Dataset | None"]:
    """Returns the options, texts and test texts of a run that is resumed from the Hub.

    Args:
        values (`Mapping`): The given options, with `resume_from`.

    Returns:
        `tuple[dict[str, Any], Dataset, Dataset | None]`: The options, the texts, and the test texts if there are any.

    Raises:
        InputError: If an option that cannot be pushed is missing, or an option contradicts the pushed ones.
    """
    from freeal_hf.hub.files import read_config
    from freeal_hf.hub.pull import holds_run, input_of, pull_run, test_of

    given = dict(values)
    repo = given.pop("resume_from")
    if "data" in given:
        raise InputError("--resume-from uses the texts of the run; leave --data out.")
    output_dir = given.setdefault("output_dir", default_folder(repo))
    folder = RunFolder(output_dir) if holds_run(output_dir, repo) else pull_run(repo, output_dir)
    config = {key: value for key, value in read_config(folder).items() if key not in NOTED}
    # The names of joined columns are not pushed with the dataset, but are stored with the student.
    student = read_json(folder / STUDENT / "config.json")
    merged = {"text_columns": student.get("text_columns") or ["text"], **config, **given}
    for name in ("annotator", "student"):
        if not isinstance(merged.get(name), str):
            raise InputError(f"The {name} of {repo} was only on its own machine; give one with --{name}.")
    rounds = int(merged["num_rounds"])
    if folder.metrics(rounds - 1) is not None:
        logger.warning("All %d rounds of %s are finished; --num-rounds %d adds one.", rounds, repo, rounds + 1)
    return merged, input_of(folder), test_of(folder)


def default_folder(repo: str) -> str:
    """Returns the default folder for a pull.

    Args:
        repo (`str`): The dataset repository.

    Returns:
        `str`: The folder.
    """
    return str(Path("runs") / repo.split("/")[-1])
