"""The command `select`: chooses the texts that a person labels first."""

import csv
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal

from freeal_hf.cli.command import Command
from freeal_hf.cli.options import quiet_libraries, writing
from freeal_hf.config import (
    BudgetConfig,
    HumanReadingConfig,
    LabelsConfig,
    ReadingConfig,
    TaskConfig,
    named_values,
    option,
    section,
)
from freeal_hf.data.configured import data_source, human_reading, reading, task_of
from freeal_hf.data.counting import counted
from freeal_hf.data.files import write_atomically
from freeal_hf.data.option_names import options_of
from freeal_hf.data.spreadsheets import harmless
from freeal_hf.embedded import EMBEDDED_MODEL
from freeal_hf.errors import InputError
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset

    from freeal_hf.annotators.budget import Ledger
    from freeal_hf.select.pool import Pool, Strategy

Recap = Literal["none", "texts", "ids"]

_WITHOUT_PROMPTS = {
    "random": "diversity:RandomSampling",
    "kmeans": "diversity:EmbeddingKMeans",
    "coreset": "diversity:CoreSet",
    "entropy": "uncertainty:PredictionEntropy",
    "least-confidence": "uncertainty:LeastConfidence",
    "margin": "uncertainty:BreakingTies",
    "bald": "uncertainty:BALD",
    "contrastive": "diversity:ContrastiveActiveLearning",
    "discriminative": "diversity:DiscriminativeActiveLearning",
}
"""The strategies without a language model. They are imported when they are used, because they need scikit-learn."""

STRATEGIES = ("llm", *_WITHOUT_PROMPTS)
"""The names of the strategies on the command line."""


@dataclass
class SelectOptions:
    """What is selected."""

    budget: int = option(required=True, help="number of texts to choose", metavar="N")
    output: str = option(required=True, help="CSV file to write", metavar="FILE")
    strategy: str = option(
        "llm",
        choices=STRATEGIES,
        metavar="NAME",
        help=f"{', '.join(STRATEGIES)}. Those from entropy to contrastive need --labelled.",
    )
    labelled: str | None = option(help="existing human labels: columns id or text, and label", metavar="FILE")
    student: str = option(EMBEDDED_MODEL, help="encoder for the texts", metavar="MODEL")
    seed: int = option(0, help="random seed", metavar="N")


@dataclass
class PromptOptions:
    """How a language model selects."""

    annotator: str | None = option(help="endpoint:..., tgi:... or local:..., as in `run`", metavar="SPEC")
    annotator_option: list[str] = option([], action="append", help="as in `run`, repeatable", metavar="NAME=VALUE")
    guidelines: str | None = option(help="text file with the annotation guidelines", metavar="FILE")
    texts_per_prompt: int = option(100, help="texts in a prompt", metavar="N")
    picks_per_prompt: int = option(32, help="maximum number to choose", metavar="N")
    advice: bool = option(False, action="store_true", help="describe which texts are worth labelling")
    no_explanation: bool = option(False, action="store_true", help="ask for no explanation")
    recap: Recap = option(
        "texts", choices=("none", "texts", "ids"), help="content of later prompts about earlier choices"
    )


def _select(given: dict[str, Any], _: Sequence[str]) -> None:
    options, data = section(SelectOptions, given), section(ReadingConfig, given)
    source, output = data_source(data), Path(options.output)
    if output.exists():
        raise InputError(f"{str(output)!r} exists and may have labels of a person; give another file.")
    quiet_libraries()
    from freeal_hf.data.texts import read_data
    from freeal_hf.kinds.registry import kind_of
    from freeal_hf.select.pool import check_budget, select_instances
    from freeal_hf.select.student import described_pool

    needs_task = options.strategy == "llm" or options.labelled is not None
    task = task_of(section(TaskConfig, given)) if needs_task else None
    if task is not None:
        kind_of(task).check_can_select(has_labels=options.labelled is not None)
    columns = reading(data)
    pool, ids = _pool(read_data(source, **columns), columns["text_columns"], given, task)
    check_budget(pool, options.budget)
    with ExitStack() as stack:
        output.parent.mkdir(parents=True, exist_ok=True)
        strategy = _strategy(given, task, output, stack)
        pool = described_pool(pool, strategy, task, student=options.student, seed=options.seed)
        chosen = select_instances(strategy, pool, options.budget, seed=options.seed)
    rows = [
        [ids[item.index], pool.texts[item.index], "", "random" if item.is_filler else options.strategy]
        for item in chosen
    ]
    with writing(output, "choice"):
        write_atomically(output, lambda partial: _write(partial, rows))
    print(f"{len(chosen)} of {counted(len(pool.unlabelled), 'text')} chosen: {output}")
    print("Fill in the column label, and use the file as --human-labels of freeal-hf run.")


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label", "strategy"])
        writer.writerows(map(harmless, row) for row in rows)


