"""What a run takes from the packages above the loop if it asks for it: an engine, the push to the Hub.

The loop imports none of these packages. It finds their entry points by name.
"""

from collections.abc import Callable
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from freeal_hf.config import EngineConfig, HubConfig
from freeal_hf.loop.callbacks import LoopCallback

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig

_ENGINES = {"ray": "freeal_hf.ray.annotation:fill_cache"}
_PUSH = "freeal_hf.hub.callback:PushToHubCallback"


def cache_filler(engine: EngineConfig) -> Callable[..., None] | None:
    """The function with which an engine answers requests into the cache.

    Args:
        engine (`EngineConfig`): Where texts are annotated.

    Returns:
        `Callable`, *optional*: See `AnnotationContext.fill_cache`; `None` if this process annotates.
    """
    if engine.engine not in _ENGINES:
        return None
    return partial(resolve_name(_ENGINES[engine.engine]), config=engine)


def push_callbacks(args: "FreeALConfig", hub: HubConfig) -> list[LoopCallback]:
    """The callback that pushes to the Hub, if `args.push_to_hub` is set.

    Args:
        args (`FreeALConfig`): Whether to push, to which model repository, and with which token.
        hub (`HubConfig`): What is pushed, and how.
    """
    if not args.push_to_hub:
        return []
    private = args.hub_private_repo is not False
    return [resolve_name(_PUSH)(hub, model_id=args.hub_model_id, private=private, token=args.hub_token)]
