"""Runs the command line as a process of the web app: `python -m freeal_hf.web.guarded TRUSTED LIFELINE ARGUMENTS...`.

The process can only connect to public addresses, and stops when the server ends for any reason.
"""

import json
import os
import signal
import sys
import threading
import time

from freeal_hf.web.guard import forbid_private_connections

_NICE = 10  # the page answers although a run uses all cores
_GRACE = 15.0  # seconds between the request to stop and killing the process


def stop_without_server(lifeline: int) -> None:
    """Waits until the server has ended, and then stops this process and its children.

    Args:
        lifeline (`int`): The read end of a pipe. Only the server has its write end, and never writes to it.
    """
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    os.nice(_NICE)
    threading.Thread(target=stop_without_server, args=(int(sys.argv[2]),), daemon=True).start()
    forbid_private_connections(json.loads(sys.argv[1]))
    from freeal_hf.cli.main import main

    sys.exit(main(sys.argv[3:]))