def _pool(
    data: "Dataset", text_columns: Sequence[str], given: Mapping[str, Any], task: Task | None
) -> tuple["Pool", list[str]]:
    """Returns the distinct usable texts with their human labels, and their ids."""
    from freeal_hf.kinds.human_labels import read_human_labels
    from freeal_hf.kinds.registry import kind_of
    from freeal_hf.kinds.text_corpus import distinct_texts
    from freeal_hf.select.pool import Pool

    labelled, human = section(SelectOptions, given).labelled, section(HumanReadingConfig, given)
    if task is None or labelled is None:
        corpus = distinct_texts(data)
    else:
        with options_of("human"):
            said = read_human_labels(
                labelled,
                task,
                text_columns=text_columns,
                allow_new_texts=human.allow_new_texts,
                **human_reading(human),
            )
        kind = kind_of(task)
        corpus = kind.with_human_labels(kind.collect(data), data, said)
        matched, others = corpus.human_rows
        print(f"{matched} of {counted(len(said), 'human label')} match a text of the data; {others} do not.")
    return Pool(list(corpus.texts), corpus.human), list(corpus.ids)


def _strategy(given: Mapping[str, Any], task: Task | None, output: Path, stack: ExitStack) -> "Strategy":
    name = section(SelectOptions, given).strategy
    if name == "llm":
        assert task is not None
        return _llm(given, task, output, stack)
    strategy: Strategy = resolve_name(f"freeal_hf.select.{_WITHOUT_PROMPTS[name]}")()
    return strategy


def _llm(given: Mapping[str, Any], task: Task, output: Path, stack: ExitStack) -> "Strategy":
    from freeal_hf.annotators.budget import Budget, Ledger
    from freeal_hf.annotators.cache import AnswerCache
    from freeal_hf.annotators.driver import session
    from freeal_hf.annotators.prices import load_prices, price_of
    from freeal_hf.annotators.registry import build_annotator
    from freeal_hf.select.llm import LLMSelection

    options, budget = section(PromptOptions, given), section(BudgetConfig, given)
    if options.annotator is None:
        raise InputError("The strategy llm needs a language model: give one with --annotator endpoint:MODEL.")
    annotator: Any = build_annotator(options.annotator, options=named_values(options.annotator_option))
    ledger = Ledger(price=price_of(annotator, load_prices(budget.prices) if budget.prices else None))
    strategy = LLMSelection(
        annotator,
        task,
        guidelines=_guidelines(options.guidelines),
        texts_per_prompt=options.texts_per_prompt,
        picks_per_prompt=options.picks_per_prompt,
        with_advice=options.advice,
        with_explanation=not options.no_explanation,
        recap=options.recap,
        cache=stack.enter_context(AnswerCache(output.with_name(f"{output.name}.cache.sqlite"))),
        ledger=ledger,
        spending=Budget(max_cost=budget.max_cost, max_tokens=budget.max_tokens),
    )
    stack.enter_context(session(annotator))
    stack.callback(_print_costs, ledger)
    return strategy


def _print_costs(ledger: "Ledger") -> None:
    if not ledger.calls + ledger.cached:
        return  # there was an error
    cost = "" if ledger.cost is None else f", ${ledger.cost:.4f}"
    print(f"{counted(ledger.calls, 'call')}, {ledger.cached} from the cache, {counted(ledger.tokens, 'token')}{cost}")


def _guidelines(path: str | None) -> str:
    if path is None:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"The guidelines {path!r} cannot be read: {error.strerror}; give a text file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The guidelines {path!r} are not UTF-8 text; save them as UTF-8.") from error


SELECT = Command(
    "select",
    help="choose the texts that a person labels first",
    description="Chooses texts for a person to label, and writes them with an empty column `label`. Use the completed "
    "file as --human-labels of `freeal-hf run`, or as --labelled of the next choice.",
    run=_select,
    groups={
        "": [SelectOptions, HumanReadingConfig],
        "data": [ReadingConfig],
        "task (for llm, and with --labelled)": [LabelsConfig],
        "llm (ActiveLLM)": [PromptOptions, BudgetConfig],
    },
)
