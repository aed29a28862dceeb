"""Adapts chats to chat templates."""

from collections.abc import Sequence

from freeal_hf.annotators.prompts.labels import Message


def without_system_role(messages: Sequence[Message]) -> list[Message]:
    """Moves the system message to the start of the first user message, for templates without a system role (Gemma).

    Args:
        messages (`Sequence[Mapping[str, str]]`): A chat that begins with a system message and a user message.

    Example:

        >>> without_system_role([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}])
        [{'role': 'user', 'content': 'Be brief.\\n\\nHello'}]
    """
    system, first, *rest = messages
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]
