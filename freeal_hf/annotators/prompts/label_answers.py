"""Parses the label in an answer of an LLM. An answer that is not clear has no label."""

import ast
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from freeal_hf.annotators.final_answer import final_answer, unfenced
from freeal_hf.annotators.pacing import UnusableAnswer
from freeal_hf.annotators.prompts.labels import label_codes
from freeal_hf.tasks import NO_LABEL, Task

# The only words that may stand beside a label. No sentence of these words and one label denies the label. Any other
# word can be a negation in some language, a part of a compound, or a condition.
_NEUTRAL = frozenset(
    """a about absolutely am an annotation answer appears article as assign assigned be believe belongs best category
    certainly choice choose chosen class classification classified classify clearly comment conclusion content correct
    course decision definitely description detected document email falls final fits following for given has have hello
    here here's hi i i'd i'll i'm intent is it it's json label labeled labelled letter likely mail main matches message
    most my now of ok okay option output paragraph passage piece post predict predicted prediction primary request
    response result review right say seems select selected sentence sentiment should snippet statement sure tag text
    that that's the think this title to topic tweet type under utterance very would""".split()  # noqa: SIM905 - a list would have a line for each
)

# "The category is X" in other languages. What follows must be the label and nothing else.
_FOREIGN_FRAME = re.compile(
    r"[\s*_\"'`#]*(?:"
    r"(?:(?:das|die|der|la|le|el|il|lo|o|a|het|de|l['’])\s*)?"
    r"(?:antwort|label|klasse|kategorie|etikett|bezeichnung|ergebnis|thema|réponse|étiquette|catégorie|classe|sujet"
    r"|respuesta|etiqueta|categoría|clase|tema|risposta|etichetta|categoria|resposta|rótulo|antwoord|categorie"
    r"|odpowiedź|etykieta|kategoria|ответ|метка|категория|класс|cevap|etiket|kategori|sınıf|svar"
    r"|الإجابة|التصنيف|الفئة)\b"
    r"(?:\s+(?:ist|lautet|est|es|è|é|is|to|jest|är|er|هي|هو)\b)?"
    r"|(?:答案|标签|類別|类别|分类|回答|ラベル|カテゴリー?|답변|라벨|레이블|분류|카테고리)(?:是|为|は)?"
    r")[\s*_\"'`]*[:：]?\s*",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r"(?:is\s+there\s+|do\s+you\s+need\s+)?anything\s+else(?:\s+i\s+can\s+help\s+(?:you\s+)?with)?\s*\?"
    r"|(?:please\s+)?let\s+me\s+know\s+if\s+you\s+(?:need\s+(?:anything\s+else|more\s+help|further\s+assistance)"
    r"|have\s+(?:any\s+)?(?:other|more|further)\s+questions)\s*[.!]"
    r"|(?:i\s+)?hope\s+(?:this|that)\s+helps\s*[.!]|you(?:'re|\s+are)\s+welcome\s*[.!]",
    re.IGNORECASE,
)
# Models number the lines of an answer: "1. spam".
_LINE_NUMBER = re.compile(r"\A\s*[1-9]\d?[.)]\s+")
# "spam (98%)", "spam (confidence: 0.98)"
_CONFIDENCE = re.compile(
    r"(?<!\S)[(\[]?(?:(?:confidence|probability)\s*[:=]?\s*)?(?:(?P<percent>\d{1,3}(?:\.\d+)?)\s*%|(?P<share>[01]\.\d+))"
    r"(?:\s+(?:confidence|probability|confident|sure|certain))?[)\]]?(?=[\s.,!]|\Z)",
    re.IGNORECASE,
)
# An explanation can follow the requested JSON object, if it names no label and denies nothing.
_EXPLANATION = re.compile(
    r"[\s`]*\n[\s*_#`]*(?:explanation|reason|reasoning|rationale|justification|erklärung|begründung|explication"
    r"|explicación|spiegazione)[*_\s]*:",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"n't\b|[?¿？؟]|\b(?:not?|nor|none|neither|never|nothing|nobody|without|cannot|wrong\w*|incorrect\w*|inaccura\w*"
    r"|mis\w+|errors?|erroneous\w*|false\w*|untrue|instead|rather|except\w*|but|however|although|though|actually|wait"
    r"|correct(?:ion|ed|ing)|sorry|apolog\w+|opposite|contrary|revers\w+|invers\w+|invert\w+|kidding|jok\w+|lies?|lying"
    r"|lied|hardly|scarcely|barely|unlikely|doubt\w*|ignor\w+|disregard\w*|exclu\w+|rul(?:e|ed|ing)|reject\w*|refus\w+"
    r"|den(?:y|ies|ied)|negat(?:e[sd]?|ing|ion)|lack\w*|fail\w*|far|else|other\w*|sarcas\w*"
    r"|iron\w*|pretend\w*|fake\w*|random\w*|guess\w*"
    r"|kein\w*|nicht|nie|niemals|falsch\w*|sondern|aber|ne|pas|jamais|non|sans|faux|mais|ni|nunca|jamás|sin|falso|pero"
    r"|não|nem|mai|senza|ma|però|niet|geen|nooit|nigdy|bez)\b",
    re.IGNORECASE,
)
_FLAT_OBJECT = re.compile(r"\{[^{}]*\}")
_LABEL_FIELDS = ("label", "labels", "category", "class", "answer", "classification", "prediction", "predicted label")
# Other fields of the object that can contradict its label.
_CONFIRMATION = re.compile(r"\b(?:correct|accurate|valid|match(?:es)?|appl(?:y|ies)|true|agrees?|right|accepted)\b")
_CERTAINTY = re.compile(r"\b(?:confidence|probability|certainty|likelihood)\b")
_YES, _NO = (True, "true", "yes"), (False, "false", "no")
_NEXT_QUESTION = re.compile(r'\n\s*Text: "')

