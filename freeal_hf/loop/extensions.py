"""Optional parts of a run from the packages above the loop: an engine, and the push to the Hub.

The loop does not import these packages. It finds their entry points by name.
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
    """Returns the function that annotates with an engine and writes the answers to the cache.

    Args:
        engine (`EngineConfig`): The engine that annotates.

    Returns:
        `Callable`, *optional*: See `AnnotationContext.fill_cache`; `None` if this process annotates.
    """
    if engine.engine not in _ENGINES:
        return None
    return partial(resolve_name(_ENGINES[engine.engine]), config=engine)


def push_callbacks(args: "FreeALConfig", hub: HubConfig) -> list[LoopCallback]:
    """Returns the callback that pushes to the Hub, if `args.push_to_hub` is set.

    Args:
        args (`FreeALConfig`): The training arguments, with `push_to_hub`, the model repository and the token.
        hub (`HubConfig`): The settings of the push.
    """
    if not args.push_to_hub:
        return []
    private = args.hub_private_repo is not False
    return [resolve_name(_PUSH)(hub, model_id=args.hub_model_id, private=private, token=args.hub_token)]
