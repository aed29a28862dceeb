"""Starts the web app: `python -m freeal_hf.web`."""

import os
import signal

from freeal_hf.web.settings import read_settings


def main() -> None:
    """Serves the web app until a signal ends it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the process at once as long as there are no runs
    settings = read_settings(os.environ)
    # Gradio reads both variables when it is imported. Uploaded files are deleted with their runs.
    os.environ["GRADIO_TEMP_DIR"] = str(settings.folder / "files")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from freeal_hf.web.app import serve

    serve(settings)


if __name__ == "__main__":
    main()
