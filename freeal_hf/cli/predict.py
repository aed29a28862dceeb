"""The command `predict`: labels the texts of a file of any size with a trained student."""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from freeal_hf.cli.options import add_options, data_source, quiet_libraries, reading
from freeal_hf.config import EngineConfig, ReadingConfig, section
from freeal_hf.data.counting import counted
from freeal_hf.errors import InputError


def add_predict(commands: Any) -> None:
    """Adds the command `predict`."""
    predict = commands.add_parser(
        "predict",
        help="label texts with a trained student",
        description="Labels the texts of a file with a trained student. The file can be larger than memory.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    predict.add_argument("--model", required=True, metavar="DIR", help="folder (OUTPUT_DIR/student) or Hub id")
    predict.add_argument("--output", required=True, metavar="FILE", help="CSV file to write")
    predict.add_argument("--batch-size", type=int, default=64, metavar="N", help="texts in a batch (default: 64)")
    predict.add_argument(
        "--top-k", type=int, default=1, metavar="K", help="number of most probable labels to write (default: 1)"
    )
    predict.add_argument(
        "--probabilities", action="store_true", default=False, help="write a column probability_LABEL for each label"
    )
    predict.add_argument(
        "--embeddings", action="store_true", default=False, help="write a column embedding with JSON lists"
    )
    # A student makes no calls, so there is no limit for them.
    add_options(predict.add_argument_group("engine"), EngineConfig, without=["ray_calls_per_minute"])
    data = predict.add_argument_group("data", "Default: the columns on which the student was trained.")
    add_options(data, ReadingConfig)


def predict(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Runs the command.

    Raises:
        InputError: If the model or the data cannot be used, or the output cannot be written.
    """
    values = vars(options)
    source, output = data_source(values), Path(values["output"])
    if Path(str(source)).is_file() and output.exists() and output.samefile(str(source)):
        raise InputError(f"--output {str(output)!r} is the file of the texts and would be overwritten; give another.")
    quiet_libraries()
    from freeal_hf.kinds.registry import kind_of_student
    from freeal_hf.prediction.predictor import PredictionOptions, write_predictions

    model, engine = str(values["model"]), section(EngineConfig, values)
    written = PredictionOptions(**{item.name: values[item.name] for item in fields(PredictionOptions)})
    predictor = kind_of_student(model).predictor(model, written)
    rows = predictor.read(source, **reading(values, predictor.text_columns))
    try:
        if engine.engine == "ray":
            from freeal_hf.ray.prediction import write_predictions_on_ray

            labelled, count = write_predictions_on_ray(output, model, written, predictor.header, rows, engine)
        else:
            labelled, count = write_predictions(output, predictor, rows)
    except OSError as error:
        raise InputError(f"The predictions cannot be written to {str(output)!r}: {error.strerror}.") from error
    print(f"{labelled} of {counted(count, 'text')} labelled: {output}")
