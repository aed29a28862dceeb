"""`FreeAL`, which runs the rounds of the loop: annotate, train, feed back and refine."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.annotators.base import Annotator, check_annotator
from freeal_hf.annotators.budget import Budget
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import session
from freeal_hf.annotators.estimate import Estimate, estimate_annotation
from freeal_hf.annotators.servers import check_options
from freeal_hf.config import DataConfig, EngineConfig, HubConfig, LoopConfig
from freeal_hf.data.row_ids import fingerprint
from freeal_hf.data.tables import RawTable
from freeal_hf.embedded import EMBEDDED_MODEL
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop.annotators import AnnotationContext, RunAnnotator, build_annotators, check_samples
from freeal_hf.loop.callbacks import CallbackHandler, LoopCallback, RunState, checked_callbacks
from freeal_hf.loop.description import describe_run
from freeal_hf.loop.distributed import Processes
from freeal_hf.loop.extensions import cache_filler, push_callbacks
from freeal_hf.loop.folder import AUDIT_CSV, CACHE, RunFolder
from freeal_hf.loop.preparation import RunData, all_annotators, data_config, enter, prepare, read_rows
from freeal_hf.loop.progress import ProgressFile
from freeal_hf.loop.requests import expected_generation, expected_requests
from freeal_hf.loop.results import ResultFiles, RunResult, load_result
from freeal_hf.loop.running import Rounds
from freeal_hf.loop.training import StudentTraining
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

    from freeal_hf.training.config import FreeALConfig


class FreeAL:
    """Labels a corpus and trains a student by the FreeAL loop (Xiao et al., EMNLP 2023, arXiv 2311.15614).

    Args:
        task (`TextClassification` or `TokenClassification`): What is labelled.
        annotator (`Annotator` or `str`, or several of them):
            An annotator, or its name as on the command line (`"embedding"`, ...). The answers of several are fused.
        refine_annotator (the same, *optional*):
            The annotator that replaces `annotator` in the rounds after the first. It starts with the texts of the
            highest loss.
        annotator_options (`Mapping`, *optional*): Arguments of an annotator given by name, such as `api_key_env`.
        student (`str`, *optional*, defaults to `"sentence-transformers/all-MiniLM-L6-v2"`):
            Hub id or folder of the encoder that the student starts from.
        args (`FreeALConfig`, *optional*): The training arguments of each student, and `output_dir`.
        loop (`LoopConfig`, *optional*): The settings of the loop.
        hub (`HubConfig`, *optional*): The settings of the push after each round if `args.push_to_hub` is set.
        engine (`EngineConfig` or `str`, *optional*, defaults to `"local"`): The engine that annotates; or `"ray"`.
        text_columns (`Sequence[str]`, *optional*, defaults to `("text",)`):
            Columns of the text. If there are several, their names are stored with the student.
        callbacks (`Sequence[LoopCallback]`, *optional*): Callbacks, which are called at each step of the run.

    Example:

        >>> from freeal_hf import FreeALConfig, TextClassification
        >>> task = TextClassification(["positive", "negative"])
        >>> loop = FreeAL(task, "embedding", args=FreeALConfig(output_dir="runs/reviews"))
        >>> result = loop.run("reviews.csv")  # doctest: +SKIP
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
        callbacks: Sequence[LoopCallback] = (),
    ) -> None:
        from freeal_hf.training.config import FreeALConfig

        self.task = task
        self.kind = kind_of(task)
        for one in all_annotators(annotator, refine_annotator):
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
        self.callbacks = checked_callbacks(callbacks)
        self.training = StudentTraining(task, student, self.args, self.loop, self.text_columns)

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
        """Runs all rounds that are not complete in the run's folder.

        With `LoopConfig(audit=N)` the run stops after its first round for a person to fill in `audit_sheet` of the
        result. Called again, it continues with the answers that are there.

        If there are several processes (`accelerate launch`), the first runs the rounds and the others call `assist`.

        Args:
            dataset: The result of `read_data`, or anything it reads. A column `gold` is only used for scores.
            test_dataset (*optional*): Texts with `gold` for the inductive setting. The loop does not use them.
            human_labels (*optional*):
                The result of `read_human_labels`, or anything it reads. Human labels are always clean, are never
                overwritten, and can be demonstrations. The run keeps them; newer ones for the same texts replace
                them.
            allow_new_texts (`bool`):
                Whether human labels may be about texts that are not in the data. Such examples are shown to the
                annotator and train the student.
            resume (`bool`): Whether to continue in the run's folder if the configuration differs.
            overwrite (`bool`): Whether to start the run in this folder again.
            source (`DataConfig` or `Mapping`, *optional*): The source of the data, stored in `config.yaml`.
            columns (`RawTable`, *optional*):
                All columns of the data, for `labels.csv`; by default those of `dataset`, if the run reads it.

        Returns:
            `RunResult`: The labelled data, the student, and the metrics of each round.

        Raises:
            InputError: If the data, the task or a setting cannot be used. Nothing was annotated or written.
            AnnotatorError: If the annotator fails.
            DoubtfulAnswersError: If the annotator's answers are nearly all the same or look random and
                `loop.allow_doubtful_answers` is not set. All received answers are kept.
            RunError: If the folder belongs to another run or cannot be written.
            HubError: If the Hub refuses the push before the first call or after the last round. The run is on disk.
        """
        from freeal_hf.loop.terminal import without_bars

        awaits_audit = False
        with without_bars() if self.args.disable_tqdm else nullcontext():
            if self.is_main:
                data = prepare(
                    dataset,
                    test_dataset,
                    human_labels,
                    kind=self.kind,
                    folder=self.folder,
                    loop=self.loop,
                    student=self.student,
                    text_columns=self.text_columns,
                    annotators=all_annotators(self.annotator, self.refine_annotator),
                    source=data_config(source),
                    columns=columns,
                    allow_new_texts=allow_new_texts,
                    overwrite=overwrite,
                )
                awaits_audit = self._run(data, data_config(source), resume=resume, overwrite=overwrite)
            else:
                self.assist()
        return replace(load_result(self.folder.path), audit_sheet=self.folder / AUDIT_CSV if awaits_audit else None)

    @property
    def is_main(self) -> bool:
        """Whether this is the first process, or the only one."""
        return self.args.process_index == 0

    def assist(self) -> None:
        """Takes part in the trainings of the first process until its run ends. It needs no data."""
        for number in Processes(self.args).calls():
            self.training.train_together(self.folder.round(number))

    def estimate(self, dataset: "str | Path | Dataset | pd.DataFrame", which: int = 0) -> Estimate:
        """Estimates the cost of round 0, in which all texts are annotated once, with its demonstrations.

        No text is annotated. Later rounds annotate noisy texts again, with demonstrations and so with longer prompts.

        Args:
            dataset: As in `run`.
            which (`int`): The index of the annotator, if there are several.

        Returns:
            `Estimate`: Calls, tokens, dollars and time, each with an interval.
        """
        annotators = all_annotators(self.annotator, self.refine_annotator)
        dataset = read_rows(dataset, self.kind, self.text_columns, annotators)
        entry = self._annotators(self.annotator, dataset)[which]
        corpus = self.kind.collect(dataset)
        requests = expected_requests(corpus, self.task, entry.annotator, self.loop, seed=self.args.seed)
        # If there are several annotators, only the first generates demonstrations.
        generation = expected_generation(corpus, self.task, entry.annotator, self.loop, seed=self.args.seed)
        writing = [] if which else generation
        estimate = estimate_annotation(entry.annotator, self.task, requests, writing=writing, price=entry.price)
        return replace(estimate, texts=len(corpus.texts))

    def _run(self, data: RunData, source: DataConfig, *, resume: bool, overwrite: bool) -> bool:
        """Runs the incomplete rounds, and returns whether the run stopped for an audit."""
        processes = Processes(self.args)
        annotators, refine_annotators = (
            self._annotators(named, data.dataset) for named in (self.annotator, self.refine_annotator)
        )
        check_samples((*annotators, *refine_annotators), self.loop.samples)
        budget = Budget(max_cost=self.loop.max_cost, max_tokens=self.loop.max_tokens)
        for entry in (*annotators, *refine_annotators):
            budget.check_price(entry.price)
        called = [ProgressFile(), ResultFiles(), *self.callbacks, *push_callbacks(self.args, self.hub)]
        callbacks = CallbackHandler(RunState(self.task, self.folder.path, self.loop.num_rounds), called)
        config = describe_run(
            source=source,
            text_columns=self.text_columns,
            data_fingerprint=fingerprint(data.dataset),
            task=self.task,
            annotator=self.annotator,
            refine_annotator=self.refine_annotator,
            annotator_options=self.annotator_options,
            student=self.student,
            args=self.args,
            loop=self.loop,
            hub=self.hub,
            engine=self.engine,
        )
        with self.folder.open(config, resume=resume, overwrite=overwrite):
            callbacks.call("on_run_begin")
            with AnswerCache(self.folder / CACHE) as cache, ExitStack() as sessions:
                for entry in (*annotators, *refine_annotators):
                    sessions.enter_context(session(entry.annotator))
                corpus = enter(data, self.kind, self.folder, self.loop.num_rounds)
                context = AnnotationContext(
                    task=self.task,
                    loop=self.loop,
                    annotators=annotators,
                    refine_annotators=refine_annotators,
                    cache=cache,
                    budget=budget,
                    seed=self.args.seed,
                    callbacks=callbacks,
                    disable_tqdm=bool(self.args.disable_tqdm),
                    fill_cache=cache_filler(self.engine),
                )
                awaits_audit = Rounds(self.folder, data, corpus, context, self.training, processes).run()
            callbacks.call("on_run_end")
        processes.dismiss()
        return awaits_audit

    def _annotators(self, named: Any, dataset: "Dataset") -> tuple[RunAnnotator, ...]:
        is_alone = self.refine_annotator is None
        return build_annotators(named, self.task, dataset, self.annotator_options, self.loop.prices, is_alone=is_alone)
