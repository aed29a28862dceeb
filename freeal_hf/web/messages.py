"""Messages of the package in the words of the page, for visitors who do not know its commands, terms and files."""

import re

_OPTION = r"--[a-z][\w-]*|freeal-hf [a-z]+|HF_[A-Z_]+=|FREEAL_[A-Z_]+"
_TERMS = {
    "annotators": "language models",
    "annotator": "language model",
    "student": "small model",
    "gold labels": "true labels",
    "gold label": "true label",
    "gold column": "column of true labels",
    "gold": "true label",
}
_FILE = re.compile(r"['\"]?/[^\s'\",;]*/runs/[\w-]{32}(?P<inside>/[^\s'\",;:]*)?['\"]?")
_TERM = re.compile(rf"\b({'|'.join(_TERMS)})\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z'\"“`])")
_QUOTED = re.compile(r"('[^']*'|\"[^\"]*\"|“[^”]*”)")
_NOTHING_LEFT = "This cannot be done with these data or settings."


def for_visitors(message: str) -> str:
    """Returns a message without options of the command line, paths of the server and tables, in the page's words.

    Quoted values, such as labels, do not change.

    Args:
        message (`str`): The message of an error, or of the end of a run.

    Example:

        >>> for_visitors("The annotator gave all texts the label 'gold'. Choose another one, or pass --yes.")
        "The language model gave all texts the label 'gold'."
        >>> for_visitors(
        ...     "'/data/runs/0123456789abcdef0123456789abcdef/texts.jsonl' has no column 'text' (--text-columns)."
        ... )
        "The data has no column 'text'."
    """
    lines = message.strip().splitlines()
    table = next((i for i, line in enumerate(lines) if re.search(r"\S {2,}\S|\t", line)), len(lines))
    said = _FILE.sub(_name, " ".join(lines[:table]))
    said = re.sub(rf"\s*\([^()]*(?:{_OPTION})[^()]*\)", "", said)
    kept = [sentence for sentence in _SENTENCE.split(said) if not re.search(_OPTION, sentence)]
    parts = _QUOTED.split(" ".join(kept))
    said = "".join(part if i % 2 else _TERM.sub(_in_plain_words, part) for i, part in enumerate(parts)).strip()
    return said[:1].upper() + said[1:] if said or not message.strip() else _NOTHING_LEFT


def _name(found: re.Match[str]) -> str:
    inside = found["inside"] or ""
    return "the data" if inside.endswith("/texts.jsonl") or inside.startswith("/upload.") else "the run"


def _in_plain_words(found: re.Match[str]) -> str:
    term = found[0]
    plain = _TERMS[term.lower()]
    return plain.capitalize() if term[0].isupper() else plain
