"""The command `audit`: a person checks a random sample of the labels of a run."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from freeal_hf.cli.command import Command
from freeal_hf.config import option, section
from freeal_hf.errors import InputError
from freeal_hf.loop.folder import AUDIT_CSV, AUDIT_ENTITIES_CSV, LABELS, METRICS, REPORT, RunFolder
from freeal_hf.tasks import NONE_OF_THEM, Task

if TYPE_CHECKING:
    from freeal_hf.kinds.labels import AuditQuestion
    from freeal_hf.labels.audit import Interval
    from freeal_hf.loop.audit_figures import AuditResult

FEW_TEXTS = 50


@dataclass
class AuditOptions:
    """What is audited."""

    run_dir: str = option(positional=True, help="OUTPUT_DIR of freeal-hf run", metavar="RUN_DIR")
    n: int = option(100, help="number of texts to draw", metavar="N")
    entities: int = option(
        0,
        help="entity tasks: number of single entities to draw beside the texts, into audit_entities.csv",
        metavar="N",
    )
    seed: int = option(0, help="random seed", metavar="X")
    terminal: bool = option(False, action="store_true", help="answer in the terminal, not in the file")
    new: bool = option(False, action="store_true", help="draw a new sample; old answers are kept in audit-1.csv")
    second_annotator: str | None = option(
        help="a copy of audit.csv with the answers of a second person: computes the agreement of the two people, and "
        "whether the annotator can replace one of them (alt-test)",
        metavar="FILE",
    )


def _audit(given: dict[str, Any], _: Sequence[str]) -> None:
    options = section(AuditOptions, given)
    from freeal_hf.kinds.registry import kind_of
    from freeal_hf.loop.audit import draw_audit, has_audit, note_audit, score_audit

    folder = RunFolder(options.run_dir)
    if not (folder / LABELS).is_file():
        raise InputError(f"{options.run_dir!r} is not a run with labels; give OUTPUT_DIR of freeal-hf run.")
    task, sheet = folder.task(), folder / AUDIT_CSV
    question = kind_of(task).audit
    names = question.answers.label_names
    if options.second_annotator is not None and not question.are_labels:
        raise InputError(
            "--second-annotator needs a task with labels of texts; here the answers judge the run's labels."
        )
    if options.new or not has_audit(folder):
        draw_audit(folder, task, options.n, entities=options.entities, seed=options.seed)
        several = f"; several as a;b, {NONE_OF_THEM} for none of them" if question.several else ""
        more = f" and of {folder / AUDIT_ENTITIES_CSV}" if options.entities else ""
        print(
            f"Fill in the column `label` of {sheet}{more} ({', '.join(names)}{several}), then run this command again."
        )
        if not options.terminal and options.second_annotator is None:
            return  # the new file has no answers
    if options.terminal:
        _ask_all(folder, task, question)
    result = score_audit(folder, task, options.second_annotator)
    if result is None:
        if options.second_annotator is not None:
            raise InputError(f"{str(sheet)!r} has no answers yet; fill in its column `label` first.")
        return
    note_audit(folder, task, result)
    print(described(result, question, names))
    print(f"The result is in {folder / METRICS} and {folder / REPORT}.")
    print("A further round uses the answers as human labels: run with one round more, and with --audit.")


def described(result: "AuditResult", question: "AuditQuestion", names: Sequence[str]) -> str:
    """Describes the result of an audit for a terminal. The accuracy and its interval come first.

    Args:
        result (`AuditResult`): The result of `score_audit`.
        question (`AuditQuestion`): The question of the audit.
        names (`Sequence[str]`): The names of the labels.

    Returns:
        `str`: The text.
    """
    lines = [
        f"{100 * result.accuracy:.1f} % of the {question.right} (95 % interval: {100 * result.low:.1f} to "
        f"{100 * result.high:.1f} %), from {result.answered} of {result.drawn} answers."
    ]
    if result.answered < result.drawn:
        lines.append("This assumes that texts without an answer are like the others. Answer in the order of the file.")
    if (found := result.labels) is not None:
        rows = [["label", "share of texts", "precision", "recall"]]
        parts = zip(names, found.shares, found.precision, found.recall, strict=True)
        rows += [[name, *map(_percent, intervals)] for name, *intervals in parts]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines += ["", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows), ""]
        lines.append(f"The annotator alone is right in {_percent(found.annotator)}.")
        if found.kappa is not None:
            lines.append(f"Cohen's kappa of annotator and person is {_number(found.kappa)}.")
    if (entities := result.entities) is not None:
        lines.append(
            f"Entity F1 is {_percent(entities.f1)}, precision {_percent(entities.precision)}, recall "
            f"{_percent(entities.recall)}, from {entities.sentences} sentences and {entities.entities} entities alone."
        )
    if (people := result.people) is not None:
        kappa = "" if people.kappa is None else f", Cohen's kappa {_number(people.kappa)}"
        test = people.alt_test
        lines += [
            f"The two people agree on {_percent(people.agreement)} of {people.texts} texts{kappa}.",
            f"Alt-test: the annotator can{'' if test.passed else 'not'} replace one of the people (winning rate "
            f"{test.winning_rate:.2f}, average advantage probability {test.advantage:.2f}, epsilon {test.epsilon}).",
        ]
        if people.texts < FEW_TEXTS:
            lines.append(f"Its authors recommend at least {FEW_TEXTS} texts; with fewer it almost never passes.")
    return "\n".join(lines)


def _percent(found: "Interval | None") -> str:
    if found is None:
        return "-"
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _number(found: "Interval") -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _ask_all(folder: RunFolder, task: Task, question: "AuditQuestion") -> None:
    from freeal_hf.loop.audit import correction_check
    from freeal_hf.loop.audit_parts import VERDICTS

    check = None if question.correction is None else correction_check(folder, task)

    def correct(row: dict[str, str], answer: str) -> None:
        if check is not None and question.correction is not None and answer == question.answers.label_names[-1]:
            row[question.correction] = _correction(row["id"], check)

    is_done = _ask(folder, AUDIT_CSV, question.answers.label_names, correct, several=question.several)
    if is_done and (folder / AUDIT_ENTITIES_CSV).is_file():
        _ask(folder, AUDIT_ENTITIES_CSV, VERDICTS.label_names)


def _ask(
    folder: RunFolder,
    name: str,
    names: Sequence[str],
    correct: Callable[[dict[str, str], str], None] | None = None,
    *,
    several: bool = False,
) -> bool:
    """Asks for the answers that are missing in a sheet, and returns whether the person answered to its end."""
    from freeal_hf.loop.audit_sheet import read_sheet, write_sheet

    rows = read_sheet(folder, name)
    missing = [row for row in rows if not row["label"]]
    choices = "  ".join(f"{i} {label}" for i, label in enumerate(names, start=1))
    if several:
        choices = f"{choices}  0 none of them   (several: 1,3)"
    for done, row in enumerate(missing, start=1):
        more = "".join(f"\n    {cell}" for key, cell in row.items() if cell and key not in ("id", "text", "label"))
        print(f"\n[{done} of {len(missing)}] {row['text']}{more}\n{choices}   Enter: skip   q: stop")
        answer = _answer(names, several=several)
        if answer is None:
            return False
        if correct is not None:
            correct(row, answer)
        row["label"] = answer
        write_sheet(folder, rows, name)
    return True


def _correction(id_: str, check: Callable[[str, str], None]) -> str:
    """Reads the right entities of a sentence; an empty string leaves them open."""
    print("Write all right entities, as 'words (type); words (type)', or 'none'.   Enter: leave them open")
    while True:
        try:
            said = input("entities> ").strip()
            if said:
                check(id_, said)
        except EOFError:
            return ""
        except InputError as error:
            print(error)
        else:
            return said


def _answer(names: Sequence[str], *, several: bool) -> str | None:
    """Reads the name of a label, or several with commas; an empty string skips the text, `None` stops."""
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
        parts = [part.strip() for part in said.split(",")] if several else []
        if parts in (["0"], [NONE_OF_THEM]):
            return NONE_OF_THEM
        if parts and all(part in names or (part.isdecimal() and 1 <= int(part) <= len(names)) for part in parts):
            found = [part if part in names else names[int(part) - 1] for part in parts]
            return json.dumps(list(dict.fromkeys(found)), ensure_ascii=False)
        print(f"{said!r} is not a label; enter a number from 1 to {len(names)} or a name.")


AUDIT = Command(
    "audit",
    help="check a random sample of the labels of a run",
    description="Draws a random sample of texts for a person to label, and computes the accuracy of the final labels "
    "with an interval, and precision and recall of each label. Run it once to draw the sample, fill in "
    "RUN_DIR/audit.csv (or use --terminal), and run it again. The answers are also human labels for a further round.",
    run=_audit,
    groups={"": [AuditOptions]},
)
