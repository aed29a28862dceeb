"""The command line `freeal-hf`, and its commands `run` and `demo`."""

import argparse
import difflib
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

import freeal_hf
from freeal_hf.cli import audit as cli_audit
from freeal_hf.cli import hub as cli_hub
from freeal_hf.cli import space as cli_space
from freeal_hf.cli.augment import add_augment, augment
from freeal_hf.cli.ending import BUDGET_SPENT, FINISHED, End, Stop, record_end, stopping_on_signals
from freeal_hf.cli.options import (
    add_options,
    annotator_options,
    data_source,
    human_reading,
    options_of,
    quiet_libraries,
    reading,
    task_of,
    test_reading,
)
from freeal_hf.cli.predict import add_predict, predict
from freeal_hf.cli.select import add_select, select
from freeal_hf.config import NOTED, OPTIONS, SECTIONS, DataConfig, EngineConfig, HubConfig, LoopConfig, flat, section
from freeal_hf.embedded import EMBEDDED_MODEL
from freeal_hf.errors import FreeALError, InputError
from freeal_hf.loop.folder import STUDENT

_FREE_ANNOTATORS = ("embedding", "column:", "local:")
_DEFAULT_OUTPUT_DIR = "runs/freeal"
_DEMO_MESSAGE = "hi, my blender came with a cracked lid, can you send a new one?"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments (`Sequence[str]`, *optional*): The command-line arguments. Defaults to those of the process.

    Returns:
        `int`: The exit code. It is 0 only if the command has finished.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s")
    logging.getLogger("freeal_hf").setLevel(logging.INFO)
    logging.getLogger("huggingface_hub").propagate = False  # it has its own handler, so messages would be repeated
    try:
        with stopping_on_signals():
            parser = _parser()
            options, rest = parser.parse_known_args(arguments)
            if rest and options.command != "run":
                parser.error(_unknown(rest[0], _option_names(options.command)))
            _COMMANDS[options.command](options, rest)
    except FreeALError as error:
        print(f"freeal-hf: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print("freeal-hf: stopped. Run the same command again to continue.", file=sys.stderr)
        return error.exit_code if isinstance(error, Stop) else 128 + signal.SIGINT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="freeal-hf", description="Labels texts with an LLM, and trains a small classifier on the labels."
    )
    parser.add_argument("--version", action="version", version=freeal_hf.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    add_predict(commands)
    add_augment(commands)
    add_select(commands)
    _add_demo(commands)
    cli_audit.add_audit(commands)
    cli_hub.add_push(commands)
    cli_hub.add_pull(commands)
    cli_space.add_space(commands)
    return parser


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="label texts and train a student",
        usage="freeal-hf run [CONFIG.yaml] [options]",
        description="Labels texts and trains a student, in rounds. If it is stopped, the same command continues.",
        epilog="All fields of FreeALConfig are also options (--learning-rate 2e-5); see --help-training. CONFIG.yaml "
        "can have any option, with _ in place of -, with or without the sections of the config.yaml of a run. Options "
        "on the command line have priority.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    run.add_argument("--help-training", action=_TrainingHelp, help="list the training options of the student")

    for name, part in SECTIONS.items():
        group = run.add_argument_group(name)
        if name == "hub":
            group.add_argument("--push-to-hub", action="store_true", help="push dataset and student after each round")
            cli_hub.add_hub_options(group)
            group.add_argument("--resume-from", metavar="ID", help="continue the run of a dataset on the Hub")
        else:
            add_options(group, part)

    output = run.add_argument_group("output")
    output.add_argument("--output-dir", metavar="DIR", help=f"folder of the run (default: {_DEFAULT_OUTPUT_DIR})")
    output.add_argument("--estimate", action="store_true", help="print an estimate for round 0, and end")
    output.add_argument("--resume", action="store_true", help="continue in the folder, even if options have changed")
    output.add_argument("--overwrite", action="store_true", help="start the run again, and keep only paid answers")
    output.add_argument(
        "--end-file",
        metavar="PATH",
        help="JSON file for how the run ended: its state (finished, failed, stopped, budget spent) and a message; a "
        "killed process does not write it",
    )


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="label the shop messages of the package, offline",
        description="Runs the complete loop on messages to the customer service of a shop, which are in the package.",
        epilog="The gold labels were written with the messages and are only used for scores.",
    )
    demo.add_argument("--output-dir", default="runs/demo", metavar="DIR", help="folder of the run (runs/demo)")


