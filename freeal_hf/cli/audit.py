"""`freeal-hf audit`: a person checks a sample of a run's labels."""

import argparse
from collections.abc import Sequence
from typing import Any

from freeal_hf.errors import InputError
from freeal_hf.loop.folder import LABELS, METRICS, REPORT, RunFolder


def add_audit(commands: Any) -> None:
    """Adds the command `audit` to the parser."""
    audit = commands.add_parser(
        "audit",
        help="check a sample of a run's labels by hand",
        description="Draws texts for a person to label, and says from the answers how many final labels are right. "
        "Run it once to draw, fill in RUN_DIR/audit.csv, and run it again.",
        allow_abbrev=False,
    )
    audit.add_argument("run_dir", metavar="RUN_DIR", help="OUTPUT_DIR of freeal-hf run")
    audit.add_argument("--n", type=int, default=100, metavar="N", help="texts to draw (default: 100)")
    audit.add_argument("--seed", type=int, default=0, metavar="X", help="seed of the draw (default: 0)")
    audit.add_argument("--terminal", action="store_true", help="answer here, not in the file")
    audit.add_argument("--new", action="store_true", help="draw anew, over the sample and answers that are there")


def audit(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Runs the command `audit`."""
    from freeal_hf.hub.facts import task_of
    from freeal_hf.kinds.registry import kind_of
    from freeal_hf.loop.audit import AUDIT_CSV, draw_audit, note_audit, score_audit

    folder = RunFolder(options.run_dir)
    if not (folder / LABELS).is_file():
        raise InputError(f"{options.run_dir!r} is no folder of a run with labels; give OUTPUT_DIR of freeal-hf run.")
    task, sheet = task_of(folder), folder / AUDIT_CSV
    question = kind_of(task).audit
    names = question.answers.label_names
    if options.new or not sheet.is_file():
        draw_audit(folder, task, options.n, seed=options.seed)
        print(f"Fill in the column `label` of {sheet} ({', '.join(names)}), then run this command again.")
    if options.terminal:
        _ask(folder, names)
    result = score_audit(folder, task)
    if result is None:
        return
    note_audit(folder, task, result)
    print(
        f"{result.answered} of {result.drawn} answered: {100 * result.accuracy:.1f} % of the {question.right} "
        f"({100 * result.low:.1f} to {100 * result.high:.1f} %, 95 % Wilson interval).\n"
        f"Noted in {folder / METRICS} and {folder / REPORT}."
    )
    if question.are_human_labels:
        print(f"The answers are human labels for a further round: --human-labels {sheet}")


def _ask(folder: RunFolder, names: Sequence[str]) -> None:
    from freeal_hf.loop.audit import read_sheet, write_sheet

    rows = read_sheet(folder)
    missing = [row for row in rows if not row["label"]]
    choices = "  ".join(f"{i} {name}" for i, name in enumerate(names, start=1))
    for done, row in enumerate(missing, start=1):
        entities = f"\n    {row['entities']}" if "entities" in row else ""
        print(f"\n[{done} of {len(missing)}] {row['text']}{entities}\n{choices}   Enter: leave open   q: stop")
        answer = _answer(names)
        if answer is None:
            return
        row["label"] = answer
        write_sheet(folder, rows)


def _answer(names: Sequence[str]) -> str | None:
    """A label's name, an empty string to leave the text open, `None` to stop."""
    while True:
        try:
            said = input("> ").strip()
        except EOFError:
            return None
        if said == "q":
            return None
        if said in names or not said:
            return said
        if said.isdecimal() and 1 <= int(said) <= len(names):
            return names[int(said) - 1]
        print(f"{said!r} is none of them; give a number from 1 to {len(names)} or a name.")
