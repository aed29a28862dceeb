"""The corridor between both halves: rounds of annotate, train, feed back and refine, each of them on disk."""

import copy
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

import freeal_hf
from freeal_hf import run_folder
from freeal_hf.annotation.annotator import AnnotationRequest, Annotator, TextGenerator, run_annotation, session
from freeal_hf.annotation.cache import AnswerCache
from freeal_hf.annotation.estimate import Estimate, estimate_annotation
from freeal_hf.annotation.ledger import Budget, Ledger, Price
from freeal_hf.annotation.prices import load_prices, price_of
from freeal_hf.annotation.sharing import cluster_queries
from freeal_hf.configuration import HubConfig, LoopConfig, changed_arguments, describe_annotator
from freeal_hf.demonstrations import choose_demonstrations, generate_demonstrations, nearest_demonstrations
from freeal_hf.embedded import EMBEDDED_MODEL, resolve_model
from freeal_hf.errors import BudgetExceeded, InputError
from freeal_hf.inputs import class_label, read_data
from freeal_hf.metrics import accuracy, score_round
from freeal_hf.progress import ANNOTATING, TRAINING, Progress
from freeal_hf.results import RunResult, load_result, publish
from freeal_hf.round_files import (
    Answers,
    Corpus,
    Selection,
    distinct_texts,
    label_rows,
    read_labels,
    read_pool,
    test_rows,
    write_pool,
)
from freeal_hf.run_folder import (
    RunFolder,
    mending_disk_errors,
    remove,
    write_atomically,
    write_json,
)
from freeal_hf.stopping import convergence_figures, stopping_rule
from freeal_hf.tasks import NO_LABEL, Demonstration, TextClassification

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

    from freeal_hf.training.config import FreeALConfig

logger = logging.getLogger(__name__)

_ANNOTATIONS, _SELECTION, _GENERATED, _CHECKPOINTS = "annotations.json", "selection.npz", "generated.jsonl", "training"


@dataclass(frozen=True)
class _Asking:
    """Whom a run asks, where paid answers are kept, what it may spend."""

    annotator: Annotator
    cache: AnswerCache
    budget: Budget
    price: Price | None


