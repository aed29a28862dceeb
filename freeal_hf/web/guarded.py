"""The command line as a process of the web app: `python -m freeal_hf.web.guarded TRUSTED LIFELINE ARGUMENTS...`.

The process reaches public addresses only, and it stops when the server is gone, however the server ended.
"""

import json
import os
import signal
import sys
import threading
import time

from freeal_hf.web.guard import forbid_private_connections

_GRACE = 15.0  # seconds between asking this process to stop and killing it


def stop_without_server(lifeline: int) -> None:
    """Waits until the server is gone, then stops this process and its children.

    Args:
        lifeline (`int`): Read end of a pipe whose write end only the server holds and never writes to.
    """
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=stop_without_server, args=(int(sys.argv[2]),), daemon=True).start()
    forbid_private_connections(json.loads(sys.argv[1]))
    from freeal_hf.cli.main import main

    sys.exit(main(sys.argv[3:]))
