"""Finds entities in sentences with a trained student."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from freeal_hf.data.arrow import PIECE
from freeal_hf.data.sentences import TOKENS, read_sentences, spans_in_text, tag_names
from freeal_hf.data.spans import spans_of
from freeal_hf.data.spreadsheets import harmless
from freeal_hf.data.texts import is_usable
from freeal_hf.data.words import align_words, split_words
from freeal_hf.errors import InputError
from freeal_hf.labels.entities import valid_tags
from freeal_hf.prediction.classifier import load_student
from freeal_hf.prediction.predictor import Predictor


class EntityTagger:
    """A trained student that finds entities, on the accelerator if there is one.

    Args:
        model (`str` or `Path`): The folder or Hub id of a token classifier.
        batch_size (`int`, *optional*, defaults to 64): The number of windows in a forward pass.

    Raises:
        InputError: If there is no such model, or the batch size is below 1.

    Example:

        ```python
        EntityTagger("runs/chemicals/student").find("Aspirin eased the headache.")
        # [{"start": 0, "end": 7, "type": "Chemical", "text": "Aspirin", "confidence": 0.98}]
        ```
    """

    def __init__(self, model: str | Path, *, batch_size: int = 64) -> None:
        self._model, self._tokenizer = load_student(model, batch_size, labels_words=True)
        self.batch_size = batch_size
        self.tags: list[str] = [self._model.config.id2label[i] for i in range(self._model.config.num_labels)]

    def probabilities(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Predicts the probability of each tag for each word. Long sentences are read in windows.

        Args:
            sentences (`Sequence[Sequence[str]]`): The words of each sentence, at least one.

        Returns:
            `list[np.ndarray]`: An array of shape `[words, tags]` for each sentence; rows sum to 1.
        """
        import torch

        from freeal_hf.training.token_data import window_words

        longest = min(self._tokenizer.model_max_length, 512)
        windows, owners = window_words(sentences, self._tokenizer, longest) if len(sentences) else ([], [])
        found = [np.zeros((len(words), len(self.tags))) for words in sentences]
        by_length = sorted(range(len(windows)), key=lambda i: len(windows[i]["input_ids"]))
        for start in range(0, len(windows), self.batch_size):
            rows = by_length[start : start + self.batch_size]
            inputs = self._tokenizer.pad(
                {name: [windows[i][name] for i in rows] for name in ("input_ids", "attention_mask")},
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self._model(**inputs.to(self._model.device)).logits
            probabilities = logits.float().softmax(-1).cpu().numpy()
            for row, i in enumerate(rows):
                numbers = np.array(windows[i]["words"])
                found[owners[i]][numbers[numbers >= 0]] = probabilities[row, : len(numbers)][numbers >= 0]
        return found

    def find(self, text: str, words: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Finds the entities of a text.

        Args:
            text (`str`): The text.
            words (`Sequence[str]`, *optional*): All words of the text, if the student was trained on the words of
                another tokenizer. By default, the text is split by `split_words`.

        Returns:
            `list[dict[str, Any]]`: The entities, with `start` and `end` in characters (the end is exclusive), `type`,
            `text` and `confidence` (the mean probability of the tags of its words). Empty for a text without words.

        Raises:
            InputError: If the words are not those of the text.
        """
        if words is None:
            words, starts = split_words(text)
        elif (found := align_words(words, text)) is not None:
            starts = found
        else:
            raise InputError(f"The words {list(words)} are not those of the text {text!r}; give all of its words.")
        if not words:
            return []
        return _spans(text, words, starts, self.probabilities([words])[0], self.tags)


class SentenceRow(NamedTuple):
    """A row of a table of sentences.

    Args:
        id (`str`): The id.
        text (`str`): The text.
        note (`str`, *optional*): Why it cannot be labelled, or that it was cut.
        words (`list[str]`): The words.
        starts (`list[int]`): Where each word starts in the text, in characters.
    """

    id: str
    text: str
    note: str | None
    words: list[str]
    starts: list[int]


class EntityPredictor(Predictor[SentenceRow]):
    """A token classifier that finds the entities in the rows of a file.

    The column `spans` is a JSON list of the entities as `EntityTagger.find` returns them.

    Args:
        tagger (`EntityTagger`): The student.
    """

    row = SentenceRow
    text_columns = ("text",)
    header = ("id", "text", "spans", "note")

    def __init__(self, tagger: EntityTagger) -> None:
        self.tagger = tagger

    def read(self, source: Any, **options: Any) -> Iterable[Sequence[SentenceRow]]:
        sentences = read_sentences(source, **options)
        for start in range(0, len(sentences), PIECE):
            piece = sentences[start : start + PIECE]
            names = ("id", "text", "note", TOKENS, "token_starts")
            yield [SentenceRow(*values) for values in zip(*(piece[name] for name in names), strict=True)]

    def cells(self, rows: Sequence[SentenceRow]) -> list[list[str]]:
        usable = [row for row in rows if is_usable(row.note)]
        found = iter(self.tagger.probabilities([row.words for row in usable]))
        spans = (
            _spans(row.text, row.words, row.starts, next(found), self.tagger.tags) if is_usable(row.note) else []
            for row in rows
        )
        return [
            list(map(harmless, [row.id, row.text, json.dumps(some, ensure_ascii=False), row.note or ""]))
            for row, some in zip(rows, spans, strict=True)
        ]


def _spans(
    text: str, words: Sequence[str], starts: Sequence[int], probabilities: np.ndarray, tags: Sequence[str]
) -> list[dict[str, Any]]:
    best = valid_tags(probabilities, [len(probabilities)], tags)
    found = spans_of(tag_names(best.tolist(), tags))
    sure = probabilities[np.arange(len(best)), best]
    places = spans_in_text(found, words, starts)
    return [
        {
            **place,
            "text": text[place["start"] : place["end"]],
            "confidence": round(float(sure[span.start : span.end].mean()), 6),
        }
        for span, place in zip(found, places, strict=True)
    ]
