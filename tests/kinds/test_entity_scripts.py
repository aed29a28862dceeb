"""Runs on scripts without blanks: positions are counted in the original text everywhere."""

import csv
import json
from collections.abc import Sequence

import pytest
from datasets import Dataset

from freeal_hf import Annotation, AnnotationRequest, Annotator, FreeAL, FreeALConfig, LoopConfig, TokenClassification
from freeal_hf.annotators.prompts.grounding import ground
from freeal_hf.errors import InputError
from freeal_hf.kinds.registry import kind_of
from freeal_hf.prediction.tagger import EntityTagger
from tests.conftest import QUICK_TRAINING

TASK = TokenClassification({"person": "a name", "place": "a place"})
NAMES = {"张伟": "person", "田中さん": "person", "北京": "place", "東京タワー": "place", "กรุงเทพ": "place"}
FORMS = ["{}去了{}。", "  {}は{}にいます!", "{}อยู่ที่{}🗼", "👩🏽\u200d🚀{} in\u00a0{}"]
PEOPLE, PLACES = ["张伟", "田中さん"], ["北京", "東京タワー", "กรุงเทพ"]
TEXTS = [form.format(person, place) for form in FORMS for person in PEOPLE for place in PLACES]


class Named(Annotator):
    """Names the entities as a language model does, by their text."""

    kinds = frozenset({TokenClassification.type})

    async def annotate(self, task: TokenClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        said = [[(name, NAMES[name]) for name in NAMES if name in request.text] for request in requests]
        return [
            Annotation(0, spans=ground(named, request.words).spans)
            for named, request in zip(said, requests, strict=True)
        ]


@pytest.fixture(scope="module")
def result(student_folder, tmp_path_factory):
    args = FreeALConfig(
        output_dir=str(tmp_path_factory.mktemp("scripts") / "run"),
        report_to="none",
        **{**QUICK_TRAINING, "num_train_epochs": 2, "warm_up_epochs": 1},
    )
    data = kind_of(TASK).read_rows(Dataset.from_dict({"text": TEXTS}))
    return FreeAL(TASK, Named(), str(student_folder), args, LoopConfig(num_rounds=1)).run(data)


def test_the_annotators_entities_reach_the_rows_whole(result):
    tags, kind = result.dataset.features["label"].feature.names, kind_of(TASK)
    assert tags == TASK.tags
    for row in result.dataset:
        shown = kind.shown(row["annotator_label"], row)
        assert {part.split(": ")[1] for part in shown.split("; ")} == {name for name in NAMES if name in row["text"]}


def test_the_csv_has_the_texts_and_the_positions_in_them(result):
    with (result.output_dir / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == TEXTS
    for row, stored in zip(rows, result.dataset, strict=True):
        assert json.loads(row["spans"]) == stored["spans"]
        assert all(0 <= span["start"] < span["end"] <= len(row["text"]) for span in stored["spans"])


def test_the_student_finds_entities_among_the_words_of_any_tokenizer(result):
    tagger, text = EntityTagger(result.student), "张伟去了北京。"
    for words in (None, ["张伟", "去", "了", "北京", "。"]):
        assert all(text[found["start"] : found["end"]] == found["text"] for found in tagger.find(text, words))
    with pytest.raises(InputError, match="are not those of the text"):
        tagger.find(text, ["张伟", "北京"])
