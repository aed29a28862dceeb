"""Callbacks, which are called at each step of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeal_hf.errors import InputError
from freeal_hf.tasks import Task


@dataclass(frozen=True)
class RunState:
    """The run that calls a callback.

    Args:
        task (`Task`): What is labelled.
        output_dir (`Path`): The run's folder.
        num_rounds (`int`): How many rounds the run has at most.
    """

    task: Task
    output_dir: Path
    num_rounds: int


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

    def on_run_begin(self, run: RunState) -> None:
        """Called when the run's folder is ready, before an annotator is asked.

        Args:
            run (`RunState`): The run.
        """

    def on_annotation_progress(self, run: RunState, round: int, done: int, total: int) -> None:
        """Called before the first answer of an annotator in a round and after each one.

        Args:
            run (`RunState`): The run.
            round (`int`): The round.
            done (`int`): Texts that are answered.
            total (`int`): Texts that are asked about.
        """

    def on_train_step(self, run: RunState, round: int, done: int, total: int) -> None:
        """Called before the first step of the training of a student and after each one.

        Args:
            run (`RunState`): The run.
            round (`int`): The round.
            done (`int`): Steps that are done.
            total (`int`): Steps in all.
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


class CallbackHandler:
    """Calls the callbacks of a run.

    Args:
        run (`RunState`): The run.
        callbacks (`Sequence[LoopCallback]`): The callbacks, in the order in which they are called.
    """

    def __init__(self, run: RunState, callbacks: Sequence[LoopCallback]) -> None:
        self.run, self.callbacks = run, callbacks

    def on_run_begin(self) -> None:
        """See `LoopCallback`."""
        for callback in self.callbacks:
            callback.on_run_begin(self.run)

    def on_annotation_progress(self, round: int, done: int, total: int) -> None:
        """See `LoopCallback`."""
        for callback in self.callbacks:
            callback.on_annotation_progress(self.run, round, done, total)

    def on_train_step(self, round: int, done: int, total: int) -> None:
        """See `LoopCallback`."""
        for callback in self.callbacks:
            callback.on_train_step(self.run, round, done, total)

    def on_selection(self, round: int, diagnostics: Mapping[str, Any]) -> None:
        """See `LoopCallback`."""
        for callback in self.callbacks:
            callback.on_selection(self.run, round, diagnostics)

    def on_round_end(self, record: Mapping[str, Any]) -> None:
        """See `LoopCallback`."""
        for callback in self.callbacks:
            callback.on_round_end(self.run, record)

    def on_run_end(self) -> None:
        """See `LoopCallback`."""
        for callback in self.callbacks:
            callback.on_run_end(self.run)


def checked_callbacks(callbacks: Sequence[LoopCallback]) -> list[LoopCallback]:
    """Checks that all callbacks of a user are callbacks.

    Args:
        callbacks (`Sequence[LoopCallback]`): The callbacks of a user.

    Returns:
        `list[LoopCallback]`: The callbacks.

    Raises:
        InputError: If one is not an instance of a subclass of `LoopCallback`.
    """
    for callback in callbacks:
        if not isinstance(callback, LoopCallback):
            shown = f"the class {callback.__name__}" if isinstance(callback, type) else type(callback).__name__
            raise InputError(
                f"A callback is {shown}, which is not an instance of freeal_hf.LoopCallback. Derive its class from "
                "freeal_hf.LoopCallback, and give an instance: callbacks=[MyCallback()]."
            )
    return list(callbacks)