_QUOTES = "\"'`“”‘’„«»‹›「」『』*"
_OPENERS, _CLOSERS = f"{_QUOTES}([{{#>", f"{_QUOTES}.,:)]}}!。．：，、！"
# Marks that deny nothing. An exclamation mark must follow a word: "!spam" and "label != spam" are negations.
_MARKS = (frozenset(f"{_OPENERS}{_CLOSERS}=→–—- \t\r\n")) - {"!"}
_EXCLAMATION = re.compile(r"(?<=\w)!+(?=[\s\"'*]|\Z)")
_JOINED = re.compile(r"\S[-–—]|[-–—]\S")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_SEPARATORS = re.compile(r"[_\-\s]+")
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LETTER_AND_NAME = re.compile(r"([A-Za-z])\s*[.):\-–—]?[\s(]+(.+)", re.DOTALL)
_MENTION = "\0"


class ParsedAnswer(NamedTuple):
    """A label id, or -1 and the reason why there is no label."""

    label: int
    reason: UnusableAnswer | None


@lru_cache(maxsize=256)  # most answers of a run are equal
def parse_answer(answer: str | None, task: Task, *, coded: bool = False, order: tuple[int, ...] = ()) -> ParsedAnswer:
    """Parses the label in an answer.

    An answer has a label if it names one label and nothing in it can deny that:

    - the requested JSON object, if no other field contradicts the label (`"negated": true`, `"valid": false`, another
      label, a confidence below chance);
    - the name or the letter of a label, also in quotes, in bold, with a full stop, with a line number ("1. spam") or
      with a confidence ("spam (98%)");
    - a sentence that has one label and otherwise only words of a short list: "Sure! Here is the label: sports", "The
      text is about sports."

    Any other word means "no label", because it can be a negation in a language that nobody thought of: "non-sports",
    "hardly sports", "kein sports". A lost label costs less than an inverted one.

    Args:
        answer (`str`, *optional*): The answer of the model, with its reasoning.
        task (`Task`): The task.
        coded (`bool`, *optional*, defaults to `False`): Whether labels were requested as letters.
        order (`tuple[int, ...]`, *optional*): Label ids in the order in which the labels were shown.

    Example:

        >>> from freeal_hf.tasks import TextClassification
        >>> task = TextClassification(["ham", "spam"])
        >>> parse_answer("The label is: **Spam**.", task), parse_answer("Non-spam", task)
        (ParsedAnswer(label=1, reason=None), ParsedAnswer(label=-1, reason='not a label'))
    """
    said, is_cut_off = final_answer(answer)
    text = unicodedata.normalize("NFC", said).replace("’", "'").replace(_MENTION, " ").strip()
    if not text:
        return ParsedAnswer(NO_LABEL, "cut-off answer" if is_cut_off else "empty answer")
    names = _names(task, coded, order)
    if (label := names.whole(text)) != NO_LABEL:
        return ParsedAnswer(label, None)
    if (found := names.in_object(unfenced(text))) is not None:
        return _parsed(found)
    found, rest = names.in_objects(text)
    if _MENTION not in rest:
        if "{" in text and "}" not in text:
            return ParsedAnswer(NO_LABEL, "cut-off answer")
        return _parsed(names.all_in([text]))
    before, _, after = rest.partition(_MENTION)
    if not before.replace("json", "").strip(" \t\r\n`") and _EXPLANATION.match(after):
        denied = denies(after) or names.is_any_in(after)
        return _parsed(set() if denied else found)
    if names.is_neutral(_COURTESY.sub(" ", rest)):
        return _parsed(found)
    return ParsedAnswer(NO_LABEL, "several labels" if len(found) > 1 else "not a label")


