"""An annotator that scores every label with a causal language model of transformers in this process."""

import asyncio
import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from freeal_hf.annotators.base import (
    Annotation,
    AnnotationRequest,
    Choice,
    ChoiceRequest,
    Generation,
    GenerationRequest,
    TextChooser,
    TextGenerator,
)
from freeal_hf.annotators.likelihood import answer_log_likelihoods
from freeal_hf.annotators.llm import read_choice
from freeal_hf.annotators.prompts.base import SMALLEST_CUT, Alternatives
from freeal_hf.annotators.prompts.labels import Message, choice_messages, cut_text
from freeal_hf.annotators.prompts.registry import prompts_of
from freeal_hf.annotators.question import Completion
from freeal_hf.annotators.templates import without_system_role
from freeal_hf.errors import AnnotatorError, InputError, RefusedError, offline_hint
from freeal_hf.tasks import MultiLabelClassification, Task, TextClassification

_SAMPLING = {"do_sample": True, "temperature": 0.9, "top_p": 0.95}

Result = TypeVar("Result")


class Prompt(NamedTuple):
    """Token ids that a model reads before its answer, and whether the text in them was cut."""

    ids: list[int]
    is_cut: bool


class LocalAnnotator(TextGenerator, TextChooser):
    """Labels a text by the probabilities of the answers of a causal language model to the prompt.

    No text is generated for a label. The probability of each label is the exact probability that the model answers
    with its name, word for word, and then ends its turn, normalised over the labels (see
    `freeal_hf.annotators.likelihood`). Therefore an answer is always a label, and the length of a label name needs no
    correction. If a text can have any number of labels, the probability of each is that of `true` and not `false`
    after its name.

    A text that is too long for the model is cut at the end of a sentence. Demonstrations take at most half of the
    context of the model. If there are more, the farthest are left out.

    Args:
        model (`str` or `PreTrainedModel`): The Hub id or folder of a chat model, or a loaded model.
        tokenizer (`PreTrainedTokenizerBase`, *optional*):
            The tokenizer, with a chat template. By default, it is loaded from `model` if that is a name.
        device_map (`str` or `dict`, *optional*, defaults to `"auto"`): The devices of the model, as in
            `from_pretrained`.
        dtype (`str` or `torch.dtype`, *optional*, defaults to `"auto"`): As in `from_pretrained`.
        quantization_config (*optional*): As in `from_pretrained`, such as a `BitsAndBytesConfig`.
        revision (`str`, *optional*): Branch, tag or commit on the Hub.
        batch_size (`int`, *optional*, defaults to 32):
            Number of sequences in one forward pass. A text needs one for each label, or two if it can have any number
            of labels. The labels of a text are always in the same pass.
        max_new_tokens (`int`, *optional*, defaults to 1024): Maximum number of tokens of generated demonstrations.
        seed (`int`, *optional*, defaults to 0): Seed for generating demonstrations.

    Raises:
        AnnotatorError: If the model cannot be loaded, or has no chat template or no token that ends a turn.
        InputError: If a loaded model is given without a tokenizer, or `batch_size` is below 1.

    Example:

        ```python
        annotator = LocalAnnotator("HuggingFaceTB/SmolLM2-360M-Instruct", batch_size=8)
        [answer] = await annotator.annotate(task, [AnnotationRequest("a ripe plum")])
        ```
    """

    kinds = frozenset({TextClassification.type, MultiLabelClassification.type})
    concurrency = 1
    is_free = True
    reads_prompts = True

    def __init__(
        self,
        model: str | PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        device_map: str | dict[str, Any] | None = "auto",
        dtype: str | torch.dtype = "auto",
        quantization_config: Any = None,
        revision: str | None = None,
        batch_size: int = 32,
        max_new_tokens: int = 1024,
        seed: int = 0,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be at least 1.")
        if isinstance(model, str):
            options = {"device_map": device_map, "dtype": dtype, "quantization_config": quantization_config}
            model, tokenizer = _loaded(model, tokenizer, revision, options)
        elif tokenizer is None:
            raise InputError("A loaded model needs its tokenizer; give it: LocalAnnotator(model, tokenizer).")
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.max_new_tokens = max_new_tokens
        self.seed = seed
        self.context = _context(model, tokenizer)
        self._end_token_ids = _end_token_ids(model, tokenizer)
        self._has_system_role = _has_system_role(tokenizer)
        self._special_token = _special_token(tokenizer)
        self._identity = _identity(model)
        self._attempts: Counter[GenerationRequest] = Counter()

    def fingerprint(self, task: Task, request: AnnotationRequest) -> Mapping[str, Any]:
        """Returns the complete request: model, weights, precision, context, messages and the scored answers."""
        compared = prompts_of(task).alternatives()
        return self._asked(compared.messages(request), answers=compared.answers)

    def generation_fingerprint(self, task: Task, request: GenerationRequest) -> Mapping[str, Any]:
        """Returns the complete request: model, weights, precision, context, messages, sampling and seeds."""
        messages, _ = prompts_of(task).writing(request)
        return self._asked(messages, max_tokens=self.max_new_tokens, seed=[self.seed, request.seed], **_SAMPLING)

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels texts. A text gets no label if several labels are equally probable.

        Raises:
            RefusedError: If a prompt does not fit into the context of the model although the text is cut.
            AnnotatorError: If the model has no cache with which answers can be scored.
        """
        compared = prompts_of(task).alternatives()
        answers, ends = self._answers(compared), self._end_token_ids if compared.are_whole else []
        prompts = [self.prompt(task, request) for request in requests]
        # Prompts of similar length are in the same batch, which needs less padding. The longest come first, so that a
        # lack of memory shows at once.
        order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i].ids))
        step = max(1, self.batch_size // len(answers))
        annotations: dict[int, Annotation] = {}
        for start in range(0, len(order), step):
            batch = order[start : start + step]
            ids = [prompts[i].ids for i in batch]
            scores = await _computed(self.model, partial(answer_log_likelihoods, self.model, ids, answers, ends))
            for i, log_likelihoods in zip(batch, scores.double().numpy(), strict=True):
                annotations[i] = replace(
                    compared.read(log_likelihoods), prompt_tokens=len(prompts[i].ids), is_cut=prompts[i].is_cut
                )
        return [annotations[i] for i in range(len(prompts))]

    async def generate(self, task: Task, request: GenerationRequest) -> Generation:
        """Writes texts for a label. A repeated request gets another seed, and so other texts.

        Raises:
            RefusedError: If the prompt does not fit into the context of the model even without examples.
        """
        self._attempts[request] += 1
        seed = hash((self.seed, request.seed, request.label, self._attempts[request])) % 2**32
        max_new_tokens = min(self.max_new_tokens, self.context // 2)
        prompts = prompts_of(task)
        start = self._ids(prompts.writing_start)
        room = self.context - len(start) - max_new_tokens
        ids = self._chat_ids(prompts.writing(request)[0])
        while len(ids) > room and request.examples:
            request = replace(request, examples=request.examples[:-1])
            ids = self._chat_ids(prompts.writing(request)[0])
        if len(ids) > room:
            raise _too_long(ids, room)
        written = await _computed(self.model, partial(self._sample, ids + start, max_new_tokens, seed))
        answer = f"{prompts.writing_start}{self.tokenizer.decode(written, skip_special_tokens=True)}"
        completion = Completion(answer, prompt_tokens=len(ids) + len(start), completion_tokens=len(written))
        return prompts.written(completion, request)

    def choice_fingerprint(self, task: Task, request: ChoiceRequest) -> Mapping[str, Any]:
        """Returns the complete request: model, weights, precision, context, messages, sampling and seed."""
        messages = choice_messages(task, request)
        return self._asked(messages, max_tokens=self.max_new_tokens, seed=self.seed, **_SAMPLING)

    async def choose(self, task: Task, request: ChoiceRequest) -> Choice:
        """Chooses texts for a person to label.

        Raises:
            RefusedError: If the candidates do not fit into the context of the model.
        """
        max_new_tokens = min(self.max_new_tokens, self.context // 2)
        ids, room = self._chat_ids(choice_messages(task, request)), self.context - max_new_tokens
        if len(ids) > room:
            raise _too_long(ids, room)
        written = await _computed(self.model, partial(self._sample, ids, max_new_tokens, self.seed))
        answer = str(self.tokenizer.decode(written, skip_special_tokens=True))
        return read_choice(Completion(answer, prompt_tokens=len(ids), completion_tokens=len(written)))

    def prompt(self, task: Task, request: AnnotationRequest) -> Prompt:
        """Returns the prompt of a text. It is at most as long as the context of the model minus the longest answer.

        Raises:
            RefusedError: If the prompt does not fit although the text is cut.
        """
        compared = prompts_of(task).alternatives()
        room = self.context - max(map(len, self._answers(compared)))
        ids = self._chat_ids(compared.messages(request))
        if len(ids) <= room:
            return Prompt(ids, is_cut=False)
        request = self._with_fewer_demonstrations(compared, request)
        ids = self._chat_ids(compared.messages(request))
        text, characters = request.text, len(request.text)
        while len(ids) > room:
            if characters <= SMALLEST_CUT:
                raise _too_long(ids, room)
            # The number of tokens per character varies within a text, so that the first cut may be too long.
            excess = (len(ids) - room) / len(self._ids(text))
            characters = max(SMALLEST_CUT, int(characters * min(0.95, 1 - excess)))
            text, _ = cut_text(request.text, characters)
            ids = self._chat_ids(compared.messages(replace(request, text=text)))
        return Prompt(ids, is_cut=characters < len(request.text))

    def _asked(self, messages: Sequence[Message], **more: Any) -> dict[str, Any]:
        return {"annotator": "local", **self._identity, "context": self.context, "messages": messages, **more}

    def _with_fewer_demonstrations(self, compared: Alternatives, request: AnnotationRequest) -> AnnotationRequest:
        """Removes the farthest demonstrations until the prompt without the text fits into half of the context."""
        around = replace(request, text="")
        while around.demonstrations and len(self._chat_ids(compared.messages(around))) > self.context // 2:
            around = replace(around, demonstrations=around.demonstrations[1:])
        return replace(around, text=request.text)

    @torch.inference_mode()
    def _sample(self, prompt: Sequence[int], max_new_tokens: int, seed: int) -> list[int]:
        ids = torch.tensor([prompt], device=self.model.device)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            output = self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=max_new_tokens,
                eos_token_id=self._end_token_ids,
                pad_token_id=self._end_token_ids[0],
                **_SAMPLING,
            )
        return output[0, len(prompt) :].tolist()

    def _answers(self, compared: Alternatives) -> list[list[int]]:
        return [self._ids(self._inert(answer)) for answer in compared.answers]

    def _chat_ids(self, messages: Sequence[Message]) -> list[int]:
        messages = [{**message, "content": self._inert(message["content"])} for message in messages]
        if not self._has_system_role:
            messages = without_system_role(messages)
        return self._ids(_rendered(self.tokenizer, messages))

    def _ids(self, text: str) -> list[int]:
        # With `verbose`, the tokenizer warns of texts that are too long. They are cut later.
        return self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    def _inert(self, content: str) -> str:
        """Escapes the special tokens of the tokenizer. Texts are JSON strings, so it uses the escapes of JSON."""
        return self._special_token.sub(lambda match: f"\\u{ord(match[0][0]):04x}{match[0][1:]}", content)


def _too_long(ids: Sequence[int], room: int) -> RefusedError:
    return RefusedError("text too long", f"the prompt has {len(ids)} tokens, the maximum is {room}")


async def _computed(model: PreTrainedModel, compute: Callable[[], Result]) -> Result:
    """Computes in a thread. If the call is cancelled (Ctrl-C), it ends before the next module of the model."""
    is_cancelled = threading.Event()

    def check(*_: Any) -> None:
        if is_cancelled.is_set():
            raise AnnotatorError("The call was cancelled.")

    def run() -> Result:
        hooks = [module.register_forward_pre_hook(check) for module in model.modules()]
        try:
            return compute()
        finally:
            for hook in hooks:
                hook.remove()

    try:
        return await asyncio.to_thread(run)
    except asyncio.CancelledError:
        is_cancelled.set()
        raise


def _loaded(
    name: str, tokenizer: PreTrainedTokenizerBase | None, revision: str | None, options: Mapping[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    try:
        if tokenizer is None:
            tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
        return AutoModelForCausalLM.from_pretrained(name, revision=revision, **options), tokenizer
    except (OSError, ValueError, ImportError) as error:
        raise AnnotatorError(
            f"The model {name!r} cannot be loaded as a causal language model ({type(error).__name__}: {error}). Give "
            f"the Hub id or the folder of a chat model.{offline_hint()}"
        ) from error


def _context(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return min(positions or tokenizer.model_max_length, tokenizer.model_max_length)


def _end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    ids = model.generation_config.eos_token_id if model.generation_config else None
    ends = {*(ids if isinstance(ids, list) else [ids]), tokenizer.eos_token_id} - {None}
    if not ends:
        raise AnnotatorError(f"{model.name_or_path!r} has no token that ends a turn; set tokenizer.eos_token.")
    return sorted(ends)


def _special_token(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    # Tokens such as <|start_header_id|> of Llama 3 are special, but not in `all_special_tokens`.
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    tokens = filter(None, added.union(tokenizer.all_special_tokens))
    return re.compile("|".join(map(re.escape, sorted(tokens))) or "(?!)")


def _rendered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    # Templates without a thinking mode ignore `enable_thinking`.
    text = tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    return str(text)


def _has_system_role(tokenizer: PreTrainedTokenizerBase) -> bool:
    if not tokenizer.chat_template:
        raise AnnotatorError(
            f"The tokenizer of {tokenizer.name_or_path!r} has no chat template; use a model made for chat, or set "
            "tokenizer.chat_template."
        )
    system, user = {"role": "system", "content": "task"}, {"role": "user", "content": "text"}
    try:
        return "task" in _rendered(tokenizer, [system, user])
    except TemplateError:  # "System role not supported" in the template of Gemma
        return False


def _identity(model: PreTrainedModel) -> dict[str, Any]:
    """Returns values that identify the model: name, commit, precision, and a hash of some values of each weight."""
    digest = hashlib.blake2b(digest_size=16)
    for name, weights in model.named_parameters():
        digest.update(name.encode())
        if not weights.is_meta:  # offloaded to disk
            digest.update(weights.detach().flatten()[:256].to("cpu", torch.float32).numpy().tobytes())
    return {
        "model": model.name_or_path,
        "commit": getattr(model.config, "_commit_hash", None),
        "weights": digest.hexdigest(),
        "dtype": str(model.dtype),
    }
