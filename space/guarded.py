"""The command line of freeal-hf in a process that reaches public addresses only: `guarded.py TRUSTED ARGUMENTS...`."""

import json
import sys

from guard import forbid_private_connections

if __name__ == "__main__":
    forbid_private_connections(json.loads(sys.argv[1]))
    from freeal_hf.cli import main

    sys.exit(main(sys.argv[2:]))