def denies(text: str) -> bool:
    """Whether a text has a word that can deny what stands beside it, in the languages of a list."""
    return bool(_DENIAL.search(text))


def field_denies(name: str, value: object) -> bool:
    """Whether a field beside the labels of a JSON answer denies them.

    Args:
        name (`str`): The name of the field.
        value (`object`): Its value.

    Example:

        >>> field_denies("negated", True), field_denies("isCorrect", "no"), field_denies("reason", "not ham")
        (True, True, False)
    """
    said, name = value.casefold() if isinstance(value, str) else value, _field_name(name)
    if denies(name):
        return bool(said) and said not in _NO
    return said in _NO and bool(_CONFIRMATION.search(name))


class _Names:
    """The names of the labels of a task, and the letters that represent them."""

    def __init__(self, task: Task, coded: bool, order: tuple[int, ...]) -> None:
        self.task = task
        codes = label_codes(task, coded, order)
        self.codes = codes if codes != task.label_names else []
        self.plain = [_plain(name) for name in task.label_names]
        self.has_numbers = any(name.isdecimal() for name in task.label_names)
        self.chance = 1 / task.num_labels

    def whole(self, text: str) -> int:
        """Returns the label if the text is exactly a label, and -1 otherwise."""
        for body in dict.fromkeys((text.strip(), _bare(text))):
            if len(body) == 1 and body.upper() in self.codes:
                return self.codes.index(body.upper())
            if (label := self.task.label_of(body)) != NO_LABEL:
                return label
            if body and body[0] not in "_-" and body[-1] not in "_-" and self.plain.count(_plain(body)) == 1:
                return self.plain.index(_plain(body))
            pair = _LETTER_AND_NAME.fullmatch(body) if self.codes else None
            if pair and pair[1] in self.codes and self._name(pair[2]) == self.codes.index(pair[1]):
                return self.codes.index(pair[1])
        return NO_LABEL

    def all_in(self, values: Sequence[str]) -> set[int]:
        """Returns the labels that values name, or none if one of the values is not clear."""
        return _union([self._in(unicodedata.normalize("NFC", value).replace("’", "'")) for value in values])

    def in_object(self, text: str) -> set[int] | None:
        """Returns the labels in the label field of a JSON object, or none if another field contradicts them.

        Returns:
            `set[int]` or `None`: The labels; `None` if the text is not such an object.
        """
        fields = _json_fields(text)
        named = {name: values for name in _LABEL_FIELDS if (values := _label_values(fields.get(name, ())))}
        if not named:
            return None
        field, values = next(iter(named.items()))
        found = self.all_in(values)
        others = [(name, value) for name, values in fields.items() if name != field for value in values]
        if not found or any(self._contradicts(name, value, found) for name, value in others):
            return set()
        texts = (value for _, value in others if isinstance(value, str))
        return found.union(label for text in texts if (label := self.whole(text)) != NO_LABEL)

    def in_objects(self, text: str) -> tuple[set[int], str]:
        """Returns the labels in all JSON objects in a text, and the text with marks in the places of the objects."""
        objects: list[set[int]] = []

        def mention(match: re.Match[str]) -> str:
            found = self.in_object(match[0])
            objects.extend([] if found is None else [found])
            return match[0] if found is None else f" {_MENTION} "

        rest = _FLAT_OBJECT.sub(mention, text)
        if (following := _NEXT_QUESTION.search(rest)) and rest[: following.start()].strip() == _MENTION:
            # The model continued with another question.
            return objects[0], _MENTION
        return _union(objects), rest

    def is_any_in(self, text: str) -> bool:
        """Whether a text contains the name of a label."""
        return any(
            re.search(rf"(?<!\w){_flexible(name)}(?!\w)", text, re.IGNORECASE) for name in self._longest_first()
        )

    def is_neutral(self, rest: str) -> bool:
        """Whether a text, beside the places of its labels, has only words and marks that deny nothing."""
        rest = rest.replace(_MENTION, " ")
        rest = _CONFIDENCE.sub(lambda match: match[0] if self._is_unlikely(match[0]) else " ", rest)
        rest = _EXCLAMATION.sub(" ", rest)
        if _JOINED.search(rest):
            return False
        words = {word.casefold() for word in _WORD.findall(rest)}
        if words in ({"a"}, {"an"}):  # "a political" may be "apolitical"
            return False
        return _NEUTRAL.issuperset(words) and _MARKS.issuperset(_WORD.sub(" ", rest))

    def _contradicts(self, name: str, value: Any, found: set[int]) -> bool:
        """Whether a field beside the label field contradicts the labels that were found."""
        said, named = value.casefold() if isinstance(value, str) else value, self.all_in([name])
        is_other = named & found if said in _NO else said in _YES and not named <= found
        is_unlikely = _CERTAINTY.search(name) and self._is_unlikely(value)
        return field_denies(name, value) or bool(is_other) or bool(is_unlikely)

    def _is_unlikely(self, confidence: object) -> bool:
        """Whether a confidence, as a number or as it is written in a text, is below chance."""
        if isinstance(confidence, str):
            match = _CONFIDENCE.fullmatch(confidence)
            confidence = match and (float(match["share"]) if match["share"] else float(match["percent"]) / 100)
        return isinstance(confidence, int | float) and confidence < self.chance

    def _in(self, value: str) -> set[int]:
        if (label := self.whole(value)) != NO_LABEL:
            return {label}
        if not self.has_numbers:
            value = _LINE_NUMBER.sub("", value)
        rest = value
        for _ in range(2):  # "Antwort: Label: X"
            if not (frame := _FOREIGN_FRAME.match(rest)):
                break
            rest = rest[frame.end() :]
            if (label := self.whole(rest)) != NO_LABEL:
                return {label}
        return self._in_sentence(_COURTESY.sub(" ", value))

    def _in_sentence(self, text: str) -> set[int]:
        # A name or letter begins after a blank, so that "Label:X" needs one.
        rest = re.sub(r"([:：])(?=[^\s\"'`*])", r"\1 ", text)
        clear: set[int] = set()
        unclear: set[int] = set()
        for name in self._longest_first():  # "not spam" before "spam", and its place is then taken
            label = self.task.label2id[name]
            words = _WORD.findall(name.casefold())
            is_word = bool(words) and _NEUTRAL.issuperset(words)
            is_common = is_word or len(name) == 1 or name.isdecimal()  # "It is sales", "the text has 1 label"

            def mention(
                match: re.Match[str], label: int = label, word: bool = is_word, common: bool = is_common
            ) -> str:
                is_quoted = bool(set(_QUOTES) & set(match["open"]) and set(_QUOTES) & set(match["close"]))
                is_last = not match.string[match.end() :].strip()
                is_answer = is_last and (not word or match.string[: match.start()].rstrip().endswith(":"))
                (unclear if common and not is_quoted and not is_answer else clear).add(label)
                return f" {_MENTION} "

            rest = re.sub(_standing(_flexible(name)), mention, rest, flags=re.IGNORECASE)
        for code in self.codes:
            # "A" and "I" are words, too: "A text about sports", "I say".
            pattern = _standing(code) + (r"(?!\s*[^\W\dA-Z_])" if code in "AI" else "")
            rest, count = re.subn(pattern, f" {_MENTION} ", rest)
            if count:
                clear.add(self.codes.index(code))
        if len(found := clear | unclear) > 1:
            return found
        return clear if clear and self.is_neutral(rest) else set()

    def _name(self, text: str) -> int:
        bare = _bare(text)
        label = self.task.label_of(bare)
        return self.plain.index(_plain(bare)) if label == NO_LABEL and self.plain.count(_plain(bare)) == 1 else label

    def _longest_first(self) -> list[str]:
        return sorted(self.task.label_names, key=len, reverse=True)


