"""Second views of texts by back-translation, masked language model or token dropout."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import PartialState
from transformers import AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

from freeal_hf.errors import InputError

_RUNAWAY_FACTOR, _RUNAWAY_WORDS = 3, 20
_CANDIDATES = 10
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Augmenter(Protocol):
    """Writes a second view of each text, which has the same meaning in other words.

    A view only depends on its text and the settings of the augmenter, so that a stopped run continues with the same
    result.
    """

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Writes a view of each text, in the same order."""
        ...

    def fingerprint(self) -> Mapping[str, Any]:
        """Returns the settings on which the views depend, as values that JSON can hold."""
        ...


class BackTranslation:
    """Translates texts into another language and back.

    Source: Sennrich et al., ACL 2016; as a second view: UDA (Xie et al., NeurIPS 2020).

    Args:
        forward (`str`): The sequence-to-sequence model for the other language, such as `Helsinki-NLP/opus-mt-en-fr`.
        backward (`str`): The model for the translation back.
        num_beams (`int`, *optional*, defaults to 1): The number of beams of both searches. Beam search is slower, and
            its views differ less from the text.
        dtype (`str`, *optional*, defaults to `"auto"`): `float32`, `bfloat16`, or `auto`: `bfloat16` on GPUs that
            support it.

    Raises:
        InputError: If a model cannot be loaded, or for another dtype.
    """

    def __init__(self, forward: str, backward: str, *, num_beams: int = 1, dtype: str = "auto") -> None:
        self._settings = {"forward": forward, "backward": backward, "num_beams": num_beams, "dtype": dtype}
        self._num_beams = num_beams
        self._legs = [_loaded(AutoModelForSeq2SeqLM, name, dtype) for name in (forward, backward)]

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """See `Augmenter`."""
        translated = list(texts)
        for model, tokenizer in self._legs:
            inputs = tokenizer(translated, truncation=True, padding=True, return_tensors="pt").to(model.device)
            # Limit the length: a translation that does not end is truncated here, and refused later for its length.
            longest = min(2 * inputs["input_ids"].shape[1] + 10, getattr(model.config, "max_position_embeddings", 512))
            with torch.inference_mode():
                output = model.generate(
                    **inputs, num_beams=self._num_beams, do_sample=False, max_new_tokens=longest - 1, max_length=None
                )
            translated = tokenizer.batch_decode(output, skip_special_tokens=True)
        return translated

    def fingerprint(self) -> Mapping[str, Any]:
        """See `Augmenter`."""
        return {"method": "back-translation", **self._settings}


class MaskedSubstitution:
    """Replaces some tokens by predictions of a masked language model.

    Source: contextual augmentation (Kobayashi, NAACL 2018).

    Args:
        model (`str`): The masked language model.
        share (`float`, *optional*, defaults to 0.15): The share of tokens to replace; at least one is replaced.
        seed (`int`, *optional*, defaults to 0): The random seed.
        dtype (`str`, *optional*, defaults to `"auto"`): As in [`BackTranslation`].

    Raises:
        InputError: If the model cannot be loaded, or the share is not between 0 and 1.
    """

    def __init__(self, model: str, *, share: float = 0.15, seed: int = 0, dtype: str = "auto") -> None:
        self._settings = {"model": model, "share": _checked_share(share), "seed": seed, "dtype": dtype}
        self._share, self._seed = share, seed
        self._model, self._tokenizer = _loaded(AutoModelForMaskedLM, model, dtype)

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """See `Augmenter`."""
        inputs = self._tokenizer(
            list(texts), truncation=True, padding=True, return_tensors="pt", return_special_tokens_mask=True
        )
        special = inputs.pop("special_tokens_mask").bool()
        original = inputs["input_ids"].clone()
        hidden = torch.zeros_like(special)
        generators = [torch.Generator().manual_seed(_seed_of(text, self._seed)) for text in texts]
        for row, generator in enumerate(generators):
            places = (~special[row]).nonzero().flatten()
            count = min(len(places), max(1, round(self._share * len(places))))
            hidden[row, places[torch.randperm(len(places), generator=generator)[:count]]] = True
        inputs["input_ids"][hidden] = self._tokenizer.mask_token_id
        with torch.inference_mode():
            logits = self._model(**inputs.to(self._model.device)).logits.float().cpu()
        new = original.clone()
        for row, generator in enumerate(generators):
            for place in hidden[row].nonzero().flatten().tolist():
                scores = logits[row, place].clone()
                scores[[original[row, place].item(), *self._tokenizer.all_special_ids]] = -torch.inf
                top = scores.topk(_CANDIDATES)
                drawn = torch.multinomial(top.values.softmax(-1), 1, generator=generator)
                new[row, place] = top.indices[drawn].item()
        return self._tokenizer.batch_decode(new, skip_special_tokens=True)

    def fingerprint(self) -> Mapping[str, Any]:
        """See `Augmenter`."""
        return {"method": "masked-lm", **self._settings}


class TokenDropout:
    """Deletes some words. No model is needed.

    Source: random deletion of EDA (Wei and Zou, EMNLP 2019).

    Args:
        share (`float`, *optional*, defaults to 0.15): The probability that a word is deleted; one word is always kept.
        seed (`int`, *optional*, defaults to 0): The random seed.

    Raises:
        InputError: If the share is not between 0 and 1.

    Example:

        >>> TokenDropout(share=0.5)(["the order came on time"])
        ['the order came']
    """

    def __init__(self, *, share: float = 0.15, seed: int = 0) -> None:
        self._share, self._seed = _checked_share(share), seed

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """See `Augmenter`."""
        return [self._thinned(text) for text in texts]

    def fingerprint(self) -> Mapping[str, Any]:
        """See `Augmenter`."""
        return {"method": "token-dropout", "share": self._share, "seed": self._seed}

    def _thinned(self, text: str) -> str:
        rng = random.Random(_seed_of(text, self._seed))
        words = text.split()
        kept = [word for word in words if rng.random() >= self._share]
        return " ".join(kept or [rng.choice(words)]) if words else ""  # a text of blanks has no view


