import configparser
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import freeal_hf


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_nothing_heavy():
    loaded = run_python("import freeal_hf, sys; print(*sys.modules)").split()
    assert not {"torch", "transformers", "datasets", "sklearn", "gradio", "numpy"} & set(loaded)


def test_the_help_of_the_command_line_does_not_import_torch():
    loaded = run_python("import freeal_hf.cli.main as c, sys; c._parser().format_help(); print(*sys.modules)").split()
    assert "torch" not in loaded


def test_every_public_name_can_be_had():
    for name in freeal_hf.__all__:
        assert getattr(freeal_hf, name) is not None


def test_selection_and_losses_are_free_of_transformers():
    loaded = run_python("import freeal_hf.training.selection, sys; print(*sys.modules)").split()
    assert "torch" not in loaded
    loaded = run_python("import freeal_hf.training.losses, sys; print(*sys.modules)").split()
    assert "transformers" not in loaded


def test_every_package_of_the_source_is_in_the_wheel():
    root = Path(freeal_hf.__file__).parents[1]
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    listed = config["options"]["packages"].split()
    packages = {".".join(path.parent.relative_to(root).parts) for path in root.glob("freeal_hf/**/__init__.py")}
    assert packages <= set(listed)


def test_the_card_templates_travel_with_the_package():
    from importlib.resources import files

    assert files("freeal_hf.card_templates").joinpath("__init__.py").is_file()


def test_every_error_that_a_user_can_meet_is_public():
    from freeal_hf import errors

    defined = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert defined - {"RejectedError"} <= set(freeal_hf.__all__)  # to a user it is an AnnotatorError


@pytest.mark.parametrize("module", ["freeal_hf", "freeal_hf.annotators.tgi"])
def test_a_former_name_works_and_warns(module):
    with pytest.warns(DeprecationWarning, match="TGIAnnotator"):
        former = vars(importlib.import_module(module))["__getattr__"]("TextGenerationAnnotator")
    assert former is freeal_hf.TGIAnnotator
