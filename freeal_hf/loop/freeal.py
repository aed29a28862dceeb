"""`FreeAL`, which runs the rounds of the loop: annotate, train, feed back and refine."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.annotators.base import Annotator, check_annotator
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import session
from freeal_hf.annotators.estimate import Estimate
from freeal_hf.annotators.servers import check_options
from freeal_hf.config import DataConfig, EngineConfig, HubConfig, LoopConfig, RunConfig, each_annotator
from freeal_hf.data.row_ids import fingerprint
from freeal_hf.embedded import EMBEDDED_MODEL
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop.annotators import AnnotationContext, checked_budget, with_instructions
from freeal_hf.loop.callbacks import CallbackHandler, LoopCallback, RunState, checked_callbacks
from freeal_hf.loop.distributed import Processes
from freeal_hf.loop.engines import engine_of
from freeal_hf.loop.estimate import estimate_first_round
from freeal_hf.loop.folder import AUDIT_CSV, CACHE, RunFolder
from freeal_hf.loop.inputs import InputReader
from freeal_hf.loop.preparation import RunData, enter, prepare
from freeal_hf.loop.progress import ProgressFile
from freeal_hf.loop.results import ResultFiles, RunResult, load_result
from freeal_hf.loop.running import Rounds
from freeal_hf.loop.settings import Settings
from freeal_hf.loop.stopping import StoppingRule
from freeal_hf.loop.stopping import stopping_rule as named_rule
from freeal_hf.loop.training import StudentTraining
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

    from freeal_hf.training.config import FreeALConfig


class FreeAL:
    """Labels a corpus and trains a student by the FreeAL loop (Xiao et al., EMNLP 2023, arXiv 2311.15614).

    Args:
        task (`Task`): The task.
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
        hub (`HubConfig`, *optional*): The settings of the push by a `PushToHubCallback`.
        engine (`EngineConfig` or `str`, *optional*, defaults to `"local"`): The engine that annotates; or `"ray"`.
        text_columns (`Sequence[str]`, *optional*, defaults to `("text",)`):
            Columns of the text. If there are several, their names are stored with the student.
        callbacks (`Sequence[LoopCallback]`, *optional*): Callbacks, which are called at each step of the run.
        stopping_rule (`StoppingRule`, *optional*, defaults to the rule that `loop.stop_on` names):
            A function of the records of the finished rounds, which returns why the loop ends, or `None`. It must not
            use gold, because the scores would then be too high.
        data (`DataConfig`, *optional*): The data that `run` and `estimate` read if they are given none.

    Raises:
        InputError: If an annotator, a callback or the engine cannot be used.

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
        stopping_rule: StoppingRule | None = None,
        data: DataConfig | None = None,
    ) -> None:
        from freeal_hf.training.arguments import configured_arguments

        named = each_annotator(annotator, refine_annotator)
        for one in named:
            if not isinstance(one, str):
                check_annotator(one)
        check_options(annotator_options or {})
        self.settings = settings = Settings(
            task=task,
            annotator=annotator,
            student=student,
            args=args or configured_arguments({}),
            loop=loop or LoopConfig(),
            refine_annotator=refine_annotator,
            annotator_options=dict(annotator_options or {}),
            hub=hub or HubConfig(),
            engine=EngineConfig(engine) if isinstance(engine, str) else engine,
            text_columns=list(text_columns),
            data=data or DataConfig(),
        )
        self.folder = RunFolder(str(settings.args.output_dir))
        self.callbacks = checked_callbacks(callbacks, push_to_hub=settings.args.push_to_hub)
        self._inputs = InputReader(kind_of(task), settings.data, settings.text_columns, named)
        self._converged = stopping_rule or named_rule(settings.loop.stop_on)
        self._training = StudentTraining(task, student, settings.args, settings.loop, settings.text_columns)
        self._engine = engine_of(settings.engine)

    @classmethod
    def from_config(cls, config: RunConfig, *, callbacks: Sequence[LoopCallback] = ()) -> "FreeAL":
        """Creates the loop of a configuration.

        Args:
            config (`RunConfig`): The configuration, such as a former run's. `run` reads its data.
            callbacks (`Sequence[LoopCallback]`, *optional*): Callbacks, as above.

        Raises:
            InputError: If a value of the configuration is missing or cannot be used.

        Example:

            >>> result = FreeAL.from_config(RunConfig.from_yaml("config.yaml")).run()  # doctest: +SKIP
        """
        return cls(**vars(Settings.from_config(config)), callbacks=callbacks)

    def run(
        self,
        dataset: "str | Path | Dataset | pd.DataFrame | None" = None,
        test_dataset: "str | Path | Dataset | pd.DataFrame | None" = None,
        *,
        human_labels: Any = None,
        allow_new_texts: bool = False,
        resume: bool = False,
        overwrite: bool = False,
    ) -> RunResult:
        """Runs all rounds that are not complete in the run's folder.

        With `LoopConfig(audit=N)` the run stops after its first round for a person to fill in `audit_sheet` of the
        result. Called again, it continues with the answers that are there.

        If there are several processes (`accelerate launch`), the first runs the rounds and the others call `assist`.

        Args:
            dataset (*optional*):
                The result of `read_data`, or anything it reads. Defaults to the `data` of this object, which is read
                once, as do the test texts and human labels. A column `gold` is only used for scores.
            test_dataset (*optional*): Texts with `gold` for the inductive setting. The loop does not use them.
            human_labels (*optional*):
                The result of `read_human_labels`, or anything it reads. They are always clean, are never overwritten,
                and can be demonstrations. The run keeps them; newer ones for the same texts replace them.
            allow_new_texts (`bool`):
                Whether `human_labels` may be about texts that are not in the data. Such examples are shown to the
                annotator and train the student.
            resume (`bool`): Whether to continue in the run's folder if the configuration differs.
            overwrite (`bool`): Whether to start the run in this folder again.

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
        with without_bars() if self.settings.args.disable_tqdm else nullcontext():
            if self.is_main:
                given = self._inputs.human_labels(human_labels, allow_new_texts=allow_new_texts)
                data = prepare(self._inputs, dataset, test_dataset, given, self.settings, self.folder, overwrite)
                awaits_audit = self._run(data, resume=resume, overwrite=overwrite)
            else:
                self.assist()
        return replace(load_result(self.folder.path), audit_sheet=self.folder / AUDIT_CSV if awaits_audit else None)

    @property
    def is_main(self) -> bool:
        """Whether this is the first process, or the only one."""
        return self.settings.args.process_index == 0

    def assist(self) -> None:
        """Takes part in the trainings of the first process until its run ends. It needs no data."""
        for number in Processes(self.settings.args).calls():
            self._training.train_together(self.folder.round(number))

    def estimate(self, dataset: "str | Path | Dataset | pd.DataFrame | None" = None, which: int = 0) -> Estimate:
        """Estimates the cost of round 0, in which all texts are annotated once, with its demonstrations.

        No text is annotated. Later rounds annotate noisy texts again, with demonstrations and so with longer prompts.

        Args:
            dataset (*optional*): As in `run`.
            which (`int`): The index of the annotator, if there are several.

        Returns:
            `Estimate`: Calls, tokens, dollars and time, each with an interval.
        """
        settings, rows = self.settings, self._inputs.rows(dataset)
        self._inputs.check()
        entry = settings.annotators(rows)[0][which]
        return estimate_first_round(entry, rows, settings.task, settings.loop, settings.args.seed, is_first=which == 0)

    def _run(self, data: RunData, *, resume: bool, overwrite: bool) -> bool:
        """Runs the incomplete rounds, and returns whether the run stopped for an audit."""
        settings, loop, args = self.settings, self.settings.loop, self.settings.args
        processes = Processes(args)
        annotators, refine_annotators = settings.annotators(data.dataset)
        budget = checked_budget(loop, (*annotators, *refine_annotators))
        state = RunState(settings.task, self.folder.path, loop.num_rounds, args, settings.hub)
        callbacks = CallbackHandler(state, [ProgressFile(), ResultFiles(), *self.callbacks])
        config = settings.config(fingerprint(data.dataset))
        with self.folder.open(config, resume=resume, overwrite=overwrite):
            callbacks.call("on_run_begin")
            with AnswerCache(self.folder / CACHE) as cache, ExitStack() as sessions:
                for entry in (*annotators, *refine_annotators):
                    sessions.enter_context(session(entry.annotator))
                corpus = enter(data, kind_of(settings.task), self.folder, loop.num_rounds)
                context = AnnotationContext(
                    task=settings.task,
                    loop=loop,
                    annotators=with_instructions(annotators, settings.task),
                    refine_annotators=with_instructions(refine_annotators, settings.task),
                    cache=cache,
                    budget=budget,
                    seed=args.seed,
                    callbacks=callbacks,
                    disable_tqdm=bool(args.disable_tqdm),
                    engine=self._engine,
                )
                awaits_audit = Rounds(
                    self.folder, data, corpus, context, self._training, processes, self._converged
                ).run()
            callbacks.call("on_run_end")
        processes.dismiss()
        return awaits_audit
