"""The app of a Space on the Hub. It starts the web app of the package `freeal-hf`."""

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    # `freeal-hf space deploy --package` puts a wheel beside this file, and its requirements into requirements.txt.
    for wheel in Path(__file__).parent.glob("freeal_hf-*.whl"):
        options = ["--quiet", "--no-deps", "--force-reinstall"]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)

    from freeal_hf.web.__main__ import main

    main()
