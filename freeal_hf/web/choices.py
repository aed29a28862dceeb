"""The step Run without Gradio: the choice of the annotator, the estimate, and the configuration of the process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.estimate import estimate_annotation
from freeal_hf.annotators.prices import price_of
from freeal_hf.annotators.registry import build_annotator
from freeal_hf.config import RunConfig
from freeal_hf.errors import InputError
from freeal_hf.tasks import Task, task_from_dict
from freeal_hf.web.guard import ForbiddenAddressError, check_url
from freeal_hf.web.settings import Settings
from freeal_hf.web.store import Run
from freeal_hf.web.views.registry import view_of

if TYPE_CHECKING:
    from datasets import Dataset

EMBEDDED, PROVIDER, OWN_URL = "Embedded", "Inference provider", "Own endpoint"

_KEY_VARIABLE = "FREEAL_ENDPOINT_KEY"
_EPOCHS = 6
_STARTING_SECONDS = 15
# Measured with all-MiniLM-L6-v2 on two CPU cores and texts of 20 words.
_TEXTS_PER_SECOND = 80


@dataclass(frozen=True)
class Choice:
    """The choices in the step Run, without keys.

    Args:
        annotator (`str`): `EMBEDDED`, `PROVIDER` or `OWN_URL`.
        model (`str`): The model of the provider or the endpoint.
        url (`str`): The address of the visitor's endpoint.
        student (`str`): The displayed name of the student.
        rounds (`int`): The number of rounds.
    """

    annotator: str
    model: str
    url: str
    student: str
    rounds: int

    @property
    def specification(self) -> str:
        """The name of the annotator on the command line."""
        if self.annotator == EMBEDDED:
            return "embedding"
        if self.annotator == PROVIDER:
            return f"endpoint:{self.model}"
        return f"endpoint:{self.model}@{self.url}" if self.model else f"endpoint:{self.url}"


def check_choice(annotator: str, model: str, url: str, student: str, rounds: float, settings: Settings) -> Choice:
    """Checks the choices in the step Run.

    Args:
        annotator, model, url, student, rounds: As in `Choice`.
        settings (`Settings`): The limits.

    Returns:
        `Choice`: The choices.

    Raises:
        InputError: If a choice is missing or not allowed.
    """
    model, url, rounds = (model or "").strip(), (url or "").strip(), int(rounds)
    if student not in settings.students:
        raise InputError(f"There is no student {student!r}; choose one of {', '.join(settings.students)}.")
    if not 1 <= rounds <= settings.max_rounds:
        raise InputError(f"The number of rounds is {rounds}; choose 1 to {settings.max_rounds}.")
    if annotator == EMBEDDED:
        return Choice(annotator, "", "", student, rounds)
    if "@" in model or any(character.isspace() for character in model):
        raise InputError(f"{model!r} is not the name of a model; leave out '@' and spaces.")
    if annotator == PROVIDER:
        if model.count("/") != 1 or "://" in model:
            raise InputError(f"{model!r} is not a Hub model; give it as owner/name, such as {DEFAULT_MODEL}.")
        return Choice(annotator, model, "", student, rounds)
    if annotator != OWN_URL or not settings.own_urls:
        raise InputError(
            "This Space does not allow your own endpoint. Duplicate the Space, or choose another annotator."
        )
    if not url:
        raise InputError("Enter the address of your endpoint, such as https://host/v1.")
    try:
        check_url(url, settings.trusted_addresses)
    except ForbiddenAddressError as error:
        raise InputError(str(error)) from error
    return Choice(annotator, model, url, student, rounds)


NO_TOKEN = "Your login or token is missing or has expired. Log in or enter a token at the top, and try again."
DEFAULT_MODEL = "meta-llama/Llama-3.1-8B-Instruct"


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


def estimate(run: Run, choice: Choice) -> list[tuple[str, str]]:
    """Estimates the calls, tokens, cost and time of a run. The annotator is not called.

    Args:
        run (`Run`): The run, with its task.
        choice (`Choice`): The choices in the step Run.

    Returns:
        `list[tuple[str, str]]`: The names and values to show.
    """
    from freeal_hf.kinds.registry import kind_of

    task = task_from_dict(run.task)
    rows_read = read_texts(run, task)
    texts = kind_of(task).collect(rows_read)
    count = len(texts.ids)
    later = "" if choice.rounds == 1 else f" in the first round, at most {count:,} in each later round"
    training = count * _EPOCHS * choice.rounds / _TEXTS_PER_SECOND
    rows = [("Texts", f"{len(rows_read):,} ({count:,} different)"), ("Calls", f"{count:,}{later}")]
    if choice.annotator == EMBEDDED:
        rows += [("Cost", "none: the annotator runs on this machine")]
        speed = view_of(run.task).annotated_per_second
        seconds = choice.rounds * count / speed if speed else 0.0
    else:
        annotator = build_annotator(choice.specification, options={"token": "none"})
        found = estimate_annotation(
            annotator,
            task,
            [AnnotationRequest(text, words=texts.words_of(i)) for i, text in enumerate(texts.texts)],
            price=price_of(annotator),
        )
        tokens = f"about {found.prompt_tokens.expected:,.0f} input and {found.completion_tokens.expected:,.0f} output"
        most = choice.rounds * (found.prompt_tokens.high + found.completion_tokens.high)
        rows.append(("Tokens", f"{tokens} in the first round; at most {most:,.0f} in all, plus demonstrations"))
        if found.cost:
            rows.append(("Cost", f"about ${found.cost.expected:,.2f}, up to ${found.cost.high:,.2f} a round"))
        else:
            rows.append(("Cost", "the price of your provider or server for these tokens, paid from your account"))
        seconds = found.seconds.expected * choice.rounds
    rows.append(
        ("Time", f"about {_minutes(_STARTING_SECONDS + seconds + training)} after the start, more on a busy Space")
    )
    return rows


def write_request(run: Run, choice: Choice, settings: Settings) -> None:
    """Writes the configuration for the process of a run, without tokens and keys."""
    values: dict[str, Any] = {
        "data": str(run.texts),
        "text_columns": run.data["text_columns"],
        "task": run.task,
        "annotator": choice.specification,
        "student": settings.students[choice.student],
        "num_rounds": choice.rounds,
        "output_dir": str(run.output),
        "disable_tqdm": True,
        **settings.training,
    }
    if gold_column := _gold_column(run, task_from_dict(run.task)):
        values["gold_column"] = gold_column
    if choice.annotator == OWN_URL:
        values["annotator_options"] = {"api_key_env": _KEY_VARIABLE}
    RunConfig.from_options(values).to_yaml(run.request)


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
    if choice.annotator == OWN_URL:
        # Never the Hugging Face token: it would be sent to that server.
        return {_KEY_VARIABLE: (key or "").strip() or "none"}
    return {}


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
