"""The command `select`: which texts a person should label first."""

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
"""Names of the strategies on the command line."""


def add_select(commands: Any) -> None:
    """Adds the command `select`."""
    select = commands.add_parser(
        "select",
        help="choose the texts that a person should label first",
        description="Chooses texts for a person to label and writes them with an empty column `label`. Filled in, the "
        "file is --human-labels of `freeal-hf run`, or --labelled of the next choice.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    select.add_argument("--budget", type=int, required=True, metavar="N", help="texts to choose")
    select.add_argument("--output", required=True, metavar="FILE", help="CSV file to write")
    select.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="llm",
        metavar="NAME",
        help=f"{', '.join(STRATEGIES)} (default: llm). From entropy to contrastive they need --labelled.",
    )
    select.add_argument("--labelled", metavar="FILE", help="labels of people so far: columns id or text, and label")
    add_options(select, HumanReadingConfig)
    select.add_argument("--student", default=EMBEDDED_MODEL, metavar="MODEL", help="encoder that reads the texts")
    select.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all that is drawn (default: 0)")
    add_options(select.add_argument_group("data"), ReadingConfig)
    add_options(select.add_argument_group("task (for llm, and with --labelled)"), TaskConfig)
    llm = select.add_argument_group("llm (ActiveLLM)")
    llm.add_argument("--annotator", metavar="SPEC", help="endpoint:..., tgi:... or local:..., as in `run`")
    llm.add_argument("--annotator-option", action="append", metavar="NAME=VALUE", help="as in `run`, repeatable")
    llm.add_argument("--guidelines", metavar="FILE", help="text file: what the person who labels is told")
    llm.add_argument("--texts-per-prompt", type=int, default=100, metavar="N", help="texts in one prompt (100)")
    llm.add_argument("--picks-per-prompt", type=int, default=32, metavar="N", help="most to choose from them (32)")
    llm.add_argument("--advice", action="store_true", default=False, help="say what makes a text worth labelling")
    llm.add_argument("--no-explanation", action="store_true", default=False, help="let the model choose at once")
    llm.add_argument(
        "--recap",
        choices=["none", "texts", "ids"],
        default="texts",
        help="what later prompts tell of earlier choices (default: texts)",
    )
    llm.add_argument("--max-cost", type=float, metavar="X", help="dollars that the choice may cost")
    llm.add_argument("--max-tokens", type=int, metavar="N", help="tokens that it may take")
    llm.add_argument("--prices", metavar="FILE", help="YAML file with the models' prices per million tokens")


def select(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Runs the command.

    Raises:
        InputError: If an option or the data cannot be used, or the output cannot be written or is there already.
        AnnotatorError: If the language model cannot be asked.
        BudgetExceeded: If the next prompt might pass --max-cost or --max-tokens; what was answered is kept.
    """
    values = vars(options)
    source, output = data_source(values), Path(values["output"])
    if output.exists():
        raise InputError(f"{str(output)!r} is there already, maybe with labels that somebody entered; name another.")
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
    print(f"{len(chosen)} of {len(pool.unlabelled)} texts chosen: {output}")
    print("Fill in its column label and give it to freeal-hf run as --human-labels.")


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label", "strategy"])
        writer.writerows(map(harmless, row) for row in rows)


def _pool(data: "Dataset", values: Mapping[str, Any], task: Task | None) -> tuple["Pool", list[str]]:
    """The distinct usable texts with the labels of people, and the id of each."""
    from freeal_hf.data.human_labels import read_human_labels
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
        print(f"{matched} of {len(said)} labels of people match a text of the data; {others} do not.")
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
        raise InputError("The strategy llm asks a language model: name one with --annotator endpoint:MODEL.")
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
        return  # an error says why
    cost = "" if ledger.cost is None else f", ${ledger.cost:.4f}"
    print(f"{ledger.calls} calls, {ledger.cached} more answered from the cache, {ledger.tokens} tokens{cost}")


def _guidelines(path: str | None) -> str:
    if path is None:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"The guidelines {path!r} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The guidelines {path!r} are not UTF-8 text; save them as UTF-8.") from error
