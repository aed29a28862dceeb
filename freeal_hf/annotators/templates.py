"""What chat templates differ in."""

from collections.abc import Sequence

from freeal_hf.annotators.prompts.labels import Message


def without_system_role(messages: Sequence[Message]) -> list[Message]:
    """The same chat for a template that refuses the system role, as Gemma's does: its content opens the first message.

    Args:
        messages (`Sequence[Mapping[str, str]]`): A chat that begins with a system message and a user message.
    """
    system, first, *rest = messages
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]
