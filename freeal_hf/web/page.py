"""Objects that the four steps share: settings and runs, common components, and the display of errors."""

import functools
import html
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import gradio as gr
from gradio.blocks import Block

from freeal_hf.errors import FreeALError
from freeal_hf.web.guard import is_public
from freeal_hf.web.messages import for_visitors
from freeal_hf.web.runner import BusyError, Runner
from freeal_hf.web.settings import Settings
from freeal_hf.web.shown import note
from freeal_hf.web.store import FullError, Run, Store, UnknownRunError

Update = dict[Block, Any]
"""The result of a step: new values or properties by component. Other components do not change."""

F = TypeVar("F", bound=Callable[..., Any])

VISITORS_ERRORS = (FreeALError, UnknownRunError, BusyError, FullError)
"""The errors that a visitor can fix."""

DATA, TASK, RUN, RESULTS = 1, 2, 3, 4
STEPS = {DATA: "1 Data", TASK: "2 Task", RUN: "3 Run", RESULTS: "4 Results"}

PRIVATE: dict[str, Any] = {"api_visibility": "private"}
"""Options of an event that is not in the API."""

QUIET: dict[str, Any] = {**PRIVATE, "show_progress": "hidden"}
"""Options of an event that only updates the page: it is not in the API, and its outputs show no progress."""

HAS_LOGIN = bool(os.environ.get("SPACE_ID") and os.environ.get("OAUTH_CLIENT_ID"))
"""Whether visitors log in with Hugging Face. Otherwise they enter a token."""

# Changes the address of the page, and that of the page on huggingface.co that contains the Space.
REMEMBER = """(id) => {
  const address = new URL(window.location.href);
  if (id) address.searchParams.set("run", id); else address.searchParams.delete("run");
  window.history.replaceState(null, "", address);
  if (window.parent !== window) {
    window.parent.postMessage({ queryString: address.searchParams.toString() }, "https://huggingface.co");
  }
}"""


@dataclass(frozen=True)
class Backend:
    """The settings, the runs and their processes.

    Args:
        settings (`Settings`): The settings of the operator.
        store (`Store`): The runs.
        runner (`Runner`): Their processes.
    """

    settings: Settings
    store: Store
    runner: Runner


@dataclass(frozen=True)
class Part:
    """A part of the page that shows a run: a step, or a tab of the results.

    Args:
        fill (`Callable[..., Update]`): The function that shows a run, or the first values of the page.
        fields (`list`): The components that it fills.
        done (`Any`, *optional*): The event after which a visitor has completed the step, or the events after which
            the results have changed.
    """

    fill: Callable[..., Update]
    fields: list[Any]
    done: Any = None


@dataclass(frozen=True)
class Page:
    """Components that several steps use.

    Args:
        steps (`gr.Tabs`): The four steps. Those that the run has reached can be opened.
        tabs (`list[gr.Tab]`): The steps after the first one, in their order.
        run_id (`gr.Textbox`): The id of the run on the page.
        token (`gr.Textbox`): The token that a visitor entered, if there is no login.
        timer (`gr.Timer`): A timer that is active during a run.
        landing (`gr.Column`), working (`gr.Column`): What the page shows before and after the first choice.
    """

    steps: gr.Tabs
    tabs: list[gr.Tab]
    run_id: gr.Textbox
    token: gr.Textbox
    timer: gr.Timer
    landing: gr.Column
    working: gr.Column

    def open_tabs(self, run: Run | None) -> Update:
        """Opens the steps that a run has reached and closes the others."""
        has_texts = run is not None and run.texts.is_file()
        reached = (has_texts, has_texts and bool(run and run.task), run is not None and run.has_results)
        return {tab: gr.update(interactive=is_open) for tab, is_open in zip(self.tabs, reached, strict=True)}

    def leave_landing(self) -> Update:
        """Shows the steps in place of the first page."""
        return {self.landing: gr.update(visible=False), self.working: gr.update(visible=True)}

    def go_to(self, step: int) -> Update:
        """Opens a step."""
        return {self.steps: gr.Tabs(selected=step)}


def showing_errors(handler: F) -> F:
    """Decorator that shows the errors that a visitor can fix, escaped, because Gradio renders messages as HTML."""

    @functools.wraps(handler)
    def shown(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except VISITORS_ERRORS as error:
            message = html.escape(for_visitors(str(error)), quote=False)
            raise gr.Error(message, duration=10, print_exception=False) from error

    return shown  # type: ignore[return-value]


def showing_errors_in(place: gr.HTML) -> Callable[[Callable[..., Update | None]], Callable[..., Iterator[Update]]]:
    """Decorator that shows such errors beside the fields that caused them, until the step succeeds.

    Args:
        place (`gr.HTML`): The component for the message. It must be an output of the event.
    """

    def decorated(handler: Callable[..., Update | None]) -> Callable[..., Iterator[Update]]:
        @functools.wraps(handler)
        def shown(*args: Any, **kwargs: Any) -> Iterator[Update]:
            try:
                update = handler(*args, **kwargs) or {}
            except VISITORS_ERRORS as error:
                message = for_visitors(str(error))
                yield {place: note(message, "problem")}
                # The message is on the page, and the steps after this one must not follow.
                raise gr.Error(html.escape(message, quote=False), visible=False, print_exception=False) from error
            yield {place: "", **update}

        return shown

    return decorated


def own_token(login: gr.OAuthToken | None, typed: str | None) -> str | None:
    """Returns the token of the visitor, from a valid login or from the field. It is never the token of the Space."""
    return login.token if login is not None else (typed or "").strip() or None


def visitor_of(request: gr.Request) -> str:
    """Returns the address of a visitor.

    On the Hub, it is the last public address of `x-forwarded-for`. Each proxy appends the address that has called it,
    and proxies of the Hub call each other at private addresses. A visitor can only forge the addresses before that.
    """
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")) if os.environ.get("SPACE_ID") else ""
    public = [address for address in map(str.strip, forwarded.split(",")) if is_public(address)]
    return public[-1] if public else request.client.host if request.client else ""
