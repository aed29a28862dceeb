"""Builds annotators from the names on the command line or in a configuration file."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from freeal_hf.annotators.base import Annotator
from freeal_hf.data.layouts import split_names
from freeal_hf.errors import AnnotatorError, FreeALError, InputError

FORMS = """\
embedding                   sentence embeddings, no LLM and no network (embedding:MODEL for another model)
endpoint:MODEL              a chat model of the Hugging Face inference providers, such as endpoint:org/name
endpoint:NAME               a dedicated Inference Endpoint, by its name
endpoint:URL                an OpenAI-compatible server (endpoint:MODEL@URL to name the model there)
anthropic:MODEL             a model of Anthropic
batch:SPEC                  endpoint:MODEL@URL or anthropic:MODEL in batches, at half the price
tgi:URL                     a text-generation-inference server
zero-shot:MODEL             an encoder for zero-shot classification (NLI, GLiClass), no LLM
gliner:MODEL                a GLiNER model, for entities
local:MODEL                 a causal language model in this process
column:NAME                 labels in a column of the data (column:A,"B, C": of several)
SPEC + SPEC                 several annotators, fused"""
"""The forms of a specification, for help and error messages."""

GROUP = "freeal_hf.annotators"
"""The entry point group under which other packages register annotators."""

_BUILT_IN = {
    "embedding": "freeal_hf.annotators.embedding:EmbeddingAnnotator",
    "endpoint": "freeal_hf.annotators.inference:InferenceEndpointsAnnotator",
    "anthropic": "freeal_hf.annotators.anthropic:AnthropicAnnotator",
    "tgi": "freeal_hf.annotators.tgi:TGIAnnotator",
    "zero-shot": "freeal_hf.annotators.zero_shot:ZeroShotAnnotator",
    "gliner": "freeal_hf.annotators.gliner:GLiNERAnnotator",
    "local": "freeal_hf.annotators.local:LocalAnnotator",
    "column": "freeal_hf.annotators.column:ColumnAnnotator",
}


_BATCH = "batch:"
_BATCH_REQUESTS = 50_000  # the maximum of OpenAI; Anthropic allows twice as many


def split_specs(spec: str) -> list[str]:
    """Returns the specification of each annotator in a specification.

    Several annotators are joined by ` + `, columns also by commas. A column name that contains a comma is quoted as
    in a CSV file.

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
    """Returns the columns of the data that specifications read labels from, each once.

    Example:

        >>> columns_of(["column:a,b", "embedding + column:a"])
        ['a', 'b']
    """
    found = [one for spec in specs for one in split_specs(spec)]
    return [one.removeprefix("column:") for one in dict.fromkeys(found) if one.startswith("column:")]


