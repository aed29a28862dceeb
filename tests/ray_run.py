"""Annotates on its own Ray cluster: `python -m tests.ray_run URL FOLDER COUNT`. The test kills it."""

import json
import sys
from functools import partial
from pathlib import Path

from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.budget import Budget, Ledger
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.registry import build_annotator
from freeal_hf.annotators.work import annotation_work
from freeal_hf.config import EngineConfig
from freeal_hf.ray.annotation import fill_cache
from freeal_hf.tasks import TextClassification

TASK = TextClassification(["fruit", "tool"])
CONFIG = EngineConfig("ray", ray_workers=2, ray_shard_size=40)
CONCURRENCY = 4


def annotate(url: str, folder: Path, count: int, *, budget: Budget | None = None, config: EngineConfig = CONFIG):
    """Labels by text number, and the ledger; what is missing was not paid for."""
    requests = [AnnotationRequest(f"text number {i}", id=str(i)) for i in range(count)]
    make = partial(build_annotator, f"endpoint:{url}", options={"concurrency": CONCURRENCY, "api_key_env": "NO_KEY"})
    ledger, budget, labels = Ledger(owner="round-0"), budget or Budget(), {}
    folder.mkdir(exist_ok=True)
    with AnswerCache(folder / "cache.sqlite") as cache:
        annotator = make()
        fill_cache(
            annotator,
            TASK,
            requests,
            cache=cache,
            ledger=ledger,
            budget=budget,
            folder=folder / "shards",
            config=config,
            make_annotator=make,
            progress=lambda done: None,
        )
        for index, answer in run(
            annotation_work(annotator, TASK), requests, cache=cache, ledger=ledger, budget=budget
        ):
            labels[index] = answer.label
    return labels, ledger


def main(url: str, folder: str, count: str) -> None:
    labels, _ = annotate(url, Path(folder), int(count))
    (Path(folder) / "labels.json").write_text(json.dumps([labels[i] for i in range(int(count))]))


if __name__ == "__main__":
    main(*sys.argv[1:])
