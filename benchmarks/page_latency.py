"""Measures how long the web app takes to answer while a run trains. It needs `freeal-hf[space,demo]` and no network.

It starts the web app, opens the finished example, and calls the functions of the page in turn, before a run of the
example's messages and while it trains. Each call waits for its result, as a visitor does.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
from gradio_client import Client

Seconds = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20, help="calls of each function (default: 20)")
    repeats = parser.parse_args().repeats
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "FREEAL_SPACE_DATA_DIR": folder, "FREEAL_SPACE_VISITOR_RUNS": "100"}
        command = [sys.executable, "-m", "freeal_hf", "space", "--port", str(port)]
        server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            report(*measure(f"http://127.0.0.1:{port}", repeats))
        finally:
            server.terminate()
            server.wait(30)


def measure(url: str, repeats: int) -> tuple[Seconds, Seconds]:
    """Returns the seconds of each call, by its name, before a run and while it trains."""
    call = connect(url).predict
    example = call(api_name="/open_example")["run"]
    first = call(example, api_name="/texts_to_check")[0]["id"]
    run = call(example=True, api_name="/read_data")["run"]
    call(run, api_name="/use_data")
    call(run, {"delivery": "", "refund": "", "quality": "", "other": ""}, api_name="/describe_task")
    calls: dict[str, Callable[[], Any]] = {
        "the page": lambda: httpx.get(url, timeout=60).raise_for_status(),
        "open the example": lambda: call(api_name="/open_example"),
        "read the data": lambda: call(example=True, api_name="/read_data"),
        "progress of the run": lambda: call(run, api_name="/status"),
        "results": lambda: call(example, api_name="/results"),
        "texts to check": lambda: call(example, api_name="/texts_to_check"),
        "correct a text": lambda: call(example, first, "delivery", api_name="/correct"),
        "download the table": lambda: call(example, "Table", api_name="/download"),
    }
    for one in calls.values():
        one()  # the first call loads libraries, before any visitor comes
    before = timed(calls, repeats)
    call(run, rounds=2, api_name="/start")
    while (call(run, api_name="/status")["progress"] or {}).get("phase") != "training":
        time.sleep(1)
    during = timed(calls, repeats)
    print(f"After the last call the run was {call(run, api_name='/status')['state']}.\n")
    call(run, api_name="/stop")
    return before, during


def timed(calls: dict[str, Callable[[], Any]], repeats: int) -> Seconds:
    """Makes each call several times."""
    seconds = defaultdict(list)
    for _ in range(repeats):
        for name, one in calls.items():
            started = time.perf_counter()
            one()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def connect(url: str) -> Client:
    """Waits for the server."""
    for _ in range(240):
        try:
            return Client(url, verbose=False)
        except Exception:
            time.sleep(0.5)
    raise TimeoutError(url)


def report(before: Seconds, during: Seconds) -> None:
    """Prints the medians and the longest times as a table."""
    print("| call | before the run | while it trains |\n|---|---|---|")
    for name in before:
        cells = [f"{np.median(one[name]):.2f} s (longest {max(one[name]):.2f} s)" for one in (before, during)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
