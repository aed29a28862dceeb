"""Runs commands and scripts in a process with the test Hub. It reads and writes lines of JSON until its input ends.

`HF_ENDPOINT` is read when huggingface_hub is imported, so the tests' own process cannot talk to a server of its own.
"""

import contextlib
import io
import json
import logging
import os
import runpy
import sys

from freeal_hf.cli.main import main


class _ToStderr(logging.Handler):
    """Logs to what `sys.stderr` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def serve() -> None:
    logging.basicConfig(handlers=[_ToStderr()])
    for line in sys.stdin:
        work = json.loads(line)
        os.environ["HF_TOKEN"] = work["token"]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(work["arguments"])
        print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}), flush=True)


def run(arguments: list[str]) -> int:
    """Runs a script if the first word is one, and otherwise a command of freeal-hf."""
    if not arguments[0].endswith(".py"):
        return main(arguments)
    sys.argv = arguments
    runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    serve()
