"""Callbacks, which are called at each step of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from freeal_hf.config import HubConfig
from freeal_hf.errors import InputError
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    from freeal_hf.annotators.base import Annotation, AnnotationRequest
    from freeal_hf.training.config import FreeALConfig


@dataclass(frozen=True)
class RunState:
    """The run that calls a callback.

    Args:
        task (`Task`): The task.
        output_dir (`Path`): The run's folder.
        num_rounds (`int`): The maximum number of rounds.
        args (`FreeALConfig`): The training arguments.
        hub (`HubConfig`): The settings of the push.
    """

    task: Task
    output_dir: Path
    num_rounds: int
    args: "FreeALConfig"
    hub: HubConfig


class LoopCallback:
    """Base class of callbacks of `FreeAL`, with methods that do nothing.

    A subclass overrides the methods that it needs. Callbacks are called in the order in which they are given, in the
    first process only if there are several. An error that a callback raises ends the run. A run that ends with an
    error, or is killed, does not call `on_run_end`.

    Example:

        >>> from freeal_hf import FreeAL, LoopCallback, TextClassification
        >>> class PrintAgreement(LoopCallback):
        ...     def on_round_end(self, run, record):
        ...         print(f"Round {record['round']}: {record['agreement']:.1%} of the labels agree")
        >>> task = TextClassification(["positive", "negative"])
        >>> loop = FreeAL(task, "embedding", callbacks=[PrintAgreement()])
    """

    pushes_to_hub: ClassVar[bool] = False
    """Whether the callback pushes the run to the Hub, as `FreeALConfig.push_to_hub` asks for."""

    def on_run_begin(self, run: RunState) -> None:
        """Called when the run's folder is ready, before the first call of an annotator.

        Args:
            run (`RunState`): The run.
        """

    def on_answer(self, run: RunState, round: int, request: "AnnotationRequest", answer: "Annotation") -> None:
        """Called for each answer of an annotator in a round, before `on_annotation_progress`.

        Args:
            run (`RunState`): The run.
            round (`int`): The round.
            request (`AnnotationRequest`): The text, with its demonstrations.
            answer (`Annotation`): The answer, which may have no label. `prompts_of(run.task).in_words` shows it.
        """

    def on_annotation_progress(self, run: RunState, round: int, done: int, total: int) -> None:
        """Called before the first answer of an annotator in a round and after each one.

        Args:
            run (`RunState`): The run.
            round (`int`): The round.
            done (`int`): The number of texts with an answer.
            total (`int`): The number of texts to annotate.
        """

    def on_train_step(self, run: RunState, round: int, done: int, total: int) -> None:
        """Called before the first step of the training of a student and after each one.

        It is not called in a round that changes no label, because the student of the previous round is kept.

        Args:
            run (`RunState`): The run.
            round (`int`): The round.
            done (`int`): The number of finished steps.
            total (`int`): The number of all steps.
        """

    def on_selection(self, run: RunState, round: int, diagnostics: Mapping[str, Any]) -> None:
        """Called after each small-loss selection.

        Args:
            run (`RunState`): The run.
            round (`int`): The round.
            diagnostics (`Mapping[str, Any]`): The `epoch`, and a histogram of the losses: `edges`, and the counts of
                `clean` and `noisy` samples.
        """

    def on_round_end(self, run: RunState, record: Mapping[str, Any]) -> None:
        """Called when a round is complete and all its files are in `round-N` of the run's folder.

        Args:
            run (`RunState`): The run.
            record (`Mapping[str, Any]`): The round's record in `metrics.json`.
        """

    def on_run_end(self, run: RunState) -> None:
        """Called after the last round, also if all rounds were complete when the run began.

        Args:
            run (`RunState`): The run.
        """


Event = Literal[
    "on_run_begin",
    "on_answer",
    "on_annotation_progress",
    "on_train_step",
    "on_selection",
    "on_round_end",
    "on_run_end",
]
"""The methods of `LoopCallback`."""


@dataclass(frozen=True)
class CallbackHandler:
    """Calls the callbacks of a run.

    Args:
        run (`RunState`): The run.
        callbacks (`Sequence[LoopCallback]`): The callbacks, in the order in which they are called.
    """

    run: RunState
    callbacks: Sequence[LoopCallback]

    def call(self, event: Event, *args: Any) -> None:
        """Calls a method of each callback.

        Args:
            event (`str`): The name of the method.
            *args: Its arguments after the run.
        """
        for callback in self.callbacks:
            getattr(callback, event)(self.run, *args)


def checked_callbacks(callbacks: Sequence[LoopCallback], *, push_to_hub: bool = False) -> list[LoopCallback]:
    """Checks that all callbacks of a user are callbacks.

    Args:
        callbacks (`Sequence[LoopCallback]`): The callbacks of a user.
        push_to_hub (`bool`, *optional*, defaults to `False`): Whether one of them must push to the Hub.

    Returns:
        `list[LoopCallback]`: The callbacks.

    Raises:
        InputError: If one is not an instance of a subclass of `LoopCallback`, or none pushes to the Hub.
    """
    for callback in callbacks:
        if not isinstance(callback, LoopCallback):
            shown = f"the class {callback.__name__}" if isinstance(callback, type) else type(callback).__name__
            raise InputError(
                f"A callback is {shown}, which is not an instance of freeal_hf.LoopCallback. Derive its class from "
                "freeal_hf.LoopCallback, and give an instance: callbacks=[MyCallback()]."
            )
    if push_to_hub and not any(callback.pushes_to_hub for callback in callbacks):
        raise InputError(
            "push_to_hub is set, but no callback pushes. Add callbacks=[freeal_hf.PushToHubCallback()], or leave "
            "push_to_hub out."
        )
    return list(callbacks)