def build_annotator(
    spec: str,
    *,
    column: Callable[[str], Mapping[str, str]] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Annotator:
    """Builds the annotator of a specification.

    Args:
        spec (`str`): One of `FORMS`, or `NAME` or `NAME:VALUE` of an annotator that another package registers.
        column (`Callable`, *optional*): Returns the values of a column by sample id. Required for `column:NAME`.
        options (`Mapping`, *optional*): Keyword arguments of the annotator, such as `api_key_env` or `concurrency`.

    Raises:
        InputError: If the specification has none of the forms, or the annotator does not have an option or does not
            accept its value.
        AnnotatorError: If the annotator cannot be built (missing extra, missing key, model that does not load).

    Example:

        >>> annotator = build_annotator("endpoint:org/name", options={"concurrency": 4})
        >>> annotator.name, annotator.concurrency
        ('org/name', 4)
    """
    own, spec = dict(options or {}), spec.strip()
    if spec.startswith(_BATCH):
        spec, own = spec.removeprefix(_BATCH), {"batch_requests": _BATCH_REQUESTS, **own}
    name, _, value = spec.partition(":")
    try:
        return _build(name, value.strip(), column, own)
    except FreeALError:
        raise
    except (TypeError, ValueError) as error:
        given = ", ".join(options or {}) or "none"
        raise InputError(
            f"Annotator {spec!r} cannot be created with these options ({given}): {error}. Correct --annotator-option."
        ) from error


def annotator_names() -> dict[str, EntryPoint]:
    """Returns the annotators of this package, and then those of other packages, by name.

    A package registers a subclass of `Annotator` under the entry point group `freeal_hf.annotators`. The names of this
    package cannot be replaced.
    """
    registered = {point.name: point for point in entry_points(group=GROUP)}
    return {name: EntryPoint(name, place, GROUP) for name, place in _BUILT_IN.items()} | {
        name: point for name, point in sorted(registered.items()) if name not in _BUILT_IN
    }


def reads_prompts(named: str) -> bool:
    """Returns whether an annotator is a language model that reads the prompts of this package.

    Args:
        named (`str`): A specification, or the name of a class.

    Returns:
        `bool`: `False` if no annotator is registered for it.

    Example:

        >>> reads_prompts("endpoint:org/name"), reads_prompts("InferenceEndpointsAnnotator"), reads_prompts("column:a")
        (True, True, False)
    """
    return any(kind.reads_prompts for kind in _classes_of(named))


def is_free(named: str) -> bool:
    """Returns whether the answers of an annotator cost nothing.

    Args:
        named (`str`): A specification, or the name of a class.

    Returns:
        `bool`: `False` if no annotator is registered for it.

    Example:

        >>> is_free("column:a"), is_free("endpoint:org/name")
        (True, False)
    """
    return any(kind.is_free for kind in _classes_of(named))


def takes_class_shares(named: str) -> bool:
    """Returns whether an annotator has an argument for the known shares of the labels.

    Args:
        named (`str`): A specification, or the name of a class.

    Example:

        >>> takes_class_shares("zero-shot:org/name"), takes_class_shares("column:a")
        (True, False)
    """
    return any(kind.takes_class_shares for kind in _classes_of(named))


def _classes_of(named: str) -> list[type[Annotator]]:
    name = named.removeprefix(_BATCH).partition(":")[0]
    points = annotator_names().values()
    return [_loaded(point) for point in points if name == point.name or named == point.attr]


def _build(
    name: str, value: str, column: Callable[[str], Mapping[str, str]] | None, options: dict[str, Any]
) -> Annotator:
    known = annotator_names()
    if name not in known:
        raise _unknown(name, value, known)
    kind = _loaded(known[name])
    parameters = list(inspect.signature(kind).parameters.values())
    if name == "column":
        if not value or column is None:
            raise _unknown(name, value, known)
        _check_options(kind, parameters[2:], options)
        from freeal_hf.annotators.column import ColumnAnnotator

        return ColumnAnnotator(column(value), value)
    if not value and parameters and parameters[0].default is inspect.Parameter.empty:
        raise _unknown(name, value, known)
    _check_options(kind, parameters[1:] if value else parameters, options)
    return kind.from_spec(value, options)


def _loaded(point: EntryPoint) -> type[Annotator]:
    # Imported only if it is used, because it can need torch, a client, or an extra that is not installed.
    place = f"{point.value!r}, which a package registers as annotator {point.name!r}"
    try:
        kind = point.load()
    except (ImportError, AttributeError) as error:
        raise AnnotatorError(f"{place}, cannot be imported ({error}); reinstall or remove that package.") from error
    if not (isinstance(kind, type) and issubclass(kind, Annotator)):
        raise AnnotatorError(
            f"{place}, is not a subclass of freeal_hf.Annotator; remove that package, or tell its authors."
        )
    return kind


def _check_options(kind: type[Annotator], parameters: Iterable[inspect.Parameter], options: Iterable[str]) -> None:
    known = [parameter.name for parameter in parameters]
    if "batch_requests" in options and "batch_requests" not in known:
        raise InputError(f"{kind.__name__} has no batch API; leave `batch:` out.")
    unknown = [name for name in options if name not in known]
    if unknown:
        has = f"its options are {', '.join(known)}" if known else "it takes none"
        raise InputError(f"{kind.__name__} has no option {unknown[0]!r}; {has}.")


def _unknown(name: str, value: str, known: Iterable[str]) -> InputError:
    others = [
        f"{other} or {other}:VALUE".ljust(28) + "of another package" for other in known if other not in _BUILT_IN
    ]
    forms = "\n".join([FORMS, *others])
    return InputError(f"There is no annotator {':'.join(filter(None, (name, value)))!r}. The forms are:\n{forms}")
