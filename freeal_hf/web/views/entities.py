"""Entities in each text, as the page shows them."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from freeal_hf.data.counting import counted
from freeal_hf.data.sentences import TOKENS
from freeal_hf.data.spans import spans_of
from freeal_hf.kinds.entities import EntityKind
from freeal_hf.kinds.entity_audit import CORRECTED, written
from freeal_hf.tasks import TokenClassification
from freeal_hf.web import entities, pictures, reading, shown
from freeal_hf.web.card import Question
from freeal_hf.web.views.base import ResultTexts, TaskTexts, TaskView, Trial

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

    from freeal_hf.prediction.tagger import EntityTagger


class EntityView(TaskView):
    """Entities of given types in each text."""

    kind = EntityKind
    task_type = TokenClassification
    task = TaskTexts(
        name="Named entities in the text",
        question="What should be found in a text?",
        placeholder="Chemicals and diseases named in medical abstracts.",
        help="Describe each type of entity as for a person, because the language model reads the description. "
        "Examples help.",
        label="type",
        meaning="What it means",
        example="Examples, separated by commas",
        example_mark=", such as ",
        too_few="Enter the name of at least one type of entity.",
    )
    results = ResultTexts(
        final="Final entities",
        series="final entities",
        about_losses=(
            "The small model learns right entities sooner than wrong ones. The bars on the left are words that it "
            "finds easy: they are probably right. Those on the right are doubtful, and their sentences are labelled "
            "again. Most words are outside of entities."
        ),
        colour="the type of most of its entities",
        unknown="How many entities are right cannot be known yet.",
        between="between {low:.0f} and {high:.0f} of 100 texts probably have exactly the right entities",
    )
    trial = Trial(
        text="try-sentence",
        button="try-entities",
        api_name="find_entities",
        about="Finds the entities of a text with the trained small model.",
        other="The small model of this run finds entities: use find_entities.",
    )
    of_words = True
    unit = "words"
    counted = "entities"
    has_texts = True
    weak = (
        "The free model on this machine is weak for entities, because it compares single words and not their context. "
        "Give several terms as examples of each type, and use a chat model for good results."
    )
    annotated_per_second = 50
    map_column = "main_type"
    about_sample = "The entities of the result are marked: correct them if they are wrong, and save."

    def example(self) -> TokenClassification:
        return reading.example_entities()

    def frame(self, dataset: "Dataset", corrections: Mapping[str, str]) -> "pd.DataFrame":
        return entities.as_frame(dataset, {sample: json.loads(tags) for sample, tags in corrections.items()})

    def headline(self, labels: "pd.DataFrame") -> list[tuple[str, str]]:
        found = f"{entities.count_types(labels).total():,}"
        return [(f"entities found in {counted(len(labels), 'text')}", found)]

    def measured(self, last: Mapping[str, Any]) -> str:
        if last["label_f1"] is None:
            return ""
        right, found = 100 * last["label_precision"], 100 * last["label_recall"]
        return f"{right:.0f} of 100 entities are right, and {found:.0f} of 100 true entities were found."

    def counts(self, labels: "pd.DataFrame") -> Mapping[str, int]:
        return entities.count_types(labels)

    def scores(self, rounds: Sequence[Mapping[str, Any]]) -> str:
        rows = entities.scores(rounds)
        if not rows:
            return ""
        by_type = shown.preview(entities.SCORES_BY_TYPE, entities.scores_by_type(rounds[-1]), "scores")
        return shown.preview(entities.SCORES, rows, "scores") + by_type

    def map_names(self, names: Sequence[str]) -> list[str]:
        return [*names, entities.NO_ENTITY]

    def ask(self, row: Any, names: Sequence[str], *, is_blind: bool) -> Question:
        ends = [start + len(word) for start, word in zip(row.token_starts, row.tokens, strict=True)]
        words = list(zip(row.token_starts, ends, strict=True))
        if is_blind:  # only the final entities are shown, which the person judges
            return Question(row.id, row.text, names, words=words, tags=row.final_tags)
        return Question(row.id, row.text, names, words=words, tags=row.tags, opinions=self.opinions(row))

    def audit_cells(self, answer: str, row: Any) -> dict[str, str]:
        tags = json.loads(answer)
        if spans_of(tags) == spans_of(row.final_tags):
            return {"label": "right", CORRECTED: ""}
        shown = {"text": row.text, TOKENS: row.tokens, "token_starts": row.token_starts}
        return {"label": "wrong", CORRECTED: written(shown, tags)}

    def read_answer(self, said: str, row: Any, names: Sequence[str]) -> str:
        return json.dumps(entities.read_answer(said, row.tokens, names))

    def answer(self) -> gr.HighlightedText:
        return gr.HighlightedText(label="Prediction", elem_id="try-found", elem_classes="entities")

    def empty_answer(self, names: Sequence[str]) -> dict[str, Any]:
        return {"value": None, "color_map": pictures.colours(names)}

    def predict(self, student: Path, text: str) -> dict[str, Any]:
        tagger = _tagger(str(student), student.stat().st_mtime)
        return entities.highlighted(text, tagger.find(text))


@functools.lru_cache(maxsize=2)
def _tagger(student: str, trained: float) -> "EntityTagger":
    """Loads the student of a run. The time of its training is part of the cache key."""
    from freeal_hf.prediction.tagger import EntityTagger

    return EntityTagger(student)