class FreeAL:
    """Labels a corpus and trains a student by the FreeAL loop (Xiao et al., EMNLP 2023, arXiv 2311.15614).

    Args:
        task (`TextClassification`): What is labelled.
        annotator (`Annotator` or `str`): An annotator, or its name as on the command line (`"embedding"`, ...).
        annotator_options (`Mapping`, *optional*): Arguments of an annotator given by name, such as `api_key_env`.
        student (`str`, *optional*, defaults to `"sentence-transformers/all-MiniLM-L6-v2"`):
            Hub id or folder of the encoder that the student starts from.
        args (`FreeALConfig`, *optional*): How each student is trained, and `output_dir`.
        loop (`LoopConfig`, *optional*): How both take turns.
        hub (`HubConfig`, *optional*): Where and what to push after each round when `args.push_to_hub` is set.
        text_columns (`Sequence[str]`, *optional*, defaults to `("text",)`):
            Columns of the text; where there are several, the student's folder remembers how it was joined.

    Example:

        task = TextClassification(["positive", "negative"])
        result = FreeAL(task, "embedding", args=FreeALConfig(output_dir="runs/mr")).run("reviews.csv")
    """

    def __init__(
        self,
        task: TextClassification,
        annotator: Annotator | str,
        student: str = EMBEDDED_MODEL,
        args: "FreeALConfig | None" = None,
        loop: LoopConfig | None = None,
        *,
        annotator_options: Mapping[str, Any] | None = None,
        hub: HubConfig | None = None,
        text_columns: Sequence[str] = ("text",),
    ) -> None:
        from freeal_hf.training.config import FreeALConfig

        self.task = task
        self.annotator = annotator
        self.annotator_options = dict(annotator_options or {})
        if "token" in self.annotator_options:
            raise InputError(
                "A token does not belong into annotator_options: it would stand in config.yaml. Put it "
                "into an environment variable and name that in api_key_env, or log in with `hf auth login`."
            )
        self.student = student
        self.args = args or FreeALConfig(output_dir="runs/freeal")
        self.loop = loop or LoopConfig()
        self.hub = hub or HubConfig()
        self.text_columns = list(text_columns)
        self.folder = RunFolder(str(self.args.output_dir))
        self.progress = Progress(self.folder / run_folder.PROGRESS)

    def run(
        self,
        dataset: "str | Path | Dataset | pd.DataFrame",
        test_dataset: "str | Path | Dataset | pd.DataFrame | None" = None,
        *,
        resume: bool = False,
        overwrite: bool = False,
        source: Mapping[str, Any] | None = None,
    ) -> RunResult:
        """Runs all rounds, or those that are still missing in the run's folder.

        Args:
            dataset: What `read_data` returned, or anything it reads; a column `gold` is only scored against.
            test_dataset (*optional*): Texts with `gold`, needed by the inductive setting; the loop never sees them.
            resume (`bool`): Go on in the run's folder although the configuration differs.
            overwrite (`bool`): Start the run in this folder anew.
            source (`Mapping`, *optional*): Where the data came from, noted in `config.yaml`.

        Returns:
            `RunResult`: Labelled data, student, metrics of each round.

        Raises:
            InputError: If the data, the task or a setting cannot be used; nothing was asked or written.
            AnnotatorError: If the annotator cannot work; all answers received are kept.
            RunError: If the folder belongs to another run or cannot be written.
            HubError: If `args.push_to_hub` is set and the Hub refuses before the first call (nothing was asked) or
                after the last round (the run is complete in its folder).
        """
        dataset = self._prepared(dataset)
        test = self._prepared(test_dataset) if test_dataset is not None else None
        corpus = distinct_texts(dataset)
        self._check(dataset, corpus, test)
        annotator = self._annotator(dataset)
        price = self._price(annotator)
        with (
            self.folder.open(self._config(dataset, source), resume=resume, overwrite=overwrite),
            mending_disk_errors(self.folder.path),
            self._pushing() as push,
            AnswerCache(self.folder / run_folder.CACHE) as cache,
            session(annotator),
        ):
            write_atomically(self.folder / run_folder.INPUT, lambda path: dataset.to_parquet(str(path)))
            budget = Budget(max_cost=self.loop.max_cost, max_tokens=self.loop.max_tokens)
            converged = stopping_rule(self.loop.stop_on)
            records: list[dict[str, Any]] = []
            is_published = False
            for number in range(self.loop.num_rounds):
                record = self.folder.metrics(number)
                if record is None or record["budget_spent"]:
                    asking = _Asking(annotator, cache, budget, price)
                    record = self._run_round(number, dataset, corpus, test, asking)
                    is_published = True
                    push()
                else:
                    budget.spent_tokens += record["prompt_tokens"] + record["completion_tokens"]
                    budget.spent_cost += record["cost"] or 0.0
                if record["budget_spent"]:
                    logger.warning("The budget is spent: the run ends with round %d. A larger one goes on.", number)
                    break
                records.append(record)
                if number + 1 < self.loop.num_rounds and (reason := converged(records)):
                    logger.info("The loop has converged: %s.", reason)
                    break
            if not is_published:  # the last process may have been killed before it was
                publish(self.folder, self.task, self.loop.num_rounds)
        return load_result(self.folder.path)

    def estimate(self, dataset: "str | Path | Dataset | pd.DataFrame") -> Estimate:
        """What annotating all texts once, in round 0, will take; nothing is asked.

        Later rounds ask again what turns out noisy, with longer prompts: the demonstrations are in them.

        Args:
            dataset: As in `run`.

        Returns:
            `Estimate`: Calls, tokens, dollars and time, each with an interval.
        """
        dataset = self._prepared(dataset)
        annotator = self._annotator(dataset)
        corpus = distinct_texts(dataset)
        requests = [AnnotationRequest(text, id=sample) for text, sample in zip(corpus.texts, corpus.ids, strict=True)]
        return estimate_annotation(annotator, self.task, requests, price=self._price(annotator))

    # ---- Before the first call ----

    def _prepared(self, data: Any) -> "Dataset":
        from datasets import Dataset

        names = data.column_names if isinstance(data, Dataset) else ()
        if {"id", "text", "note"} <= set(names):
            return data
        gold = "gold" if "gold" in names or "gold" in getattr(data, "columns", ()) else None
        return read_data(
            data,
            self.task,
            text_columns=self.text_columns,
            gold_column=gold,
            id_column="id" if "id" in names else None,
        )

    def _check(self, dataset: "Dataset", corpus: Corpus, test: "Dataset | None") -> None:
        if len(corpus.texts) < self.task.num_labels:
            raise InputError(
                f"There are {len(corpus.texts)} different texts for {self.task.num_labels} labels; a run needs at "
                "least one text for each label. Give more texts or fewer labels."
            )
        if self.loop.setting == "inductive" and (test is None or "gold" not in test.column_names):
            raise InputError("The inductive setting scores the student on test data: give test data with gold labels.")

    def _annotator(self, dataset: "Dataset") -> Annotator:
        if not isinstance(self.annotator, str):
            return self.annotator

        def column(name: str) -> dict[str, str]:
            if name not in dataset.column_names:
                raise InputError(
                    f"column:{name} needs the column {name!r} in the data; read it with extra_columns=[{name!r}]. "
                    f"There are {', '.join(map(repr, dataset.column_names))}."
                )
            return dict(zip(dataset["id"], map(str, dataset[name]), strict=True))

        from freeal_hf.annotation.specs import build_annotator

        return build_annotator(self.annotator, column=column, options=self.annotator_options)

    def _pushing(self) -> AbstractContextManager[Callable[[], None]]:
        if not self.args.push_to_hub:
            return nullcontext(lambda: None)
        # The one look upwards: whoever only wants a run on disk needs nothing of the Hub.
        from freeal_hf.hub import pushing

        return pushing(
            self.folder,
            self.hub,
            model_id=self.args.hub_model_id,
            private=self.args.hub_private_repo is not False,
            token=self.args.hub_token,
        )

    def _price(self, annotator: Annotator) -> Price | None:
        return price_of(annotator, load_prices(self.loop.prices) if self.loop.prices else None)

    def _config(self, dataset: "Dataset", source: Mapping[str, Any] | None) -> dict[str, Any]:
        ids = hashlib.sha256("\n".join(dataset["id"]).encode()).hexdigest()[:16]
        annotator = self.annotator if isinstance(self.annotator, str) else describe_annotator(self.annotator)
        return {
            "freeal_hf": freeal_hf.__version__,
            **(source or {}),
            **({"text_columns": self.text_columns} if self.text_columns != ["text"] else {}),
            "data_fingerprint": ids,
            "task": self.task.to_dict(),
            "annotator": annotator,
            **({"annotator_options": self.annotator_options} if self.annotator_options else {}),
            "student": self.student,
            **asdict(self.loop),
            **{name: value for name, value in asdict(self.hub).items() if value},
            **changed_arguments(self.args),
        }

    # ---- One round ----

    def _run_round(
        self,
        number: int,
        dataset: "Dataset",
        corpus: Corpus,
        test: "Dataset | None",
        asking: "_Asking",
    ) -> dict[str, Any]:
        logger.info("round %d of %d", number, self.loop.num_rounds)
        folder = self.folder.round(number)
        self._forget_unfinished_answers(folder)
        answers, costs = self._annotate(number, corpus, asking)
        trained_from = time.monotonic()
        selection = self._train(number, corpus, answers)
        pool = self._feed_back(corpus, answers, selection)
        write_atomically(folder / run_folder.DEMONSTRATIONS, lambda path: write_pool(path, pool, self.task))
        labels = label_rows(dataset, corpus, self.task, answers, selection, number)
        write_atomically(folder / run_folder.LABELS, lambda path: labels.to_parquet(str(path)))
        previous = read_labels(self.folder.round(number - 1) / run_folder.LABELS) if number else None
        record = {**score_round(labels), **convergence_figures(labels, previous)}
        if test is not None:
            scored = self._label_test(folder, test, number)
            if self.loop.setting == "inductive":
                record["student_accuracy"] = scored
        costs["seconds"] = round(costs["seconds"] + time.monotonic() - trained_from, 1)
        record = {"round": number, **record, **costs}
        write_json(folder / run_folder.METRICS, record)
        publish(self.folder, self.task, self.loop.num_rounds)
        return record

    def _forget_unfinished_answers(self, folder: Path) -> None:
        """Undoes a round that a spent budget cut short; its answers are in the cache."""
        path = folder / _ANNOTATIONS
        if path.is_file() and Answers.load(path)[1]["budget_spent"]:
            for name in (run_folder.METRICS, _SELECTION, _ANNOTATIONS, _CHECKPOINTS):
                remove(folder / name)

    def _annotate(self, number: int, corpus: Corpus, asking: "_Asking") -> tuple[Answers, dict[str, Any]]:
        folder = self.folder.round(number)
        if (folder / _ANNOTATIONS).is_file():
            return Answers.load(folder / _ANNOTATIONS)
        ledger = Ledger(owner=f"round-{number}", price=asking.price)
        start = time.monotonic()
        if number == 0:
            answers = Answers.none(len(corpus.texts))
            asked = np.arange(len(corpus.texts))
            generated = self._generate(corpus, asking, ledger)
            write_atomically(folder / _GENERATED, lambda path: write_pool(path, generated, self.task))
            shown: Iterable[tuple[Demonstration, ...]] = [tuple(generated)] * len(asked)
        else:
            previous = self.folder.round(number - 1)
            answers, _ = Answers.load(previous / _ANNOTATIONS)
            selection = Selection.load(previous / _SELECTION)
            asked = self._asked_again(selection)
            shown = self._retrieve(previous, corpus, selection, asked)
        requests = [
            AnnotationRequest(corpus.texts[i], demonstrations, corpus.ids[i])
            for i, demonstrations in zip(asked, shown, strict=True)
        ]
        budget_spent = False
        try:
            self._ask(requests, asked, answers, asking, ledger, number)
        except BudgetExceeded:
            if not (answers.labels != NO_LABEL).any():
                raise
            budget_spent = True
            answers.explain_missing("the budget was spent")
        costs = {
            "annotator_calls": ledger.calls,
            "prompt_tokens": ledger.prompt_tokens,
            "completion_tokens": ledger.completion_tokens,
            "cost": ledger.cost,
            "seconds": time.monotonic() - start,
            "budget_spent": budget_spent,
        }
        write_atomically(folder / _ANNOTATIONS, lambda path: answers.save(path, costs))
        self._warn_of_missing(answers)
        return answers, costs

    def _ask(
        self,
        requests: Sequence[AnnotationRequest],
        asked: np.ndarray,
        answers: Answers,
        asking: "_Asking",
        ledger: Ledger,
        number: int,
    ) -> None:
        results = run_annotation(
            asking.annotator, self.task, requests, cache=asking.cache, ledger=ledger, budget=asking.budget
        )
        title, total = f"round {number}: annotating", len(requests)
        self.progress.step(number, ANNOTATING, 0, total)
        bar = tqdm(results, total=total, desc=title, disable=self.args.disable_tqdm)
        for done, (position, answer) in enumerate(bar, start=1):
            answers.take(int(asked[position]), answer)
            self.progress.step(number, ANNOTATING, done, total)

    def _generate(self, corpus: Corpus, asking: "_Asking", ledger: Ledger) -> list[Demonstration]:
        annotator = asking.annotator
        if not isinstance(annotator, TextGenerator) or self.loop.generated_per_label == 0 or self.loop.shots == 0:
            return []
        generated = generate_demonstrations(
            self.task,
            annotator,
            corpus.texts,
            per_label=self.loop.generated_per_label,
            seed=self.args.seed,
            cache=asking.cache,
            ledger=ledger,
            budget=asking.budget,
        )
        # One list for all texts: a server's prefix cache then serves it, and there is no student yet to retrieve by.
        per_label = self._shots_per_label()
        by_label = [[shot for shot in generated if shot.label == i][:per_label] for i in range(self.task.num_labels)]
        return [shot for shots in by_label for shot in shots]

    def _asked_again(self, selection: Selection) -> np.ndarray:
        if self.loop.refine == "none":
            return np.array([], dtype=int)
        if self.loop.refine == "all":
            return np.arange(len(selection.is_clean))
        return np.flatnonzero(~selection.is_clean)

    def _retrieve(
        self, previous: Path, corpus: Corpus, selection: Selection, asked: np.ndarray
    ) -> list[tuple[Demonstration, ...]]:
        pool = read_pool(previous / run_folder.DEMONSTRATIONS, self.task)
        position = {sample: i for i, sample in enumerate(corpus.ids)}
        rows = np.array([position[str(shot.id)] for shot in pool], dtype=int)
        labels = np.array([shot.label for shot in pool], dtype=int)
        queries = cluster_queries(selection.embeddings[asked], self.loop.texts_per_list, seed=self.args.seed)
        found = nearest_demonstrations(queries, selection.embeddings[rows], labels, per_label=self._shots_per_label())
        return [
            tuple(pool[j] for j in shots if pool[j].id != corpus.ids[i]) for i, shots in zip(asked, found, strict=True)
        ]

    def _shots_per_label(self) -> int:
        return max(1, round(self.loop.shots / self.task.num_labels)) if self.loop.shots else 0

    def _train(self, number: int, corpus: Corpus, answers: Answers) -> Selection:
        folder = self.folder.round(number)
        if (folder / _SELECTION).is_file():
            return Selection.load(folder / _SELECTION)
        from datasets import Dataset, Features, Value

        from freeal_hf.training.diagnostics import DiagnosticsCallback
        from freeal_hf.training.trainer import FreeALTrainer

        columns: dict[str, Any] = {"id": corpus.ids, "text": corpus.texts, "label": answers.labels}
        features: dict[str, Any] = {"id": Value("string"), "text": Value("string"), "label": class_label(self.task)}
        if corpus.augmented is not None:
            columns["augmented_text"], features["augmented_text"] = corpus.augmented, Value("string")
        trainer = FreeALTrainer(
            model=resolve_model(self.student),
            args=self._student_args(folder / _CHECKPOINTS),
            train_dataset=Dataset.from_dict(columns, features=Features(features)),
        )
        trainer.add_callback(
            DiagnosticsCallback(
                trainer, partial(self.progress.step, number, TRAINING), partial(self.progress.epoch, number)
            )
        )
        if len(self.text_columns) > 1:  # the name of a single one may be private, and says nothing about a text
            trainer.model.config.text_columns = self.text_columns  # type: ignore[union-attr]
        try:
            trainer.train(resume_from_checkpoint=True)
        except FileNotFoundError:
            trainer.train()
        found = trainer.selection
        assert found is not None  # train() leaves it
        write_atomically(folder / run_folder.STUDENT, lambda path: trainer.save_model(str(path)))
        selection = Selection(found.losses, found.is_clean, found.probabilities, found.embeddings.astype(np.float16))
        write_atomically(folder / _SELECTION, selection.save)
        return selection

    def _student_args(self, checkpoints: Path) -> "FreeALConfig":
        args = copy.copy(self.args)
        args.output_dir = str(checkpoints)
        args.push_to_hub = False
        # Without an accelerator torch warns, once an epoch, that it cannot pin.
        args.dataloader_pin_memory = args.dataloader_pin_memory and args.device.type != "cpu"
        args.save_strategy, args.save_total_limit = type(args.save_strategy)("epoch"), 1
        return args

    def _feed_back(self, corpus: Corpus, answers: Answers, selection: Selection) -> list[Demonstration]:
        if self.loop.pool_size == 0 or self.loop.shots == 0:
            return []
        agrees = selection.probabilities.argmax(axis=1) == answers.labels
        return choose_demonstrations(
            corpus.texts,
            corpus.ids,
            answers.labels,
            selection.losses,
            selection.is_clean & agrees,
            selection.embeddings,
            num_labels=self.task.num_labels,
            pool_size=self.loop.pool_size,
            candidate_fraction=self.loop.candidate_fraction,
            seed=self.args.seed,
        )

    def _label_test(self, folder: Path, test: "Dataset", number: int) -> float | None:
        """Writes the student's labels of the test texts; their accuracy where there is gold."""
        from freeal_hf.prediction import Classifier

        probabilities = Classifier(folder / run_folder.STUDENT).probabilities(distinct_texts(test).texts)
        rows = test_rows(test, self.task, probabilities, number)
        write_atomically(folder / run_folder.TEST_LABELS, lambda path: rows.to_parquet(str(path)))
        return accuracy(np.asarray(rows["label"]), np.asarray(rows["gold"])) if "gold" in rows.column_names else None

    def _warn_of_missing(self, answers: Answers) -> None:
        counts = np.bincount(answers.labels[answers.labels != NO_LABEL], minlength=self.task.num_labels)
        missing = [name for name, count in zip(self.task.label_names, counts, strict=True) if count == 0]
        if missing:
            logger.warning(
                "The annotator gave no text the label %s; the student cannot learn it. Describe it better or drop it.",
                ", ".join(map(repr, missing)),
            )
