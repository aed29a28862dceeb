"""The kind of task with one label for each text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.config import LoopConfig
from freeal_hf.data.human_labels import LABEL_COLUMN, HumanLabel, HumanTable
from freeal_hf.data.texts import class_label, read_data
from freeal_hf.data.ties import likeliest
from freeal_hf.demonstrations import choose_demonstrations
from freeal_hf.kinds import label_rows
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.corpus import Corpus
from freeal_hf.kinds.label_answers import LabelAnswers
from freeal_hf.kinds.labels import AuditQuestion, Measure
from freeal_hf.kinds.neighbours import noisy_without_people
from freeal_hf.kinds.rounds import Selection, pool_table, untaught_probabilities
from freeal_hf.kinds.text_corpus import distinct_texts, read_human_labels, training_set, with_human_labels
from freeal_hf.labels.calibration import student_temperature
from freeal_hf.labels.class_shares import read_class_shares
from freeal_hf.labels.doubts import answer_doubt
from freeal_hf.labels.fusion import estimate_figures, final_labels
from freeal_hf.labels.metrics import score_round
from freeal_hf.labels.voting import fused_answers
from freeal_hf.prediction.predictor import PredictionOptions, Predictor
from freeal_hf.tasks import NO_LABEL, Demonstration, TextClassification
from freeal_hf.training.temperature import at_temperature

if TYPE_CHECKING:
    from datasets import Dataset


class SingleLabelKind(TaskKind[TextClassification, Corpus, LabelAnswers]):
    """One label out of a list for each text."""

    answers_type = LabelAnswers
    measure = Measure("accuracy", "accuracy", "final labels right")
    card_scores = ("accuracy",)
    human_columns = (LABEL_COLUMN,)

    def read_rows(self, source: Any, **options: Any) -> "Dataset":
        return read_data(source, self.task, **options)

    def collect(self, dataset: "Dataset") -> Corpus:
        return distinct_texts(dataset)

    def read_human_rows(self, table: HumanTable) -> list[HumanLabel]:
        return read_human_labels(table, self.task)

    def with_human_labels(
        self, corpus: Corpus, dataset: "Dataset", given: Sequence[Any], known: Sequence[Any] = ()
    ) -> Corpus:
        return with_human_labels(corpus, dataset, given, known)

    def votes(self, answers: LabelAnswers, num_annotators: int) -> np.ndarray | None:
        if max(num_annotators, len(answers.parts) - num_annotators) < 2:
            return None  # each text has one annotator
        votes = np.column_stack([part.labels for part in answers.parts])
        refined = (votes[:, num_annotators:] != NO_LABEL).any(axis=1)
        votes[:, :num_annotators][refined] = NO_LABEL
        return votes

    def score(self, labels: "Dataset") -> dict[str, Any]:
        return score_round(labels)

    def text_labels(self, corpus: Corpus, answers: LabelAnswers) -> np.ndarray:
        return np.where(corpus.is_human, corpus.human, answers.labels)

    @property
    def classes(self) -> list[str]:
        return self.task.label_names

    def is_missing(self, label: Any) -> bool:
        return bool(label == NO_LABEL)

    def flat(self, column: Sequence[Any]) -> np.ndarray:
        return np.array(column[:], dtype=int)

    def cell(self, label: Any) -> str:
        return "" if self.is_missing(label) else self.task.label_names[label]

    def shown(self, label: Any, row: Mapping[str, Any]) -> str:
        return self.task.label_names[label]

    def label_counts(self, labels: "Dataset") -> Counter[str]:
        return Counter(self.task.label_names[i] for i in labels["label"] if i != NO_LABEL)

    def stand_in(self, corpus: Corpus, index: int, label: int) -> Demonstration:
        return Demonstration(corpus.texts[index], label)

    def card_estimate(self, record: Mapping[str, Any]) -> str:
        estimated, scored = record.get("estimated_label_accuracy"), record.get("label_accuracy")
        basis = record.get("estimated_label_accuracy_basis", "no estimate could be made without gold")
        text = f"The accuracy of the labels is **unknown**: {basis}. `label_confidence` only orders the labels."
        if estimated is not None:
            low, high = record.get("estimated_label_accuracy_range") or (estimated, estimated)
            is_audited = record.get("estimated_label_accuracy_source") == "audit"
            source = "from human labels of random texts" if is_audited else "without gold"
            text = (
                f"Estimated {source}: **{100 * low:.1f} to {100 * high:.1f} %** of the final labels are right, about "
                f"{100 * estimated:.1f} %."
            )
            if not is_audited:
                text += (
                    f" The estimate rests on {basis}. The mean `label_confidence` of any rows estimates the accuracy "
                    "of these rows."
                )
        if scored is not None:
            text += f" The accuracy against gold labels, which are only used for scores, is **{100 * scored:.1f} %**."
        return text

    def demonstration_table(self, pool: Sequence[Demonstration]) -> dict[str, tuple[list[Any], Any]]:
        return pool_table(pool, self.task)

    @property
    def audit(self) -> AuditQuestion:
        return AuditQuestion(self.task, are_labels=True, right="final labels are right")

    def audited_labels(self, labels: "Dataset") -> np.ndarray:
        return np.array(labels["label"][:])

    def right_answer(self, label: Any) -> int:
        return int(label)

    def no_answers(self, corpus: Corpus) -> LabelAnswers:
        return LabelAnswers.none(len(corpus.texts))

    def fuse(self, group: Sequence[LabelAnswers], human: np.ndarray) -> LabelAnswers:
        """Fuses the answers of several annotators, each weighted by its estimated confusion matrix. Annotators that
        are worse than the best one on human labels are not used.

        Args:
            group (`Sequence[LabelAnswers]`): The answers of each annotator.
            human (`np.ndarray` of shape `(n,)`): Human labels, -1 for none.
        """
        if len(group) == 1:
            return group[0].copied()
        votes = np.column_stack([part.labels for part in group])
        return group[0].fused(fused_answers(votes, human, self.task.num_labels)).with_candidates_of(group)

    def losses(self, corpus: Corpus, selection: Selection) -> np.ndarray:
        return np.nan_to_num(selection.losses, nan=np.inf)

    def found_labels(self, corpus: Corpus, answers: LabelAnswers) -> np.ndarray:
        labels = self.text_labels(corpus, answers)
        return labels[labels != NO_LABEL]

    def is_noisy(self, corpus: Corpus, answers: LabelAnswers, selection: Selection) -> np.ndarray:
        is_human = corpus.is_human[: len(answers.labels)]
        return noisy_without_people(~selection.is_clean, answers.labels, is_human, selection.first_embeddings)

    def training_set(self, corpus: Corpus, answers: LabelAnswers) -> "Dataset":
        """Returns the training set: `id`, `text`, `label`, `label_confidence`, `is_trusted` and, if there are any,
        `augmented_text` and `candidates`."""
        from datasets import List, Value

        labels = self.text_labels(corpus, answers)
        confidences = np.where(corpus.is_human, np.nan, answers.confidences)
        found = training_set(corpus, labels, "label", class_label(self.task), confidences)
        if not answers.candidates:
            return found
        candidates = [answers.candidates.get(i) for i in range(len(found))]
        return found.add_column("candidates", candidates, feature=List(Value("int64")))

    def doubt(self, dataset: "Dataset", held_out: np.ndarray | None) -> str | None:
        assert held_out is not None  # the probe predicts texts
        labels = np.array(dataset["label"][:])
        # Human labels also train the probe, but are not checked.
        answers = np.where(np.array(dataset["is_trusted"][:]), NO_LABEL, labels)
        return answer_doubt(answers, held_out, self.task.label_names)

    def choose_pool(
        self, corpus: Corpus, answers: LabelAnswers, selection: Selection, loop: LoopConfig, seed: int
    ) -> list[Demonstration]:
        labels = self.text_labels(corpus, answers)
        agrees = likeliest(selection.probabilities) == labels
        return choose_demonstrations(
            corpus.texts,
            corpus.ids,
            labels,
            selection.losses,
            selection.is_clean & agrees,
            selection.embeddings,
            num_labels=self.task.num_labels,
            is_human=corpus.is_human,
            pool_size=loop.pool_size,
            candidate_fraction=loop.candidate_fraction,
            seed=seed,
        )

    def class_shares(self, given: str | Mapping[str, float] | None) -> np.ndarray | None:
        return None if given is None else read_class_shares(given, self.task.label_names)

    def label_rows(
        self,
        dataset: "Dataset",
        corpus: Corpus,
        answers: LabelAnswers,
        selection: Selection,
        number: int,
        seed: int,
        votes: np.ndarray | None,
        class_shares: np.ndarray | None = None,
        earlier: Sequence[tuple[np.ndarray, np.ndarray | None]] = (),
    ) -> tuple["Dataset", dict[str, Any]]:
        allowed = answers.allowed(self.task.num_labels)
        final = final_labels(
            answers.labels,
            answers.confidences,
            selection.probabilities,
            selection.first_embeddings,
            votes=votes,
            human=corpus.human,
            inclusion=corpus.inclusion,
            class_shares=class_shares,
            sources=answers.sources,
            allowed=allowed,
            untaught=untaught_probabilities([*earlier, (selection.probabilities, selection.is_human)]),
            seed=seed,
        )
        temperature = 1.0
        if final.student_has_learnt:
            weights = _weights_of_checks(corpus, selection)
            temperature = student_temperature(selection.probabilities, final.believed, corpus.human, weights)
        calibrated = replace(selection, probabilities=at_temperature(selection.probabilities, temperature))
        rows = label_rows.label_rows(
            dataset, corpus, self.task, answers, calibrated, final.labels, final.confidences, number
        )
        return rows, {**estimate_figures(final, self.task), "student_temperature": temperature}

    @classmethod
    def owns_student(cls, config: Any) -> bool:
        is_multi_label = config.problem_type == "multi_label_classification"
        return not is_multi_label and any(
            name.endswith("ForSequenceClassification") for name in config.architectures or ()
        )

    @classmethod
    def predictor(cls, student: str | Path, options: PredictionOptions) -> Predictor[Any]:
        from freeal_hf.prediction.classifier import Classifier, Columns, LabelPredictor

        classifier = Classifier(student, batch_size=options.batch_size)
        columns = Columns(classifier.label_names, options.top_k, options.probabilities, options.embeddings)
        return LabelPredictor(classifier, columns)

    def test_rows(self, test: "Dataset", student: Path, number: int) -> "Dataset":
        from freeal_hf.prediction.classifier import Classifier

        probabilities = Classifier(student).probabilities(distinct_texts(test).texts)
        return label_rows.test_rows(test, self.task, probabilities, number)


def _weights_of_checks(corpus: Corpus, selection: Selection) -> np.ndarray:
    """Returns the weights of the human labels of a random sample that the student was not trained on."""
    weights = np.zeros(len(corpus.texts))
    if corpus.inclusion is not None and selection.is_human is not None:
        rows = corpus.is_human & ~selection.is_human & ~np.isnan(corpus.inclusion)
        weights[rows] = 1 / corpus.inclusion[rows]
    return weights
