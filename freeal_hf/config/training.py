"""The section `student` of a configuration, and what has to be said of the section `training`."""

from dataclasses import dataclass
from typing import Any

from freeal_hf.config.hub import PushConfig
from freeal_hf.config.options import option
from freeal_hf.embedded import EMBEDDED_MODEL

DEFAULT_OUTPUT_DIR = "runs/freeal"


@dataclass
class StudentConfig:
    """The encoder of the student. `FreeALConfig` configures its training.

    Args:
        student (`str`, *optional*): The Hub id or folder of the encoder. By default
            `"sentence-transformers/all-MiniLM-L6-v2"`.
    """

    student: str | None = option(help="encoder to fine-tune", none=EMBEDDED_MODEL, metavar="MODEL")


@dataclass
class OutputConfig:
    """Where a run is written. This is an argument of `FreeALConfig`, too.

    Args:
        output_dir (`str`, *optional*): The run's folder.
    """

    output_dir: str | None = option(
        help="the run's folder", none=DEFAULT_OUTPUT_DIR, metavar="DIR", local=True, resumable=True
    )


@dataclass
class TrainerConfig(PushConfig, OutputConfig):
    """What has to be said of arguments that `FreeALConfig` inherits from `TrainingArguments`.

    Fields of another class cannot be given metadata, so these are declared again, for their metadata only. All other
    arguments of `FreeALConfig` are written, pushed, and may not change when a run resumes.
    """

    push_to_hub_model_id: str | None = option(local=True, resumable=True)
    push_to_hub_organization: str | None = option(local=True, resumable=True)
    push_to_hub_token: str | None = option(private=True, resumable=True)
    hub_token: str | None = option(private=True, resumable=True)
    hub_strategy: str | None = option(local=True, resumable=True)
    hub_always_push: bool = option(False, local=True, resumable=True)
    hub_revision: str | None = option(local=True, resumable=True)
    disable_tqdm: bool | None = option(resumable=True)
    report_to: str | None = option(resumable=True)
    # They depend on the moment or the machine.
    logging_dir: str | None = option(private=True)
    run_name: str | None = option(private=True)
    local_rank: int = option(-1, private=True)
    deepspeed_plugin: Any = option(private=True)
    # They say which devices and processes there are, and that is one state for the whole process.
    use_cpu: bool = option(False, process=True)
    ddp_backend: str | None = option(process=True)
    ddp_timeout: int = option(1800, process=True)
