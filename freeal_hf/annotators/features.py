"""Finds the optional features of a request that a server supports, before and during a run."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from freeal_hf.annotators.constraints import LADDER, NONCE, Constraint, constraint_fields
from freeal_hf.annotators.final_answer import final_answer
from freeal_hf.annotators.pacing import Pace, ask
from freeal_hf.annotators.prompts.labels import Message
from freeal_hf.annotators.question import Completion, Form, LengthField, Question
from freeal_hf.data.counting import counted
from freeal_hf.errors import AnnotatorError, RefusedError, RejectedError, TransientError

logger = logging.getLogger(__name__)

_Failure = TransientError | RefusedError | RejectedError

TOP_LOGPROBS = 20
"""The maximum number of requested log-probabilities of a token."""

_FEWER_LOGPROBS = 5
_FIRST_ATTEMPTS, _ATTEMPTS = 4, 3
# The driver repeats calls after a server error. Features are only tested if no call succeeds any more.
_FAILURES_IN_A_ROW = 5
_CANARY: tuple[Message, ...] = (
    {"role": "system", "content": "Answer in one short sentence."},
    {"role": "user", "content": "What colour is a ripe banana?"},
)


Send = Callable[[Question, Form], Awaitable[Completion]]
"""Makes one call."""


class Features:
    """Sends questions to a server with the optional features that it supports.

    If calls fail and the plain question is answered, the features are tested one at a time, and unsupported ones are
    not used any more. This is done at the first call of a run and at any later one, because a server can be replaced
    during a run, and a router can send a call to a provider with fewer features.

    Args:
        send (`Callable`): Makes a call in a form.
        paid (`list[Completion]`): The list for the answers to calls that only test a feature, which also cost tokens.
        form (`Form`): The features to use as long as nothing is known about the server.
    """

    def __init__(self, send: Send, paid: list[Completion], form: Form) -> None:
        self.form = form
        self._send = send
        self._paid = paid
        self._canary: Question | None = None
        self._constraints: dict[str, Constraint] = {}  # by kind, because a server may refuse the schema of one kind
        self._failures = 0
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Completion | None]] = set()

    async def enter(
        self, *, max_tokens: int, timeout: float, temperature: float | None = None, seed: int | None = None
    ) -> None:
        """Prepares for calls in the running event loop. The first time, it finds the features of the server.

        Servers ignore unknown fields, and answer with status 200. The test therefore asks about a banana, and only
        allows a word that no model would answer. If the server returns this word, it enforces the constraint.

        Args:
            max_tokens (`int`), timeout (`float`), temperature (`float`), seed (`int`): As in `Question`.

        Raises:
            AnnotatorError: If the server does not answer or refuses a plain question, or the model only reasons.
        """
        self._lock, self._tasks = asyncio.Lock(), set()
        if self._canary is not None:
            return
        canary = Question(
            "canary",
            _CANARY,
            lambda constraint: constraint_fields(constraint, (NONCE,)),
            top_logprobs=TOP_LOGPROBS,
            max_tokens=max_tokens,
            timeout=timeout,
            temperature=temperature,
            seed=seed,
        )
        wanted = self.form.top_logprobs
        self.form = replace(self.form, top_logprobs=0)
        try:
            top_logprobs = await self._most_logprobs(canary, wanted)
            constraint = await self._first_enforced(canary)
        except TransientError as error:
            raise AnnotatorError(
                f"The annotator did not answer its first call after {_FIRST_ATTEMPTS} attempts: "
                f"{str(error).rstrip('.')}. Check that the server is running, then start the same command again."
            ) from error
        except RefusedError as refusal:
            raise AnnotatorError(
                f"The server refuses a plain question: {str(refusal).rstrip('.')}. Check the model and the options of "
                "the annotator."
            ) from refusal
        self.form = replace(self.form, top_logprobs=top_logprobs, constraint=constraint)
        self._canary = canary
        logger.info(
            "Constraint of the answers: %s; log-probabilities: %s.",
            "none, answers are only parsed" if constraint == "none" else constraint,
            "yes" if top_logprobs else "no",
        )

    async def leave(self) -> None:
        """Cancels active tests."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def complete(self, question: Question) -> Completion:
        """Answers a question.

        Raises:
            TransientError, RefusedError, AnnotatorError: If the call raises it, and no feature is the cause.
        """
        while True:
            form = self._form_of(question)
            try:
                completion = await self._send(question, form)
            except (TransientError, RefusedError, RejectedError) as error:
                if form == _plain(form) or not self._is_suspicious(error):
                    raise
                # The tests can take longer than a call, and must not start again with each attempt.
                found = await self._in_background(self._find_cause(question, form, error))
                if found is not None:
                    return found
            else:
                self._failures = 0
                return completion

    # ---- Before the first call ----

    async def _most_logprobs(self, canary: Question, wanted: int) -> int:
        refusal: _Failure | None = None
        for number in (TOP_LOGPROBS, _FEWER_LOGPROBS):
            if number <= wanted:
                found, refusal = await self._attempt(canary, replace(self.form, top_logprobs=number))
                if found is not None:
                    self._paid.append(found)
                    return number if any(token.alternatives for token in found.tokens) else 0
                logger.info("%d log-probabilities for each token: refused (%s).", number, refusal)
        base = self.form
        found, error = await self._attempt(canary, base, _FIRST_ATTEMPTS)
        if error is not None:
            found = await self._find_cause(canary, base, error)
            if self.form != base:  # another feature was the cause, so log-probabilities may be supported
                if found is not None:
                    self._paid.append(found)
                return await self._most_logprobs(canary, wanted)
        if found is not None:
            self._paid.append(found)
        if refusal is not None:
            _tell("top_logprobs", 0, refusal)
        return 0

    async def _first_enforced(self, canary: Question) -> Constraint:
        first: _Failure | None = None
        for constraint in LADDER[:-1]:
            is_enforced, refusal = await self._enforces(canary, constraint, self.form)
            if is_enforced:
                logger.info("Constraint %s: enforced.", constraint)
                return constraint
            if refusal is None:
                logger.info("Constraint %s: accepted but not enforced.", constraint)
            else:
                logger.info("Constraint %s: refused (%s).", constraint, refusal)
                first = first or refusal
        if first is not None:
            _tell("constraint", "none", first)
        return "none"

    async def _enforces(self, canary: Question, constraint: Constraint, form: Form) -> tuple[bool, _Failure | None]:
        found, refusal = await self._attempt(canary, replace(form, constraint=constraint, top_logprobs=0))
        if found is None:
            return False, refusal
        self._paid.append(found)
        return NONCE in final_answer(found.text).text, None

    # ---- After a failure ----

    def _form_of(self, question: Question) -> Form:
        return replace(
            self.form,
            constraint=self._constraints.get(question.kind, self.form.constraint),
            top_logprobs=min(self.form.top_logprobs, question.top_logprobs),
            system_role=self.form.system_role and question.messages[0]["role"] == "system",
            temperature=self.form.temperature and question.temperature is not None,
            seed=self.form.seed and question.seed is not None,
        )

    def _is_suspicious(self, error: _Failure) -> bool:
        if not _may_be_feature(error):
            return False
        if isinstance(error, TransientError):
            self._failures += 1
            return self._failures >= _FAILURES_IN_A_ROW
        return True

    async def _in_background(self, work: "Coroutine[Any, Any, Completion | None]") -> Completion | None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # the waiter may have been cancelled
        return await asyncio.shield(task)

    async def _find_cause(self, question: Question, form: Form, error: _Failure) -> Completion | None:
        """Stops using the features that the server refuses, and returns the answer to the question.

        Returns:
            `Completion` or `None`: The answer; `None` if the form has changed and the question must be asked again.

        Raises:
            TransientError, RefusedError, AnnotatorError: `error`, if the plain question also fails.
        """
        self._failures = 0
        async with self._lock:  # another call may find the same cause
            if self._differs(question, form):
                return None
        plain, found, refusal = await self._ask_plainly(question, form, error)
        async with self._lock:
            if self._differs(question, form):
                return found
            return await self._add_features(question, form, plain, found, refusal)

    def _differs(self, question: Question, form: Form) -> bool:
        return question.kind != "canary" and self._form_of(question) != form

    async def _ask_plainly(self, question: Question, form: Form, error: _Failure) -> tuple[Form, Completion, _Failure]:
        plain = _plain(form)
        lengths: list[LengthField | None] = [form.length_field]
        # If the server says that it refuses the text, its length is not the cause.
        is_vague = question.kind == "canary" or isinstance(error, TransientError)
        if form.length_field and (is_vague or "max_" in str(error)):
            lengths += ["max_completion_tokens", None] if form.length_field == "max_tokens" else [None]
        refusal = error
        for length_field in lengths:
            found, failure = await self._attempt(question, replace(plain, length_field=length_field))
            if found is not None:
                return replace(plain, length_field=length_field), found, refusal
            assert failure is not None
            refusal = failure
        if form.extra:
            await self._blame_extra(question, plain)
        raise error

    async def _blame_extra(self, question: Question, plain: Form) -> None:
        found, _ = await self._attempt(question, replace(plain, extra=()))
        if found is None:
            return
        self._paid.append(found)
        for name in plain.extra:
            found, refusal = await self._attempt(question, replace(plain, extra=(name,)))
            if refusal is not None:
                raise AnnotatorError(
                    f"The server refuses the field {name!r} of your extra_body: {refusal} Leave it out, or correct it."
                ) from refusal
            if found is not None:
                self._paid.append(found)

    async def _add_features(
        self, question: Question, form: Form, plain: Form, found: Completion, refusal: _Failure
    ) -> Completion:
        """Adds the features of a form to the plain form, one at a time, if the server supports them."""
        best = plain
        if best.length_field != form.length_field:
            self.form = replace(self.form, length_field=best.length_field)
            _tell("length_field", best.length_field, refusal)
        for name in ("system_role", "temperature", "seed", "constraint", "top_logprobs"):
            wanted = vars(form)[name]
            if vars(best)[name] == wanted:
                continue
            first: _Failure | None = None
            for value in (wanted, *_lesser(name, wanted)):
                if name == "constraint" and value != wanted and not await self._is_enforced(value, best):
                    continue
                trial = replace(best, **{name: value})
                answer, failure = await self._attempt(question, trial)
                if answer is not None:
                    self._paid.append(found)
                    best, found = trial, answer
                    break
                first = first or failure
            if first is not None:
                self._lower(question.kind, name, vars(best)[name])
                _tell(name, vars(best)[name], first, question.kind)
        return found

    async def _is_enforced(self, constraint: Constraint, form: Form) -> bool:
        return self._canary is not None and (await self._enforces(self._canary, constraint, form))[0]

    def _lower(self, kind: str, name: str, value: Any) -> None:
        if name == "constraint":
            self._constraints[kind] = value
        else:
            self.form = replace(self.form, **{name: value})

    async def _attempt(
        self, question: Question, form: Form, max_attempts: int = _ATTEMPTS
    ) -> tuple[Completion | None, _Failure | None]:
        """Returns the answer in a form, or the failure, whose cause may be a feature of the form."""
        try:
            found, _ = await ask(
                lambda: self._send(question, form),
                pace=Pace(1),
                order=0,
                timeout=question.timeout,
                max_attempts=max_attempts,
                on_retry=lambda: None,
            )
        except (TransientError, RefusedError, RejectedError) as error:
            if not _may_be_feature(error):
                raise
            return None, error
        if question.kind == "canary" and found.is_cut_off and not final_answer(found.text).text:
            self._paid.append(found)
            raise AnnotatorError(
                f"The model wrote {counted(found.completion_tokens, 'token')} without an answer. A reasoning model "
                f"needs more than max_tokens={question.max_tokens}: try 4000, or reduce its reasoning (extra_body, if "
                "there is such a field)."
            )
        return found, None


