"""`FreeAL`: rounds of annotate, train, feed back and refine. Each of them is on disk."""

import copy
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import freeal_hf
from freeal_hf.annotators.base import Annotator, check_annotator
from freeal_hf.annotators.budget import Budget
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import session
from freeal_hf.annotators.estimate import Estimate, estimate_annotation
from freeal_hf.annotators.prices import load_prices
from freeal_hf.annotators.servers import check_options
from freeal_hf.config import (
    DataConfig,
    EngineConfig,
    HubConfig,
    LoopConfig,
    changed_arguments,
    default_of,
    describe_annotators,
    each_annotator,
)
from freeal_hf.data.files import explained_disk_errors, remove, write_atomically
from freeal_hf.data.human_labels import read_human_labels
from freeal_hf.data.labels_csv import keep_columns
from freeal_hf.data.tables import RawTable, raw_table
from freeal_hf.data.texts import fingerprint, with_stored_ids
from freeal_hf.embedded import EMBEDDED_MODEL, resolve_model
from freeal_hf.errors import DoubtfulAnswersError, InputError, RunError
from freeal_hf.kinds.corpus import Corpus
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import Selection
from freeal_hf.labels.counts import count_rows, count_warnings, describe_counts
from freeal_hf.labels.doubts import REMEDY
from freeal_hf.loop import folder as run_folder
from freeal_hf.loop.annotate import annotate, votes_of
from freeal_hf.loop.distributed import Processes
from freeal_hf.loop.folder import RunFolder
from freeal_hf.loop.progress import TRAINING, Progress
from freeal_hf.loop.requests import foreseen, foreseen_writing
from freeal_hf.loop.results import RunResult, load_result, publish
from freeal_hf.loop.stopping import convergence_figures, stopping_rule
from freeal_hf.loop.voters import Asking, Voter, check_samples, voters_of
from freeal_hf.tasks import Demonstration, Task

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

    from freeal_hf.training.config import FreeALConfig
    from freeal_hf.training.trainer import FreeALTrainer

logger = logging.getLogger(__name__)