class _TrainingHelp(argparse.Action):
    """Prints the options of FreeALConfig, which are too many for `--help`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(nargs=0, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        _training_parser().print_help()
        parser.exit()


def _training_parser() -> Any:
    from transformers import HfArgumentParser

    from freeal_hf.training.config import FreeALConfig

    parser = HfArgumentParser(
        FreeALConfig,  # type: ignore[arg-type]
        prog="freeal-hf run",
        usage="freeal-hf run [CONFIG.yaml] [options]",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for action in parser._actions:
        # Only given options are used. The others come from YAML and FreeALConfig.
        action.default, action.required = argparse.SUPPRESS, False
    return parser


def _run(options: argparse.Namespace, rest: Sequence[str]) -> None:
    values = vars(options)
    values.pop("command")
    end_file = values.pop("end_file", None)
    if end_file is None or os.environ.get("RANK", "0") != "0":
        _label_and_train(values, rest)
    else:
        record_end(Path(end_file), lambda: _label_and_train(values, rest))


def _label_and_train(values: dict[str, Any], rest: Sequence[str]) -> End:
    resume, overwrite = values.pop("resume", False), values.pop("overwrite", False)
    only_estimate = values.pop("estimate", False)
    if rest and not rest[0].startswith("-"):
        # Not a positional argument of the parser, which would take the value of a training option (parsed below).
        values = {**_read_config(rest[0]), **values}
        rest = rest[1:]
    if isinstance(values.get("annotator"), list):
        values["annotator"] = " + ".join(values["annotator"])
    dataset, test = None, None
    if "resume_from" in values:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InputError(
                "--resume-from works in one process only: pull the run first (freeal-hf pull), and launch it in its "
                "folder."
            )
        values, dataset, test = cli_hub.resumed(values)
        resume = True
    data_path = data_source(values)
    task = task_of(values)
    training = {**_split_training(values), **_parse_training(rest)}
    loop, engine, hub = section(LoopConfig, values), section(EngineConfig, values), section(HubConfig, values)

    quiet_libraries()
    from freeal_hf.annotators.registry import columns_of, split_specs
    from freeal_hf.data.tables import raw_table
    from freeal_hf.kinds.human_labels import read_human_labels
    from freeal_hf.kinds.registry import kind_of
    from freeal_hf.loop.freeal import FreeAL
    from freeal_hf.reporting.report import summary
    from freeal_hf.training.config import FreeALConfig

    annotator = str(values.get("annotator", "embedding"))
    refiner = values.get("refine_annotator")
    columns = reading(values, is_read=dataset is None)
    try:
        args = FreeALConfig(output_dir=str(values.get("output_dir", _DEFAULT_OUTPUT_DIR)), **training)
    except ValueError as error:
        raise InputError(f"These training options cannot be used: {error}") from error
    student = str(values.get("student", EMBEDDED_MODEL))
    loop_run = FreeAL(
        task,
        annotator,
        student,
        args,
        loop,
        refine_annotator=refiner,
        annotator_options=annotator_options(values),
        hub=hub,
        engine=engine,
        text_columns=columns["text_columns"],
    )
    if not loop_run.is_main:
        if not only_estimate:
            loop_run.assist()
        return End(FINISHED)
    gold = values.get("gold_column")
    specs = split_specs(annotator)
    original = None
    if dataset is None:
        layout = {name: columns[name] for name in ("split", "delimiter", "encoding", "quoting") if name in columns}
        original = raw_table(data_path, **layout)
        dataset = kind_of(task).read_rows(
            data_path,
            gold_column=gold,
            augmented_column=values.get("augmented_column"),
            extra_columns=columns_of([annotator, *([refiner] if refiner else [])]),
            **columns,
        )
    files = {"text_columns": columns["text_columns"], **human_reading(values)}
    allow_new_texts = bool(values.get("allow_new_texts"))
    with options_of("human"):
        human_labels = read_human_labels(
            values.get("human_labels") or (), task, **files, allow_new_texts=allow_new_texts
        ) + read_human_labels(values.get("examples") or (), task, **files, allow_new_texts=True)
    if values.get("test_data"):
        options = {**columns, **test_reading(values)}
        with options_of("test"):
            test = kind_of(task).read_rows(values["test_data"], gold_column=gold, **options)
    for which, spec in enumerate(specs):
        if only_estimate or not spec.startswith(_FREE_ANNOTATORS):
            of = f" of {spec}" if len(specs) > 1 else ""
            print(f"Round 0{of} will take about:\n{loop_run.estimate(dataset, which)}\n")
    if only_estimate:
        return End(FINISHED)
    result = loop_run.run(
        dataset,
        test,
        human_labels=human_labels,
        resume=resume,
        overwrite=overwrite,
        source=section(DataConfig, values),
        columns=original,
    )
    print(f"\n{summary(result.rounds)}\n\nLabels, student and report are in {result.output_dir}/")
    if result.rounds[-1]["budget_spent"]:
        return End(BUDGET_SPENT, "The budget is spent. Run the same command with a larger budget to continue.")
    return End(FINISHED)


def _demo(options: argparse.Namespace, _: Sequence[str]) -> None:
    folder = Path(str(files("freeal_hf.demo")))
    data, task = str(folder / "shop_messages.csv"), str(folder / "task.yaml")
    chosen = {"data": data, "task": task, "gold_column": "gold", "output_dir": options.output_dir}
    _run(argparse.Namespace(command="run", **chosen), [])
    from freeal_hf.prediction.classifier import Classifier

    classifier = Classifier(Path(options.output_dir) / STUDENT)
    probabilities = classifier.probabilities([_DEMO_MESSAGE])[0]
    label = classifier.label_names[probabilities.argmax()]
    print(f"\nThe trained student predicts {label} ({probabilities.max():.0%}) for {_DEMO_MESSAGE!r}.")


def _read_config(path: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The configuration {path!r} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"The configuration {path!r} is not valid YAML in UTF-8: {error}") from error
    if not isinstance(values, Mapping):
        raise InputError(f"The configuration {path!r} must be a mapping of option to value.")
    return {key: value for key, value in flat(values).items() if key not in NOTED}


def _split_training(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of the training, and checks the names of all others."""
    known = {*OPTIONS, "annotator_option", "output_dir"}
    rest = {name: value for name, value in values.items() if name not in known}
    if not rest:
        return {}
    from freeal_hf.training.config import FreeALConfig

    unknown = sorted(set(rest) - {item.name for item in fields(FreeALConfig) if item.init})
    if unknown:
        raise InputError(f"There is no option {unknown[0]!r}; see freeal-hf run --help and --help-training.")
    return rest