@lru_cache(maxsize=128)
def _names(task: Task, coded: bool, order: tuple[int, ...]) -> _Names:
    return _Names(task, coded, order)


def _parsed(found: set[int]) -> ParsedAnswer:
    if len(found) == 1:
        return ParsedAnswer(next(iter(found)), None)
    return ParsedAnswer(NO_LABEL, "several labels" if found else "not a label")


def _json_fields(text: str) -> dict[str, list[Any]]:
    """Returns the values of each field of a JSON object. There are none if the text is no JSON object."""

    def collected(pairs: Iterable[tuple[Any, Any]]) -> dict[str, list[Any]]:
        fields: dict[str, list[Any]] = {}
        for name, value in pairs:
            fields.setdefault(_field_name(str(name)), []).append(value)
        return fields

    try:
        fields = json.loads(text, object_pairs_hook=collected)
    except (ValueError, RecursionError):
        try:
            # Small models give dictionaries with single quotes as in Python.
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return {}
        fields = collected(value.items()) if isinstance(value, dict) else {}
    return fields if isinstance(fields, dict) else {}


def _label_values(values: Sequence[Any]) -> list[str]:
    """Returns the values of a label field, an empty one for `null`; none if they are objects."""
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    if not flat or any(isinstance(one, dict) for one in flat):
        return []
    return [one if isinstance(one, str) else json.dumps(one) for one in flat if one is not None] or [""]


