"""spaCy's `DocBin` files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from freeal_hf.data.words import align_words
from freeal_hf.errors import InputError
from freeal_hf.exchange.marked import Marked, Place, marked


def read_docs(path: Path) -> tuple[list[Marked], int]:
    """Reads the documents of a `DocBin`.

    The entities of a document are its `ents`. If these are not annotated (`Doc.has_annotation`), they are the spans of
    its span groups (`Doc.spans`, as of spaCy's span categorizer), which can overlap. A document without both is not
    labelled.

    Args:
        path (`Path`): The file.

    Returns:
        `tuple[list[Marked], int]`: The texts, and the number of entities that overlap a longer one.

    Raises:
        InputError: If spaCy is not installed, or the file is not a `DocBin`.
    """
    spacy = _spacy()
    try:
        docs = list(spacy.tokens.DocBin().from_disk(path).get_docs(spacy.blank("xx").vocab))
    except Exception as error:  # spaCy raises errors of zlib and msgpack
        raise InputError(f"{path} is not a DocBin of spaCy: {error}.") from error
    found, num_dropped = [], 0
    for number, doc in enumerate(docs, start=1):
        words = [token.text for token in doc if not token.is_space]
        has_entities = bool(doc.ents) or doc.has_annotation("ENT_IOB")
        spans = doc.ents if has_entities else {span for group in doc.spans.values() for span in group}
        places = [Place(span.start_char, span.end_char, span.label_) for span in spans]
        labelled = places if has_entities or doc.spans else None
        id = doc.user_data.get("id")
        item, dropped = marked(doc.text, labelled, f"{path}, document {number}", words=words, id=id)
        found.append(item)
        num_dropped += dropped
    return found, num_dropped


def write_docs(path: Path, items: Iterable[Marked]) -> None:
    """Writes a `DocBin`. The texts are kept exactly; the entities of a text that is not labelled are missing.

    Raises:
        InputError: If spaCy is not installed.
    """
    spacy = _spacy()
    vocab = spacy.blank("xx").vocab
    docs = spacy.tokens.DocBin(store_user_data=True)
    for item in items:
        words, spaces = _tokens(item)
        doc = spacy.tokens.Doc(vocab, words=words, spaces=spaces)
        if item.id is not None:
            doc.user_data["id"] = item.id
        if item.places is not None:
            spans = [doc.char_span(place.start, place.end, place.type) for place in item.places]
            doc.set_ents(spans, default="outside")
        docs.add(doc)
    docs.to_disk(path)


def _tokens(item: Marked) -> tuple[list[str], list[bool]]:
    """Returns the tokens, and whether a space follows each; other blanks are tokens of their own."""
    words = item.own_words
    starts = align_words(words, item.text)
    assert starts is not None
    tokens: list[str] = []
    spaces: list[bool] = []
    end = 0
    for word, start in [*zip(words, starts, strict=True), ("", len(item.text))]:
        gap = item.text[end:start]
        if tokens and gap.startswith(" "):
            spaces[-1], gap = True, gap[1:]
        if gap:
            tokens.append(gap)
            spaces.append(False)
        if word:
            tokens.append(word)
            spaces.append(False)
        end = start + len(word)
    return tokens, spaces


def _spacy() -> Any:
    try:
        import spacy
        import spacy.tokens
    except ImportError as error:
        raise InputError("Files of spaCy need spaCy: pip install 'freeal-hf[spacy]'.") from error
    return spacy
