"""Annotators by name, as the command line and a configuration file give them."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from freeal_hf.annotators.base import Annotator
from freeal_hf.data.layouts import split_names
from freeal_hf.errors import FreeALError, InputError

FORMS = """\
embedding                   sentence embeddings, no LLM and no network (embedding:MODEL for another model)
endpoint:MODEL              a chat model of the Hugging Face inference providers, such as endpoint:org/name
endpoint:NAME               a dedicated Inference Endpoint, by its name
endpoint:URL                an OpenAI-compatible server (endpoint:MODEL@URL to name the model there)
tgi:URL                     a text-generation-inference server
local:MODEL                 a causal language model in this process
column:NAME                 labels in a column of the data (column:A,"B, C": of several)
SPEC + SPEC                 several annotators, fused"""
"""What a specification may look like, for help and error messages."""


def split_specs(spec: str) -> list[str]:
    """The single annotators that a specification names.

    Several are joined by ` + `, columns also by commas. A column name that contains a comma is quoted as in a CSV
    file.

    Example:

        >>> split_specs('embedding + column:label,"yes, or no"')
        ['embedding', 'column:label', 'column:yes, or no']
    """
    found = []
    for part in spec.split(" + "):
        kind, _, value = part.strip().partition(":")
        found += [f"column:{name}" for name in split_names(value)] if kind == "column" else [part.strip()]
    return found


def columns_of(specs: Iterable[str]) -> list[str]:
    """The columns of the data that these specifications read labels from, each once."""
    found = [one for spec in specs for one in split_specs(spec)]
    return [one.removeprefix("column:") for one in dict.fromkeys(found) if one.startswith("column:")]


def build_annotator(
    spec: str,
    *,
    column: Callable[[str], Mapping[str, str]] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Annotator:
    """The annotator that a specification names.

    Args:
        spec (`str`): One of `FORMS`.
        column (`Callable`, *optional*): Gives a column's values by sample id; needed by `column:NAME`.
        options (`Mapping`, *optional*): Keyword arguments of the annotator, such as `api_key_env` or `concurrency`.

    Raises:
        InputError: If the specification has none of the forms, the annotator has no such option, or cannot take its
            value.
        AnnotatorError: If the annotator cannot be built (missing extra, missing key, model that does not load).
    """
    kind, _, value = spec.strip().partition(":")
    try:
        return _build(kind, value.strip(), column, dict(options or {}))
    except FreeALError:
        raise
    except (TypeError, ValueError) as error:
        given = ", ".join(options or {}) or "none"
        raise InputError(f"Annotator {spec!r} cannot be made with these options ({given}): {error}.") from error


def _build(
    kind: str, value: str, column: Callable[[str], Mapping[str, str]] | None, options: dict[str, Any]
) -> Annotator:
    # each import is made only for the annotator that needs it: torch, a client, an extra that may not be there
    if kind == "embedding":
        from freeal_hf.annotators.embedding import EmbeddingAnnotator

        return _made(EmbeddingAnnotator, **{**({"model": value} if value else {}), **options})
    if kind == "endpoint" and value:
        from freeal_hf.annotators.inference import InferenceEndpointsAnnotator

        model, _, url = value.partition("@http")
        if model and url:
            options["base_url"] = f"http{url}"
        return _made(InferenceEndpointsAnnotator, model or value, **options)
    if kind == "tgi" and value:
        from freeal_hf.annotators.tgi import TGIAnnotator

        return _made(TGIAnnotator, value, **options)
    if kind == "local" and value:
        from freeal_hf.annotators.local import LocalAnnotator

        return _made(LocalAnnotator, value, **options)
    if kind == "column" and value and column is not None:
        from freeal_hf.annotators.column import ColumnAnnotator

        return _made(ColumnAnnotator, column(value), value, **options)
    raise InputError(f"There is no annotator {':'.join(filter(None, (kind, value)))!r}. The forms are:\n{FORMS}")


def _made(annotator: Callable[..., Annotator], *arguments: Any, **options: Any) -> Annotator:
    known = list(inspect.signature(annotator).parameters)[len(arguments) :]
    unknown = [name for name in options if name not in known]
    if unknown:
        has = f"its options are {', '.join(known)}" if known else "it takes none"
        raise InputError(f"The annotator has no option {unknown[0]!r}; {has}.")
    return annotator(*arguments, **options)