def _union(sets: Sequence[set[int]]) -> set[int]:
    """Returns the union, or an empty set if one of the sets is empty."""
    return set().union(*sets) if all(sets) else set()


def _bare(text: str) -> str:
    """Removes quotes, brackets and emphasis around a text, and its final punctuation."""
    return text.strip(" \t\r\n").lstrip(f"{_OPENERS} \t\r\n").rstrip(f"{_CLOSERS} \t\r\n")


def _standing(pattern: str) -> str:
    """Returns a pattern that does not match if a letter, hyphen or other mark joins it to something."""
    opening, closing = re.escape(_OPENERS), re.escape(_CLOSERS)
    return rf"(?:(?<=[\s{_MENTION}])|\A)(?P<open>[{opening}]*){pattern}(?P<close>[{closing}]*)(?=[\s{_MENTION}]|\Z)"


def _flexible(name: str) -> str:
    """Returns a pattern of a name in which spaces, hyphens and underscores are the same."""
    return r"[\s_\-]+".join(re.escape(part) for part in _SEPARATORS.split(name) if part) or re.escape(name)


def _field_name(name: str) -> str:
    return _plain(_CAMEL_CASE.sub(" ", name))


def _plain(text: str) -> str:
    return " ".join(_SEPARATORS.sub(" ", text.casefold()).split())
