"""Entities in each text, as the page shows them."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from freeal_hf.data.counting import counted
from freeal_hf.kinds.entities import EntityKind
from freeal_hf.tasks import TokenClassification
from freeal_hf.web import entities, pictures, reading, shown
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
        help="Describe each type of entity as for a person, because the annotator reads the description. Examples "
        "help.",
        table="Types of entities, one in each row",
        headers=["type", "what it means", "examples, separated by commas"],
        label="type",
        example_mark=", such as ",
        too_few="Enter at least one type of entity, one in each row of the table.",
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
    )
    trial = Trial(
        text="try-sentence",
        button="try-entities",
        api_name="find_entities",
        about="Finds the entities of a text with the trained student.",
        other="The student of this run finds entities: use find_entities.",
    )
    of_words = True
    unit = "words"
    counted = "entities"
    has_texts = True
    weak = (
        "The embedding annotator is weak for entities, because it compares single words and does not use the context. "
        "On Wikipedia sentences its F1 was 30 % with plain descriptions and 37 % with four terms for each type. Give "
        "terms as examples, and use a chat model for good results."
    )
    annotated_per_second = 50
    map_column = "main_type"

    def example(self) -> TokenClassification:
        return reading.example_entities()

    def frame(self, dataset: "Dataset", corrections: Mapping[str, str]) -> "pd.DataFrame":
        return entities.as_frame(dataset, {sample: json.loads(tags) for sample, tags in corrections.items()})

    def headline(self, labels: "pd.DataFrame") -> list[tuple[str, str]]:
        found = f"{entities.count_types(labels).total():,}"
        return [(f"entities found in {counted(len(labels), 'text')}", found)]

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

    def editor(self) -> gr.Textbox:
        return gr.Textbox(
            label="Right entities",
            info="One on each line: type, colon, words as in the text. Leave it empty if there is no entity. If the "
            "words occur several times in the text, add the number of the occurrence: place (2): Paris.",
            lines=4,
            visible=False,
            elem_id="review-entities",
        )

    def choices(self, names: Sequence[str]) -> dict[str, Any]:
        return {"placeholder": "\n".join(f"{name}: …" for name in names)}

    def proposed(self, row: Any) -> str:
        return entities.as_lines(row)

    def read_answer(self, said: str, row: Any, names: Sequence[str]) -> str:
        return json.dumps(entities.read_lines(said, row.tokens, names))

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
