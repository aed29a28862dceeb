"""The kind of task with any number of labels for each text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.config import LoopConfig
from freeal_hf.data.human_labels import LABEL_COLUMN, HumanLabel, HumanTable
from freeal_hf.data.label_sets import ANY_LABEL, HumanLabelSetColumn, LabelSetColumn, joined_cells
from freeal_hf.data.texts import read_data
from freeal_hf.demonstrations import choose_demonstrations
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.label_set_answers import LabelSetAnswers
from freeal_hf.kinds.label_set_corpus import LabelSetCorpus, groups_of, rows_of, sets_of, shown_labels
from freeal_hf.kinds.label_set_rows import label_set_rows
from freeal_hf.kinds.labels import AuditQuestion, Crossed, Measure, f1_facts
from freeal_hf.kinds.neighbours import noisy_without_people
from freeal_hf.kinds.rounds import Selection, pool_table, untaught_probabilities
from freeal_hf.kinds.text_corpus import distinct_texts, read_human_labels, training_set, with_human_labels
from freeal_hf.labels.class_shares import read_class_shares
from freeal_hf.labels.doubts import label_set_doubt
from freeal_hf.labels.label_set_estimate import estimate_in_words, label_set_figures
from freeal_hf.labels.label_set_metrics import FIGURES, score_label_sets
from freeal_hf.labels.label_sets import (
    FinalLabelSets,
    at_half,
    final_label_sets,
    student_sets,
)
from freeal_hf.labels.voting import fused_answers
from freeal_hf.prediction.predictor import PredictionOptions, Predictor
from freeal_hf.tasks import NO_LABEL, Demonstration, MultiLabelClassification

if TYPE_CHECKING:
    from datasets import Dataset


class MultiLabelKind(TaskKind[MultiLabelClassification, LabelSetCorpus, LabelSetAnswers]):
    """Any number of labels out of a list for each text, or none of them."""

    answers_type = LabelSetAnswers
    measure = Measure("micro_f1", "micro F1", "micro F1 of the final labels")
    card_scores = ("micro_f1", "macro_f1", "exact_match")
    extra_figures = tuple(f"{who}_{score}" for who in ("annotator", "student", "label") for score in FIGURES)

    # ---- Input ----

    @property
    def human_columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """`label`, or a column of truth values for each label."""
        return (LABEL_COLUMN, *self.task.label_names)

    def read_rows(self, source: Any, **options: Any) -> "Dataset":
        return read_data(source, self.task, label_column=LabelSetColumn, **options)

    def collect(self, dataset: "Dataset") -> LabelSetCorpus:
        found = vars(distinct_texts(dataset))
        human = np.full((len(found["texts"]), self.task.num_labels), NO_LABEL)
        return LabelSetCorpus(**{**found, "human": human})

    def read_human_rows(self, table: HumanTable) -> list[HumanLabel]:
        names = self.task.label_names
        if LABEL_COLUMN not in table.columns and set(names) <= set(table.columns):
            cells = joined_cells(table.columns, ANY_LABEL, names, names, table.origin)
            table = replace(table, columns={**table.columns, LABEL_COLUMN: cells})
        found = read_human_labels(table, self.task, HumanLabelSetColumn)
        return [replace(answer, label=tuple(answer.label)) for answer in found]

    def with_human_labels(
        self, corpus: LabelSetCorpus, dataset: "Dataset", given: Sequence[Any], known: Sequence[Any] = ()
    ) -> LabelSetCorpus:
        return with_human_labels(corpus, dataset, given, known)

    # ---- Labels ----

    @property
    def classes(self) -> list[str]:
        return self.task.label_names

    def is_missing(self, label: Any) -> bool:
        return label is None

    def flat(self, column: Sequence[Any]) -> np.ndarray:
        return rows_of(column, self.task.num_labels).reshape(-1)

    def cell(self, label: Any) -> str:
        return "" if label is None else self.task.joined(label)

    def shown(self, label: Any, row: Mapping[str, Any]) -> str:
        return ", ".join(self.task.label_names[i] for i in label) or "none of the labels"

    def label_counts(self, labels: "Dataset") -> Counter[str]:
        """Counts the texts with each label. A text counts once for each of its labels."""
        return Counter(self.task.label_names[i] for ids in labels["label"] if ids is not None for i in ids)

    # ---- Answers of annotators ----

    def no_answers(self, corpus: LabelSetCorpus) -> LabelSetAnswers:
        return LabelSetAnswers.none(len(corpus.texts), self.task.num_labels)

    def fuse(self, group: Sequence[LabelSetAnswers], human: np.ndarray) -> LabelSetAnswers:
        """Fuses the answers of several annotators label by label, each weighted by its estimated confusion matrix of
        that label. Annotators that are worse than the best one on human labels of a label are not used for it."""
        if len(group) == 1:
            return group[0].copied()
        labels = np.column_stack(
            [
                fused_answers(np.column_stack([part.labels[:, i] for part in group]), human[:, i], 2)
                for i in range(self.task.num_labels)
            ]
        )
        return group[0].fused(labels)

    def votes(self, answers: LabelSetAnswers, num_annotators: int) -> np.ndarray | None:
        """Returns the answers of all annotators, also of those of round 0 that a refine annotator has replaced: the
        first answers add much to the second ones (benchmarks/README.md)."""
        votes = [part.labels for part in answers.parts if not part.is_missing.all()]
        return np.stack(votes, axis=1) if len(votes) > 1 else None

    def found_labels(self, corpus: LabelSetCorpus, answers: LabelSetAnswers) -> np.ndarray:
        return np.nonzero(self._taught(corpus, answers) == 1)[1]

    def _taught(self, corpus: LabelSetCorpus, answers: LabelSetAnswers) -> np.ndarray:
        """Returns what the student learns: human labels, otherwise those of the annotator; -1 for none."""
        return np.where(corpus.is_human[:, None], corpus.human, answers.labels)

    # ---- Training ----

    def training_set(self, corpus: LabelSetCorpus, answers: LabelSetAnswers) -> "Dataset":
        """Returns the training set: `id`, `text`, `labels` (1.0 or 0.0 for each label, -1.0 if there is no answer),
        `is_trusted` and, if there is one, `augmented_text`."""
        from datasets import List, Value

        return training_set(corpus, self._taught(corpus, answers).astype(float), "labels", List(Value("float32")))

    def doubt(self, dataset: "Dataset", held_out: np.ndarray | None) -> str | None:
        assert held_out is not None  # the probe predicts pairs of a text and a label
        taught, by_hand = np.array(dataset["labels"][:], dtype=int), np.array(dataset["is_trusted"][:])
        # Human labels also train the probe, but are not checked.
        answers = np.where(by_hand[:, None], NO_LABEL, taught)
        return label_set_doubt(answers, held_out.reshape(*taught.shape, 2), self.task.label_names)

    @property
    def student_settings(self) -> Mapping[str, Any]:
        return {} if self.task.max_labels is None else {"max_labels": self.task.max_labels}

    @property
    def pipeline_options(self) -> Mapping[str, Any]:
        """All labels with their probabilities, because any number of them can apply."""
        return {"top_k": None}

    # ---- Selection and demonstrations ----

    def losses(self, corpus: LabelSetCorpus, selection: Selection) -> np.ndarray:
        """Returns the largest loss of a label of each text, infinite if there is no answer; shape `(n,)`."""
        return np.nan_to_num(selection.losses, nan=np.inf).max(axis=1)

    def is_noisy(self, corpus: LabelSetCorpus, answers: LabelSetAnswers, selection: Selection) -> np.ndarray:
        """Returns whether a text has no answer, or a noisy label; shape `(n,)`."""
        is_human = corpus.is_human[: len(answers.labels)]
        by_label = [
            noisy_without_people(~clean, labels, is_human, selection.first_embeddings)
            for clean, labels in zip(selection.is_clean.T, answers.labels.T, strict=True)
        ]
        return np.any(by_label, axis=0)

    def choose_pool(
        self, corpus: LabelSetCorpus, answers: LabelSetAnswers, selection: Selection, loop: LoopConfig, seed: int
    ) -> list[Demonstration]:
        """Chooses demonstrations among the clean texts with whose labels the student agrees, for each label, for the
        most frequent combinations, and for none of the labels."""
        taught = self._taught(corpus, answers)
        groups = groups_of(taught, most=loop.pool_size // 2)
        agrees = (self._student(selection) == taught).all(axis=1)
        pool = choose_demonstrations(
            corpus.texts,
            corpus.ids,
            groups,
            self.losses(corpus, selection),
            selection.is_clean.all(axis=1) & agrees,
            selection.embeddings,
            num_labels=int(groups.max(initial=-1)) + 1,
            is_human=corpus.is_human,
            pool_size=loop.pool_size,
            candidate_fraction=loop.candidate_fraction,
            seed=seed,
        )
        rows, sets, shown = corpus.index_of(str(shot.id) for shot in pool), sets_of(taught), shown_labels(taught)
        places = [rows[str(shot.id)] for shot in pool]
        return [replace(shot, label=int(shown[i]), labels=sets[i]) for shot, i in zip(pool, places, strict=True)]

    def stand_in(self, corpus: LabelSetCorpus, index: int, label: int) -> Demonstration:
        labels = () if label == NO_LABEL else (label,)
        return Demonstration(corpus.texts[index], label, labels=labels)

    # ---- Final labels ----

    def _student(self, selection: Selection) -> np.ndarray:
        """Returns the sets of labels that the student predicts with its thresholds, shape `(n, num_labels)`."""
        return student_sets(selection.probabilities, selection.thresholds, self.task.max_labels)

    def class_shares(self, given: str | Mapping[str, float] | None) -> np.ndarray | None:
        """Reads the shares of the texts that have each label. They need not sum to one."""
        return None if given is None else read_class_shares(given, self.task.label_names, has_label_sets=True)

    def label_rows(
        self,
        dataset: "Dataset",
        corpus: LabelSetCorpus,
        answers: LabelSetAnswers,
        selection: Selection,
        number: int,
        seed: int,
        votes: np.ndarray | None,
        class_shares: np.ndarray | None = None,
        earlier: Sequence[tuple[np.ndarray, np.ndarray | None]] = (),
    ) -> tuple["Dataset", dict[str, Any]]:
        final = final_label_sets(
            answers.labels,
            answers.confidences,
            at_half(selection.probabilities, selection.thresholds),
            selection.first_embeddings,
            votes=votes,
            human=corpus.human,
            inclusion=corpus.inclusion,
            class_shares=class_shares,
            sources=answers.sources,
            max_labels=self.task.max_labels,
            untaught=at_half(
                untaught_probabilities([*earlier, (selection.probabilities, selection.is_human)]), selection.thresholds
            ),
            seed=seed,
        )
        student = self._student(selection)
        rows = label_set_rows(dataset, corpus, self.task, answers, selection, student, final, number)
        return rows, label_set_figures(final, corpus.human, corpus.inclusion, self.task)

    def test_rows(self, test: "Dataset", student: Path, number: int) -> "Dataset":
        from freeal_hf.prediction.classifier import Classifier

        corpus = self.collect(test)
        classifier = Classifier(student)
        probabilities, count = classifier.probabilities(corpus.texts), len(corpus.texts)
        shape, none = (count, self.task.num_labels), np.zeros((count, 0))
        selection = Selection(
            np.full(shape, np.nan), np.zeros(shape, dtype=bool), probabilities, none, none, classifier.thresholds
        )
        found = self._student(selection)
        final, answers = FinalLabelSets(found, probabilities, []), self.no_answers(corpus)
        return label_set_rows(test, corpus, self.task, answers, selection, found, final, number)

    def score(self, labels: "Dataset") -> dict[str, Any]:
        return score_label_sets(labels)

    # ---- Prediction ----

    @classmethod
    def owns_student(cls, config: Any) -> bool:
        is_multi_label = config.problem_type == "multi_label_classification"
        return is_multi_label and any(
            name.endswith("ForSequenceClassification") for name in config.architectures or ()
        )

    @classmethod
    def predictor(cls, student: str | Path, options: PredictionOptions) -> Predictor[Any]:
        from freeal_hf.prediction.classifier import Classifier, LabelPredictor
        from freeal_hf.prediction.label_sets import LabelSetColumns

        classifier = Classifier(student, batch_size=options.batch_size)
        columns = LabelSetColumns(
            classifier.label_names,
            options.top_k,
            all_probabilities=options.probabilities,
            embeddings=options.embeddings,
            thresholds=classifier.thresholds,
            max_labels=classifier.max_labels,
        )
        return LabelPredictor(classifier, columns)

    # ---- Reports, cards and audits ----

    def crossed(self, first: Sequence[Any], second: Sequence[Any], titles: tuple[str, str]) -> Crossed:
        """Counts, for each label, the texts to which both, only one, or neither of two label columns give it."""
        one, other = (rows_of(column[:], self.task.num_labels) for column in (first, second))
        both = (one[:, 0] != NO_LABEL) & (other[:, 0] != NO_LABEL)
        counts = np.column_stack(
            [((one == a) & (other == b))[both].sum(axis=0) for a, b in ((1, 1), (1, 0), (0, 1), (0, 0))]
        )
        columns = ["both", f"only {titles[0]}", f"only {titles[1]}", "neither"]
        return Crossed(counts, self.task.label_names, columns, ("label", "who gives it"))

    def card_facts(self, record: Mapping[str, Any]) -> dict[str, str]:
        return f1_facts(record, "f1_by_label")

    def card_estimate(self, record: Mapping[str, Any]) -> str:
        said = estimate_in_words(record)
        if record["label_micro_f1"] is None:
            return said
        shown = {name: f"{100 * record[f'label_{name}']:.1f} %" for name in ("micro_f1", "macro_f1", "exact_match")}
        return (
            f"{said} Against gold labels, which are only used for scores, the micro F1 of the final labels is "
            f"**{shown['micro_f1']}** (macro F1 {shown['macro_f1']}), and {shown['exact_match']} of the texts have "
            "exactly the right labels."
        )

    def demonstration_table(self, pool: Sequence[Demonstration]) -> dict[str, tuple[list[Any], Any]]:
        feature = LabelSetColumn(self.task, "").feature
        return {**pool_table(pool, self.task), "labels": ([list(shot.labels or ()) for shot in pool], feature)}

    @property
    def audit(self) -> AuditQuestion:
        right = "texts have exactly the right final labels"
        return AuditQuestion(self.task, are_labels=True, right=right, several=True)

    def audited_labels(self, labels: "Dataset") -> np.ndarray:
        """Returns the rarest label of each text, or the number of labels for none of them; -1 for no label."""
        rows = rows_of(labels["label"][:], self.task.num_labels)
        shown = shown_labels(rows)
        return np.where(rows[:, 0] == NO_LABEL, NO_LABEL, np.where(shown == NO_LABEL, self.task.num_labels, shown))

    def right_answer(self, label: Any) -> tuple[int, ...]:
        return tuple(label)

    def answer_cell(self, answer: Any) -> str:
        return self.task.joined(answer)

    def decisions(self, labels: Sequence[Any]) -> np.ndarray:
        """Returns whether each label applies: a decision for each label, with 1, 0, or -1 for no answer."""
        return rows_of(labels, self.task.num_labels)

    @property
    def decided(self) -> list[tuple[int, int]]:
        return [(label, 1) for label in range(self.task.num_labels)]
