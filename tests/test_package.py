import ast
import configparser
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import freeal_hf
from freeal_hf import errors


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_nothing_heavy():
    loaded = run_python("import freeal_hf, sys; print(*sys.modules)").split()
    assert not {"torch", "transformers", "datasets", "sklearn", "gradio", "numpy"} & set(loaded)


def test_the_help_of_the_command_line_does_not_import_torch():
    loaded = run_python("import freeal_hf.cli.main as c, sys; c._parser().format_help(); print(*sys.modules)").split()
    assert "torch" not in loaded


@pytest.mark.parametrize("name", sorted({*freeal_hf.__all__} - {"__version__"}))
def test_every_public_name_can_be_imported(name):
    assert getattr(freeal_hf, name) is not None


def test_type_checkers_see_every_public_name():
    tree = ast.parse(Path(freeal_hf.__file__).read_text())
    imports = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module.startswith("freeal_hf.")
    ]
    assert {alias.name: node.module for node in imports for alias in node.names} == freeal_hf._PUBLIC


def test_every_class_in_the_signature_of_a_public_name_is_public():
    root = Path(freeal_hf.__file__).parent
    trees = [ast.parse(path.read_text()) for path in root.rglob("*.py")]
    classes = {node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}
    public = {name: getattr(freeal_hf, name) for name in freeal_hf.__all__}
    missing = {name: (_named_in(value) & classes) - {*public} for name, value in public.items()}
    assert {name: found for name, found in missing.items() if found} == {}


def _named_in(value):
    """The names in the annotations of a function, or of a class's fields and public methods."""
    if not inspect.isclass(value):
        return _words(inspect.get_annotations(value).values()) if inspect.isfunction(value) else set()
    own = [base for base in value.__mro__ if base.__module__.startswith("freeal_hf.")]
    members = {name: member for base in own for name, member in vars(base).items()}
    methods = [
        member.fget if isinstance(member, property) else inspect.unwrap(getattr(member, "__func__", member))
        for name, member in members.items()
        if name == "__init__" or not name.startswith("_")
    ]
    fields = [hint for base in own for name, hint in inspect.get_annotations(base).items() if not name.startswith("_")]
    return _words(fields).union(*map(_named_in, filter(inspect.isfunction, methods)))


def _words(hints):
    return {
        word for hint in hints for word in re.findall(r"\w+", hint.__name__ if inspect.isclass(hint) else str(hint))
    }


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


def test_every_test_that_the_makefile_names_exists():
    root = Path(freeal_hf.__file__).parents[1]
    files = re.findall(r"(tests/\S+\.py)::,([^)]*)\)", (root / "Makefile").read_text())
    assert files
    for file, names in files:
        defined = set(re.findall(r"^def (test_\w+)", (root / file).read_text(), re.MULTILINE))
        named = set(re.findall(r"test_\w+", names))
        assert named and named <= defined


def test_the_card_templates_travel_with_the_package():
    from importlib.resources import files

    assert files("freeal_hf.card_templates").joinpath("__init__.py").is_file()


def test_every_error_is_public():
    defined = {name for name, value in vars(errors).items() if getattr(value, "__module__", "") == errors.__name__}
    assert {name for name in defined if inspect.isclass(vars(errors)[name])} <= {*freeal_hf.__all__}


@pytest.mark.parametrize("module", ["freeal_hf", "freeal_hf.annotators.tgi"])
def test_a_former_name_works_and_warns(module):
    with pytest.warns(DeprecationWarning, match="TGIAnnotator"):
        former = vars(importlib.import_module(module))["__getattr__"]("TextGenerationAnnotator")
    assert former is freeal_hf.TGIAnnotator
