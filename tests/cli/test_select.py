import csv

import pytest

from freeal_hf.cli.main import main
from tests.servers.chat import Behaviour, ChatServer, serve

LOOPBACK = "endpoint:http://127.0.0.1:9"  # nobody is asked there


@pytest.fixture
def data(corpus, tmp_path):
    path = tmp_path / "pool.csv"
    path.write_text("text\n" + "".join(f"{text}\n" for text in corpus["text"]))
    return path


def select(data, output, *more):
    """Exit code, and the rows that were written."""
    code = main(["select", "--data", str(data), "--output", str(output), *more])
    return code, list(csv.DictReader(output.open())) if output.exists() else None


def test_random_texts_need_no_task_and_no_model(data, tmp_path):
    code, rows = select(data, tmp_path / "chosen.csv", "--budget", "7", "--strategy", "random")
    assert code == 0
    assert len({row["text"] for row in rows}) == 7
    assert {(row["label"], row["strategy"]) for row in rows} == {("", "random")}


def test_the_choice_of_a_language_model_is_cached(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # it forbids loopback too
    more = ["--budget", "5", "--labels", "fruit,tool", "--texts-per-prompt", "20"]
    with serve(ChatServer(Behaviour())) as server:
        code, rows = select(data, tmp_path / "chosen.csv", *more, "--annotator", f"endpoint:{server.url}")
    assert code == 0
    assert [row["strategy"] for row in rows] == ["llm"] * 5
    assert (tmp_path / "chosen.csv.cache.sqlite").is_file()
    assert "3 calls, 0 from the cache" in capsys.readouterr().out  # two are the canary's


def test_completed_labels_are_used_for_the_next_choice(data, corpus, student_folder, tmp_path, capsys):
    first = tmp_path / "first.csv"
    gold = dict(zip(corpus["text"], corpus["gold"], strict=True))
    rows = select(data, first, "--budget", "12", "--strategy", "kmeans", "--student", str(student_folder))[1]
    with first.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "label": gold[row["text"]]} for row in rows)
    more = ["--strategy", "margin", "--labelled", str(first), "--labels", "fruit,tool"]
    code, second = select(data, tmp_path / "second.csv", "--budget", "6", *more, "--student", str(student_folder))
    assert code == 0
    assert not {row["text"] for row in rows} & {row["text"] for row in second}
    assert "train_runtime" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--budget", "0", "--strategy", "random"], "budget is 0"),
        (["--budget", "999", "--strategy", "random"], "only has 80 different texts"),
        (["--budget", "5", "--strategy", "margin"], "trained on labelled texts"),
        (["--budget", "5", "--labels", "a,b"], "give one with --annotator"),
        (["--budget", "5"], "There are no labels"),
        (["--budget", "5", "--labels", "a,b", "--annotator", "embedding"], "cannot choose texts"),
        (
            ["--budget", "5", "--labels", "a,b", "--annotator", LOOPBACK, "--guidelines", "no"],
            "guidelines 'no' cannot",
        ),
        (["--budget", "5", "--labels", "a,b", "--labelled", "nowhere.csv", "--strategy", "random"], "no data file"),
    ],
)
def test_invalid_options_end_with_one_line_and_no_file(more, message, data, tmp_path, capsys):
    assert select(data, tmp_path / "chosen.csv", *more) == (1, None)
    error = capsys.readouterr().err
    assert message in error
    assert "freeal-hf: error: " in error


def test_a_file_that_can_have_labels_is_not_overwritten(data, tmp_path, capsys):
    output = tmp_path / "chosen.csv"
    output.write_text("id,text,label\n1,a,fruit\n")
    assert select(data, output, "--budget", "5", "--strategy", "random")[0] == 1
    assert "exists and may have labels" in capsys.readouterr().err
    assert output.read_text() == "id,text,label\n1,a,fruit\n"
