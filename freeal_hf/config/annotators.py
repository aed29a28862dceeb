"""The sections `annotators` and `engine` of a configuration, and the budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from freeal_hf.config.options import check_values, option
from freeal_hf.errors import InputError


def named_values(given: Sequence[str]) -> dict[str, Any]:
    """Returns the keyword arguments of `--annotator-option`.

    Args:
        given (`Sequence[str]`): The values of the option.

    Raises:
        InputError: If a value does not have the form `NAME=VALUE`.

    Example:

        >>> named_values(["concurrency=8", "api-key-env=MY_KEY"])
        {'concurrency': 8, 'api_key_env': 'MY_KEY'}
    """
    options = {}
    for one in given:
        name, mark, value = one.partition("=")
        if not (name and mark):
            raise InputError(f"--annotator-option {one!r} must have the form NAME=VALUE.")
        options[name.strip().replace("-", "_")] = yaml.safe_load(value)
    return options


@dataclass
class AnnotatorConfig:
    """The annotators.

    Args:
        annotator (`str` or `Mapping`, *optional*): The annotators by name; for objects, a description of them.
        refine_annotator (`str` or `Mapping`, *optional*): The annotator for later rounds.
        annotator_options (`dict`, *optional*): The arguments of an annotator that is given by name.
    """

    annotator: str | Mapping[str, Any] | None = option(
        help="embedding (default), endpoint:MODEL|NAME|URL, anthropic:, batch:, tgi:, local:, zero-shot:, column:A,B",
        metavar="SPEC",
        action="append",
    )
    refine_annotator: str | Mapping[str, Any] | None = option(
        help="annotator for the noisy texts of later rounds, the most disputed texts first", metavar="SPEC"
    )
    annotator_options: dict[str, Any] = option(
        {},
        flag="--annotator-option",
        help="argument of the annotator, repeatable: api_key_env=MY_KEY, provider=..., concurrency=32",
        metavar="NAME=VALUE",
        action="append",
    )

    def __post_init__(self) -> None:
        if isinstance(self.annotator, list):  # the option is repeatable
            self.annotator = " + ".join(self.annotator)
        if isinstance(self.annotator_options, list):
            self.annotator_options = named_values(self.annotator_options)
        self.annotator_options = dict(self.annotator_options or {})


@dataclass(kw_only=True)
class BudgetConfig:
    """What the annotator may cost.

    Args:
        max_cost (`float`, *optional*): The maximum cost of the annotator, in dollars.
        max_tokens (`int`, *optional*): The maximum number of tokens that the annotator reads and writes.
        prices (`str`, *optional*): YAML file `MODEL: {prompt: DOLLARS, completion: DOLLARS}`, per million tokens.
    """

    max_cost: float | None = option(help="maximum cost of the annotator, in dollars", metavar="X", resumable=True)
    max_tokens: int | None = option(help="maximum number of tokens read and written", metavar="N", resumable=True)
    prices: str | None = option(
        help="YAML file with prices of models for a million tokens",
        metavar="FILE",
        none="prices of the Hub",
        local=True,
        resumable=True,
    )


@dataclass
class WorkersConfig:
    """Whether this process does the work, or the workers of a Ray cluster. It never changes a label.

    Args:
        engine (`str`, *optional*, defaults to `"local"`): `"local"`, or `"ray"` (needs `freeal-hf[ray]`).
        ray_address (`str`, *optional*): The address of a cluster (`"auto"`: that of this machine). By default a
            cluster is started.
        ray_workers (`int`, *optional*, defaults to 2): The number of worker processes.
        ray_gpus_per_worker (`float`, *optional*, defaults to 0.0): The GPUs of a worker, for a model in its process.
        ray_shard_size (`int`, *optional*, defaults to 5000): The number of texts that a worker takes at a time.

    Raises:
        InputError: If a value cannot be used.
    """

    engine: str = option(
        "local",
        help="this process or a Ray cluster",
        choices=("local", "ray"),
        local=True,
        resumable=True,
    )
    ray_address: str | None = option(
        help="cluster address, or auto", none="a new cluster", metavar="X", local=True, resumable=True
    )
    ray_workers: int = option(2, help="number of worker processes", least=1, local=True, resumable=True)
    ray_gpus_per_worker: float = option(0.0, help="GPUs for each worker", local=True, resumable=True)
    ray_shard_size: int = option(5000, help="number of texts in a shard", least=1, local=True, resumable=True)

    def __post_init__(self) -> None:
        check_values(self)


@dataclass
class EngineConfig(WorkersConfig):
    """The engine that annotates. Each worker of a cluster has the concurrency of the annotator.

    Args:
        engine (`str`, *optional*, defaults to `"local"`): `"local"`, `"ray"` (needs `freeal-hf[ray]`), or an engine
            that another package registers, see [`Engine`].
        ray_address, ray_workers, ray_gpus_per_worker, ray_shard_size (*optional*): See [`WorkersConfig`].
        ray_calls_per_minute (`float`, *optional*): The maximum number of calls of all workers together.

    Raises:
        InputError: If a value cannot be used.
    """

    engine: str = option("local", help="local, ray, or that of a package", metavar="X", local=True, resumable=True)
    ray_calls_per_minute: float | None = option(
        help="calls a minute of all workers, at most",
        metavar="X",
        above=0,
        local=True,
        resumable=True,
    )
