"""The step Run without components: starts, continues and confirms runs, and tells their state."""

from collections.abc import Sequence
from typing import Any

from freeal_hf.errors import InputError
from freeal_hf.loop.folder import PROGRESS
from freeal_hf.loop.progress import read_progress
from freeal_hf.web import choices
from freeal_hf.web.page import Backend
from freeal_hf.web.store import DOUBTFUL, DRAFT, UNDER_WAY, WAITING, Run

TRIED = 20
"""The number of texts that are labelled before the whole run is paid for."""

Chosen = tuple[str, str, str, str, float, float]
"""The arguments of `choices.check_choice`: annotator, model, URL, student, rounds and samples."""


def described(backend: Backend, run_id: str) -> Run:
    """Returns a run with a task.

    Raises:
        InputError: If it has none.
    """
    run = backend.store.read(run_id) if run_id else None
    if run is None or not run.task:
        raise InputError("Read the data and describe the task first.")
    return run


def start(backend: Backend, run_id: str, chosen: Chosen, token: str | None, key: str, *, is_trial: bool) -> None:
    """Starts a run, or adds it to the queue.

    Args:
        backend (`Backend`): The settings, runs and processes.
        run_id (`str`): The id of the run.
        chosen (`Chosen`): The choices.
        token (`str`, *optional*): The token of the visitor.
        key (`str`): The key of the visitor's endpoint.
        is_trial (`bool`): Whether only some texts are labelled.

    Raises:
        InputError: If a choice cannot be used, or the run has started.
    """
    run, settings = described(backend, run_id), backend.settings
    if run.state in UNDER_WAY:
        return
    if run.state != DRAFT:
        raise InputError("This run has already started. Continue it, or read the data again to make another run.")
    choice = choices.check_choice(settings, *chosen)
    secrets = choices.secrets_of(choice, token, key)
    _, plan = choices.estimate(run, choice, settings)
    choices.write_request(run, choice, settings)
    choices.forget_trial(run)
    record: dict[str, Any] = {"choice": choice.__dict__, "plan": plan.__dict__}
    if is_trial:
        record |= {"trial": True, "arguments": ["--try-texts", str(TRIED)]}
    backend.store.update(run_id, choice=record)
    backend.runner.start(run_id, secrets)


def resume(backend: Backend, run: Run, token: str | None, key: str, arguments: Sequence[str] | None = None) -> None:
    """Continues a run.

    Args:
        backend (`Backend`): The settings, runs and processes.
        run (`Run`): A run that was started before.
        token (`str`, *optional*): The token of the visitor.
        key (`str`): The key of the visitor's endpoint.
        arguments (`Sequence[str]`, *optional*): Further arguments for its command line, which are stored.
    """
    if "choice" not in run.choice:
        raise InputError("This run was never started.")
    choice = choices.Choice(**run.choice["choice"])
    secrets = choices.secrets_of(choice, token, key)
    if arguments is not None:
        backend.store.update(run.id, choice={**run.choice, "arguments": list(arguments)})
    backend.runner.start(run.id, secrets)


def use_answers(backend: Backend, run_id: str, token: str | None, key: str) -> None:
    """Continues a run that stopped because the answers of the language model look independent of the texts."""
    run = backend.store.read(run_id)
    if run.state != DOUBTFUL:
        raise InputError("This run does not need a confirmation of its answers.")
    choices.confirm_answers(run)
    resume(backend, run, token, key)


def status_of(backend: Backend, run: Run) -> dict[str, Any]:
    """Returns the state of a run, a message, the number of runs before it, and its last progress event."""
    events = read_progress(run.output / PROGRESS)
    return {
        "state": run.state,
        "message": run.message,
        "runs_before": backend.runner.position(run) if run.state == WAITING else 0,
        "has_results": run.has_results,
        "progress": events[-1] if events else None,
    }
