"""Engines, which annotate the texts of a run outside of its process. Packages register them by name."""

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from freeal_hf.annotators.base import AnnotationRequest, Annotator
from freeal_hf.annotators.budget import Budget, Ledger
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.config import EngineConfig
from freeal_hf.errors import InputError
from freeal_hf.tasks import Task

GROUP = "freeal_hf.engines"
"""The entry point group under which packages register engines, this package too."""


class Engine(Protocol):
    """Annotates requests and writes their answers to the cache of a run, in which the run then finds them.

    A package registers, under the entry point group `freeal_hf.engines`, a function that takes an [`EngineConfig`] and
    returns an engine. It raises an `InputError` if the engine cannot be used. `--engine NAME` selects it.
    """

    def __call__(
        self,
        annotator: Annotator,
        task: Task,
        requests: Sequence[AnnotationRequest],
        *,
        cache: AnswerCache,
        ledger: Ledger,
        budget: Budget,
        folder: Path,
        make_annotator: Callable[[], Annotator],
        progress: Callable[[int], Any],
    ) -> None:
        """Annotates the requests that are not in the cache.

        Args:
            annotator (`Annotator`): The annotator.
            task (`Task`): The task.
            requests (`Sequence[AnnotationRequest]`): The texts.
            cache (`AnswerCache`): The cache of the run. Answers are written with `ledger.owner` as their owner.
            ledger (`Ledger`): The ledger of the round. Costs without a request are added to it.
            budget (`Budget`): The limits of the run.
            folder (`Path`): A folder for the files of the engine, which is deleted afterwards.
            make_annotator (`Callable`): Makes the same annotator in another process.
            progress (`Callable`): Is called with the number of requests whose answers are in the cache.

        Raises:
            AnnotatorError: If the annotator fails. All received answers are kept.
        """
        ...


def engine_of(config: EngineConfig) -> Engine | None:
    """Returns the engine of a configuration.

    Args:
        config (`EngineConfig`): The name of the engine, and its settings.

    Returns:
        `Engine`, *optional*: The engine; `None` if the process of the run annotates.

    Raises:
        InputError: If there is no such engine, or it cannot be used.
    """
    if config.engine == "local":
        return None
    points = {point.name: point for point in entry_points(group=GROUP)}
    if config.engine not in points:
        raise InputError(
            f"There is no engine {config.engine!r}; the engines are {', '.join(['local', *sorted(points)])}. If its "
            "package is installed, install it again: the name was registered in a later version."
        )
    point = points[config.engine]
    try:
        make = point.load()
    except (ImportError, AttributeError) as error:
        place = f"{point.value!r}, which a package registers as engine {point.name!r}"
        raise InputError(f"{place}, cannot be imported ({error}); reinstall or remove that package.") from error
    engine: Engine = make(config)
    return engine
