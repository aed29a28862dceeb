"""The command `select`: chooses the texts that a person labels first."""

import argparse
import csv
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.cli.options import (
    add_options,
    annotator_options,
    data_source,
    human_reading,
    options_of,
    quiet_libraries,
    reading,
    task_of,
)
from freeal_hf.config import HumanReadingConfig, ReadingConfig, TaskConfig
from freeal_hf.data.counting import counted
from freeal_hf.data.files import write_atomically
from freeal_hf.data.spreadsheets import harmless
from freeal_hf.embedded import EMBEDDED_MODEL
from freeal_hf.errors import InputError
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset

    from freeal_hf.annotators.budget import Ledger
    from freeal_hf.select.pool import Pool, Strategy

STRATEGIES = (
    "llm",
    "random",
    "kmeans",
    "coreset",
    "entropy",
    "least-confidence",
    "margin",
    "bald",
    "contrastive",
    "discriminative",
)
"""The strategies by their names on the command line."""


def add_select(commands: Any) -> None:
    """Adds the command `select`."""
    select = commands.add_parser(
        "select",
        help="choose the texts that a person labels first",
        description="Chooses texts for a person to label, and writes them with an empty column `label`. Use the "
        "completed file as --human-labels of `freeal-hf run`, or as --labelled of the next choice.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    select.add_argument("--budget", type=int, required=True, metavar="N", help="number of texts to choose")
    select.add_argument("--output", required=True, metavar="FILE", help="CSV file to write")
    select.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="llm",
        metavar="NAME",
        help=f"{', '.join(STRATEGIES)} (default: llm). Those from entropy to contrastive need --labelled.",
    )
    select.add_argument("--labelled", metavar="FILE", help="existing human labels: columns id or text, and label")
    add_options(select, HumanReadingConfig)
    select.add_argument("--student", default=EMBEDDED_MODEL, metavar="MODEL", help="encoder for the texts")
    select.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: 0)")
    add_options(select.add_argument_group("data"), ReadingConfig)
    add_options(select.add_argument_group("task (for llm, and with --labelled)"), TaskConfig, without=["instructions"])
    llm = select.add_argument_group("llm (ActiveLLM)")
    llm.add_argument("--annotator", metavar="SPEC", help="endpoint:..., tgi:... or local:..., as in `run`")
    llm.add_argument("--annotator-option", action="append", metavar="NAME=VALUE", help="as in `run`, repeatable")
    llm.add_argument("--guidelines", metavar="FILE", help="text file with the annotation guidelines")
    llm.add_argument("--texts-per-prompt", type=int, default=100, metavar="N", help="texts in a prompt (100)")
    llm.add_argument("--picks-per-prompt", type=int, default=32, metavar="N", help="maximum number to choose (32)")
    llm.add_argument("--advice", action="store_true", default=False, help="describe which texts are worth labelling")
    llm.add_argument("--no-explanation", action="store_true", default=False, help="ask for no explanation")
    llm.add_argument(
        "--recap",
        choices=["none", "texts", "ids"],
        default="texts",
        help="content of later prompts about earlier choices (default: texts)",
    )
    llm.add_argument("--max-cost", type=float, metavar="X", help="maximum cost in dollars")
    llm.add_argument("--max-tokens", type=int, metavar="N", help="maximum number of tokens")
    llm.add_argument("--prices", metavar="FILE", help="YAML file with prices of models for a million tokens")


