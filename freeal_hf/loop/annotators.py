"""The annotators of a run, and what they share: cache, budget and settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from freeal_hf.annotators.base import Annotator
from freeal_hf.annotators.budget import Budget, Price
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.prices import load_prices, price_of
from freeal_hf.config import LoopConfig, each_annotator
from freeal_hf.data.texts import extra_name
from freeal_hf.errors import InputError
from freeal_hf.loop.callbacks import CallbackHandler
from freeal_hf.loop.engines import Engine
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class RunAnnotator:
    """An annotator of a run.

    Args:
        annotator (`Annotator`): The annotator.
        price (`Price`, *optional*): The price of its tokens.
        make (`Callable`): Builds the same annotator in another process.
        instruction (`str`, *optional*): One of `Task.instructions`, with which it is asked. By default it is asked
            with the description of the task.
    """

    annotator: Annotator
    price: Price | None
    make: Callable[[], Annotator]
    instruction: str = ""


@dataclass(frozen=True)
class AnnotationContext:
    """The annotators of a run and their settings, which the annotation of each round uses.

    Args:
        task (`Task`): The task.
        loop (`LoopConfig`): The settings of the loop.
        annotators (`tuple[RunAnnotator, ...]`): The annotators; the answers of several are fused.
        refine_annotators (`tuple[RunAnnotator, ...]`):
            The annotators that replace them in the rounds after the first.
        cache (`AnswerCache`): The cache of paid answers.
        budget (`Budget`): The limits of the run.
        seed (`int`): The seed of every random choice.
        callbacks (`CallbackHandler`): Receives the progress.
        disable_tqdm (`bool`): Whether to hide the progress bars.
        engine (`Engine`, *optional*): Annotates and writes the answers to the cache. By default, this process
            annotates.
    """

    task: Task
    loop: LoopConfig
    annotators: tuple[RunAnnotator, ...]
    refine_annotators: tuple[RunAnnotator, ...]
    cache: AnswerCache
    budget: Budget
    seed: int
    callbacks: CallbackHandler
    disable_tqdm: bool
    engine: Engine | None = None


def build_annotators(
    named: Any,
    task: Task,
    dataset: "Dataset",
    options: Mapping[str, Any],
    prices: str | None,
    *,
    is_alone: bool,
    class_shares: Mapping[str, float] | None = None,
) -> tuple[RunAnnotator, ...]:
    """Builds the annotators that a run names.

    Args:
        named (`Annotator` or `str`, several of them, or `None`): Annotators, or their names.
        task (`Task`): The task.
        dataset (`Dataset`): The data with the column of `column:`.
        options (`Mapping`): Arguments of an annotator given by name.
        prices (`str`, *optional*): File with the user's prices by model.
        is_alone (`bool`): Whether the run has no other annotators.
        class_shares (`Mapping[str, float]`, *optional*): The known shares of the labels, for annotators that take
            them.

    Returns:
        `tuple[RunAnnotator, ...]`: The annotators.

    Raises:
        InputError: If there is no such annotator or column, or an annotator does not support the kind of task.
    """
    from datasets import ClassLabel

    from freeal_hf.annotators.prompts.registry import prompts_of
    from freeal_hf.annotators.registry import build_annotator, is_free, reads_prompts, split_specs, takes_class_shares
    from freeal_hf.data.cells import cell_text

    def column(name: str) -> dict[str, str]:
        if extra_name(name) not in dataset.column_names:
            raise InputError(
                f"The annotator column:{name} needs the column {name!r}, but the columns of the dataset are "
                f"{', '.join(map(repr, dataset.column_names))}. Read the data with "
                f"read_data(..., extra_columns=[{name!r}])."
            )
        cells, feature = dataset[extra_name(name)], dataset.features[extra_name(name)]
        if isinstance(feature, ClassLabel):
            cells = [None if cell is None or cell < 0 else feature.names[cell] for cell in cells]
        values = dict(zip(dataset["id"], map(cell_text, cells), strict=True))
        prompts_of(task).check_column(values, name)
        return values

    split = [split_specs(one) if isinstance(one, str) else [one] for one in each_annotator(named)]
    specs = [spec for parts in split for spec in parts]
    known_prices = load_prices(prices) if prices else None
    annotators = []
    for spec in specs:
        if isinstance(spec, str):
            # If there are several annotators, the options of a model are not passed to annotators without a model.
            is_unused = (len(specs) > 1 or not is_alone) and is_free(spec) and not reads_prompts(spec)
            own = {} if is_unused else dict(options)
            if class_shares is not None and takes_class_shares(spec):
                own.setdefault("class_shares", dict(class_shares))
            annotator = build_annotator(spec, column=column, options=own)
            make: Callable[[], Annotator] = partial(build_annotator, spec, options=own)
        else:
            annotator, make = spec, partial(_itself, spec)
        annotators.append(RunAnnotator(annotator, price_of(annotator, known_prices), make))
    for entry in annotators:
        entry.annotator.check_task(task)
    return tuple(annotators)


def with_instructions(annotators: Sequence[RunAnnotator], task: Task) -> tuple[RunAnnotator, ...]:
    """Returns an annotator for each instruction of the task in the place of each language model.

    The answers to different instructions are fused as those of different annotators are: an instruction that the model
    understands better has more weight.

    Args:
        annotators (`Sequence[RunAnnotator]`): The annotators.
        task (`Task`): The task with its instructions.
    """
    wordings = ("", *task.instructions)
    return tuple(
        replace(entry, instruction=wording)
        for entry in annotators
        for wording in (wordings if entry.annotator.reads_prompts else ("",))
    )


def checked_budget(loop: LoopConfig, annotators: Sequence[RunAnnotator]) -> Budget:
    """Returns the budget of a run whose annotators it can limit.

    Args:
        loop (`LoopConfig`): The settings of the loop.
        annotators (`Sequence[RunAnnotator]`): All annotators of the run.

    Returns:
        `Budget`: The limits.

    Raises:
        InputError: If a cost is limited and the price of an annotator is unknown, or if several samples are asked for
            and no annotator is a language model: all answers would be the same.
    """
    if loop.samples > 1 and not any(entry.annotator.reads_prompts for entry in annotators):
        names = " + ".join(dict.fromkeys(type(entry.annotator).__name__ for entry in annotators))
        raise InputError(
            f"samples is {loop.samples}, but {names} is not a language model and gives the same answer each time. "
            "Leave --samples out, or use a language model as annotator (endpoint:MODEL, tgi:URL or local:MODEL)."
        )
    budget = Budget(max_cost=loop.max_cost, max_tokens=loop.max_tokens)
    for entry in annotators:
        budget.check_price(entry.price)
    return budget


def _itself(annotator: Annotator) -> Annotator:
    return annotator
