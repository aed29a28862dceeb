"""Finds entities in sentences with a trained student."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.data.files import write_atomically
from freeal_hf.data.sentences import TOKENS, spans_in_text, split_words, tag_names
from freeal_hf.data.spans import spans_of
from freeal_hf.data.spreadsheets import harmless
from freeal_hf.data.texts import is_usable
from freeal_hf.labels.entities import valid_tags
from freeal_hf.prediction.classifier import load_student

if TYPE_CHECKING:
    from datasets import Dataset


def labels_words(model: str | Path) -> bool:
    """Returns whether a saved student is a token classifier.

    Args:
        model (`str` or `Path`): The folder or Hub id of the student.

    Returns:
        `bool`: Whether it is a token classifier; `False` if there is no such model.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(model))
    except (OSError, ValueError):
        return False
    return any(name.endswith("ForTokenClassification") for name in config.architectures or ())


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

    def find(self, text: str) -> list[dict[str, Any]]:
        """Finds the entities of a text. The text is split into words at spaces and punctuation.

        Args:
            text (`str`): The text.

        Returns:
            `list[dict[str, Any]]`: The entities, with `start` and `end` in characters (the end is exclusive), `type`,
            `text` and `confidence` (the mean probability of the tags of its words). Empty for a text without words.
        """
        words, starts = split_words(text)
        if not words:
            return []
        columns = {"text": text, TOKENS: words, "token_starts": starts}
        return _spans(columns, self.probabilities([words])[0], self.tags)


def write_entities(path: Path, tagger: EntityTagger, sentences: "Dataset") -> tuple[int, int]:
    """Finds the entities of sentences and writes a CSV file with the columns `id, text, spans, note`.

    `spans` is a JSON list of the entities as `EntityTagger.find` returns them. The file is written under a temporary
    name and renamed when it is complete.

    Args:
        path (`Path`): The file.
        tagger (`EntityTagger`): The student.
        sentences (`Dataset`): The sentences that `read_sentences` returned. Unusable rows get no spans.

    Returns:
        `tuple[int, int]`: The number of labelled sentences, and the number of rows.

    Raises:
        OSError: If the file cannot be written.
    """
    usable = [row for row, note in enumerate(sentences["note"]) if is_usable(note)]
    probabilities = dict(zip(usable, tagger.probabilities(sentences.select(usable)[TOKENS][:]), strict=True))

    def write(partial: Path) -> None:
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "spans", "note"])
            for row, columns in enumerate(sentences):
                spans = _spans(columns, probabilities[row], tagger.tags) if row in probabilities else []
                cell = json.dumps(spans, ensure_ascii=False)
                writer.writerow(map(harmless, [columns["id"], columns["text"], cell, columns["note"] or ""]))

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)
    return len(usable), len(sentences)


def _spans(columns: dict[str, Any], probabilities: np.ndarray, tags: Sequence[str]) -> list[dict[str, Any]]:
    best = valid_tags(probabilities, [len(probabilities)], tags)
    found = spans_of(tag_names(best.tolist(), tags))
    sure = probabilities[np.arange(len(best)), best]
    places = spans_in_text(found, columns[TOKENS], columns["token_starts"])
    return [
        {
            **place,
            "text": columns["text"][place["start"] : place["end"]],
            "confidence": round(float(sure[span.start : span.end].mean()), 6),
        }
        for span, place in zip(found, places, strict=True)
    ]
