"""Processes shards, on a disk that all nodes share, with the workers of a Ray cluster.

Ray Data distributes the shards, replaces lost workers and processes their shards again.
"""

import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from freeal_hf.config import EngineConfig
from freeal_hf.errors import InputError

_OBJECT_STORE_BYTES = 200_000_000  # it contains names of shards, and no texts


def check_ray() -> None:
    """Refuses to continue if Ray is not installed.

    Raises:
        InputError: If it is not installed.
    """
    if find_spec("ray") is None:
        raise InputError("The engine ray needs Ray: pip install 'freeal-hf[ray]'.")


@contextmanager
def cluster(config: EngineConfig) -> Iterator[None]:
    """Connects to the cluster, or starts one on this machine, until the context ends.

    An existing connection of the caller is used and is not closed.

    Args:
        config (`EngineConfig`): The cluster and the number of workers.

    Raises:
        InputError: If there is no cluster at its address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics are sent
    import ray

    if ray.is_initialized():
        yield
        return
    on_sigterm = signal.getsignal(signal.SIGTERM)
    if config.ray_address is not None:
        try:
            ray.init(address=config.ray_address, log_to_driver=False)
        except (ConnectionError, ValueError) as error:
            raise InputError(
                f"There is no Ray cluster at {config.ray_address!r} ({error}); start one with `ray start --head`, or "
                "leave --ray-address out to start one on this machine."
            ) from error
    else:
        ray.init(
            address="local",
            num_cpus=config.ray_workers + 1,  # one for the account
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
        )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray sets a handler that ends with the exit code 15
    try:
        yield
    finally:
        ray.shutdown()


def over_shards(
    shards: Sequence[Path], worker: type, config: EngineConfig, **arguments: Any
) -> Generator[dict[str, Any], None, None]:
    """Processes each shard with one of the workers. The shard of a lost worker is processed by another.

    Close the generator if it is not exhausted: Ray Data fails if it ends after the connection to its cluster.

    Args:
        shards (`Sequence[Path]`): Files, on a disk that all nodes share.
        worker (`type`):
            A class with one instance in each worker process. Called with `{"shard": path}`, it returns a row of
            results.
        config (`EngineConfig`): The number of workers, and the resources of each.
        **arguments: Arguments of `worker`.

    Yields:
        `dict`: The workers' rows, in the order in which they are complete.
    """
    if not shards:
        return
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    names = ray.data.from_items([{"shard": str(path)} for path in shards], override_num_blocks=len(shards))
    rows = names.map(
        worker,
        fn_constructor_kwargs=arguments,
        compute=ray.data.ActorPoolStrategy(size=min(config.ray_workers, len(shards)), max_tasks_in_flight_per_actor=1),
        num_cpus=1,
        num_gpus=config.ray_gpus_per_worker or None,
    )
    yield from rows.iter_rows()
