"""freeal-hf: an LLM labels, a small student learns without the noise, and the two teach each other (FreeAL)."""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> module that defines it. Nothing is imported before it is asked for, so that `import freeal_hf`
# and `freeal-hf --help` stay quick and a missing extra is felt only by those who use it.
_PUBLIC = {
    "Annotation": "freeal_hf.annotators.base",
    "AnnotationRequest": "freeal_hf.annotators.base",
    "Annotator": "freeal_hf.annotators.base",
    "AnnotatorError": "freeal_hf.errors",
    "BudgetExceeded": "freeal_hf.errors",
    "Choice": "freeal_hf.annotators.base",
    "ChoiceRequest": "freeal_hf.annotators.base",
    "Demonstration": "freeal_hf.tasks",
    "DoubtfulAnswersError": "freeal_hf.errors",
    "EmbeddingAnnotator": "freeal_hf.annotators.embedding",
    "EngineConfig": "freeal_hf.config",
    "FreeAL": "freeal_hf.loop.freeal",
    "FreeALConfig": "freeal_hf.training.config",
    "FreeALError": "freeal_hf.errors",
    "FreeALTrainer": "freeal_hf.training.trainer",
    "Generation": "freeal_hf.annotators.base",
    "GenerationRequest": "freeal_hf.annotators.base",
    "HubChanged": "freeal_hf.errors",
    "HubConfig": "freeal_hf.config",
    "HubError": "freeal_hf.errors",
    "InferenceEndpointsAnnotator": "freeal_hf.annotators.inference",
    "InputError": "freeal_hf.errors",
    "LLMAnnotator": "freeal_hf.annotators.llm",
    "LocalAnnotator": "freeal_hf.annotators.local",
    "LoopConfig": "freeal_hf.config",
    "Price": "freeal_hf.annotators.budget",
    "RefusedError": "freeal_hf.errors",
    "RunError": "freeal_hf.errors",
    "TGIAnnotator": "freeal_hf.annotators.tgi",
    "TextChooser": "freeal_hf.annotators.base",
    "TextGenerator": "freeal_hf.annotators.base",
    "TextClassification": "freeal_hf.tasks",
    "TokenClassification": "freeal_hf.tasks",
    "TransientError": "freeal_hf.errors",
    "load_task": "freeal_hf.tasks",
    "pull_run": "freeal_hf.hub.pull",
    "read_data": "freeal_hf.data.texts",
}

_RENAMED = {"TextGenerationAnnotator": "TGIAnnotator"}

if TYPE_CHECKING:
    from freeal_hf.annotators.base import Annotation as Annotation
    from freeal_hf.annotators.base import AnnotationRequest as AnnotationRequest
    from freeal_hf.annotators.base import Annotator as Annotator
    from freeal_hf.annotators.base import Choice as Choice
    from freeal_hf.annotators.base import ChoiceRequest as ChoiceRequest
    from freeal_hf.annotators.base import Generation as Generation
    from freeal_hf.annotators.base import GenerationRequest as GenerationRequest
    from freeal_hf.annotators.base import TextChooser as TextChooser
    from freeal_hf.annotators.base import TextGenerator as TextGenerator
    from freeal_hf.annotators.budget import Price as Price
    from freeal_hf.annotators.embedding import EmbeddingAnnotator as EmbeddingAnnotator
    from freeal_hf.annotators.inference import InferenceEndpointsAnnotator as InferenceEndpointsAnnotator
    from freeal_hf.annotators.llm import LLMAnnotator as LLMAnnotator
    from freeal_hf.annotators.local import LocalAnnotator as LocalAnnotator
    from freeal_hf.annotators.tgi import TGIAnnotator as TGIAnnotator
    from freeal_hf.config import EngineConfig as EngineConfig
    from freeal_hf.config import HubConfig as HubConfig
    from freeal_hf.config import LoopConfig as LoopConfig
    from freeal_hf.data.texts import read_data as read_data
    from freeal_hf.errors import AnnotatorError as AnnotatorError
    from freeal_hf.errors import BudgetExceeded as BudgetExceeded
    from freeal_hf.errors import DoubtfulAnswersError as DoubtfulAnswersError
    from freeal_hf.errors import FreeALError as FreeALError
    from freeal_hf.errors import HubChanged as HubChanged
    from freeal_hf.errors import HubError as HubError
    from freeal_hf.errors import InputError as InputError
    from freeal_hf.errors import RefusedError as RefusedError
    from freeal_hf.errors import RunError as RunError
    from freeal_hf.errors import TransientError as TransientError
    from freeal_hf.hub.pull import pull_run as pull_run
    from freeal_hf.loop.freeal import FreeAL as FreeAL
    from freeal_hf.tasks import Demonstration as Demonstration
    from freeal_hf.tasks import TextClassification as TextClassification
    from freeal_hf.tasks import TokenClassification as TokenClassification
    from freeal_hf.tasks import load_task as load_task
    from freeal_hf.training.config import FreeALConfig as FreeALConfig
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
