"""freeal-hf: labels texts with an LLM, and trains a small student that is robust to wrong labels (FreeAL)."""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# The module of each public name. Modules are imported on demand, so that `import freeal_hf` and `freeal-hf --help` are
# fast, and a missing extra only matters if it is used.
_PUBLIC = {
    "AltTest": "freeal_hf.labels.agreement",
    "Annotation": "freeal_hf.annotators.requests",
    "AnnotationRequest": "freeal_hf.annotators.requests",
    "Annotator": "freeal_hf.annotators.base",
    "AnnotatorConfig": "freeal_hf.config",
    "AnnotatorError": "freeal_hf.errors",
    "AnswerCache": "freeal_hf.annotators.cache",
    "AnthropicAnnotator": "freeal_hf.annotators.anthropic",
    "AuditPart": "freeal_hf.kinds.labels",
    "AuditQuestion": "freeal_hf.kinds.labels",
    "AuditResult": "freeal_hf.loop.audit",
    "AuditSample": "freeal_hf.labels.audit",
    "BALD": "freeal_hf.select.uncertainty",
    "BackTranslation": "freeal_hf.training.augmentation",
    "Batch": "freeal_hf.training.objectives.base",
    "BreakingTies": "freeal_hf.select.uncertainty",
    "Budget": "freeal_hf.annotators.budget",
    "BudgetConfig": "freeal_hf.config",
    "BudgetExceeded": "freeal_hf.errors",
    "CachedAnswer": "freeal_hf.annotators.cache",
    "Choice": "freeal_hf.annotators.requests",
    "ChoiceRequest": "freeal_hf.annotators.requests",
    "Classifier": "freeal_hf.prediction.classifier",
    "ColumnAnnotator": "freeal_hf.annotators.column",
    "Completion": "freeal_hf.annotators.question",
    "ContrastiveActiveLearning": "freeal_hf.select.diversity",
    "CoreSet": "freeal_hf.select.diversity",
    "Crossed": "freeal_hf.kinds.labels",
    "DataConfig": "freeal_hf.config",
    "Demonstration": "freeal_hf.tasks",
    "DiscriminativeActiveLearning": "freeal_hf.select.diversity",
    "DoubtfulAnswersError": "freeal_hf.errors",
    "EmbeddingAnnotator": "freeal_hf.annotators.embedding",
    "EmbeddingKMeans": "freeal_hf.select.diversity",
    "Engine": "freeal_hf.loop.engines",
    "EngineConfig": "freeal_hf.config",
    "EntityAudit": "freeal_hf.labels.entity_audit",
    "EntityTagger": "freeal_hf.prediction.tagger",
    "Estimate": "freeal_hf.annotators.estimate",
    "Evidence": "freeal_hf.training.objectives.base",
    "Form": "freeal_hf.annotators.question",
    "FreeAL": "freeal_hf.loop.freeal",
    "FreeALConfig": "freeal_hf.training.config",
    "FreeALError": "freeal_hf.errors",
    "FreeALTrainer": "freeal_hf.training.trainer",
    "GLiNERAnnotator": "freeal_hf.annotators.gliner",
    "Generation": "freeal_hf.annotators.requests",
    "GenerationRequest": "freeal_hf.annotators.requests",
    "HubChanged": "freeal_hf.errors",
    "HubConfig": "freeal_hf.config",
    "HubError": "freeal_hf.errors",
    "HubTarget": "freeal_hf.hub.push",
    "HumanEntities": "freeal_hf.data.human_labels",
    "HumanLabel": "freeal_hf.data.human_labels",
    "HumanTable": "freeal_hf.data.human_labels",
    "InferenceEndpointsAnnotator": "freeal_hf.annotators.inference",
    "InputError": "freeal_hf.errors",
    "Interval": "freeal_hf.annotators.estimate",
    "JudgedEntities": "freeal_hf.labels.entity_audit",
    "LLMAnnotator": "freeal_hf.annotators.llm",
    "LLMSelection": "freeal_hf.select.llm",
    "LabelAudit": "freeal_hf.loop.audit",
    "LeastConfidence": "freeal_hf.select.uncertainty",
    "Ledger": "freeal_hf.annotators.budget",
    "LocalAnnotator": "freeal_hf.annotators.local",
    "LoopCallback": "freeal_hf.loop.callbacks",
    "LoopConfig": "freeal_hf.config",
    "MarkedSpan": "freeal_hf.data.human_labels",
    "MaskedSubstitution": "freeal_hf.training.augmentation",
    "Measure": "freeal_hf.kinds.labels",
    "Mixtures": "freeal_hf.training.objectives.base",
    "MultiLabelClassification": "freeal_hf.tasks",
    "Objective": "freeal_hf.training.objectives.base",
    "PaidAnswer": "freeal_hf.annotators.requests",
    "PendingBatch": "freeal_hf.annotators.cache",
    "PeopleAudit": "freeal_hf.loop.audit",
    "Pool": "freeal_hf.select.pool",
    "PredictionEntropy": "freeal_hf.select.uncertainty",
    "PredictionOptions": "freeal_hf.prediction.predictor",
    "Predictor": "freeal_hf.prediction.predictor",
    "Price": "freeal_hf.annotators.budget",
    "Prompt": "freeal_hf.annotators.local",
    "PushToHubCallback": "freeal_hf.hub.callback",
    "Question": "freeal_hf.annotators.question",
    "RandomSampling": "freeal_hf.select.diversity",
    "RawTable": "freeal_hf.data.tables",
    "RefusedError": "freeal_hf.errors",
    "RejectedError": "freeal_hf.errors",
    "Round": "freeal_hf.loop.rounds",
    "RunConfig": "freeal_hf.config",
    "RunError": "freeal_hf.errors",
    "RunFolder": "freeal_hf.loop.folder",
    "RunResult": "freeal_hf.loop.results",
    "RunState": "freeal_hf.loop.callbacks",
    "Selected": "freeal_hf.select.pool",
    "Selection": "freeal_hf.training.selection",
    "SelectionRules": "freeal_hf.training.selection",
    "Span": "freeal_hf.data.spans",
    "StoppingRule": "freeal_hf.loop.stopping",
    "Strategy": "freeal_hf.select.pool",
    "StudentConfig": "freeal_hf.config",
    "TGIAnnotator": "freeal_hf.annotators.tgi",
    "Task": "freeal_hf.tasks",
    "TaskConfig": "freeal_hf.config",
    "TaskKind": "freeal_hf.kinds.base",
    "TextChooser": "freeal_hf.annotators.base",
    "TextClassification": "freeal_hf.tasks",
    "TextGenerator": "freeal_hf.annotators.base",
    "TokenClassification": "freeal_hf.tasks",
    "TokenDropout": "freeal_hf.training.augmentation",
    "TokenLogprobs": "freeal_hf.annotators.logprobs",
    "TransientError": "freeal_hf.errors",
    "ZeroShotAnnotator": "freeal_hf.annotators.zero_shot",
    "build_annotator": "freeal_hf.annotators.registry",
    "draw_audit": "freeal_hf.loop.audit",
    "kind_of": "freeal_hf.kinds.registry",
    "load_prices": "freeal_hf.annotators.prices",
    "load_result": "freeal_hf.loop.results",
    "load_task": "freeal_hf.tasks",
    "note_audit": "freeal_hf.loop.audit",
    "prepare_push": "freeal_hf.hub.push",
    "pull_run": "freeal_hf.hub.pull",
    "push_rounds": "freeal_hf.hub.push",
    "raw_table": "freeal_hf.data.tables",
    "read_data": "freeal_hf.data.texts",
    "read_human_labels": "freeal_hf.kinds.human_labels",
    "read_sentences": "freeal_hf.data.sentences",
    "score_audit": "freeal_hf.loop.audit",
    "select_clean": "freeal_hf.training.selection",
    "select_instances": "freeal_hf.select.pool",
    "task_from_dict": "freeal_hf.tasks",
}