@dataclass(frozen=True)
class AugmentedTexts:
    """The second views of texts.

    Args:
        views (`list[str]`): The view of each text; empty if it has none.
        failures (`Counter[str]`): The number of distinct texts without a view, by reason.
        total (`int`): The number of distinct texts.
    """

    views: list[str]
    failures: Counter[str]
    total: int

    def __str__(self) -> str:
        failed = self.failures.total()
        reasons = ", ".join(f"{reason}: {count}" for reason, count in self.failures.most_common())
        share = f"{failed} of {self.total} ({failed / max(1, self.total):.1%}) have no view"
        return f"{share} ({reasons})" if failed else share


def augment(
    texts: Sequence[str],
    augmenter: Augmenter,
    *,
    batch_size: int = 32,
    journal: Path | None = None,
    progress: Callable[[int], Any] | None = None,
) -> AugmentedTexts:
    """Writes a second view of each text. Equal texts have the same view.

    A view is left out if it is empty, much longer than its text (three times), or the same as a text of the input
    apart from case and white space.

    Args:
        texts (`Sequence[str]`): The texts.
        augmenter (`Augmenter`): The augmenter.
        batch_size (`int`, *optional*, defaults to 32): The number of texts in a batch. Texts of similar length are
            batched together.
        journal (`Path`, *optional*): A file for finished views, with which a stopped run continues.
        progress (`Callable`, *optional*): Called with the number of finished texts.

    Returns:
        `AugmentedTexts`: The views, and the reasons for missing ones.

    Raises:
        InputError: If the batch size is below 1, or the journal belongs to another augmentation.

    Example:

        >>> augment(["the order came on time", ""], TokenDropout(share=0.5)).views
        ['the order came', '']
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be at least 1.")
    distinct = list(dict.fromkeys(texts))
    written = _read_journal(journal, augmenter) if journal is not None else {}
    missing = sorted((text for text in distinct if _key(text) not in written), key=len, reverse=True)
    _tell(progress, len(distinct) - len(missing))
    for start in range(0, len(missing), batch_size):
        batch = missing[start : start + batch_size]
        new = {_key(text): view for text, view in zip(batch, augmenter(batch), strict=True)}
        if journal is not None:
            _append(journal, new)
        written.update(new)
        _tell(progress, len(batch))
    known = set(map(_normalised, distinct))
    failures: Counter[str] = Counter()
    usable: dict[str, str] = {}
    for text in distinct:
        view = written[_key(text)].strip()
        reason = _failure(text, view, known)
        if reason is not None:
            failures[reason] += 1
        usable[text] = view if reason is None else ""
    return AugmentedTexts([usable[text] for text in texts], failures, len(distinct))


def _failure(text: str, view: str, known: set[str]) -> str | None:
    if not view:
        return "empty"
    if len(view.split()) > _RUNAWAY_FACTOR * len(text.split()) + _RUNAWAY_WORDS:
        return "much longer than its text"
    if _normalised(view) == _normalised(text):
        return "the same as its text"
    return "the same as another text" if _normalised(view) in known else None


def _loaded(kind: Any, name: str, dtype: str) -> tuple[Any, Any]:
    device = PartialState().device
    if dtype == "auto":
        dtype = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    if dtype not in _DTYPES:
        raise InputError(f"dtype is {dtype!r}; choose auto, {', '.join(_DTYPES)}.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = kind.from_pretrained(name, dtype=_DTYPES[dtype])
    except (OSError, ValueError, ImportError) as error:
        raise InputError(
            f"The model {name!r} cannot be loaded; give a folder or a Hub id of a model of this kind (Marian models "
            f"need sentencepiece: pip install 'freeal-hf[augment]'). transformers says: {str(error).strip()[:300]}"
        ) from error
    return model.eval().to(device), tokenizer


def _checked_share(share: float) -> float:
    if not 0 < share < 1:
        raise InputError(f"share is {share}; it must be above 0 and below 1.")
    return share


def _seed_of(text: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\n{text}".encode("utf-8", "surrogatepass")).digest()[:7], "big")


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())


def _read_journal(path: Path, augmenter: Augmenter) -> dict[str, str]:
    """Reads the finished views by key. The first line of a journal is the fingerprint of the augmenter."""
    head = json.dumps(augmenter.fingerprint(), sort_keys=True)
    content = path.read_bytes() if path.is_file() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        path.write_text(head + "\n", encoding="utf-8")
        return {}
    first, *lines = whole.decode("utf-8").split("\n")[:-1]
    if first != head:
        raise InputError(
            f"{str(path)!r} has the views of another augmentation ({first}); delete it to start again, or use the "
            "options with which it was started."
        )
    if len(whole) < len(content):  # the process was killed while it wrote the last line
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return dict(json.loads(line) for line in lines)


def _append(path: Path, views: Mapping[str, str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(item) + "\n" for item in views.items())


def _tell(progress: Callable[[int], Any] | None, count: int) -> None:
    if progress is not None:
        progress(count)
