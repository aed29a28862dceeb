"""The loop with entities: sentences in, tags and spans out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset

from freeal_hf import FreeAL, FreeALConfig, InferenceEndpointsAnnotator, LoopConfig, TokenClassification
from freeal_hf.annotators.usability import CHECKED
from freeal_hf.cli.main import main
from freeal_hf.data.spans import invalid_position, spans_of
from freeal_hf.errors import InputError
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop.folder import RESULT_FILES
from freeal_hf.prediction.tagger import EntityTagger
from tests.conftest import FRUIT, QUICK_TRAINING, TOOLS, KeywordAnnotator
from tests.entities import TASK, TYPES, make_sentences
from tests.servers.chat import Behaviour, ChatServer, serve


@pytest.fixture(scope="module")
def sentences():
    return make_sentences()


@pytest.fixture(scope="module")
def result(sentences, student_folder, tmp_path_factory):
    args = FreeALConfig(
        output_dir=str(tmp_path_factory.mktemp("entities") / "run"),
        report_to="none",
        **{**QUICK_TRAINING, "num_train_epochs": 3, "warm_up_epochs": 1},
    )
    loop = FreeAL(TASK, "column:noisy", str(student_folder), args, LoopConfig(num_rounds=2))
    data = kind_of(TASK).read_rows(sentences, gold_column="gold", extra_columns=["noisy"])
    return loop.run(data, kind_of(TASK).read_rows(sentences.select(range(10)), gold_column="gold"))


def test_a_run_writes_all_its_files(result):
    assert all((result.output_dir / name).exists() for name in RESULT_FILES)
    assert "fruit: " in (result.output_dir / "report.html").read_text()


def test_every_word_of_every_row_has_a_tag_and_the_tags_are_valid(result, sentences):
    tags = result.dataset.features["label"].feature.names
    for row, tokens in zip(result.dataset, sentences["tokens"], strict=True):
        for column in ("label", "annotator_label", "student_label"):
            assert len(row[column]) == len(tokens)
            assert invalid_position([tags[i] for i in row[column]]) is None


def test_spans_are_the_final_entities_with_their_position_in_the_text(result):
    tags = result.dataset.features["label"].feature.names
    for row in result.dataset:
        words = [row["text"][span["start"] : span["end"]] for span in row["spans"]]
        expected = spans_of([tags[i] for i in row["label"]])
        assert words == [" ".join(row["tokens"][span.start : span.end]) for span in expected]


def test_the_student_finds_entities_with_their_position_in_the_text(result):
    text = "the apple, near (my) hammer and a pear"
    found = EntityTagger(result.student).find(text)
    assert found
    assert [text[entity["start"] : entity["end"]] for entity in found] == [entity["text"] for entity in found]
    assert {entity["text"] for entity in found} <= {"apple", "hammer", "pear"}
    assert EntityTagger(result.student).find(" ") == []


def test_metrics_have_entity_scores_of_annotator_student_and_final_labels(result, sentences):
    record = result.rounds[0]
    right = sum(
        n == g != "O"
        for noisy, gold in zip(sentences["noisy"], sentences["gold"], strict=True)
        for n, g in zip(noisy, gold, strict=True)
    )
    true = sum(tag != "O" for gold in sentences["gold"] for tag in gold)
    assert record["annotator_precision"] == 1.0
    assert record["annotator_recall"] == pytest.approx(right / true)
    assert {"student_f1", "label_f1", "label_f1_by_type"} <= set(record)
    assert record["dropped_entities"] == 0


def test_only_sentences_with_a_noisy_entity_are_annotated_again(result, sentences):
    assert 0 < result.rounds[1]["annotator_calls"] < len(sentences)


def test_the_csv_file_has_tags_by_name(result):
    import csv

    with (result.output_dir / "labels.csv").open() as file:
        row = next(csv.DictReader(file))
    assert set(json.loads(row["annotator_label"])) <= set(TASK.tags)


def test_the_student_is_read_by_the_pipeline_of_transformers(result):
    from transformers import pipeline

    found = pipeline("token-classification", model=str(result.student), aggregation_strategy="simple")("the old apple")
    assert all(entity["entity_group"] in TASK.label_names for entity in found)


def test_predict_writes_spans_with_their_position_in_a_raw_text(result, tmp_path):
    import csv

    (tmp_path / "new.csv").write_text('text\nthe old apple!\n""\n')
    command = ["predict", "--model", str(result.student), "--data", str(tmp_path / "new.csv")]
    assert main([*command, "--output", str(tmp_path / "out.csv")]) == 0
    with (tmp_path / "out.csv").open() as file:
        first, second = csv.DictReader(file)
    for span in json.loads(first["spans"]):
        assert first["text"][span["start"] : span["end"]] == span["text"]
    assert second["spans"] == "[]"
    assert second["note"]


def test_gold_tags_change_no_label(sentences, result, student_folder, tmp_path):
    turned = sentences.map(lambda row: {"gold": ["O"] * len(row["gold"])})
    args = FreeALConfig(
        output_dir=str(tmp_path / "run"),
        report_to="none",
        **{**QUICK_TRAINING, "num_train_epochs": 3, "warm_up_epochs": 1},
    )
    data = kind_of(TASK).read_rows(turned, gold_column="gold", extra_columns=["noisy"])
    loop = FreeAL(TASK, "column:noisy", str(student_folder), args, LoopConfig(num_rounds=1))
    other = loop.run(data)
    first = Dataset.from_parquet(str(result.output_dir / "round-0" / "labels.parquet"))
    assert other.dataset["label"][:] == first["label"][:]


def test_an_annotator_that_finds_no_entities_is_refused_before_anything_is_written(sentences, tmp_path):
    loop = FreeAL(TASK, KeywordAnnotator(), args=FreeALConfig(output_dir=str(tmp_path / "run")))
    with pytest.raises(InputError, match="cannot label tasks of the type 'token-classification'"):
        loop.run(sentences)
    assert not (tmp_path / "run").exists()


def test_an_llm_endpoint_finds_entities_that_are_in_the_text(sentences, student_folder, tmp_path):
    def names(text):
        named = [{"text": word.upper(), "type": TYPES[word]} for word in text.split() if word in TYPES]
        return [*named, {"text": "unicorn", "type": "fruit"}]

    TASK.save(tmp_path / "task.yaml")
    (tmp_path / "data.jsonl").write_text("\n".join(json.dumps(row) for row in sentences))
    training = {**QUICK_TRAINING, "num_train_epochs": 2, "warm_up_epochs": 1, "report_to": "none"}

    def written(instructions):
        for name, word in (("fruit", FRUIT[0]), ("tool", TOOLS[0])):
            if f'of the type "{name}"' in instructions:
                named = [{"text": word, "type": name}]
                return [{"text": f"we wrote of one {word}", "entities": named}, {"text": word, "entities": []}]
        return [{"text": "we wrote of nothing", "entities": []}]

    with serve(ChatServer(Behaviour(entities=names, sentences=written))) as server:
        command = [
            *(
                sys.executable,
                "-m",
                "freeal_hf",
                "run",
                "--data",
                str(tmp_path / "data.jsonl"),
                "--gold-column",
                "gold",
            ),
            *("--task", str(tmp_path / "task.yaml"), "--annotator", f"endpoint:{server.url}"),
            *("--student", str(student_folder), "--output-dir", str(tmp_path / "run")),
            *(f"--{name}={value}" for name, value in training.items()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "0"})
        chats = [body["messages"] for body in server.stats.bodies]
        billed = server.stats.billed
    assert done.returncode == 0, done.stderr
    first, second = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert first["annotator_f1"] == 1.0
    assert first["dropped_entities"] == len({tuple(tokens) for tokens in sentences["tokens"]})
    assert 0 < second["annotator_calls"] <= first["annotator_calls"]
    assert sum(record["prompt_tokens"] for record in (first, second)) == billed[0]
    shown = [[message["content"] for message in chat if message["role"] == "assistant"] for chat in chats]
    own = [[], [{"text": FRUIT[0], "type": "fruit"}], [{"text": TOOLS[0], "type": "tool"}]]
    assert [json.dumps({"entities": named}) for named in own] in shown
    selected = Path(tmp_path / "run" / "round-0" / "demonstrations.jsonl").read_text().splitlines()
    assert {json.loads(line)["label"] for line in selected} == {None, "fruit", "tool"}


def test_the_estimate_includes_generated_sentences_and_their_checks(sentences, tmp_path):
    def estimate(**loop):
        annotator, args = InferenceEndpointsAnnotator("http://127.0.0.1:9"), FreeALConfig(output_dir=str(tmp_path))
        return FreeAL(TASK, annotator, args=args, loop=LoopConfig(**loop)).estimate(sentences)

    without, with_them = estimate(generated_per_label=0), estimate(generated_per_label=10)
    written = len(TASK.shot_labels) * 10
    assert with_them.writing_calls == len(TASK.shot_labels) * 2  # five sentences a call
    # The plain questions that are asked first, the calls that write, and a check of each sentence.
    assert with_them.calls.expected == without.calls.expected + CHECKED + with_them.writing_calls + written
    assert with_them.prompt_tokens.expected / with_them.calls.expected > (
        without.prompt_tokens.expected / without.calls.expected
    )


@pytest.fixture
def files(sentences, tmp_path):
    """A task file and sentences as JSON lines."""
    TASK.save(tmp_path / "task.yaml")
    (tmp_path / "data.jsonl").write_text("\n".join(json.dumps(row) for row in sentences))
    (tmp_path / "human.csv").write_text("text,label\nthe old apple,fruit\n")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("run --annotator column:noisy --human-labels human.csv", "column 'label': 'fruit' is not a list"),
        ("run --annotator column:noisy --augmented-column tokens", "cannot use augmented_column"),
        (
            "select --annotator endpoint:http://127.0.0.1:9 --budget 3 --output chosen.csv",
            "cannot use labels of an entity task",
        ),
        ("select --strategy random --budget 3 --output chosen.csv", "only used for entity tasks"),
        ("augment --method token-dropout --output views.csv", "only used for entity tasks"),
    ],
)
def test_options_that_do_not_support_entities_are_refused_before_the_first_call(
    command, message, files, monkeypatch, capsys
):
    monkeypatch.chdir(files)
    name, *options = command.split()
    task = [] if name == "augment" else ["--task", "task.yaml"]
    out = ["--output-dir", "run"] if name == "run" else []
    assert main([name, "--data", "data.jsonl", *task, *options, *out]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in last
    assert {path.name for path in files.iterdir()} == {"task.yaml", "data.jsonl", "human.csv"}


def test_the_loop_runs_with_the_embedded_annotator_alone(student_folder, tmp_path):
    task = TokenClassification({"fruit": "a fruit, such as apple, pear", "tool": "a hand tool, such as hammer, saw"})
    training = {**QUICK_TRAINING, "num_train_epochs": 2, "warm_up_epochs": 1, "report_to": "none"}
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **training)
    rows = make_sentences().select(range(20))
    data = kind_of(task).read_rows(rows, gold_column="gold")
    result = FreeAL(task, "embedding", str(student_folder), args, LoopConfig(refine="all")).run(data)
    assert all((result.output_dir / name).exists() for name in RESULT_FILES)
    first, second = result.rounds
    assert first["annotator_recall"] > 0.5
    # No person marked an entity, so that the requests of round 1 are those of round 0, which are in the cache.
    assert second["annotator_calls"] == 0
    assert second["annotator_recall"] == first["annotator_recall"]
    named = [json.loads(line).get("entities") for line in (result.output_dir / "round-0/demonstrations.jsonl").open()]
    assert any(named)
