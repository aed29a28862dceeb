"""Measures the throughput of peers on the requests of `benchmarks/annotate.py`. Run it with the Python of the peer.

    python benchmarks/annotate_peers.py autolabel  URL COUNT      # pip install "refuel-autolabel[openai]" "openai<1"
    python benchmarks/annotate_peers.py distilabel URL COUNT      # pip install "distilabel[openai]"

`benchmarks/annotate.py --peer NAME=PYTHON ...` calls it with the same server. Each peer is set up as its documentation
shows for an OpenAI-compatible server, without further tuning, and prints its requests per second.
"""

import os
import sys
import tempfile
import time

LABELS = {"positive": "the reviewer liked the film", "negative": "the reviewer did not like it"}
GUIDE = "Sentiment of one sentence from a film review."
MODEL = "gpt-3.5-turbo"


def texts(count: int) -> list[str]:
    """The texts of `annotate.py`."""
    return [f"Number {i}: a film that never finds its feet, but has its moments all the same." for i in range(count)]


def run_autolabel(url: str, count: int) -> float:
    """Requests per second of autolabel's `LabelingAgent.run`."""
    os.environ.update(OPENAI_API_KEY="none", OPENAI_API_BASE=f"{url}/v1")
    import pandas as pd
    import tiktoken
    from autolabel import AutolabelDataset, LabelingAgent

    class Words:
        encode = staticmethod(str.split)

    tiktoken.encoding_for_model = lambda name: Words  # its vocabulary comes from the network; it only counts costs
    config = {
        "task_name": "Sentiment",
        "task_type": "classification",
        "dataset": {"label_column": "label", "delimiter": ","},
        "model": {"provider": "openai", "name": MODEL},
        "prompt": {"task_guidelines": GUIDE, "labels": list(LABELS), "example_template": "{text}\n{label}"},
    }
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        agent = LabelingAgent(config=config, cache=False, console_output=False)
        dataset = AutolabelDataset(pd.DataFrame({"text": texts(count), "label": "positive"}), config=config)
        started = time.perf_counter()
        agent.run(dataset)
        return count / (time.perf_counter() - started)


def run_distilabel(url: str, count: int) -> float:
    """Requests per second of a distilabel pipeline with `TextClassification`, batches of 256."""
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import TextClassification

    with tempfile.TemporaryDirectory() as folder, Pipeline(name="sentiment", cache_dir=folder) as pipeline:
        load = LoadDataFromDicts(data=[{"text": text} for text in texts(count)], batch_size=256)
        llm = OpenAILLM(model=MODEL, base_url=f"{url}/v1", api_key="none", generation_kwargs={"max_new_tokens": 64})
        load >> TextClassification(
            llm=llm,
            context=GUIDE,
            available_labels=LABELS,
            use_default_structured_output=False,
            input_batch_size=256,
        )
        started = time.perf_counter()
        pipeline.run(use_cache=False)
        return count / (time.perf_counter() - started)


if __name__ == "__main__":
    peers = {"autolabel": run_autolabel, "distilabel": run_distilabel}
    rate = peers[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
    print(f"rate {rate:.1f}")
