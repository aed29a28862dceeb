"""Measures throughput and memory of the annotation driver, simple loops over two clients, and peers.

    python benchmarks/annotate.py [--requests 10000] [--latency 0.05] [--concurrency 256] [--repeats 3] [--refused 0.1]
        [--peer autolabel PYTHON 1000] [--peer distilabel PYTHON 10000]

The script starts `tests/servers/chat.py` in its own process on the last core. All sides run in turns on the other
cores, and a line is printed for each. The simple loops are a semaphore around `AsyncInferenceClient.chat_completion`
and around aiohttp's `ClientSession.post`, without cache, retries or parsing. `run` is also measured with a server that
answers 429 to a share of the requests at random (`--refused`). Peers run in their own environment (its Python, and
the number of requests); see `annotate_peers.py`.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import ClientSession, TCPConnector
from huggingface_hub import AsyncInferenceClient

from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.prompts.labels import annotation_messages, answer_schema, label_codes
from freeal_hf.annotators.work import annotation_work
from freeal_hf.tasks import Demonstration, TextClassification

ROOT = Path(__file__).parents[1]
MODEL = "tests/tiny-chat"
PEERS_MODEL = "gpt-3.5-turbo"  # a name that the peers know
TASK = TextClassification(
    {"positive": "the reviewer liked the film", "negative": "the reviewer did not like it"},
    description="Sentiment of one sentence from a film review.",
)
SHOTS = tuple(
    Demonstration(f"{'A joy' if i % 2 else 'A bore'} from start to finish, example number {i}.", i % 2)
    for i in range(4)
)


def requests(count: int) -> Iterator[AnnotationRequest]:
    """Texts of the length of a review's sentence."""
    for i in range(count):
        yield AnnotationRequest(
            f"Number {i}: a film that never finds its feet, but has its moments all the same.", SHOTS
        )


@contextmanager
def server(latency: float, refused: float = 0.0) -> Iterator[str]:
    """Starts the server in its own process, on the last core."""
    command = [sys.executable, str(ROOT / "tests/servers/chat.py"), "--latency", str(latency)]
    command += ["--faults", json.dumps({"429": refused})]
    command += ["--models", PEERS_MODEL, "--free-text", '{"labels": "positive"}']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(process.pid, cores[-1:])
    os.sched_setaffinity(0, cores[:-1] or cores)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        os.sched_setaffinity(0, cores)
        process.kill()
        process.wait()


def bare(url: str, count: int, concurrency: int, probabilities: bool) -> float:
    """Requests per second of a bare loop; the same messages, schema and log-probabilities."""
    logprobs = {"logprobs": True, "top_logprobs": 5} if probabilities else {}
    codes = label_codes(TASK, probabilities)
    response_format = {"type": "json_schema", "json_schema": {"name": "label", "schema": answer_schema(codes)}}

    async def main() -> float:
        client = AsyncInferenceClient(base_url=url, api_key="none", timeout=300)
        gate = asyncio.Semaphore(concurrency)

        async def one(request: AnnotationRequest) -> str:
            async with gate:
                output = await client.chat_completion(
                    annotation_messages(TASK, request, coded=probabilities),
                    model=MODEL,
                    max_tokens=64,
                    temperature=0.0,
                    seed=0,
                    response_format=response_format,
                    **logprobs,
                )
                return str(output.choices[0].message.content)

        async with client:
            started = time.perf_counter()
            await asyncio.gather(*(one(request) for request in requests(count)))
            return count / (time.perf_counter() - started)

    return asyncio.run(main())