class FreeAL:
    """Labels a corpus and trains a student by the FreeAL loop (Xiao et al., EMNLP 2023, arXiv 2311.15614).

    Args:
        task (`TextClassification` or `TokenClassification`): What is labelled.
        annotator (`Annotator` or `str`, or several of them):
            An annotator, or its name as on the command line (`"embedding"`, ...). The answers of several are fused.
        refine_annotator (the same, *optional*):
            Who is asked in the rounds after the first in place of `annotator`, the most disputed texts first.
        annotator_options (`Mapping`, *optional*): Arguments of an annotator given by name, such as `api_key_env`.
        student (`str`, *optional*, defaults to `"sentence-transformers/all-MiniLM-L6-v2"`):
            Hub id or folder of the encoder that the student starts from.
        args (`FreeALConfig`, *optional*): How each student is trained, and `output_dir`.
        loop (`LoopConfig`, *optional*): How both take turns.
        hub (`HubConfig`, *optional*): Where and what to push after each round when `args.push_to_hub` is set.
        engine (`EngineConfig` or `str`, *optional*, defaults to `"local"`): Where texts are annotated; or `"ray"`.
        text_columns (`Sequence[str]`, *optional*, defaults to `("text",)`):
            Columns of the text; where there are several, the student's folder remembers how it was joined.

    Example:

        task = TextClassification(["positive", "negative"])
        result = FreeAL(task, "embedding", args=FreeALConfig(output_dir="runs/mr")).run("reviews.csv")
    """

    def __init__(
        self,
        task: Task,
        annotator: Annotator | str | Sequence[Annotator | str],
        student: str = EMBEDDED_MODEL,
        args: "FreeALConfig | None" = None,
        loop: LoopConfig | None = None,
        *,
        refine_annotator: Annotator | str | Sequence[Annotator | str] | None = None,
        annotator_options: Mapping[str, Any] | None = None,
        hub: HubConfig | None = None,
        engine: EngineConfig | str = "local",
        text_columns: Sequence[str] = ("text",),
    ) -> None:
        from freeal_hf.training.config import FreeALConfig

        self.task = task
        self.kind = kind_of(task)
        for one in (*each_annotator(annotator), *each_annotator(refine_annotator)):
            if not isinstance(one, str):
                check_annotator(one)
        self.annotator = annotator
        self.refine_annotator = refine_annotator
        self.annotator_options = dict(annotator_options or {})
        check_options(self.annotator_options)
        self.student = student
        self.args = args or FreeALConfig(output_dir="runs/freeal")
        self.loop = loop or LoopConfig()
        self.hub = hub or HubConfig()
        self.engine = EngineConfig(engine) if isinstance(engine, str) else engine
        self.text_columns = list(text_columns)
        self.folder = RunFolder(str(self.args.output_dir))
        self.progress = Progress(self.folder / run_folder.PROGRESS)
        self.processes = Processes(self.args)

    def run(
        self,
        dataset: "str | Path | Dataset | pd.DataFrame",
        test_dataset: "str | Path | Dataset | pd.DataFrame | None" = None,
        *,
        human_labels: Any = (),
        allow_new_texts: bool = False,
        resume: bool = False,
        overwrite: bool = False,
        source: DataConfig | Mapping[str, Any] | None = None,
        columns: RawTable | None = None,
    ) -> RunResult:
        """Runs all rounds, or those that are still missing in the run's folder.

        Of several processes (`accelerate launch`) the first does so, and the others call `assist`.

        Args:
            dataset: What `read_data` returned, or anything it reads; a column `gold` is only scored against.
            test_dataset (*optional*): Texts with `gold`, needed by the inductive setting; the loop never sees them.
            human_labels (*optional*):
                What `read_human_labels` returned, or anything it reads: labels that people gave. They are always
                clean, never overwritten, and candidates for demonstrations. A run remembers them; newer ones for the
                same texts take their place.
            allow_new_texts (`bool`):
                Whether human labels may be about texts that are not in the data. Such examples are shown to the
                annotator and train the student.
            resume (`bool`): Go on in the run's folder although the configuration differs.
            overwrite (`bool`): Start the run in this folder anew.
            source (`DataConfig` or a `Mapping` of its fields, *optional*):
                Where the data came from, noted in `config.yaml`.
            columns (`RawTable`, *optional*):
                All columns of the data, for `labels.csv`, where `dataset` is what `read_data` returned; else they are
                read from `dataset`.

        Returns:
            `RunResult`: Labelled data, student, metrics of each round.

        Raises:
            InputError: If the data, the task or a setting cannot be used; nothing was asked or written.
            AnnotatorError: If the annotator cannot work.
            DoubtfulAnswersError: If the annotator's answers are nearly all the same or look random and
                `loop.allow_doubtful_answers` is not set; all answers received are kept.
            RunError: If the folder belongs to another run or cannot be written.
            HubError: If `args.push_to_hub` is set and the Hub refuses before the first call (nothing was asked) or
                after the last round (the run is complete in its folder).
        """
        from freeal_hf.loop.terminal import without_bars

        with without_bars() if self.args.disable_tqdm else nullcontext():
            if self.processes.is_main:
                given = read_human_labels(
                    human_labels, self.task, text_columns=self.text_columns, allow_new_texts=allow_new_texts
                )
                self._run(
                    dataset, test_dataset, given, resume=resume, overwrite=overwrite, source=source, columns=columns
                )
            else:
                self.assist()
        return load_result(self.folder.path)

    def _run(
        self,
        dataset: Any,
        test_dataset: Any,
        given: Sequence[Any],
        *,
        resume: bool,
        overwrite: bool,
        source: DataConfig | Mapping[str, Any] | None,
        columns: RawTable | None,
    ) -> None:
        given_data, dataset = dataset, self._prepared(dataset, asked=True)
        used = asdict(_data_config(source))
        if given_data is not dataset:
            columns, used = columns or raw_table(given_data), self._own_columns(given_data)
        test = self._prepared(test_dataset) if test_dataset is not None else None
        if not overwrite:
            dataset = with_stored_ids(dataset, self.folder.config().get("data_fingerprint"))
        texts = self.kind.collect(dataset)
        # Refuses what cannot be used before anything is written.
        rows = self.kind.with_human_labels(texts, dataset, given).human_rows
        if given:
            logger.info(
                "Human labels: %d of %d match a text of the data; %d do not and are added as examples.",
                rows.matched,
                len(given),
                rows.not_matched,
            )
        self._check(texts, test)
        voters, refiners = self._voters(self.annotator, dataset), self._voters(self.refine_annotator, dataset)
        check_samples((*voters, *refiners), self.loop.samples)
        budget = Budget(max_cost=self.loop.max_cost, max_tokens=self.loop.max_tokens)
        for voter in (*voters, *refiners):
            budget.check_price(voter.price)
        with (
            self.folder.open(self._config(dataset, source), resume=resume, overwrite=overwrite),
            explained_disk_errors(self.folder.path),
            self._pushing() as push,
            AnswerCache(self.folder / run_folder.CACHE) as cache,
            ExitStack() as sessions,
        ):
            for voter in (*voters, *refiners):
                sessions.enter_context(session(voter.annotator))
            self._refuse_other_words(dataset)
            write_atomically(self.folder / run_folder.INPUT, lambda path: dataset.to_parquet(str(path)))
            if columns is not None:
                repeated = self._repeated(columns.names, used)
                keep = partial(keep_columns, table=columns, count=len(dataset), repeated=repeated)
                write_atomically(self.folder / run_folder.COLUMNS, keep)
            corpus = self.kind.with_human_labels(texts, dataset, given, self._known_human_labels())
            self._refuse_late(corpus.human_labels)
            asking = Asking(
                task=self.task,
                loop=self.loop,
                voters=voters,
                refiners=refiners,
                cache=cache,
                budget=budget,
                seed=self.args.seed,
                progress=self.progress,
                disable_tqdm=bool(self.args.disable_tqdm),
                engine=self.engine,
            )
            converged = stopping_rule(self.loop.stop_on)
            records: list[dict[str, Any]] = []
            self._known: Any = None
            is_published = False
            for number in range(self.loop.num_rounds):
                record = self.folder.metrics(number)
                if record is None or record["budget_spent"]:
                    record = self._run_round(number, dataset, corpus, test, asking)
                    is_published = True
                    push()
                else:
                    self._known = None
                    budget.spent_tokens += record["prompt_tokens"] + record["completion_tokens"]
                    budget.spent_cost += record["cost"] or 0.0
                if record["budget_spent"]:
                    logger.warning("The budget is spent: the run ends with round %d. A larger one goes on.", number)
                    break
                records.append(record)
                is_heard = corpus.human_labels == self._known_human_labels()
                if number + 1 < self.loop.num_rounds and is_heard and (reason := converged(records)):
                    logger.info("The loop has converged: %s.", reason)
                    break
            if refiners and number == 0 and record is not None:
                logger.warning("The refine annotator was never asked: %s.", self._why_one_round(record))
            if not is_published:  # the last process may have been killed before it was
                publish(self.folder, self.task, self.loop.num_rounds)
        self.processes.dismiss()

    def _why_one_round(self, record: Mapping[str, Any]) -> str:
        if self.loop.num_rounds == 1:
            return "its first round would be the second one, and there is only one (--num-rounds 1)"
        if record["budget_spent"]:
            return "the budget was spent in the first round"
        return f"the loop converged after the first round (--stop-on {self.loop.stop_on})"

    def assist(self) -> None:
        """Trains with the first of several processes, whenever it trains, until its run ends; needs no data."""
        for number in self.processes.calls():
            self._train_together(number)

    def estimate(self, dataset: "str | Path | Dataset | pd.DataFrame", which: int = 0) -> Estimate:
        """What annotating all texts once, in round 0, will take, its demonstrations included; nothing is asked.

        Later rounds ask again what turns out noisy, with longer prompts: the demonstrations are in them.

        Args:
            dataset: As in `run`.
            which (`int`): Of several annotators, the one to be asked.

        Returns:
            `Estimate`: Calls, tokens, dollars and time, each with an interval.
        """
        dataset = self._prepared(dataset, asked=True)
        voter = self._voters(self.annotator, dataset)[which]
        corpus = self.kind.collect(dataset)
        requests = foreseen(corpus, self.task, voter.annotator, self.loop, seed=self.args.seed)
        # Only the first of several annotators writes.
        writing = [] if which else foreseen_writing(corpus, self.task, voter.annotator, self.loop, seed=self.args.seed)
        estimate = estimate_annotation(voter.annotator, self.task, requests, writing=writing, price=voter.price)
        return replace(estimate, texts=len(corpus.texts))

    # ---- Before the first call ----

    def _prepared(self, data: Any, *, asked: bool = False) -> "Dataset":
        from datasets import Dataset

        from freeal_hf.annotators.registry import columns_of

        names = data.column_names if isinstance(data, Dataset) else ()
        if {"id", "text", "note"} <= set(names):
            return data
        annotators = (*each_annotator(self.annotator), *each_annotator(self.refine_annotator))
        named = [one for one in annotators if isinstance(one, str)]
        return self.kind.read_rows(
            data,
            text_columns=self.text_columns,
            **self._own_columns(data),
            # What is only scored has no need of the annotators' columns.
            extra_columns=columns_of(named) if asked else (),
        )

    def _own_columns(self, data: Any) -> dict[str, str | None]:
        """Which columns of what is not read yet hold gold and ids: those of these names."""
        from datasets import Dataset

        names = data.column_names if isinstance(data, Dataset) else ()
        has_gold = "gold" in names or "gold" in getattr(data, "columns", ())
        return {"gold_column": "gold" if has_gold else None, "id_column": "id" if "id" in names else None}

    def _repeated(self, names: Sequence[str], used: Mapping[str, Any]) -> list[str]:
        """Our columns that are the user's column of the same name."""
        same = [name for name in ("id", "gold") if used.get(f"{name}_column") == name and name in names]
        return [*same, *self.kind.kept_columns(names, self.text_columns)]

    def _check(self, corpus: Corpus, test: "Dataset | None") -> None:
        if len(corpus.texts) < self.task.num_labels:
            raise InputError(
                f"There are {len(corpus.texts)} different texts for {self.task.num_labels} labels; a run needs at "
                "least one text for each label. Give more texts or fewer labels."
            )
        if self.loop.setting == "inductive" and (test is None or "gold" not in test.column_names):
            raise InputError("The inductive setting scores the student on test data: give test data with gold labels.")
        from freeal_hf.training.student import check_loads

        check_loads(resolve_model(self.student), shown=self.student)

    def _known_human_labels(self) -> list[Any]:
        """What people had said when the newest round began."""
        for number in reversed(range(self.loop.num_rounds)):
            if self.folder.round(number).is_annotated:
                return self.folder.round(number).read_human_labels()
        return []

    def _refuse_late(self, human_labels: list[Any]) -> None:
        record = self.folder.metrics(self.loop.num_rounds - 1)
        if record is not None and not record["budget_spent"] and human_labels != self._known_human_labels():
            raise InputError(
                f"All {self.loop.num_rounds} rounds are finished, and there are human labels that they did not know. "
                f"Add a round for them: --num-rounds {self.loop.num_rounds + 1}."
            )

    def _refuse_other_words(self, dataset: "Dataset") -> None:
        """Refuses to go on with sentences whose answers are about other words."""
        stored = self.folder / run_folder.INPUT
        if not stored.is_file():
            return
        if not any(self.folder.round(i).is_annotated for i in range(self.loop.num_rounds)):
            return
        if self.kind.has_other_words(stored, dataset):
            raise RunError(
                f"The run in {str(self.folder.path)!r} was begun by a version of freeal-hf that split its texts into "
                "other words. Start it anew with --overwrite, which keeps the answers that were paid for, or choose "
                "another --output-dir."
            )

    def _voters(self, named: Any, dataset: "Dataset") -> tuple[Voter, ...]:
        prices = load_prices(self.loop.prices) if self.loop.prices else None
        is_alone = self.refine_annotator is None
        return voters_of(named, self.task, dataset, self.annotator_options, prices, is_alone=is_alone)

    def _pushing(self) -> AbstractContextManager[Callable[[], None]]:
        if not self.args.push_to_hub:
            return nullcontext(lambda: None)
        # The one look upwards: whoever only wants a run on disk needs nothing of the Hub.
        from freeal_hf.hub.push import pushing

        return pushing(
            self.folder,
            self.hub,
            model_id=self.args.hub_model_id,
            private=self.args.hub_private_repo is not False,
            token=self.args.hub_token,
        )

    def _config(self, dataset: "Dataset", source: DataConfig | Mapping[str, Any] | None) -> dict[str, Any]:
        annotator, refiner = (describe_annotators(named) for named in (self.annotator, self.refine_annotator))
        columns = self.text_columns if self.text_columns != ["text"] else None
        data = replace(_data_config(source), text_columns=columns)
        return {
            "freeal_hf": freeal_hf.__version__,
            **{name: value for name, value in asdict(data).items() if value},
            "data_fingerprint": fingerprint(dataset),
            "task": self.task.to_dict(),
            "annotator": annotator,
            **({"refine_annotator": refiner} if refiner else {}),
            **({"annotator_options": self.annotator_options} if self.annotator_options else {}),
            "student": self.student,
            **asdict(self.loop),
            **{name: value for name, value in asdict(self.hub).items() if value},
            **{name: value for name, value in asdict(self.engine).items() if value != default_of(name)},
            **changed_arguments(self.args),
        }

    # ---- One round ----

    def _run_round(
        self,
        number: int,
        dataset: "Dataset",
        corpus: Corpus,
        test: "Dataset | None",
        asking: Asking,
    ) -> dict[str, Any]:
        logger.info("round %d of %d", number, self.loop.num_rounds)
        round_ = self.folder.round(number)
        round_.path.mkdir(parents=True, exist_ok=True)
        answers, costs = annotate(number, self.folder, corpus, asking, self._known)
        self._known = answers
        trained_from = time.monotonic()
        selection = self._train(number, corpus, answers)
        votes = votes_of(answers, asking)
        labels, estimate = self.kind.label_rows(dataset, corpus, answers, selection, number, self.args.seed, votes)
        round_.write_labels(labels)
        if not estimate["student_has_learnt"]:
            logger.warning(
                "The student of round %d has not learnt its labels: it changes none, and nothing is asked again on "
                "its word. Train it longer (--num-train-epochs), or check --learning-rate and --student.",
                number,
            )
            selection = replace(selection, is_clean=np.zeros_like(selection.is_clean))
        pool: list[Demonstration] = []
        if self.loop.pool_size and self.loop.shots:
            pool = self.kind.choose_pool(corpus, answers, selection, self.loop, self.args.seed)
        round_.write_demonstrations(pool, self.task)
        previous = self.folder.round(number - 1).read_labels() if number else None
        counts = count_rows(dataset, corpus, answers, labels, self.kind.text_labels(corpus, answers))
        record = {**self.kind.score(labels), **estimate, **convergence_figures(labels, previous), "counts": counts}
        if test is not None:
            rows = self.kind.test_rows(test, round_.student_path, number)
            round_.write_test_labels(rows)
            if self.loop.setting == "inductive":
                record.update({k: v for k, v in self.kind.score(rows).items() if k.startswith("student_")})
        costs["seconds"] = round(costs["seconds"] + time.monotonic() - trained_from, 1)
        record = {"round": number, **record, **costs}
        round_.write_metrics(record)
        publish(self.folder, self.task, self.loop.num_rounds)
        logger.info("Round %d: %s", number, describe_counts(counts))
        for warning in count_warnings(counts):
            logger.warning("Round %d: %s", number, warning)
        return record

    def _train(self, number: int, corpus: Corpus, answers: Any) -> Selection:
        round_ = self.folder.round(number)
        if round_.is_trained:
            return round_.read_selection()
        round_.write_training_set(self.kind.training_set(corpus, answers))
        self.processes.call(number)
        trainer, first_embeddings = self._train_together(number)
        found = trainer.selection
        assert found is not None  # train() leaves it
        embeddings = (found.embeddings.astype(np.float16), first_embeddings.astype(np.float16))
        selection = Selection(found.losses, found.is_clean, found.probabilities, *embeddings)
        round_.write_selection(selection)
        remove(round_.training_set_path)
        return selection

    def _train_together(self, number: int) -> "tuple[FreeALTrainer, np.ndarray]":
        """Trains and saves the student of a round, on all processes; with it, the embeddings that it began with."""
        from freeal_hf.loop.terminal import hide_figures
        from freeal_hf.training.checkpoints import has_checkpoint
        from freeal_hf.training.diagnostics import DiagnosticsCallback
        from freeal_hf.training.trainer import FreeALTrainer

        round_ = self.folder.round(number)
        dataset = round_.read_training_set()
        trainer = FreeALTrainer(
            model=resolve_model(self.student),
            args=self._student_args(round_.checkpoints_path, len(dataset)),
            train_dataset=dataset,
        )
        hide_figures(trainer)
        if self.processes.is_main:
            step, epoch = partial(self.progress.step, number, TRAINING), partial(self.progress.epoch, number)
            trainer.add_callback(DiagnosticsCallback(trainer, step, epoch))
        if len(self.text_columns) > 1:  # the name of a single one may be private, and says nothing about a text
            trainer.model.config.text_columns = self.text_columns  # type: ignore[union-attr]
        first_embeddings = trainer.first_embeddings()
        self._check_answers(number, dataset, first_embeddings)
        trainer.train(resume_from_checkpoint=has_checkpoint(round_.checkpoints_path))
        if self.processes.is_main:
            write_atomically(round_.student_path, lambda path: trainer.save_model(str(path)))
        else:
            trainer.save_model(str(round_.student_path))  # writes nothing; hands over its part of the weights
        return trainer, first_embeddings

    def _check_answers(self, number: int, dataset: "Dataset", embeddings: np.ndarray) -> None:
        """Stops before the training, on all processes, where the answers should not be trained on unconfirmed."""
        reason = self.kind.doubt(dataset, embeddings, self.args.seed)
        if reason is None:
            return
        if not self.loop.allow_doubtful_answers:
            raise DoubtfulAnswersError(f"{reason} {REMEDY}", reason)
        if self.processes.is_main:
            logger.warning("Round %d: %s You confirmed it; there is no estimate of the labels.", number, reason)

    def _student_args(self, checkpoints: Path, num_samples: int) -> "FreeALConfig":
        from freeal_hf.training.config import DEFAULT_EPOCHS

        args = copy.copy(self.args)
        if not args.epochs_are_given and args.num_train_epochs == DEFAULT_EPOCHS:
            per_step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
            steps = math.ceil(num_samples / per_step)
            args.num_train_epochs = max(args.num_train_epochs, math.ceil(self.loop.min_train_steps / steps))
        args.output_dir = str(checkpoints)
        args.use_standard_columns()  # the training set is the loop's own
        args.push_to_hub = False
        # Without an accelerator torch warns, once an epoch, that it cannot pin.
        args.dataloader_pin_memory = args.dataloader_pin_memory and args.device.type != "cpu"
        args.save_strategy, args.save_total_limit = type(args.save_strategy)("epoch"), 1
        return args


def _data_config(source: DataConfig | Mapping[str, Any] | None) -> DataConfig:
    if isinstance(source, DataConfig):
        return source
    unknown = sorted(set(source or {}) - {item.name for item in fields(DataConfig)})
    if unknown:
        raise InputError(f"source has no field {unknown[0]!r}; its fields are those of DataConfig.")
    return DataConfig(**(source or {}))
