import csv
import json
import os
import subprocess
import sys

import pytest
import yaml

from freeal_hf import FreeAL, FreeALConfig, TextClassification
from freeal_hf.cli.main import main

TRAINING = [
    *("--num-train-epochs", "7", "--warm-up-epochs", "4", "--per-device-train-batch-size", "8"),
    *("--learning-rate", "2e-3", "--disable-tqdm", "true"),
]


@pytest.fixture(scope="module")
def data(corpus, tmp_path_factory):
    """The corpus with another system's labels in the column `llm`: right but for every ninth."""
    path = tmp_path_factory.mktemp("data") / "corpus.csv"
    other = {"fruit": "tool", "tool": "fruit"}
    rows = [{**row, "llm": other[row["gold"]] if i % 9 == 0 else row["gold"]} for i, row in enumerate(corpus)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=["text", "gold", "llm"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def arguments(data, student, folder, *more):
    return [
        *("run", "--data", str(data), "--labels", "fruit,tool", "--annotator", "column:llm"),
        *("--student", str(student), "--output-dir", str(folder), *TRAINING, *more),
    ]


@pytest.fixture(scope="module")
def finished(data, student_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(arguments(data, student_folder, folder, "--gold-column", "gold")) == 0
    return folder


def test_run_writes_all_files_and_prints_the_table(data, student_folder, tmp_path, capsys):
    assert main(arguments(data, student_folder, tmp_path / "run", "--gold-column", "gold", "--num-rounds", "1")) == 0
    printed = capsys.readouterr().out
    assert "final label" in printed
    assert str(tmp_path / "run") in printed
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())[0]["annotator_accuracy"] == pytest.approx(
        71 / 80
    )


def test_json_prints_only_an_object_with_the_metrics(data, student_folder, finished, capsys):
    assert main(arguments(data, student_folder, finished, "--gold-column", "gold", "--json")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["rounds"] == json.loads((finished / "metrics.json").read_text())
    assert printed["output_dir"] == str(finished)


def test_quiet_prints_the_table_and_no_progress(data, student_folder, tmp_path, capfd, caplog):
    words = arguments(
        data, student_folder, tmp_path / "run", "--num-rounds", "1", "--disable-tqdm", "false", "--quiet"
    )
    assert main(words) == 0
    out, err = capfd.readouterr()
    assert "final label" in out or "estimated" in out
    assert "%|" not in err
    assert not [record for record in caplog.records if record.levelname == "INFO"]


def test_json_is_refused_with_an_estimate(data, student_folder, tmp_path, capsys):
    assert main(arguments(data, student_folder, tmp_path / "run", "--json", "--estimate")) == 1
    assert "leave it out with --estimate" in capsys.readouterr().err


def test_training_fields_are_options(finished):
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["training"]["per_device_train_batch_size"] == 8
    assert config["training"]["learning_rate"] == 2e-3


def test_the_written_configuration_gives_the_same_labels(finished, tmp_path):
    again = tmp_path / "again"
    assert main(["run", str(finished / "config.yaml"), "--output-dir", str(again)]) == 0
    assert (again / "labels.csv").read_text() == (finished / "labels.csv").read_text()


def test_options_override_the_configuration_file(finished, tmp_path):
    other = tmp_path / "other"
    assert main(["run", str(finished / "config.yaml"), "--output-dir", str(other), "--num-rounds", "1"]) == 0
    assert len(json.loads((other / "metrics.json").read_text())) == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "nowhere.csv"], "no data file 'nowhere.csv'"),
        (["--task", "nowhere.yaml"], "either --task or --labels"),
        (["--annotator", "oracle"], "no annotator 'oracle'"),
        (["--annotator", "column:gpt"], "no column 'gpt'"),
        (["--labels", "apple,saw"], "Column 'llm': none of 80 values are labels of the task"),
        (["--text-columns", "body"], "no column 'body'"),
        (["--num-rounds", "0"], "num_rounds is 0"),
        (["--delimiter", "ab"], "delimiter 'ab' is not one character"),
        (["--student", "/no/such/student"], "student '/no/such/student' cannot be loaded"),
        (["--output-dir", "/proc/run"], "output folder '/proc/run' cannot be created"),
    ],
)
def test_invalid_options_end_with_one_line(more, message, data, student_folder, tmp_path, capsys):
    assert main(arguments(data, student_folder, tmp_path / "run", *more)) == 1
    error = capsys.readouterr().err
    assert error.startswith("freeal-hf: error: ")
    assert error.endswith(" (see docs/troubleshooting.md#data-and-options)\n") or "#the-run)" in error
    assert message in error
    assert not (tmp_path / "run" / "labels.parquet").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--anotator", "embedding"], "there is no option '--anotator'; did you mean --annotator?"),
        (["run", "--lerning_rate=1"], "there is no option '--lerning_rate'; did you mean --learning-rate?"),
        (["run", "--xyzzy", "1"], "there is no option '--xyzzy'; --help lists all."),
        (["run", "--learning-rate", "fast"], "invalid float value: 'fast'"),
        (["run", "--seed", "1", "twice"], "'twice' does not belong to an option"),
        (["predict", "--model", "m", "--data", "d", "--output", "o", "--topk", "2"], "did you mean --top-k?"),
    ],
    ids=lambda value: value[1] if isinstance(value, list) else "",
)
def test_the_error_for_a_mistyped_option_suggests_the_nearest_one(words, message, data, capsys):
    more = ["--data", str(data), "--labels", "fruit,tool"] if words[0] == "run" else []
    with pytest.raises(SystemExit):
        main([words[0], *more, *words[1:]])
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) < 4