def bare_aiohttp(url: str, count: int, concurrency: int, probabilities: bool) -> float:
    """Requests per second of a bare loop of aiohttp; the same messages, schema and log-probabilities."""
    codes = label_codes(TASK, probabilities)
    fields = {
        "model": MODEL,
        "max_tokens": 64,
        "temperature": 0.0,
        "seed": 0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "label", "schema": answer_schema(codes)}},
        **({"logprobs": True, "top_logprobs": 5} if probabilities else {}),
    }

    async def main() -> float:
        gate = asyncio.Semaphore(concurrency)

        async def one(request: AnnotationRequest) -> str:
            messages = annotation_messages(TASK, request, coded=probabilities)
            body = {"messages": messages, **fields}
            async with gate, session.post(f"{url}/v1/chat/completions", json=body) as answer:
                return str((await answer.json())["choices"][0]["message"]["content"])

        async with ClientSession(connector=TCPConnector(limit=0)) as session:
            started = time.perf_counter()
            await asyncio.gather(*(one(request) for request in requests(count)))
            return count / (time.perf_counter() - started)

    return asyncio.run(main())


def driven(url: str, count: int, concurrency: int, probabilities: bool) -> float:
    """Requests per second of `driver.run`, canary and cache on disk included."""
    annotator = InferenceEndpointsAnnotator(
        MODEL, base_url=url, concurrency=concurrency, timeout=300, probabilities=probabilities
    )
    with tempfile.TemporaryDirectory() as folder, AnswerCache(Path(folder) / "cache.sqlite") as cache:
        started = time.perf_counter()
        answered = sum(
            annotation.is_labelled
            for _, annotation in run(annotation_work(annotator, TASK), requests(count), cache=cache)
        )
        seconds = time.perf_counter() - started
    if answered != count:
        raise SystemExit(f"only {answered} of {count} texts got a label")
    return count / seconds


def peak_memory(url: str, count: int, concurrency: int) -> float:
    """Peak memory, in MB, of a process that annotates a number of texts."""
    command = [sys.executable, __file__, "--memory-of", str(count), "--url", url, "--concurrency", str(concurrency)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peer(name: str, python: str, url: str, count: int) -> float:
    """Requests per second of a peer in its own environment."""
    command = [python, str(ROOT / "benchmarks/annotate_peers.py"), name, url, str(count)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return next(float(line.split()[1]) for line in run.stdout.splitlines() if line.startswith("rate "))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--refused", type=float, default=0.1, help="share of answers that are 429")
    parser.add_argument("--no-probabilities", dest="probabilities", action="store_false", help="no log-probabilities")
    parser.add_argument("--memory", type=int, nargs="*", default=[1_000, 100_000], help="numbers of texts")
    parser.add_argument("--peer", nargs=3, action="append", default=[], metavar=("NAME", "PYTHON", "COUNT"))
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        driven(options.url, options.memory_of, options.concurrency, options.probabilities)
        # not ru_maxrss, which begins with what the parent process held
        peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(int(peak.split()[1]) / 1024)
        return
    sides = {"bare loop": bare, "bare aiohttp": bare_aiohttp, "run": driven}
    with server(options.latency) as url:
        rates: dict[str, list[float]] = {name: [] for name in sides}
        processor: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.repeats):
            for name, side in sides.items():
                before = time.process_time()
                rates[name].append(side(url, options.requests, options.concurrency, options.probabilities))
                processor[name].append(1000 * (time.process_time() - before) / options.requests)
                print(f"{name:<16}{rates[name][-1]:8.0f} requests/s{processor[name][-1]:8.2f} ms CPU each", flush=True)
        for name, python, count in options.peer:
            rates[name] = [peer(name, python, url, int(count))]
            print(f"{name:<16}{rates[name][-1]:8.0f} requests/s", flush=True)
        memory = {count: peak_memory(url, count, options.concurrency) for count in options.memory}
    with server(options.latency, options.refused) as url:
        rates["run, with 429"] = [
            driven(url, options.requests, options.concurrency, options.probabilities) for _ in range(options.repeats)
        ]
    medians = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    summary = {
        "median_requests_per_second": medians,
        "median_cpu_ms_per_request": {name: round(statistics.median(values), 3) for name, values in processor.items()},
        "run_over": {name: round(medians["run"] / rate, 2) for name, rate in medians.items()},
        "peak_memory_mb": memory,
    }
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
