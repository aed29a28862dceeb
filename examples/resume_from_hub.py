"""Continues a run that was pushed to the Hub with one more round, on a machine that has none of its files.

Usage: hf auth login
       python examples/resume_from_hub.py ada/reviews-freeal runs/reviews [OPTION=VALUE ...]

Options replace those of the run. A student in a local folder is not on the Hub: give another one (student=FOLDER).
"""

import sys

from freeal_hf import FreeAL, PushToHubCallback, load_result, pull_run
from freeal_hf.hub.pull import input_of

dataset_id, output_dir, *changes = sys.argv[1:]
folder = pull_run(dataset_id, output_dir)
num_rounds = len(load_result(folder.path).rounds) + 1

options = dict(change.split("=", 1) for change in changes)
config = folder.config(num_rounds=num_rounds, output_dir=output_dir, **options)
loop = FreeAL.from_config(config, callbacks=[PushToHubCallback()])  # pushes the new round
result = loop.run(input_of(folder), resume=True)
print(result)
