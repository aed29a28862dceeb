"""`FreeAL.from_config`: a configuration file runs as the command line runs it."""

import pytest
import yaml

from freeal_hf import FreeAL, InputError, LoopCallback, RunConfig
from freeal_hf.cli.main import main
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop.folder import RunFolder
from tests.conftest import QUICK_TRAINING


@pytest.fixture
def config(corpus, student_folder, tmp_path):
    """The values of a configuration file with data, test data, human labels and an annotator in a column."""
    table = corpus.to_pandas()
    wrong = {"fruit": "tool", "tool": "fruit"}
    table["llm"] = [wrong[gold] if i % 9 == 0 else gold for i, gold in enumerate(table["gold"])]
    table = table.rename(columns={"text": "body"})
    table[10:].to_csv(tmp_path / "data.csv", index=False)
    table[:10].to_csv(tmp_path / "test.tsv", index=False, sep=";")
    table[10:14][["body", "gold"]].rename(columns={"gold": "label"}).to_csv(tmp_path / "human.csv", index=False)
    return {
        "data": {
            "data": str(tmp_path / "data.csv"),
            "text_columns": "body",
            "gold_column": "gold",
            "human_labels": [str(tmp_path / "human.csv")],
            "test_data": str(tmp_path / "test.tsv"),
            "test_delimiter": ";",
        },
        "labels": ["fruit", "tool"],
        "annotators": {"annotator": "column:llm"},
        "student": {"student": str(student_folder)},
        "training": {**QUICK_TRAINING, "num_train_epochs": 4, "output_dir": str(tmp_path / "run")},
        "loop": {"num_rounds": 1, "min_train_steps": 0},
    }


def test_a_configuration_file_runs_in_python_as_on_the_command_line(config, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    result = FreeAL.from_config(RunConfig.from_yaml(path)).run()
    assert main(["run", str(path), "--output-dir", str(tmp_path / "command")]) == 0
    assert read_labels(tmp_path / "command" / "labels.parquet").to_dict() == result.dataset.to_dict()
    written = [(tmp_path / name / "labels.csv").read_text() for name in ("run", "command")]
    assert written[0] == written[1]
    assert "body,gold,llm,id,text,label" in written[0]
    stored = [RunFolder(tmp_path / name).config() for name in ("run", "command")]
    # The command line sets the default of disable_tqdm for its process.
    assert set(stored[0].differences(stored[1])) - {"disable_tqdm"} == {"output_dir"}
    assert result.rounds[0]["student_accuracy"] is not None
    assert RunFolder(tmp_path / "run").round(0).test_labels_path.is_file()
    assert len(RunFolder(tmp_path / "run").round(0).read_human_labels()) == 4


def test_the_configuration_of_a_run_runs_again(config, tmp_path):
    first = FreeAL.from_config(RunConfig.from_dict(config)).run()
    again = RunConfig.from_yaml(tmp_path / "run" / "config.yaml", output_dir=str(tmp_path / "again"))
    assert FreeAL.from_config(again).run().dataset.to_dict() == first.dataset.to_dict()


def test_the_data_of_a_configuration_is_estimated_without_a_call(config):
    estimate = FreeAL.from_config(RunConfig.from_dict(config)).estimate()
    assert estimate.texts == 70


def test_given_inputs_replace_those_of_the_configuration(config, corpus):
    options = {"text_columns": "text", "annotator": "column:gold", "test_data": None}
    loop = FreeAL.from_config(RunConfig.from_dict(config, **options))
    result = loop.run(corpus, human_labels=[])
    assert len(result.dataset) == len(corpus)
    assert not result.rounds[0]["counts"].get("human")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_speed": 1}, "There is no option 'learning_speed'"),
        ({"learning_rate": -1.0}, "These training options cannot be used: learning_rate is -1.0"),
        ({"labels": None}, "There are no labels"),
        ({"annotator": {"class": "MyAnnotator"}}, r"The annotator .* was an object in Python \(MyAnnotator\)"),
        ({"push_to_hub": True}, r"no callback pushes. Add callbacks=\[freeal_hf.PushToHubCallback\(\)\]"),
    ],
)
def test_a_configuration_that_cannot_be_run_is_refused_with_the_remedy(config, options, message):
    with pytest.raises(InputError, match=message):
        FreeAL.from_config(RunConfig.from_dict(config, **options))


def test_a_configuration_without_data_is_refused(config):
    with pytest.raises(InputError, match="There is no data"):
        FreeAL.from_config(RunConfig.from_dict(config, data=None)).run()


def test_a_callback_sees_the_arguments_but_no_token(config):
    seen = []

    class Keep(LoopCallback):
        def on_run_begin(self, run):
            seen.append(run)

    FreeAL.from_config(
        RunConfig.from_dict(config, hub_token="hf_secret", hub_dataset_id="a/b"), callbacks=[Keep()]
    ).run()
    assert seen[0].args.hub_token == "hf_secret"
    assert seen[0].hub.hub_dataset_id == "a/b"
    assert "hf_secret" not in repr(seen[0])
