"""The configuration of a run. Each option is declared once, as a field of a dataclass."""

from freeal_hf.config.annotators import AnnotatorConfig, BudgetConfig, EngineConfig, WorkersConfig, named_values
from freeal_hf.config.data import (
    QUOTINGS,
    DataConfig,
    HumanReadingConfig,
    LabelsConfig,
    ReadingConfig,
    TaskConfig,
)
from freeal_hf.config.described import changed_arguments, describe_annotators, each_annotator
from freeal_hf.config.hub import HubConfig, PushConfig, RepositoryConfig
from freeal_hf.config.loop import LoopConfig
from freeal_hf.config.options import option, section
from freeal_hf.config.run import (
    OPTIONS,
    SECTIONS,
    RunConfig,
    metadata_of,
)
from freeal_hf.config.training import DEFAULT_OUTPUT_DIR, OutputConfig, StudentConfig, TrainerConfig

__all__ = [
    "DEFAULT_OUTPUT_DIR",
    "OPTIONS",
    "QUOTINGS",
    "SECTIONS",
    "AnnotatorConfig",
    "BudgetConfig",
    "DataConfig",
    "EngineConfig",
    "HubConfig",
    "HumanReadingConfig",
    "LabelsConfig",
    "LoopConfig",
    "OutputConfig",
    "PushConfig",
    "ReadingConfig",
    "RepositoryConfig",
    "RunConfig",
    "StudentConfig",
    "TaskConfig",
    "TrainerConfig",
    "WorkersConfig",
    "changed_arguments",
    "describe_annotators",
    "each_annotator",
    "metadata_of",
    "named_values",
    "option",
    "section",
]
