"""The kind of task with entities in each sentence, as a BIO tag for each word."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.config import LoopConfig
from freeal_hf.data.human_labels import HumanEntities, HumanTable
from freeal_hf.data.sentences import TOKENS, named_in, read_sentences, tag_names
from freeal_hf.data.spans import Span, spans_of
from freeal_hf.demonstrations import choose_demonstrations
from freeal_hf.errors import InputError
from freeal_hf.kinds import entity_audit
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.entity_answers import EntityAnswers, fuse
from freeal_hf.kinds.entity_corpus import Sentences, collect, rarest_types
from freeal_hf.kinds.entity_rows import by_sentence, entity_rows, tag_ids
from freeal_hf.kinds.human_entities import SPAN_COLUMNS, TAG_COLUMNS, read_human_entities, with_human_labels
from freeal_hf.kinds.labels import AuditPart, AuditQuestion, Measure, f1_facts
from freeal_hf.kinds.rounds import Selection, pool_table, read_labels
from freeal_hf.labels.audit import AuditSample
from freeal_hf.labels.doubts import entity_doubt
from freeal_hf.labels.entities import valid_tags
from freeal_hf.labels.entity_audit import EntityAudit, JudgedEntities
from freeal_hf.labels.entity_voting import rank_annotators
from freeal_hf.labels.metrics import score_entities
from freeal_hf.prediction.predictor import PredictionOptions, Predictor
from freeal_hf.tasks import NO_LABEL, Demonstration, TextClassification, TokenClassification

if TYPE_CHECKING:
    from datasets import Dataset


_MOST_STRATA = 4

VERDICTS = TextClassification(["right", "wrong"], "Does the text have exactly these entities?")
"""The answers to the question of an audit about a sentence."""


class EntityKind(TaskKind[TokenClassification, Sentences, EntityAnswers]):
    """Entities of given types in each sentence, as a BIO tag for each word."""

    answers_type = EntityAnswers
    measure = Measure("f1", "entity F1", "F1 of the final entities")
    card_scores = ("f1", "precision", "recall")  # accuracy is not useful: most words are outside of entities
    human_columns = (*TAG_COLUMNS, *SPAN_COLUMNS, TOKENS)
    extra_figures = tuple(
        f"{who}_{score}" for who in ("annotator", "student", "label") for score in ("precision", "recall", "f1")
    )

    def read_rows(self, source: Any, **options: Any) -> "Dataset":
        if options.pop("augmented_column", None) is not None:
            raise InputError(
                "An entity task cannot use augmented_column, because a paraphrase has other words than the sentence. "
                "Leave it out."
            )
        return read_sentences(source, self.task, **options)

    def collect(self, dataset: "Dataset") -> Sentences:
        return collect(dataset)

    def read_human_rows(self, table: HumanTable) -> list[HumanEntities]:
        return read_human_entities(table)

    def with_human_labels(
        self, corpus: Sentences, dataset: "Dataset", given: Sequence[Any], known: Sequence[Any] = ()
    ) -> Sentences:
        return with_human_labels(corpus, dataset, self.task, given, known)

    def fuse(self, group: Sequence[EntityAnswers], human: Sequence[list[Span] | None]) -> EntityAnswers:
        return fuse(group, human)

    def votes(self, answers: EntityAnswers, num_annotators: int) -> np.ndarray | None:
        return None  # the final tags use the fused entities alone

    def score(self, labels: "Dataset") -> dict[str, Any]:
        return score_entities(labels)

    def kept_columns(self, names: Sequence[str], text_columns: Sequence[str]) -> list[str]:
        return [TOKENS] if TOKENS in names else super().kept_columns(names, text_columns)

    def has_other_words(self, stored: Path, dataset: "Dataset") -> bool:
        before = read_labels(stored)
        return list(before["id"]) == list(dataset["id"]) and list(before[TOKENS]) != list(dataset[TOKENS])

    def check_can_select(self, *, has_labels: bool) -> None:
        raise InputError(
            "`freeal-hf select` cannot use labels of an entity task. To choose sentences whose entities a person will "
            "mark, give a column of texts and a --strategy that needs no labels (kmeans, coreset, random), and leave "
            "--labelled out."
        )

    @property
    def classes(self) -> list[str]:
        return self.task.tags

    def is_missing(self, label: Any) -> bool:
        return not label or NO_LABEL in label

    def flat(self, column: Sequence[Any]) -> np.ndarray:
        return np.array([tag for tags in column for tag in tags], dtype=int)

    def cell(self, label: Any) -> str:
        return "" if self.is_missing(label) else json.dumps(tag_names(label, self.task.tags))

    def shown(self, label: Any, row: Mapping[str, Any]) -> str:
        spans = spans_of(tag_names(label, self.task.tags))
        named = named_in(row["text"], spans, row[TOKENS], row["token_starts"])
        return "; ".join(f"{name}: {text}" for text, name in named) or "none"

    def label_counts(self, labels: "Dataset") -> Counter[str]:
        """Counts the entities of each type."""
        tags = self.task.tags  # each entity has one B- tag
        return Counter(tags[i][2:] for ids in labels["label"] for i in ids if i > 0 and tags[i].startswith("B-"))

    def stand_in(self, corpus: Sentences, index: int, label: int) -> Demonstration:
        """Returns a sentence whose first word is its entity, or a sentence without an entity."""
        words = corpus.words[index] if label != NO_LABEL else []
        entities = tuple((word, self.task.label_names[0]) for word in words[:1])
        return Demonstration(corpus.texts[index], label, entities=entities)

    def card_facts(self, record: Mapping[str, Any]) -> dict[str, str]:
        return f1_facts(record, "f1_by_type")

    def card_estimate(self, record: Mapping[str, Any]) -> str:
        said = (
            f"{_audited(record)} `label_confidence` is the mean probability of the tags "
            "of a sentence, most of which are O. It can be used to sort sentences, but is not calibrated."
        )
        if record["label_f1"] is None:
            return said
        shown = {name: f"{100 * record[f'label_{name}']:.1f} %" for name in ("f1", "precision", "recall")}
        return (
            f"{said} Against gold tags, which are only used for scores, F1 of the final entities is "
            f"**{shown['f1']}** (precision {shown['precision']}, recall {shown['recall']})."
        )

    def demonstration_table(self, pool: Sequence[Demonstration]) -> dict[str, tuple[list[Any], Any]]:
        from datasets import Value

        entities = [[{"text": text, "type": name} for text, name in shot.entities] for shot in pool]
        text = Value("string")
        return {**pool_table(pool, self.task), "entities": (entities, [{"text": text, "type": text}])}

    @property
    def audit(self) -> AuditQuestion:
        right = "sentences have exactly the right entities"
        return AuditQuestion(VERDICTS, are_labels=False, right=right, correction=entity_audit.CORRECTED)

    def audited_labels(self, labels: "Dataset") -> np.ndarray:
        """Returns the number of entities of each row, at most `_MOST_STRATA`, so that strata have similar rows."""
        is_start = np.array([tag.startswith("B-") for tag in self.task.tags])

        def count(tags: Sequence[int]) -> int:
            return NO_LABEL if self.is_missing(tags) else min(_MOST_STRATA, int(is_start[list(tags)].sum()))

        return np.array([count(tags) for tags in labels["label"]])

    def right_answer(self, label: Any) -> int:
        return 0  # "right", whatever the number of entities

    def audit_cells(self, row: Mapping[str, Any]) -> dict[str, str]:
        tags = tag_names(row["label"], self.task.tags)
        return {"entities": entity_audit.written(row, tags), entity_audit.CORRECTED: ""}

    def audit_truth(
        self,
        answers: Mapping[str, int],
        cells: Mapping[str, Mapping[str, str]],
        rows: Mapping[str, Mapping[str, Any]],
        origin: str,
    ) -> list[HumanEntities]:
        right = {id_: answer == self.right_answer(None) for id_, answer in answers.items()}
        return entity_audit.read_corrections(right, cells, rows, self.task, origin)

    def audit_parts(self, labels: "Dataset", rows: Sequence[int], answers: EntityAnswers | None) -> list[AuditPart]:
        annotators = [] if answers is None else [part.spans for part in answers.parts]
        return entity_audit.parts_of(labels, rows, annotators)

    def audit_entities(
        self,
        labels: "Dataset",
        texts: Sequence[int],
        human: Sequence[int],
        sample: AuditSample,
        ids: Sequence[str],
        truth: Sequence[HumanEntities],
        judged: JudgedEntities | None,
    ) -> EntityAudit | None:
        return entity_audit.estimate(labels, texts, human, sample, ids, truth, judged, self.task.tags)

    def no_answers(self, corpus: Sentences) -> EntityAnswers:
        return EntityAnswers.none(len(corpus.texts))

    def losses(self, corpus: Sentences, selection: Selection) -> np.ndarray:
        """Returns the largest loss of a word of each sentence, infinite if it has no tags; shape `(n,)`."""
        num_words = corpus.num_words[: len(selection.embeddings)]
        return np.maximum.reduceat(np.nan_to_num(selection.losses, nan=np.inf), np.cumsum([0, *num_words[:-1]]))

    def selection_for(
        self, corpus: Sentences, answers: EntityAnswers, before: EntityAnswers, selection: Selection
    ) -> Selection:
        """Returns the selection for answers that were fused again. Changed tags are clean.

        They only change if the sentences that a person marked clearly show that other annotators are right, and the
        student, which has not seen them, cannot judge them.
        """
        tags, trained = (tag_ids(one.spans, corpus.num_words, self.task) for one in (answers, before))
        return replace(selection, is_clean=selection.is_clean | (tags != trained))

    def found_labels(self, corpus: Sentences, answers: EntityAnswers) -> np.ndarray:
        """Returns the ids of the types of the entities of annotator and people, one for each entity."""
        found = corpus.training_spans(answers.spans)
        return np.array([self.task.label2id[span.type] for spans in found for span in spans or ()], dtype=int)

    def is_noisy(self, corpus: Sentences, answers: EntityAnswers, selection: Selection) -> np.ndarray:
        """Returns whether a sentence has no answer, or an entity of annotator or student that is not clean.

        Human entities are never noisy. Sentences that were added after the answers are left out. The shape is `(n,)`.
        """
        count = len(answers.spans)
        num_words = corpus.num_words[:count]
        student = valid_tags(selection.probabilities, num_words, self.task.tags)
        in_question = ~selection.is_clean & ((tag_ids(answers.spans, num_words, self.task) > 0) | (student > 0))
        noisy = np.bincount(np.repeat(np.arange(count), num_words), in_question, minlength=count) > 0
        return (noisy | answers.is_missing) & ~corpus.is_human[:count]

    def training_set(self, corpus: Sentences, answers: EntityAnswers) -> "Dataset":
        """Returns the training set: `id`, `tokens`, tags as `label`, and `is_trusted`, true for human entities."""
        from datasets import ClassLabel, Dataset, Features, Value
        from datasets import Sequence as ListFeature

        features = {
            "id": Value("string"),
            TOKENS: ListFeature(Value("string")),
            "label": ListFeature(ClassLabel(names=self.task.tags)),
            "is_trusted": Value("bool"),
        }
        labels = tag_ids(corpus.training_spans(answers.spans), corpus.num_words, self.task)
        columns = {
            "id": corpus.ids,
            TOKENS: corpus.words,
            "label": by_sentence(labels, corpus),
            "is_trusted": corpus.is_human,
        }
        return Dataset.from_dict(columns, features=Features(features))

    def doubt(self, dataset: "Dataset", held_out: np.ndarray | None) -> str | None:
        rows = zip(dataset["label"], dataset["is_trusted"], strict=True)
        answers = [tags for tags, by_hand in rows if not by_hand and NO_LABEL not in tags]
        return entity_doubt(np.array([tag > 0 for tags in answers for tag in tags], dtype=bool), len(answers))

    def choose_pool(
        self,
        corpus: Sentences,
        answers: EntityAnswers,
        selection: Selection,
        loop: LoopConfig,
        seed: int,
    ) -> list[Demonstration]:
        """Chooses demonstrations among sentences without a noisy entity in which the student finds the same entities.

        Sentences with human entities are always candidates. A sentence counts for the rarest of its types, so that
        each type is covered, or as a sentence without entities. Its loss is the largest loss of its words. A sentence
        that is too long for a demonstration is not chosen: a truncated sentence would show too few entities.
        """
        spans = corpus.training_spans(answers.spans)
        labels = tag_ids(spans, corpus.num_words, self.task)
        student = valid_tags(selection.probabilities, corpus.num_words, self.task.tags)
        starts = np.cumsum([0, *corpus.num_words[:-1]])
        agrees = np.minimum.reduceat(student == labels, starts)
        pool = choose_demonstrations(
            corpus.texts,
            corpus.ids,
            rarest_types(spans, self.task),
            self.losses(corpus, selection),
            agrees & ~self.is_noisy(corpus, answers, selection) & corpus.is_short,
            selection.embeddings,
            num_labels=len(self.task.shot_labels),
            is_human=corpus.is_human & corpus.is_short,
            pool_size=loop.pool_size,
            candidate_fraction=loop.candidate_fraction,
            seed=seed,
        )
        number = corpus.index_of(str(shot.id) for shot in pool)
        rows = [number[str(shot.id)] for shot in pool]
        return [
            replace(
                shot,
                label=NO_LABEL if shot.label == self.task.num_labels else shot.label,
                entities=named_in(shot.text, spans[i] or [], corpus.words[i], corpus.starts[i]),
            )
            for shot, i in zip(pool, rows, strict=True)
        ]

    def label_rows(
        self,
        dataset: "Dataset",
        corpus: Sentences,
        answers: EntityAnswers,
        selection: Selection,
        number: int,
        seed: int,
        votes: np.ndarray | None,
        class_shares: np.ndarray | None = None,
        earlier: Sequence[tuple[np.ndarray, np.ndarray | None]] = (),
    ) -> tuple["Dataset", dict[str, Any]]:
        """Makes the dataset of a round, with a BIO tag for each word, and returns whether the student has learnt.

        Confidences and losses are means over the words of a sentence, `is_clean` is true for a sentence without a
        noisy entity, and `spans` are the final entities with their position in the text. Human entities are final. If
        the student has not learnt its labels, the annotator's entities are final, without a confidence.
        """
        clean = ~self.is_noisy(corpus, answers, selection)
        rows, learnt = entity_rows(dataset, corpus, answers, selection, clean, self.task, number)
        return rows, {"student_has_learnt": learnt, **_ranking(answers)}

    @classmethod
    def owns_student(cls, config: Any) -> bool:
        return any(name.endswith("ForTokenClassification") for name in config.architectures or ())

    @classmethod
    def predictor(cls, student: str | Path, options: PredictionOptions) -> Predictor[Any]:
        from freeal_hf.prediction.tagger import EntityPredictor, EntityTagger

        if options.top_k != 1 or options.probabilities or options.embeddings:
            raise InputError(
                f"The student {str(student)!r} finds entities, and cannot use --top-k, --probabilities or "
                "--embeddings. Leave them out."
            )
        return EntityPredictor(EntityTagger(student, batch_size=options.batch_size))

    def test_rows(self, test: "Dataset", student: Path, number: int) -> "Dataset":
        from freeal_hf.prediction.tagger import EntityTagger

        corpus = collect(test)
        probabilities = np.concatenate(EntityTagger(student).probabilities(corpus.words))
        count = len(probabilities)
        none = np.zeros((len(corpus.texts), 0))
        selection = Selection(np.full(count, np.nan), np.zeros(count, dtype=bool), probabilities, none, none)
        return self.label_rows(test, corpus, self.no_answers(corpus), selection, number, seed=0, votes=None)[0]


def _audited(record: Mapping[str, Any]) -> str:
    """Describes what is known of entity F1 without gold."""
    if (found := record.get("audited_entities")) is None:
        return "There is no estimate of entity F1 without gold or an audit."
    f1 = "{:.0f} % ({:.0f} to {:.0f} %)".format(*(100 * found["f1"][key] for key in ("value", "low", "high")))
    return (
        f"An audit estimates entity F1 of the final entities as {f1}: a person marked the entities of "
        f"{found['sentences']} random sentences, and judged {found['entities']} random entities."
    )


def _ranking(answers: EntityAnswers) -> dict[str, Any]:
    """Returns the annotators' F1 against the other ones, the best first; nothing for a single annotator."""
    if len(answers.parts) < 2:
        return {}
    values = enumerate(rank_annotators([part.spans for part in answers.parts]), start=1)
    known = [(value, number) for number, value in values if not np.isnan(value)]
    ranked = sorted(known, key=lambda pair: (-pair[0], pair[1]))
    return {"annotator_ranking": [{"annotator": number, "f1_with_others": value} for value, number in ranked]}
