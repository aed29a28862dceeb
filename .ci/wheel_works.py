"""Runs the installed wheel: the demo, and the web app. Called by `make dist`."""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

COMMAND = str(Path(sys.executable).with_name("freeal-hf"))
PORT = 7899


def is_up() -> bool:
    """Returns whether the page of the web app is served."""
    try:
        with urlopen(f"http://127.0.0.1:{PORT}/") as page:
            return b"gradio" in page.read()
    except URLError:
        return False


with TemporaryDirectory() as folder:
    place = [sys.executable, "-c", "import freeal_hf; print(freeal_hf.__file__)"]
    imported = subprocess.run(place, cwd=folder, check=True, capture_output=True, text=True).stdout
    assert Path(sys.prefix).resolve() in Path(imported).resolve().parents, f"{imported} is not of the wheel"
    subprocess.run([COMMAND, "demo", "--quick", "--output-dir", "demo"], cwd=folder, check=True)
    app = subprocess.Popen([COMMAND, "space", "--port", str(PORT)], cwd=folder)
    try:
        while not is_up():
            assert app.poll() is None, "the web app has ended"
            time.sleep(0.5)
    finally:
        app.terminate()
        app.wait()
print("The wheel works: the demo has finished, and the web app has started.")
