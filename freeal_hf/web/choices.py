"""The step Run without Gradio: the choice of the annotator, the estimate, and the configuration of the process."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from freeal_hf.annotators.prices import price_of
from freeal_hf.annotators.registry import build_annotator
from freeal_hf.config import LoopConfig, RunConfig
from freeal_hf.data.files import remove
from freeal_hf.errors import InputError
from freeal_hf.loop.folder import CACHE
from freeal_hf.tasks import Task, task_from_dict
from freeal_hf.web.guard import ForbiddenAddressError, check_url
from freeal_hf.web.settings import MINILM, Settings
from freeal_hf.web.store import Run
from freeal_hf.web.timing import REFINED_SHARE, Plan, duration, plan_of
from freeal_hf.web.views.registry import view_of

if TYPE_CHECKING:
    from datasets import Dataset

EMBEDDED, PROVIDER, ANTHROPIC, OWN_URL = "Embedded", "Inference provider", "Anthropic", "Own endpoint"
DEFAULT_MODELS = {PROVIDER: "meta-llama/Llama-3.1-8B-Instruct", ANTHROPIC: "claude-haiku-4-5"}
MOST_SAMPLES = 5
WITH_KEY = (ANTHROPIC, OWN_URL)
"""The annotators for which a visitor enters a key, which the Space does not keep."""

_KEY_VARIABLE = "FREEAL_ENDPOINT_KEY"
_SLOWNESS = 4.0  # the time of a training step of DistilRoBERTa, divided by that of all-MiniLM-L6-v2


@dataclass(frozen=True)
class Choice:
    """The choices in the step Run, without keys.

    Args:
        annotator (`str`): `EMBEDDED`, `PROVIDER`, `ANTHROPIC` or `OWN_URL`.
        model (`str`): The model of the provider, of Anthropic or of the endpoint.
        url (`str`): The address of the visitor's endpoint.
        student (`str`): The displayed name of the student.
        rounds (`int`): The number of rounds.
        samples (`int`): The number of answers of a chat model for each text.
    """

    annotator: str
    model: str
    url: str
    student: str
    rounds: int
    samples: int = 1

    @property
    def specification(self) -> str:
        """The name of the annotator on the command line."""
        if self.annotator == EMBEDDED:
            return "embedding"
        if self.annotator == PROVIDER:
            return f"endpoint:{self.model}"
        if self.annotator == ANTHROPIC:
            return f"anthropic:{self.model}"
        return f"endpoint:{self.model}@{self.url}" if self.model else f"endpoint:{self.url}"


def check_choice(
    settings: Settings, annotator: str, model: str, url: str, student: str, rounds: float, samples: float
) -> Choice:
    """Checks the choices in the step Run.

    Args:
        settings (`Settings`): The limits.
        annotator, model, url, student, rounds, samples: As in `Choice`.

    Returns:
        `Choice`: The choices.

    Raises:
        InputError: If a choice is missing or not allowed.
    """
    model, url, rounds, samples = (model or "").strip(), (url or "").strip(), int(rounds), int(samples)
    if student not in settings.students:
        raise InputError(f"There is no small model {student!r}; choose one of {', '.join(settings.students)}.")
    if not 1 <= rounds <= settings.max_rounds:
        raise InputError(f"The number of rounds is {rounds}; choose 1 to {settings.max_rounds}.")
    if not 1 <= samples <= MOST_SAMPLES:
        raise InputError(f"The number of answers for each text is {samples}; choose 1 to {MOST_SAMPLES}.")
    if annotator == EMBEDDED:
        return Choice(annotator, "", "", student, rounds)
    if "@" in model or any(character.isspace() for character in model):
        raise InputError(f"{model!r} is not the name of a model; leave out '@' and spaces.")
    if annotator == PROVIDER:
        if model.count("/") != 1 or "://" in model:
            raise InputError(
                f"{model!r} is not a model of the Hub; give it as owner/name, such as {DEFAULT_MODELS[PROVIDER]}."
            )
        return Choice(annotator, model, "", student, rounds, samples)
    if annotator == ANTHROPIC:
        if not model:
            raise InputError(f"Enter the name of a model of Anthropic, such as {DEFAULT_MODELS[ANTHROPIC]}.")
        return Choice(annotator, model, "", student, rounds, samples)
    if annotator != OWN_URL or not settings.own_urls:
        raise InputError(
            "You cannot use a model on your own server here. Duplicate this Space, or choose another model."
        )
    if not url:
        raise InputError("Enter the address of your server, such as https://host/v1.")
    try:
        check_url(url, settings.trusted_addresses)
    except ForbiddenAddressError as error:
        raise InputError(str(error)) from error
    return Choice(annotator, model, url, student, rounds, samples)


NO_TOKEN = "Your login or token is missing or has expired. Log in or enter a token at the top, and try again."
NO_KEY = "Enter your key of Anthropic, which begins with sk-ant-."


def read_texts(run: Run, task: Task) -> "Dataset":
    """Reads the texts of a run in the same way as its process.

    Raises:
        InputError: If they cannot be used for this task.
    """
    from freeal_hf.kinds.registry import kind_of

    try:
        columns = {"text_columns": run.data["text_columns"], "gold_column": _gold_column(run, task)}
        return kind_of(task).read_rows(run.texts, **columns)
    except InputError as error:
        raise InputError(str(error).replace(str(run.texts), "The data")) from error


def _gold_column(run: Run, task: Task) -> str | None:
    """Returns the gold column. Labels of texts are not gold for entities, nor are tags without known words."""
    is_unused = view_of(task.to_dict()).of_words and not run.data.get("has_words")
    return None if is_unused else run.data.get("gold_column")


def estimate(run: Run, choice: Choice, settings: Settings) -> tuple[list[tuple[str, str]], Plan]:
    """Estimates the calls, tokens, cost and time of a run. The annotator is not called.

    Args:
        run (`Run`): The run, with its task.
        choice (`Choice`): The choices in the step Run.
        settings (`Settings`): The training options of the operator.

    Returns:
        `tuple[list[tuple[str, str]], Plan]`: The names and values to show, and the expected work.
    """
    from freeal_hf.kinds.registry import kind_of
    from freeal_hf.loop.annotators import RunAnnotator
    from freeal_hf.loop.estimate import estimate_first_round

    task = task_from_dict(run.task)
    rows_read = read_texts(run, task)
    texts = kind_of(task).collect(rows_read).texts
    count, later = len(texts), choice.rounds - 1
    rows = [("Texts", f"{len(rows_read):,} ({count:,} different)")]
    if choice.annotator == EMBEDDED:
        rows.append(("Cost", "none: the model runs on this machine"))
        speed = view_of(run.task).annotated_per_second
        seconds = 1 / speed if speed else 0.0
    else:
        os.environ.setdefault(_KEY_VARIABLE, "none")  # it is not called, and no run gets this variable
        annotator = build_annotator(choice.specification, options=_options_of(choice) or {"token": "none"})
        entry = RunAnnotator(annotator, price_of(annotator), lambda: annotator)
        found = estimate_first_round(entry, rows_read, task, LoopConfig(samples=choice.samples), 0, is_first=True)
        # A later round labels the doubtful texts again: all of them at most.
        expected, most = 1 + later * REFINED_SHARE, 1 + later
        calls, tokens = found.calls, found.prompt_tokens.expected + found.completion_tokens.expected
        highest = found.prompt_tokens.high + found.completion_tokens.high
        rows.append(("Calls", f"about {calls.expected * expected:,.0f}, at most {calls.high * most:,.0f}"))
        rows.append(("Tokens", f"about {tokens * expected:,.0f}, at most {highest * most:,.0f}"))
        if found.cost:
            cost = found.cost
            rows.append(("Cost", f"about ${cost.expected * expected:,.2f}, at most ${cost.high * most:,.2f}"))
        else:
            rows.append(("Cost", "the price of your provider or server for these tokens, paid from your account"))
        seconds = found.seconds.expected / count
    slowness = 1.0 if settings.students[choice.student] == MINILM else _SLOWNESS
    plan = plan_of(texts, choice.rounds, settings.training, seconds_per_text=seconds, slowness=slowness)
    rows.append(("Time", f"about {duration(plan.seconds)}, and more on a busy Space"))
    return rows, plan


def write_request(run: Run, choice: Choice, settings: Settings) -> None:
    """Writes the configuration for the process of a run, without tokens and keys."""
    values: dict[str, Any] = {
        "data": str(run.texts),
        "text_columns": run.data["text_columns"],
        "task": run.task,
        "annotator": choice.specification,
        "student": settings.students[choice.student],
        "num_rounds": choice.rounds,
        "samples": choice.samples,
        "output_dir": str(run.output),
        "disable_tqdm": True,
        **settings.training,
    }
    if gold_column := _gold_column(run, task_from_dict(run.task)):
        values["gold_column"] = gold_column
    if options := _options_of(choice):
        values["annotator_options"] = options
    RunConfig.from_options(values).to_yaml(run.request)


def _options_of(choice: Choice) -> dict[str, str]:
    return {"api_key_env": _KEY_VARIABLE} if choice.annotator in WITH_KEY else {}


def forget_trial(run: Run) -> None:
    """Deletes what a trial has written, except for the paid answers."""
    for path in run.output.glob("*"):
        if path.name != CACHE:
            remove(path)


def confirm_answers(run: Run) -> None:
    """Allows a run to train on answers that look independent of the texts."""
    config = RunConfig.from_yaml(run.request)
    config.loop.allow_doubtful_answers = True
    config.to_yaml(run.request)


def secrets_of(choice: Choice, token: str | None, key: str) -> Mapping[str, str]:
    """Returns the environment variables with the token or key of the visitor, for the process of the run.

    Raises:
        InputError: If a token or key is needed and missing.
    """
    if choice.annotator == PROVIDER:
        if not token:
            raise InputError(NO_TOKEN)
        return {"HF_TOKEN": token}
    if choice.annotator == ANTHROPIC and not (key or "").strip():
        raise InputError(NO_KEY)
    if choice.annotator in WITH_KEY:
        # Never the Hugging Face token: it would be sent to that server.
        return {_KEY_VARIABLE: (key or "").strip() or "none"}
    return {}