def _may_be_feature(error: _Failure) -> bool:
    if isinstance(error, TransientError):
        return error.reason in ("server error", "broken response") and not error.overloaded
    return isinstance(error, RejectedError) or error.reason == "request refused"


def _plain(form: Form) -> Form:
    return replace(form, constraint="none", top_logprobs=0, system_role=False, temperature=False, seed=False)


def _lesser(name: str, value: Any) -> Sequence[Any]:
    """Returns the alternatives for an unsupported feature."""
    if name == "constraint":
        return LADDER[LADDER.index(value) + 1 : -1]
    if name == "top_logprobs" and value > _FEWER_LOGPROBS:
        return (_FEWER_LOGPROBS,)
    return ()


def _tell(name: str, value: Any, refusal: _Failure, kind: str = "label") -> None:
    """Logs the feature that a server refuses, its replacement, and the message of the server."""
    if name == "system_role":
        refused, instead = "the system role", "the instructions are part of the first message instead"
    elif name == "constraint":
        refused = f"the format of the answer ({kind})"
        instead = "answers are only parsed" if value == "none" else f"{value} is used instead"
    elif name == "top_logprobs":
        refused = "log-probabilities"
        instead = f"{value} for each token are requested" if value else "labels have no probabilities"
    elif name == "length_field":
        refused, instead = "max_tokens", f"{value} is used instead" if value else "answers have no length limit"
    else:
        refused, instead = f"the field {name!r}", "it is left out"
    logger.warning("The server refuses %s; %s. It said: %s", refused, instead, refusal)
