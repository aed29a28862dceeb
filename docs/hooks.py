"""Pages of the documentation that are made from the code: the command line, the Python reference, the benchmarks."""

import argparse
import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import freeal_hf
from freeal_hf.cli import main
from freeal_hf.cli.training import training_parser

ROOT = Path(__file__).parents[1]

# The packages of public names, with the headings of their sections.
SECTIONS = {
    "tasks": "Tasks and demonstrations",
    "loop": "The loop",
    "config": "Configuration",
    "annotators": "Annotators",
    "training": "The trainer",
    "kinds": "Kinds of task",
    "labels": "Agreement and audits",
    "data": "Data",
    "prediction": "Prediction",
    "select": "Choice of texts",
    "hub": "The Hub",
    "errors": "Errors",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    pages = {"reference/cli.md": cli_page(), "reference/python.md": python_page(), "benchmarks.md": benchmarks_page()}
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def cli_page() -> str:
    """Returns a page with the help text of each command."""
    os.environ["COLUMNS"] = "100"
    parser = main._parser()
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices
    parts = ["# Command line", "", "Each option of `freeal-hf run` can also be a line of a configuration file.", ""]
    for name, command in commands.items():
        parts += [f"## freeal-hf {name}", "", "```text", command.format_help().rstrip(), "```", ""]
    parts += [
        "## Training options of freeal-hf run",
        "",
        "```text",
        training_parser().format_help().rstrip(),
        "```",
        "",
    ]
    return "\n".join(parts)


def python_page() -> str:
    """Returns a page with all public names, in a section for each package."""
    parts = ["# Python", "", "All names are imported from `freeal_hf`.", ""]
    for package, heading in SECTIONS.items():
        parts += [f"## {heading}", ""]
        for name, module in sorted(freeal_hf._PUBLIC.items()):
            if module.split(".")[1] == package:
                parts += [f"::: {module}.{name}", ""]
    return "\n".join(parts)


def benchmarks_page() -> str:
    """Returns the README of the benchmarks. Links into the repository become plain text."""
    text = (ROOT / "benchmarks" / "README.md").read_text()
    return re.sub(r"\[([^\]]+)\]\((?!https?://|#)[^)]+\)", r"\1", text)
