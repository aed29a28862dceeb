"""The command `predict`: labels the texts of a file of any size with a trained student."""

import argparse
from collections.abc import Sequence
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
    from freeal_hf.prediction.tagger import labels_words

    try:
        write = _predict_entities if labels_words(values["model"]) else _predict_labels
        labelled, rows = write(values, source, output)
    except OSError as error:
        raise InputError(f"The predictions cannot be written to {str(output)!r}: {error.strerror}.") from error
    print(f"{labelled} of {counted(rows, 'text')} labelled: {output}")


def _predict_entities(values: dict[str, Any], source: Any, output: Path) -> tuple[int, int]:
    from freeal_hf.data.sentences import read_sentences
    from freeal_hf.prediction.tagger import EntityTagger, write_entities

    if values["top_k"] != 1 or values["probabilities"] or values["embeddings"]:
        raise InputError(
            "--top-k, --probabilities and --embeddings are for labels of texts; this student finds entities."
        )
    if values.get("engine", "local") != "local":
        raise InputError(f"--engine {values['engine']} is for labels of texts; this student finds entities.")
    tagger = EntityTagger(values["model"], batch_size=values["batch_size"])
    return write_entities(output, tagger, read_sentences(source, **reading(values)))


def _predict_labels(values: dict[str, Any], source: Any, output: Path) -> tuple[int, int]:
    from freeal_hf.data.texts import stream_texts
    from freeal_hf.prediction.classifier import Classifier, Columns, write_predictions

    engine = section(EngineConfig, values)
    classifier = Classifier(values["model"], batch_size=values["batch_size"])
    columns = Columns(classifier.label_names, values["top_k"], values["probabilities"], values["embeddings"])
    texts = stream_texts(source, **reading(values, classifier.text_columns))
    if engine.engine == "ray":
        from freeal_hf.ray.prediction import write_predictions_on_ray

        model, batch_size = str(values["model"]), values["batch_size"]
        return write_predictions_on_ray(output, model, columns, texts, batch_size=batch_size, config=engine)
    return write_predictions(output, classifier, texts, columns)