def select(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Runs the command.

    Raises:
        InputError: If an option or the data cannot be used, or the output cannot be written or exists.
        AnnotatorError: If the language model cannot be called.
        BudgetExceeded: If the next prompt could exceed --max-cost or --max-tokens. All answers are kept.
    """
    values = vars(options)
    source, output = data_source(values), Path(values["output"])
    if output.exists():
        raise InputError(f"{str(output)!r} exists and may have labels of a person; give another file.")
    quiet_libraries()
    from freeal_hf.data.texts import read_data
    from freeal_hf.kinds.registry import kind_of
    from freeal_hf.select.pool import check_budget, select_instances
    from freeal_hf.select.student import described_pool

    task = task_of(values) if values["strategy"] == "llm" or "labelled" in values else None
    if task is not None:
        kind_of(task).check_can_select()
    pool, ids = _pool(read_data(source, **reading(values)), values, task)
    check_budget(pool, values["budget"])
    with ExitStack() as stack:
        output.parent.mkdir(parents=True, exist_ok=True)
        strategy = _strategy(values, task, output, stack)
        pool = described_pool(pool, strategy, task, student=values["student"], seed=values["seed"])
        chosen = select_instances(strategy, pool, values["budget"], seed=values["seed"])
    rows = [
        [ids[item.index], pool.texts[item.index], "", "random" if item.is_filler else values["strategy"]]
        for item in chosen
    ]
    try:
        write_atomically(output, lambda partial: _write(partial, rows))
    except OSError as error:
        raise InputError(f"The choice cannot be written to {str(output)!r}: {error.strerror}.") from error
    print(f"{len(chosen)} of {counted(len(pool.unlabelled), 'text')} chosen: {output}")
    print("Fill in the column label, and use the file as --human-labels of freeal-hf run.")


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label", "strategy"])
        writer.writerows(map(harmless, row) for row in rows)


def _pool(data: "Dataset", values: Mapping[str, Any], task: Task | None) -> tuple["Pool", list[str]]:
    """Returns the distinct usable texts with their human labels, and their ids."""
    from freeal_hf.kinds.human_labels import read_human_labels
    from freeal_hf.kinds.registry import kind_of
    from freeal_hf.kinds.text_corpus import distinct_texts
    from freeal_hf.select.pool import Pool

    corpus = distinct_texts(data)
    if task is not None and "labelled" in values:
        with options_of("human"):
            said = read_human_labels(
                values["labelled"],
                task,
                text_columns=reading(values)["text_columns"],
                allow_new_texts=bool(values.get("allow_new_texts")),
                **human_reading(values),
            )
        corpus = kind_of(task).with_human_labels(corpus, data, said)
        matched, others = corpus.human_rows
        print(f"{matched} of {counted(len(said), 'human label')} match a text of the data; {others} do not.")
    return Pool(list(corpus.texts), corpus.human), list(corpus.ids)


def _strategy(values: Mapping[str, Any], task: Task | None, output: Path, stack: ExitStack) -> "Strategy":
    if values["strategy"] == "llm":
        assert task is not None
        return _llm(values, task, output, stack)
    from freeal_hf.select import diversity, uncertainty

    simple: dict[str, type] = {
        "random": diversity.RandomSampling,
        "kmeans": diversity.EmbeddingKMeans,
        "coreset": diversity.CoreSet,
        "entropy": uncertainty.PredictionEntropy,
        "least-confidence": uncertainty.LeastConfidence,
        "margin": uncertainty.BreakingTies,
        "bald": uncertainty.BALD,
        "contrastive": diversity.ContrastiveActiveLearning,
        "discriminative": diversity.DiscriminativeActiveLearning,
    }
    strategy: Strategy = simple[values["strategy"]]()
    return strategy


def _llm(values: Mapping[str, Any], task: Task, output: Path, stack: ExitStack) -> "Strategy":
    from freeal_hf.annotators.budget import Budget, Ledger
    from freeal_hf.annotators.cache import AnswerCache
    from freeal_hf.annotators.driver import session
    from freeal_hf.annotators.prices import load_prices, price_of
    from freeal_hf.annotators.registry import build_annotator
    from freeal_hf.select.llm import LLMSelection

    if "annotator" not in values:
        raise InputError("The strategy llm needs a language model: give one with --annotator endpoint:MODEL.")
    annotator: Any = build_annotator(values["annotator"], options=annotator_options(values))
    ledger = Ledger(price=price_of(annotator, load_prices(values["prices"]) if "prices" in values else None))
    strategy = LLMSelection(
        annotator,
        task,
        guidelines=_guidelines(values.get("guidelines")),
        texts_per_prompt=values["texts_per_prompt"],
        picks_per_prompt=values["picks_per_prompt"],
        with_advice=values["advice"],
        with_explanation=not values["no_explanation"],
        recap=values["recap"],
        cache=stack.enter_context(AnswerCache(output.with_name(f"{output.name}.cache.sqlite"))),
        ledger=ledger,
        spending=Budget(max_cost=values.get("max_cost"), max_tokens=values.get("max_tokens")),
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
        raise InputError(f"The guidelines {path!r} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The guidelines {path!r} are not UTF-8 text; save them as UTF-8.") from error
