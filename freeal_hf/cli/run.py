"""The commands `run` and `demo`: label texts and train a student."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.cli.command import Command
from freeal_hf.cli.ending import AUDIT, BUDGET_SPENT, FINISHED, TRIED, End, record_end
from freeal_hf.cli.hub import resumed
from freeal_hf.cli.options import TerminalOptions, described_result, quiet_libraries
from freeal_hf.cli.training import TrainingHelp, parse_training
from freeal_hf.config import SECTIONS, HubConfig, OutputConfig, PushConfig, RunConfig, named_values, option, section
from freeal_hf.data.configured import data_source
from freeal_hf.errors import InputError
from freeal_hf.loop.folder import STUDENT

if TYPE_CHECKING:
    from datasets import Dataset

    from freeal_hf.loop.callbacks import LoopCallback

_DEMO_MESSAGE = "hi, my blender came with a cracked lid, can you send a new one?"


@dataclass
class TrainingHelpOption:
    """Asks for the options of the training."""

    help_training: bool = option(False, action=TrainingHelp, help="list the training options of the student")


@dataclass
class ResumeOption:
    """Which run of the Hub is continued."""

    resume_from: str | None = option(help="continue the run of a dataset on the Hub", metavar="ID")


@dataclass
class RunOptions(TerminalOptions):
    """How a run is started. Nothing of it is a part of the configuration."""

    estimate: bool = option(False, action="store_true", help="print an estimate for round 0, and end")
    resume: bool = option(False, action="store_true", help="continue in the folder, even if options have changed")
    overwrite: bool = option(False, action="store_true", help="start the run again, and keep only paid answers")
    try_texts: int = option(0, help="label N random texts, print them, and end", metavar="N")
    end_file: str | None = option(help="JSON file for the state in which the run ends", metavar="PATH")


@dataclass
class DemoOptions(TerminalOptions):
    """Where the demo is written."""

    output_dir: str = option("runs/demo", help="folder of the run", metavar="DIR")
    quick: bool = option(
        False, action="store_true", help="a quarter of the messages, one epoch: only tests an installation"
    )


def _run(given: dict[str, Any], rest: Sequence[str]) -> None:
    how = section(RunOptions, given)
    if how.json and (how.estimate or how.try_texts):
        raise InputError("--json prints the results of a run; leave it out with --estimate and --try-texts.")
    options = {name: value for name, value in given.items() if name not in vars(how)}
    if how.end_file is None or os.environ.get("RANK", "0") != "0":
        _label_and_train(options, rest, how)
    else:
        record_end(Path(how.end_file), lambda: _label_and_train(options, rest, how))


def _label_and_train(given: dict[str, Any], rest: Sequence[str], how: RunOptions) -> End:
    repo, of_annotator = given.pop("resume_from", None), named_values(given.pop("annotator_option", []))
    file, given = _options(given, rest)
    dataset: Dataset | None = None
    test: Dataset | None = None
    if repo is not None:
        config, dataset, test = resumed(repo, file, given)
    else:
        config = RunConfig.from_yaml(file, **given) if file is not None else RunConfig.from_options(given)
        data_source(config.data)
    config.annotators.annotator_options |= of_annotator
    if how.quiet or how.json:
        config.training["disable_tqdm"] = True
    quiet_libraries()
    from freeal_hf.annotators.registry import is_free, split_specs
    from freeal_hf.loop.freeal import FreeAL
    from freeal_hf.loop.trial import Trial, TrialOver

    trial = [Trial(how.try_texts)] if how.try_texts else []
    loop = FreeAL.from_config(config, callbacks=[*_push_callbacks(config), *trial])
    if not loop.is_main:
        if not how.estimate:
            loop.assist()
        return End(FINISHED)
    specs = split_specs(str(config.annotators.annotator or "embedding"))
    for which, spec in enumerate(specs):
        if how.estimate or not (is_free(spec) or how.quiet or how.json):
            of = f" of {spec}" if len(specs) > 1 else ""
            print(f"Round 0{of} will take about:\n{loop.estimate(dataset, which)}\n")
    if how.estimate:
        return End(FINISHED)
    resume = how.resume or repo is not None
    try:
        result = loop.run(dataset, test, resume=resume, overwrite=how.overwrite)
    except TrialOver as over:
        print(f"\n{over}")
        return End(TRIED, str(over))
    print(described_result(result, as_json=how.json))
    if result.audit_sheet is not None and not how.json:
        print(
            f"\n{len(result.rounds)} of {config.loop.num_rounds} rounds are complete. The run stopped for an audit: "
            f"fill in the column `label` of {result.audit_sheet}, or label in the terminal (freeal-hf audit "
            f"{result.output_dir} --terminal). Then start the same command again. Without answers it continues as if "
            "there had been no audit."
        )
    if result.audit_sheet is not None:
        return End(AUDIT, f"Fill in {result.audit_sheet}, then run the same command again to continue.")
    if result.rounds[-1]["budget_spent"]:
        return End(BUDGET_SPENT, "The budget is spent. Run the same command with a larger budget to continue.")
    return End(FINISHED)


def _options(given: dict[str, Any], rest: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    """Returns the configuration file, if one is given, and the options of the command line by name."""
    file = None
    if rest and not rest[0].startswith("-"):
        # Not a positional argument of the parser, which would take the value of a training option (parsed below).
        file, rest = rest[0], rest[1:]
    return file, {**given, **parse_training(rest, RUN.option_names)}


def _push_callbacks(config: RunConfig) -> list["LoopCallback"]:
    if not config.training.get("push_to_hub"):
        return []
    from freeal_hf.hub.callback import PushToHubCallback

    return [PushToHubCallback()]


def _demo(given: dict[str, Any], _: Sequence[str]) -> None:
    options = section(DemoOptions, given)
    folder = Path(str(files("freeal_hf.demo")))
    messages = "shop_messages_test.csv" if options.quick else "shop_messages.csv"
    data, task = str(folder / messages), str(folder / "task.yaml")
    chosen: dict[str, Any] = {"data": data, "task": task, "gold_column": "gold", "output_dir": options.output_dir}
    chosen |= {"quiet": options.quiet, "json": options.json}
    _run({**chosen, "num_rounds": 1} if options.quick else chosen, ["--num_train_epochs=1"] if options.quick else [])
    if options.json:
        return
    from freeal_hf.prediction.classifier import Classifier

    classifier = Classifier(Path(options.output_dir) / STUDENT)
    probabilities = classifier.probabilities([_DEMO_MESSAGE])[0]
    label = classifier.label_names[probabilities.argmax()]
    print(f"\nThe trained student predicts {label} ({probabilities.max():.0%}) for {_DEMO_MESSAGE!r}.")


RUN = Command(
    "run",
    help="label texts and train a student",
    usage="freeal-hf run [CONFIG.yaml] [options]",
    description="Labels texts and trains a student, in rounds. If it is stopped, the same command continues.",
    epilog="All fields of FreeALConfig are also options (--learning-rate 2e-5); see --help-training. CONFIG.yaml can "
    "have any option, with _ in place of -, with or without the sections of the config.yaml of a run. Options on the "
    "command line have priority.",
    run=_run,
    groups={
        "": [TrainingHelpOption],
        **{name: [part] for name, part in SECTIONS.items()},
        "hub": [PushConfig, HubConfig, ResumeOption],
        "output": [OutputConfig, RunOptions],
    },
)
DEMO = Command(
    "demo",
    help="label the shop messages of the package, offline",
    description="Runs the complete loop on messages to the customer service of a shop, which are in the package.",
    epilog="The gold labels were written with the messages and are only used for scores.",
    run=_demo,
    groups={"": [DemoOptions]},
)
