"""The command `predict`: labels the texts of a file of any size with a trained student."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from freeal_hf.cli.command import Command
from freeal_hf.cli.options import output_beside, quiet_libraries, writing
from freeal_hf.config import EngineConfig, ReadingConfig, WorkersConfig, option, section
from freeal_hf.data.configured import data_source, reading
from freeal_hf.data.counting import counted


@dataclass
class PredictOptions:
    """What `predict` writes."""

    model: str = option(required=True, help="folder (OUTPUT_DIR/student) or Hub id", metavar="DIR")
    output: str = option(required=True, help="CSV file to write", metavar="FILE")
    batch_size: int = option(64, help="texts in a batch", metavar="N")
    top_k: int = option(1, help="number of most probable labels to write", metavar="K")
    probabilities: bool = option(False, action="store_true", help="write a column probability_LABEL for each label")
    embeddings: bool = option(False, action="store_true", help="write a column embedding with JSON lists")


def _predict(given: dict[str, Any], _: Sequence[str]) -> None:
    options, data, engine = section(PredictOptions, given), section(ReadingConfig, given), section(EngineConfig, given)
    source, output = data_source(data), output_beside(data, options.output)
    quiet_libraries()
    from freeal_hf.kinds.registry import kind_of_student
    from freeal_hf.prediction.predictor import PredictionOptions, write_predictions

    model = options.model
    written = section(PredictionOptions, vars(options))
    predictor = kind_of_student(model).predictor(model, written)
    rows = predictor.read(source, **reading(data, predictor.text_columns))
    with writing(output, "predictions"):
        if engine.engine == "ray":
            from freeal_hf.ray.prediction import write_predictions_on_ray

            labelled, count = write_predictions_on_ray(output, model, written, predictor.header, rows, engine)
        else:
            labelled, count = write_predictions(output, predictor, rows)
    print(f"{labelled} of {counted(count, 'text')} labelled: {output}")


PREDICT = Command(
    "predict",
    help="label texts with a trained student",
    description="Labels the texts of a file with a trained student. The file can be larger than memory.",
    run=_predict,
    groups={"": [PredictOptions], "engine": [WorkersConfig], "data": [ReadingConfig]},
    about_groups={"data": "Default: the columns on which the student was trained."},
)
