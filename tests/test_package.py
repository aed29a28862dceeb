import configparser
import subprocess
import sys
from pathlib import Path

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
