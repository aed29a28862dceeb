"""The settings of a run: what `FreeAL` is given, made from a `RunConfig`, and described for `config.yaml`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import freeal_hf
from freeal_hf.annotators.base import Annotator
from freeal_hf.config import (
    AnnotatorConfig,
    DataConfig,
    EngineConfig,
    HubConfig,
    LoopConfig,
    RunConfig,
    StudentConfig,
    TaskConfig,
    changed_arguments,
    describe_annotators,
)
from freeal_hf.data.configured import reading, task_of
from freeal_hf.embedded import EMBEDDED_MODEL
from freeal_hf.errors import InputError
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop.annotators import RunAnnotator, build_annotators
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset

    from freeal_hf.training.config import FreeALConfig


@dataclass(frozen=True)
class Settings:
    """The arguments of `FreeAL`, which explains them, except for its callbacks."""

    task: Task
    annotator: Annotator | str | Sequence[Annotator | str]
    student: str
    args: "FreeALConfig"
    loop: LoopConfig
    refine_annotator: Annotator | str | Sequence[Annotator | str] | None
    annotator_options: dict[str, Any]
    hub: HubConfig
    engine: EngineConfig
    text_columns: list[str]
    data: DataConfig

    @classmethod
    def from_config(cls, config: RunConfig) -> "Settings":
        """Creates the settings of a configuration.

        Args:
            config (`RunConfig`): The configuration.

        Raises:
            InputError: If a value is missing or cannot be used.
        """
        from freeal_hf.training.arguments import configured_arguments

        annotators = config.annotators
        return cls(
            task=task_of(config.task),
            annotator=_name("annotator", annotators.annotator) or "embedding",
            student=config.student.student or EMBEDDED_MODEL,
            args=configured_arguments(config.training),
            loop=config.loop,
            refine_annotator=_name("refine_annotator", annotators.refine_annotator),
            annotator_options=annotators.annotator_options,
            hub=config.hub,
            engine=config.engine,
            text_columns=reading(config.data)["text_columns"],
            data=config.data,
        )

    def config(self, data_fingerprint: str) -> RunConfig:
        """Describes the run for `config.yaml`, without keys and tokens.

        Args:
            data_fingerprint (`str`): A digest of the ids of all rows.
        """
        refiner = describe_annotators(self.refine_annotator)
        return RunConfig(
            data=replace(self.data, text_columns=None if self.text_columns == ["text"] else self.text_columns),
            task=TaskConfig(self.task.to_dict()),
            annotators=AnnotatorConfig(describe_annotators(self.annotator), refiner, self.annotator_options),
            student=StudentConfig(self.student),
            training=changed_arguments(self.args),
            loop=self.loop,
            hub=self.hub,
            engine=self.engine,
            freeal_hf=freeal_hf.__version__,
            data_fingerprint=data_fingerprint,
        )

    def annotators(self, dataset: "Dataset") -> tuple[tuple[RunAnnotator, ...], tuple[RunAnnotator, ...]]:
        """Builds the annotators of round 0, and those that replace them in later rounds.

        Args:
            dataset (`Dataset`): The data with the columns of `column:`.

        Raises:
            InputError: If an annotator or a column does not exist, or an annotator does not support the kind of task.
        """
        options, prices, is_alone = self.annotator_options, self.loop.prices, self.refine_annotator is None
        given = kind_of(self.task).class_shares(self.loop.class_shares)
        shares = None if given is None else dict(zip(self.task.label_names, given.tolist(), strict=True))
        first, later = (
            build_annotators(named, self.task, dataset, options, prices, is_alone=is_alone, class_shares=shares)
            for named in (self.annotator, self.refine_annotator)
        )
        return first, later


def _name(option: str, value: str | Mapping[str, Any] | None) -> str | None:
    if isinstance(value, Mapping):
        raise InputError(
            f"The {option} of the configuration was an object in Python ({value.get('class', value)}). Give the name "
            "of an annotator, or create the loop with FreeAL(task, annotator, ...)."
        )
    return value
