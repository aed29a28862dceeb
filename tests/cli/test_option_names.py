"""The names of the options of each command: scripts depend on them, so that none may disappear."""

import argparse
import subprocess
import sys

import pytest

from freeal_hf.cli.command import add_options
from freeal_hf.cli.main import _parser
from freeal_hf.cli.space import SpaceOptions
from freeal_hf.cli.training import training_parser
from freeal_hf.config import OPTIONS

NAMES = {
    "run": """allow-doubtful-answers allow-new-texts annotator annotator-option audit augmented-column
        candidate-fraction data delimiter description encoding end-file engine estimate examples
        generated-per-label gold-column help-training hub-collection hub-dataset-id hub-exist-ok hub-model-id
        hub-public hub-space-id human-delimiter human-encoding human-labels human-quoting id-column instructions
        label-map labels max-cost max-tokens min-train-steps no-allow-doubtful-answers num-rounds output-dir
        overwrite json pool-size prices push-columns push-to-hub quiet quoting ray-address ray-calls-per-minute
        ray-gpus-per-worker ray-shard-size ray-workers refine refine-annotator resume resume-from samples setting
        shots split stop-on student task test-data test-delimiter test-encoding test-quoting test-split
        text-columns texts-per-list""",
    "predict": """batch-size data delimiter embeddings encoding engine id-column model output probabilities quoting
        ray-address ray-gpus-per-worker ray-shard-size ray-workers split text-columns top-k""",
    "augment": """backward-model batch-size data delimiter dtype encoding forward-model id-column method model
        num-beams output quoting seed share source-language split text-columns via""",
    "select": """advice allow-new-texts annotator annotator-option budget data delimiter description encoding
        guidelines human-delimiter human-encoding human-quoting id-column label-map labelled labels max-cost max-tokens
        no-explanation output picks-per-prompt prices quoting recap seed split strategy student task text-columns
        texts-per-prompt""",
    "demo": "json output-dir quick quiet",
    "audit": "entities n new second-annotator seed terminal",
    "convert": "output output-format source-format",
    "push": "hub-collection hub-dataset-id hub-exist-ok hub-model-id hub-public hub-space-id push-columns",
    "pull": "json output-dir quiet revision",
    "space": "port public",
    "doctor": "help",
}
REPEATABLE = ("text-columns", "human-labels", "examples", "annotator", "annotator-option", "instructions")


def commands():
    (found,) = (one for one in _parser()._actions if isinstance(one, argparse._SubParsersAction))
    return found.choices


@pytest.mark.parametrize("command", NAMES)
def test_a_command_keeps_its_options(command):
    names = {name.removeprefix("--") for name in commands()[command]._option_string_actions}
    assert set(NAMES[command].split()) <= names


def test_every_command_is_listed():
    assert set(commands()) == set(NAMES)


@pytest.mark.parametrize("name", REPEATABLE)
def test_repeatable_options_can_still_be_repeated(name):
    options, _ = _parser().parse_known_args(["run", f"--{name}", "a=1", f"--{name}", "b=2"])
    assert getattr(options, name.replace("-", "_")) == ["a=1", "b=2"]


def test_only_given_options_have_a_value():
    options, _ = _parser().parse_known_args(["run", "--shots", "4"])
    assert vars(options) == {"command": "run", "shots": 4}


def test_training_arguments_are_options_and_no_option_is_declared_twice():
    training = {action.dest for action in training_parser()._actions}
    assert {"learning_rate", "objective", "max_length", "hub_model_id"} <= training
    assert not training & set(OPTIONS)


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["predict", "--help"], ["select", "--help"]])
def test_help_needs_no_torch(words):
    code = (
        "import sys\nfrom freeal_hf.cli.main import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_positional_argument_with_choices_can_be_left_out():
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    add_options(parser, SpaceOptions)
    assert parser.parse_args([]).action is None
    assert parser.parse_args(["deploy", "ada/freeal"]).repo == "ada/freeal"
