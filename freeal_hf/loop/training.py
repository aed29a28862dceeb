"""The training of the student in a round, in all processes."""

import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.config import LoopConfig
from freeal_hf.data.arrow import digest
from freeal_hf.data.files import copy_into, remove, write_atomically
from freeal_hf.embedded import resolve_model
from freeal_hf.errors import DoubtfulAnswersError
from freeal_hf.kinds.corpus import Corpus
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import Selection
from freeal_hf.labels.doubts import REMEDY
from freeal_hf.loop.callbacks import CallbackHandler
from freeal_hf.loop.distributed import Processes
from freeal_hf.loop.rounds import Round
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset

    from freeal_hf.training.config import FreeALConfig
    from freeal_hf.training.trainer import FreeALTrainer

logger = logging.getLogger(__name__)


@dataclass
class StudentTraining:
    """Trains the student of each round.

    A student that would be trained on the same labels as that of the previous round is copied instead, and the
    embeddings of the untrained student are computed once for the same texts.

    Args:
        task (`Task`): The task.
        student (`str`): Hub id or folder of the encoder that each student starts from.
        args (`FreeALConfig`): The training arguments.
        loop (`LoopConfig`): The settings of the loop.
        text_columns (`Sequence[str]`): Columns of the text.
    """

    task: Task
    student: str
    args: "FreeALConfig"
    loop: LoopConfig
    text_columns: Sequence[str]
    _trained: tuple[str, Round] | None = field(default=None, init=False, repr=False)
    """The digest of the last training set of this process, and its round."""
    _embedded: tuple[str, np.ndarray] | None = field(default=None, init=False, repr=False)
    """The digest of its texts, and their embeddings before the training."""

    def train(
        self, round_: Round, corpus: Corpus, answers: Any, processes: Processes, callbacks: CallbackHandler
    ) -> Selection:
        """Trains the student of a round, in all processes, or reads its selection if it is trained.

        Args:
            round_ (`Round`): The round.
            corpus (`Corpus`): The texts.
            answers (`Answers`): The answers after the round.
            processes (`Processes`): The processes that train.
            callbacks (`CallbackHandler`): Receives the progress.

        Returns:
            `Selection`: The student's losses, small-loss selection, probabilities and embeddings.

        Raises:
            DoubtfulAnswersError: If the answers are doubtful and the user has not confirmed them.
        """
        if round_.is_trained:
            return round_.read_selection()
        training_set = kind_of(self.task).training_set(corpus, answers)
        wanted = digest(training_set)
        previous = self._previous(round_, wanted)
        if previous is not None:
            logger.info(
                "Round %d: no label has changed, so the student of round %d is kept.",
                round_.number,
                previous.number,
            )
            write_atomically(round_.student_path, partial(copy_into, previous.student_path))
            selection = previous.read_selection()
            round_.write_selection(selection)
            return selection
        round_.write_training_set(training_set)
        processes.call(round_.number)
        trainer, first_embeddings = self.train_together(round_, callbacks)
        found = trainer.selection
        assert found is not None  # train() leaves it
        embeddings = (found.embeddings.astype(np.float16), first_embeddings.astype(np.float16))
        config: Any = trainer.model.config  # type: ignore[union-attr]
        thresholds = np.array(config.to_dict().get("thresholds") or ())
        student = (found.losses, found.is_clean, found.probabilities)
        selection = Selection(*student, *embeddings, thresholds, corpus.is_human)
        round_.write_selection(selection)
        remove(round_.training_set_path)
        self._trained = wanted, round_
        return selection

    def _previous(self, round_: Round, wanted: str) -> Round | None:
        """Returns the previous round of the run if this process has trained its student on the same training set."""
        if self._trained is None or self._trained[0] != wanted:
            return None
        previous = self._trained[1]
        is_previous = previous.path.parent == round_.path.parent and previous.number == round_.number - 1
        return previous if is_previous and previous.is_trained and previous.student_path.is_dir() else None

    def train_together(
        self, round_: Round, callbacks: CallbackHandler | None = None
    ) -> "tuple[FreeALTrainer, np.ndarray]":
        """Trains and saves the student of a round. Each process calls it.

        Args:
            round_ (`Round`): The round. The first process has written its training set.
            callbacks (`CallbackHandler`, *optional*): Receives the progress. Only the first process has it.

        Returns:
            `tuple[FreeALTrainer, np.ndarray]`: The trainer, and the embeddings before the training.
        """
        from freeal_hf.loop.terminal import hide_figures
        from freeal_hf.training.checkpoints import has_checkpoint
        from freeal_hf.training.diagnostics import DiagnosticsCallback
        from freeal_hf.training.trainer import FreeALTrainer

        dataset = round_.read_training_set()
        trainer = FreeALTrainer(
            model=resolve_model(self.student),
            args=self._args(round_.checkpoints_path, len(dataset)),
            train_dataset=dataset,
            class_names=kind_of(self.task).classes,
        )
        hide_figures(trainer)
        if callbacks is not None:
            on_step = partial(callbacks.call, "on_train_step", round_.number)
            on_selection = partial(callbacks.call, "on_selection", round_.number)
            trainer.add_callback(DiagnosticsCallback(trainer, on_step, on_selection))
        for name, value in kind_of(self.task).student_settings.items():
            setattr(trainer.model.config, name, value)  # type: ignore[union-attr]
        if len(self.text_columns) > 1:  # the name of a single column may be private, and is not needed
            trainer.model.config.text_columns = list(self.text_columns)  # type: ignore[union-attr]
        first_embeddings = self._first_embeddings(trainer, dataset)
        self._check_answers(round_.number, dataset, trainer.held_out_predictions())
        trainer.train(resume_from_checkpoint=has_checkpoint(round_.checkpoints_path))
        if self.args.process_index == 0:
            write_atomically(round_.student_path, lambda path: trainer.save_model(str(path)))
        else:
            trainer.save_model(str(round_.student_path))  # writes nothing; sends its part of the weights
        return trainer, first_embeddings

    def _first_embeddings(self, trainer: "FreeALTrainer", dataset: "Dataset") -> np.ndarray:
        """Returns the embeddings before the training. They are the same in all rounds with the same texts."""
        texts = digest(dataset.select_columns([name for name in ("id", "text", "tokens") if name in dataset.features]))
        if self._embedded is not None and self._embedded[0] == texts:
            trainer.use_first_embeddings(self._embedded[1])
        else:
            self._embedded = texts, _on_disk(trainer.first_embeddings())
        return self._embedded[1]

    def _check_answers(self, number: int, dataset: "Dataset", held_out: np.ndarray | None) -> None:
        """Ends all processes before the training if the user must confirm the answers first."""
        reason = kind_of(self.task).doubt(dataset, held_out)
        if reason is None:
            return
        if not self.loop.allow_doubtful_answers:
            raise DoubtfulAnswersError(f"{reason} {REMEDY}", reason)
        if self.args.process_index == 0:
            logger.warning(
                "Round %d: %s The run continues, because the answers are confirmed. The accuracy is not estimated.",
                number,
                reason,
            )

    def _args(self, checkpoints: Path, num_samples: int) -> "FreeALConfig":
        args = copy.copy(self.args)
        if not args.epochs_are_given:
            per_step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
            steps = math.ceil(num_samples / per_step)
            args.num_train_epochs = max(args.num_train_epochs, math.ceil(self.loop.min_train_steps / steps))
        args.output_dir = str(checkpoints)
        args.use_standard_columns()  # the training set is the loop's own
        args.push_to_hub = False
        # Without an accelerator, torch warns in each epoch that it cannot pin memory.
        args.dataloader_pin_memory = args.dataloader_pin_memory and args.device.type != "cpu"
        args.save_strategy, args.save_total_limit = type(args.save_strategy)("epoch"), 1
        return args


def _on_disk(array: np.ndarray) -> np.ndarray:
    """Moves an array to a temporary file that is mapped, so that it takes no memory until it is read again."""
    with TemporaryFile() as file:
        array.tofile(file)
        return np.memmap(file, array.dtype, "r", shape=array.shape)