def test_a_column_annotator_reads_its_column_from_a_file_in_python_too(data, student_folder, tmp_path):
    args = FreeALConfig(output_dir=str(tmp_path / "run"), report_to=[])
    loop = FreeAL(TextClassification(["fruit", "tool"]), "column:llm", str(student_folder), args)
    assert loop.estimate(data).texts == 80


def test_an_unknown_key_of_a_configuration_file_is_reported(data, tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"data": str(data), "labels": ["fruit", "tool"], "learning_speed": 1}))
    assert main(["run", str(path)]) == 1
    assert "no option 'learning_speed'" in capsys.readouterr().err


def test_a_missing_label_list_is_reported(data, capsys):
    assert main(["run", "--data", str(data)]) == 1
    assert "--labels" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["run"], ["predict"], ["augment"], ["select"], ["demo"]])
def test_help_fits_a_terminal(command):
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "freeal_hf", *command, "--help"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert len(done.stdout.splitlines()) <= 140


def test_a_full_disk_is_reported_with_the_remedy_and_the_run_continues_afterwards(data, student_folder, tmp_path):
    """A limit of the file size simulates a full disk."""
    command = [sys.executable, "-m", "freeal_hf", *arguments(data, student_folder, tmp_path / "run")]
    limited = ["sh", "-c", 'ulimit -f 20; exec "$0" "$@"', *command]
    full = subprocess.run(limited, capture_output=True, text=True)
    assert full.returncode == 1
    assert full.stderr.splitlines()[-1].startswith("freeal-hf: error: ")
    assert "start the same command again" in full.stderr
    assert main(command[3:]) == 0


def test_a_label_map_is_applied_to_every_column_and_stored_in_the_configuration(data, student_folder, tmp_path):
    label_map = tmp_path / "map.csv"
    label_map.write_text("value,label\nfruit,apple\ntool,saw\n", encoding="utf-8")
    run = tmp_path / "run"
    more = ["--labels", "apple,saw", "--label-map", str(label_map), "--gold-column", "gold"]
    assert main(arguments(data, student_folder, run, *more)) == 0
    [record] = json.loads((run / "metrics.json").read_text())[:1]
    assert record["annotator_accuracy"] == pytest.approx(71 / 80)
    assert yaml.safe_load((run / "config.yaml").read_text())["task"]["label_map"] == {"fruit": "apple", "tool": "saw"}
