"""Extracts the final answer of a model, without reasoning, control tokens and formats of servers."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

_THOUGHT = (
    r"(?:seed:|mm:|antml:|longcat_)?"
    r"(?:think|thinking|thought|thoughts|thought_process|reasoning|reason|reflection|analysis|rationale|scratchpad"
    r"|inner_monologue|inner_thoughts|internal_monologue|deliberation|chain_of_thought|cot)"
)
_GRANITE = re.compile(
    r"\A\s*here(?:['’]s| is) my thought process:(?P<thought>.*?)(?:here(?:['’]s| is) my response:(?P<answer>.*))?\Z",
    re.DOTALL | re.IGNORECASE,
)
# Opening and closing marks: tags (DeepSeek, Qwen, EXAONE, Seed), [THINK] (Mistral), ◁think▷ (Kimi),
# <|START_THINKING|> (Cohere), <|think|> (Solar), <|inner_prefix|> (Apertus) and <|channel>thought ... <channel|>
# (Gemma 4).
_OPEN = (
    rf"<{_THOUGHT}(?:\s[^<>]*)?>|\[{_THOUGHT}\]|◁{_THOUGHT}▷|<\|(?:start_|begin_|begin_of_)?{_THOUGHT}(?:_start)?\|>"
    r"|<\|inner_prefix\|>|<\|channel>"
)
_CLOSE = (
    rf"</{_THOUGHT}\s*>|\[/{_THOUGHT}\]|◁/{_THOUGHT}▷|<\|(?:/|end_|end_of_){_THOUGHT}\|>|<\|{_THOUGHT}_end\|>"
    r"|<\|inner_suffix\|>|<channel\|>"
)
_MARK = re.compile(f"(?P<open>{_OPEN})|(?P<close>{_CLOSE})", re.IGNORECASE)

_CHANNEL = re.compile(
    r"<\|channel\|>\s*(?P<name>[a-z]+)(?P<header>.*?)<\|message\|>(?P<text>.*?)"
    r"(?P<end><\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)|\Z)",
    re.DOTALL | re.IGNORECASE,
)
# The same if a server has removed the special tokens.
_BARE_CHANNEL = re.compile(
    r"\A\s*(?:assistant(?:analysis|commentary|final)|(?:analysis|commentary)(?=[A-Z{\"*`]|.*assistantfinal)"
    r"|final(?=[A-Z{\"*`]))",
    re.DOTALL,
)
_BARE_FINAL = re.compile(r"(?:assistant|\A\s*)final(?:\s*json(?=\s*\{))?")

_TURN_START = re.compile(
    r"\A\s*(?:<\|im_start\|>\s*(?:assistant)?|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>|<\|assistant\|>"
    r"|<start_of_turn>\s*model|<\|turn>\s*model|<\|start\|>\s*assistant|<｜Assistant｜>|<bos>|<\|begin_of_text\|>"
    r"|<\|content\|>)\s*",
    re.IGNORECASE,
)
_TURN_END = re.compile(
    r"<\|(?:im_end|eot_id|eom_id|end|return|call|endoftext|end_of_text|end_of_turn|END_OF_TURN_TOKEN|endofturn)\|>"
    r"|</s>|<end_of_turn>|<turn\|>|<eos>|<｜end▁of▁sentence｜>|\[EOS\]",
    re.IGNORECASE,
)
_ANSWER_TAG = re.compile(
    r"</?(?:answer|response|output|final|final_answer|result|label)>"
    r"|<\|(?:begin_of_box|end_of_box|START_RESPONSE|END_RESPONSE|START_TEXT|END_TEXT)\|>",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\A\s*```[a-z]*\s*(.*?)\s*```\s*\Z", re.DOTALL | re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{(?:\\text\{([^{}]*)\}|([^{}]*))\}")

_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_text", "reasoning_details")
_REASONING_PARTS = ("thinking", "reasoning", "redacted_thinking", "thought", "reasoning.text", "reasoning.summary")
_LONGEST_BARE_ANSWER = 200


class FinalAnswer(NamedTuple):
    """A final answer (empty if there is none), and whether the model was still reasoning when its output ended."""

    text: str
    is_cut_off: bool


class Said(NamedTuple):
    """The text of the message of a chat completion, and whether the model refused to answer."""

    text: str
    is_refused: bool


@lru_cache(maxsize=256)  # answers are short and alike, and each is read in several places
def final_answer(said: str | None) -> FinalAnswer:
    """Extracts the final answer from the text of a model.

    The function supports the tags `<think>`, `<thinking>`, `<thought>`, `<reasoning>` and similar ones, `[THINK]`
    (Mistral), `◁think▷` (Kimi), the channels of gpt-oss (also without their special tokens) and of Gemma, and the
    control tokens at the ends of a turn. The opening or the closing mark can be missing. A text in another format is
    not changed.

    Args:
        said (`str`, *optional*): The text of the model.

    Returns:
        `FinalAnswer`: The answer, and whether the model was cut off while it was reasoning.

    Example:

        >>> final_answer("<think>Sports? Or politics?</think>politics")
        FinalAnswer(text='politics', is_cut_off=False)
    """
    text = said or ""
    if _is_json(text):
        return FinalAnswer(text.strip(), is_cut_off=False)
    if "<|channel|>" in text:
        return _last_channel(text)
    if _BARE_CHANNEL.match(text):
        finals = list(_BARE_FINAL.finditer(text))
        return FinalAnswer(_unwrapped(text[finals[-1].end() :]) if finals else "", is_cut_off=not finals)
    if granite := _GRANITE.match(text):
        return FinalAnswer(_unwrapped(granite["answer"] or ""), is_cut_off=granite["answer"] is None)
    outside, is_open = _outside_thoughts(text)
    return FinalAnswer(_unwrapped(outside), is_cut_off=is_open and not outside.strip())


def said_in(message: Mapping[str, Any], *, is_cut_off: bool) -> Said:
    """Returns the text of the message of a chat completion, from any field that servers use.

    The content is used first: a string, or a list of parts without reasoning. If it has no answer, the arguments of
    tool calls are used, and then a refusal. Reasoning is only used if it is a JSON object or a short line, because
    some servers put a constrained answer there.

    Args:
        message (`Mapping`): The field `message` of a choice.
        is_cut_off (`bool`): Whether the server stopped the model at the token limit.

    Returns:
        `Said`: The text, and whether it is a refusal.
    """
    content, thoughts, refusal = _content(message.get("content"))
    if final_answer(content).text:
        return Said(content, is_refused=False)
    if arguments := _tool_arguments(message):
        return Said(arguments, is_refused=False)
    if refusal := refusal or _text_of(message.get("refusal")):
        return Said(refusal, is_refused=True)
    if content.strip():
        return Said(content, is_refused=False)
    reasoning = thoughts
    for field in _REASONING_FIELDS:
        reasoning = reasoning or _text_of(message.get(field))
    if not reasoning.strip():
        return Said("", is_refused=False)
    # The reasoning may contain the marks and the answer after them.
    answer = final_answer(reasoning).text if not is_cut_off else ""
    if answer and (_is_json(answer) or (len(answer) <= _LONGEST_BARE_ANSWER and "\n" not in answer)):
        return Said(answer, is_refused=False)
    return Said(f"<think>{_MARK.sub(' ', reasoning)}{'' if is_cut_off else '</think>'}", is_refused=False)


def unfenced(text: str) -> str:
    """Returns the content of a text that is one Markdown code block; any other text is not changed.

    Example:

        >>> unfenced("```json\\n{}\\n```")
        '{}'
    """
    return _FENCE.sub(r"\1", text)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(unfenced(text)), dict)
    except ValueError:
        return False


def _last_channel(text: str) -> FinalAnswer:
    """Returns the final channel, or the arguments of a tool call. All other channels are reasoning."""
    found = list(_CHANNEL.finditer(text))
    final = [one for one in found if one["name"].lower() == "final"]
    calls = [one for one in found if re.search(r"\bto=", one["header"]) and _is_json(one["text"])]
    if answers := final or calls:
        return FinalAnswer(_unwrapped(answers[-1]["text"]), is_cut_off=False)
    return FinalAnswer("", is_cut_off=not found or not found[-1]["end"])


def _outside_thoughts(text: str) -> tuple[str, bool]:
    """Returns the text after the last thought, or before a thought that was cut off, and whether one was cut off."""
    last, start, is_open = "", 0, False
    for mark in _MARK.finditer(text):
        if mark["close"]:
            # Without an opening mark all text before it is a thought, because templates put the mark into the prompt.
            last, start, is_open = "", mark.end(), False
        elif not is_open:
            last, is_open = text[start : mark.start()], True
    return (last, True) if is_open else (text[start:], False)


def _unwrapped(text: str) -> str:
    """Removes control tokens at the ends of the text, and tags that mark it as the answer."""
    text = _TURN_START.sub("", text)
    end = _TURN_END.search(text)
    text = text[: end.start()] if end else text
    text = _BOXED.sub(lambda match: match[1] or match[2] or "", text)
    return text.strip() if _is_json(text) else _ANSWER_TAG.sub(" ", text).strip()


def _content(content: Any) -> tuple[str, str, str]:
    """Returns answer, reasoning and refusal in the content of a message."""
    if content is None or isinstance(content, str):
        return content or "", "", ""
    if isinstance(content, Mapping) and not {"type", "text"} & set(content):
        return json.dumps(dict(content), ensure_ascii=False), "", ""  # a server that parsed the JSON of the answer
    answers, thoughts, refusals = [], [], []
    for part in content if isinstance(content, list) else [content]:
        kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
        if kind in _REASONING_PARTS:
            thoughts.append(_text_of(part))
        elif kind == "refusal":
            refusals.append(_text_of(part))
        elif kind == "tool_use" and isinstance(part.get("input"), Mapping):
            answers.append(json.dumps(dict(part["input"]), ensure_ascii=False))
        elif kind in ("text", "output_text") and (text := _text_of(part)):
            answers.append(text)
        elif kind not in ("text", "output_text"):
            answers.append(f"(content of unknown type) {json.dumps(part, ensure_ascii=False, default=str)}")
    return "".join(answers), "\n".join(thoughts), "\n".join(refusals)


def _tool_arguments(message: Mapping[str, Any]) -> str:
    calls: Iterable[Any] = [call.get("function", call) for call in message.get("tool_calls") or ()]
    found = []
    for call in [*calls, message.get("function_call") or {}]:
        arguments = call.get("arguments")
        if arguments:
            found.append(arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
    return "\n".join(found)


def _text_of(value: Any) -> str:
    """Returns the text of a part, which can be a string or in one of the fields that servers use."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(filter(None, map(_text_of, value)))
    if isinstance(value, Mapping):
        fields = ("text", "thinking", "reasoning", "refusal", "content", "summary", "value")
        return next(filter(None, (_text_of(value.get(name)) for name in fields)), "")
    return ""