_RENAMED = {"TextGenerationAnnotator": "TGIAnnotator"}

if TYPE_CHECKING:
    from freeal_hf.annotators.anthropic import AnthropicAnnotator as AnthropicAnnotator
    from freeal_hf.annotators.base import Annotator as Annotator
    from freeal_hf.annotators.base import TextChooser as TextChooser
    from freeal_hf.annotators.base import TextGenerator as TextGenerator
    from freeal_hf.annotators.budget import Budget as Budget
    from freeal_hf.annotators.budget import Ledger as Ledger
    from freeal_hf.annotators.budget import Price as Price
    from freeal_hf.annotators.cache import AnswerCache as AnswerCache
    from freeal_hf.annotators.cache import CachedAnswer as CachedAnswer
    from freeal_hf.annotators.cache import PendingBatch as PendingBatch
    from freeal_hf.annotators.column import ColumnAnnotator as ColumnAnnotator
    from freeal_hf.annotators.embedding import EmbeddingAnnotator as EmbeddingAnnotator
    from freeal_hf.annotators.estimate import Estimate as Estimate
    from freeal_hf.annotators.estimate import Interval as Interval
    from freeal_hf.annotators.gliner import GLiNERAnnotator as GLiNERAnnotator
    from freeal_hf.annotators.inference import InferenceEndpointsAnnotator as InferenceEndpointsAnnotator
    from freeal_hf.annotators.llm import LLMAnnotator as LLMAnnotator
    from freeal_hf.annotators.local import LocalAnnotator as LocalAnnotator
    from freeal_hf.annotators.local import Prompt as Prompt
    from freeal_hf.annotators.logprobs import TokenLogprobs as TokenLogprobs
    from freeal_hf.annotators.prices import load_prices as load_prices
    from freeal_hf.annotators.question import Completion as Completion
    from freeal_hf.annotators.question import Form as Form
    from freeal_hf.annotators.question import Question as Question
    from freeal_hf.annotators.registry import build_annotator as build_annotator
    from freeal_hf.annotators.requests import Annotation as Annotation
    from freeal_hf.annotators.requests import AnnotationRequest as AnnotationRequest
    from freeal_hf.annotators.requests import Choice as Choice
    from freeal_hf.annotators.requests import ChoiceRequest as ChoiceRequest
    from freeal_hf.annotators.requests import Generation as Generation
    from freeal_hf.annotators.requests import GenerationRequest as GenerationRequest
    from freeal_hf.annotators.requests import PaidAnswer as PaidAnswer
    from freeal_hf.annotators.tgi import TGIAnnotator as TGIAnnotator
    from freeal_hf.annotators.zero_shot import ZeroShotAnnotator as ZeroShotAnnotator
    from freeal_hf.config import AnnotatorConfig as AnnotatorConfig
    from freeal_hf.config import BudgetConfig as BudgetConfig
    from freeal_hf.config import DataConfig as DataConfig
    from freeal_hf.config import EngineConfig as EngineConfig
    from freeal_hf.config import HubConfig as HubConfig
    from freeal_hf.config import LoopConfig as LoopConfig
    from freeal_hf.config import RunConfig as RunConfig
    from freeal_hf.config import StudentConfig as StudentConfig
    from freeal_hf.config import TaskConfig as TaskConfig
    from freeal_hf.data.human_labels import HumanEntities as HumanEntities
    from freeal_hf.data.human_labels import HumanLabel as HumanLabel
    from freeal_hf.data.human_labels import HumanTable as HumanTable
    from freeal_hf.data.human_labels import MarkedSpan as MarkedSpan
    from freeal_hf.data.sentences import read_sentences as read_sentences
    from freeal_hf.data.spans import Span as Span
    from freeal_hf.data.tables import RawTable as RawTable
    from freeal_hf.data.tables import raw_table as raw_table
    from freeal_hf.data.texts import read_data as read_data
    from freeal_hf.errors import AnnotatorError as AnnotatorError
    from freeal_hf.errors import BudgetExceeded as BudgetExceeded
    from freeal_hf.errors import DoubtfulAnswersError as DoubtfulAnswersError
    from freeal_hf.errors import FreeALError as FreeALError
    from freeal_hf.errors import HubChanged as HubChanged
    from freeal_hf.errors import HubError as HubError
    from freeal_hf.errors import InputError as InputError
    from freeal_hf.errors import RefusedError as RefusedError
    from freeal_hf.errors import RejectedError as RejectedError
    from freeal_hf.errors import RunError as RunError
    from freeal_hf.errors import TransientError as TransientError
    from freeal_hf.hub.callback import PushToHubCallback as PushToHubCallback
    from freeal_hf.hub.pull import pull_run as pull_run
    from freeal_hf.hub.push import HubTarget as HubTarget
    from freeal_hf.hub.push import prepare_push as prepare_push
    from freeal_hf.hub.push import push_rounds as push_rounds
    from freeal_hf.kinds.base import TaskKind as TaskKind
    from freeal_hf.kinds.human_labels import read_human_labels as read_human_labels
    from freeal_hf.kinds.labels import AuditPart as AuditPart
    from freeal_hf.kinds.labels import AuditQuestion as AuditQuestion
    from freeal_hf.kinds.labels import Crossed as Crossed
    from freeal_hf.kinds.labels import Measure as Measure
    from freeal_hf.kinds.registry import kind_of as kind_of
    from freeal_hf.labels.agreement import AltTest as AltTest
    from freeal_hf.labels.audit import AuditSample as AuditSample
    from freeal_hf.labels.entity_audit import EntityAudit as EntityAudit
    from freeal_hf.labels.entity_audit import JudgedEntities as JudgedEntities
    from freeal_hf.loop.audit import AuditResult as AuditResult
    from freeal_hf.loop.audit import LabelAudit as LabelAudit
    from freeal_hf.loop.audit import PeopleAudit as PeopleAudit
    from freeal_hf.loop.audit import draw_audit as draw_audit
    from freeal_hf.loop.audit import note_audit as note_audit
    from freeal_hf.loop.audit import score_audit as score_audit
    from freeal_hf.loop.callbacks import LoopCallback as LoopCallback
    from freeal_hf.loop.callbacks import RunState as RunState
    from freeal_hf.loop.engines import Engine as Engine
    from freeal_hf.loop.folder import RunFolder as RunFolder
    from freeal_hf.loop.freeal import FreeAL as FreeAL
    from freeal_hf.loop.results import RunResult as RunResult
    from freeal_hf.loop.results import load_result as load_result
    from freeal_hf.loop.rounds import Round as Round
    from freeal_hf.loop.stopping import StoppingRule as StoppingRule
    from freeal_hf.prediction.classifier import Classifier as Classifier
    from freeal_hf.prediction.predictor import PredictionOptions as PredictionOptions
    from freeal_hf.prediction.predictor import Predictor as Predictor
    from freeal_hf.prediction.tagger import EntityTagger as EntityTagger
    from freeal_hf.select.diversity import ContrastiveActiveLearning as ContrastiveActiveLearning
    from freeal_hf.select.diversity import CoreSet as CoreSet
    from freeal_hf.select.diversity import DiscriminativeActiveLearning as DiscriminativeActiveLearning
    from freeal_hf.select.diversity import EmbeddingKMeans as EmbeddingKMeans
    from freeal_hf.select.diversity import RandomSampling as RandomSampling
    from freeal_hf.select.llm import LLMSelection as LLMSelection
    from freeal_hf.select.pool import Pool as Pool
    from freeal_hf.select.pool import Selected as Selected
    from freeal_hf.select.pool import Strategy as Strategy
    from freeal_hf.select.pool import select_instances as select_instances
    from freeal_hf.select.uncertainty import BALD as BALD
    from freeal_hf.select.uncertainty import BreakingTies as BreakingTies
    from freeal_hf.select.uncertainty import LeastConfidence as LeastConfidence
    from freeal_hf.select.uncertainty import PredictionEntropy as PredictionEntropy
    from freeal_hf.tasks import Demonstration as Demonstration
    from freeal_hf.tasks import MultiLabelClassification as MultiLabelClassification
    from freeal_hf.tasks import Task as Task
    from freeal_hf.tasks import TextClassification as TextClassification
    from freeal_hf.tasks import TokenClassification as TokenClassification
    from freeal_hf.tasks import load_task as load_task
    from freeal_hf.tasks import task_from_dict as task_from_dict
    from freeal_hf.training.augmentation import BackTranslation as BackTranslation
    from freeal_hf.training.augmentation import MaskedSubstitution as MaskedSubstitution
    from freeal_hf.training.augmentation import TokenDropout as TokenDropout
    from freeal_hf.training.config import FreeALConfig as FreeALConfig
    from freeal_hf.training.objectives.base import Batch as Batch
    from freeal_hf.training.objectives.base import Evidence as Evidence
    from freeal_hf.training.objectives.base import Mixtures as Mixtures
    from freeal_hf.training.objectives.base import Objective as Objective
    from freeal_hf.training.selection import Selection as Selection
    from freeal_hf.training.selection import SelectionRules as SelectionRules
    from freeal_hf.training.selection import select_clean as select_clean
    from freeal_hf.training.trainer import FreeALTrainer as FreeALTrainer

__all__ = [*sorted(_PUBLIC), "__version__"]


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        warnings.warn(f"freeal_hf.{name} is now called {_RENAMED[name]}", DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    if name not in _PUBLIC:
        raise AttributeError(f"module 'freeal_hf' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
