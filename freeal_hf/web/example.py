"""The finished run that the page opens with "Try the example".

`python -m freeal_hf.web.example` makes it again. The file has no student, because its weights are large.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from freeal_hf.config import RunConfig
from freeal_hf.loop.folder import CACHE, CONFIG
from freeal_hf.web import choices, reading
from freeal_hf.web.settings import Settings
from freeal_hf.web.store import FINISHED, Run, Store
from freeal_hf.web.views.registry import view_of

_FILE = "finished_run.zip"
_RECORD = "record.json"
_TABLE = "upload.csv"
_LEFT_OUT = ("student", "training", ".lock")


def open_example(store: Store, settings: Settings, visitor: str = "") -> Run:
    """Makes a copy of the finished run for a visitor, who can change it like any other run.

    Args:
        store (`Store`): The runs.
        settings (`Settings`): The limits and the students.
        visitor (`str`): The address of the visitor.

    Returns:
        `Run`: The finished run.
    """
    run = store.create(visitor)
    with zipfile.ZipFile(str(files("freeal_hf.demo") / _FILE)) as archive:
        record = json.loads(archive.read(_RECORD))
        archive.extractall(run.folder, [name for name in archive.namelist() if name != _RECORD])
    reading.write_example(run.folder / _TABLE, settings.max_rows)
    choice = replace(choices.Choice(**record["choice"]), student=next(iter(settings.students)))
    run = store.update(run.id, data=record["data"], task=record["task"], choice={"choice": choice.__dict__})
    choices.write_request(run, choice, settings)  # for another round with corrected labels
    RunConfig.from_yaml(run.request).to_yaml(run.output / CONFIG)
    return store.update(run.id, state=FINISHED, is_example=True)


def build_example(path: Path) -> None:
    """Runs the example as the page does, and writes the finished run.

    Args:
        path (`Path`): The ZIP file to write.
    """
    view = view_of({})
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=folder)
        store = Store(settings.folder / "runs")
        run = store.create()
        reading.write_example(run.folder / _TABLE, settings.max_rows)
        table = reading.read_file(run.folder / _TABLE, settings)
        reading.write_texts(table, ["text"], "gold", run.texts, settings)
        data = {
            "source": reading.EXAMPLE,
            "file": _TABLE,
            "layout": {},
            "has_words": False,
            "text_columns": ["text"],
            "gold_column": "gold",
            "chosen_columns": [["text"], "gold"],
            "labels": reading.label_names(table, "gold")[0],
        }
        run = store.update(run.id, data=data, task=view.example().to_dict())
        choice = choices.check_choice(settings, choices.EMBEDDED, "", "", next(iter(settings.students)), 2, 1)
        choices.write_request(run, choice, settings)
        subprocess.run([sys.executable, "-m", "freeal_hf", "run", str(run.request)], check=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            record = {"data": run.data, "task": run.task, "choice": choice.__dict__}
            archive.writestr(_RECORD, json.dumps(record))
            for file in [run.texts, *sorted(run.output.rglob("*"))]:
                parts = file.relative_to(run.folder).parts
                if file.is_file() and not set(parts) & set(_LEFT_OUT) and not file.name.startswith(CACHE):
                    archive.write(file, Path(*parts))


if __name__ == "__main__":
    build_example(Path(str(files("freeal_hf.demo") / _FILE)))
