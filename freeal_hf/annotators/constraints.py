"""Constrains the answers of a server to the labels, in steps from the strictest constraint to none."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal

from freeal_hf.annotators.prompts.labels import answer_regex, answer_schema, answer_text

Constraint = Literal["json_schema", "json_object", "tgi_schema", "choice", "guided_choice", "regex", "none"]

LADDER: tuple[Constraint, ...] = (
    "json_schema",
    "json_object",
    "tgi_schema",
    "choice",
    "guided_choice",
    "regex",
    "none",
)
"""From the strictest and most widely supported to none: OpenAI's JSON schema (also vLLM, SGLang, llama.cpp, Ollama),
the JSON object with a schema of llama-cpp-python (also Together, Fireworks), the schema of text-generation-inference,
vLLM's choice (from 0.11 and before), SGLang's regex, parse-and-match."""

NONCE = "K7QX"
"""The only answer that the test of a server allows. No model gives it without a constraint."""

Constrain = Callable[[Constraint], Mapping[str, Any]]
"""Returns the fields of a request that constrain its answer for a step of `LADDER`."""


@lru_cache(maxsize=256)  # equal for all texts of a run, unless the labels are shuffled
def constraint_fields(constraint: Constraint, codes: tuple[str, ...]) -> Mapping[str, Any]:
    """Returns the fields of a chat completion request that constrain the answer to codes.

    Args:
        constraint (`str`): A step of `LADDER`.
        codes (`tuple[str, ...]`): The code of each label.

    Example:

        >>> constraint_fields("choice", ("ham", "spam"))
        {'structured_outputs': {'choice': ['{"label": "ham"}', '{"label": "spam"}']}}
    """
    if fields := schema_fields(constraint, "label", answer_schema(codes)):
        return fields
    if constraint == "choice":
        return {"structured_outputs": {"choice": [answer_text(code) for code in codes]}}
    if constraint == "guided_choice":
        return {"guided_choice": [answer_text(code) for code in codes]}
    if constraint == "regex":
        return {"regex": answer_regex(codes)}
    return {}


def schema_fields(constraint: Constraint, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that constrain an answer to a JSON schema, or none if the step supports no schema."""
    if constraint == "json_schema":
        described = {"name": name, "strict": True, "schema": dict(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": described}}
    if constraint == "json_object":
        return {"response_format": {"type": "json_object", "schema": dict(schema)}}
    if constraint == "tgi_schema":
        return {"response_format": {"type": "json_object", "value": dict(schema)}}
    return {}
