"""The description of a run in its `config.yaml`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import freeal_hf
from freeal_hf.config import (
    DataConfig,
    EngineConfig,
    HubConfig,
    LoopConfig,
    changed_arguments,
    default_of,
    describe_annotators,
)
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig


def describe_run(
    *,
    source: DataConfig,
    text_columns: Sequence[str],
    data_fingerprint: str,
    task: Task,
    annotator: Any,
    refine_annotator: Any,
    annotator_options: Mapping[str, Any],
    student: str,
    args: "FreeALConfig",
    loop: LoopConfig,
    hub: HubConfig,
    engine: EngineConfig,
) -> dict[str, Any]:
    """Returns the options of a run by name, and the other values of `config.yaml`.

    Args:
        source (`DataConfig`): The source of the data.
        data_fingerprint (`str`): The fingerprint of the data.
        task, annotator, refine_annotator, annotator_options, student, args, loop, hub, engine, text_columns: As in
            `FreeAL`.

    Returns:
        `dict[str, Any]`: Values that YAML can store, without keys and tokens.
    """
    columns = list(text_columns) if list(text_columns) != ["text"] else None
    refiner = describe_annotators(refine_annotator)
    return {
        "freeal_hf": freeal_hf.__version__,
        **{name: value for name, value in asdict(replace(source, text_columns=columns)).items() if value},
        "data_fingerprint": data_fingerprint,
        "task": task.to_dict(),
        "annotator": describe_annotators(annotator),
        **({"refine_annotator": refiner} if refiner else {}),
        **({"annotator_options": dict(annotator_options)} if annotator_options else {}),
        "student": student,
        **asdict(loop),
        **{name: value for name, value in asdict(hub).items() if value},
        **{name: value for name, value in asdict(engine).items() if value != default_of(name)},
        **changed_arguments(args),
    }