def _parse_training(rest: Sequence[str]) -> dict[str, Any]:
    if not rest:
        return {}
    parser = _training_parser()
    values, unknown = parser.parse_known_args(list(rest))
    if unknown:
        parser.error(_unknown(unknown[0], [*_option_names("run"), *parser._option_string_actions]))
    return vars(values)


def _option_names(command: str) -> list[str]:
    (commands,) = (one for one in _parser()._actions if isinstance(one, argparse._SubParsersAction))
    return list(commands.choices[command]._option_string_actions)


def _unknown(word: str, names: Sequence[str]) -> str:
    """Returns the error for an argument that is neither an option nor the value of one."""
    if not word.startswith("-"):
        return f"{word!r} does not belong to an option; quote values that contain blanks."
    name = word.partition("=")[0]
    near = difflib.get_close_matches(name.replace("_", "-"), [one for one in names if "_" not in one], n=1)
    return f"there is no option {name!r}; " + (f"did you mean {near[0]}?" if near else "--help lists all.")


_COMMANDS = {
    "run": _run,
    "predict": predict,
    "augment": augment,
    "select": select,
    "demo": _demo,
    "audit": cli_audit.audit,
    "push": cli_hub.push,
    "pull": cli_hub.pull,
    "space": cli_space.space,
}
