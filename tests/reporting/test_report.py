import re
from html.parser import HTMLParser

import pytest
from datasets import Dataset

from freeal_hf import FreeAL, FreeALConfig, LoopConfig
from freeal_hf.reporting.report import summary, summary_rows, summary_table, write_report
from tests.conftest import QUICK_TRAINING, KeywordAnnotator

HOSTILE = "apple <script>alert(1)</script> <img src=x onerror=alert(2)> {{ 7*7 }}"


class Elements(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.links, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def result(task, corpus, student_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    texts = [*corpus["text"], *(f"{HOSTILE} {word}" for word in ("hammer", "saw", "drill"))]
    args = FreeALConfig(output_dir=str(folder), **QUICK_TRAINING)
    loop = FreeAL(task, KeywordAnnotator(), str(student_folder), args, LoopConfig(num_rounds=1))
    gold = [*corpus["gold"], "tool", "tool", "tool"]
    return loop.run(Dataset.from_dict({"text": texts, "gold": gold}))


def test_the_report_loads_no_other_files(result):
    page = Elements(result.report().read_text())
    assert all(link.startswith(("#", "data:")) for link in page.links)


def test_figures_are_only_drawn_when_the_run_ends(result, task, tmp_path):
    write_report(tmp_path / "report.html", result.dataset, task, result.rounds, draws=False)
    unfinished = Elements((tmp_path / "report.html").read_text())
    assert "svg" in Elements(result.report().read_text()).tags
    assert "svg" not in unfinished.tags
    assert "They are drawn when the run ends." in unfinished.text


def test_texts_are_escaped_in_the_report(result):
    page = Elements(result.report().read_text())
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "49" not in "".join(page.text).split()


@pytest.mark.parametrize("num_rounds", [1, 2, 3, 12])
def test_the_table_of_a_terminal_fits_80_columns_and_explains_each_figure(result, num_rounds):
    record = {**result.rounds[0], "prompt_tokens": 10**9, "estimated_label_accuracy": 0.8}
    record |= {"estimated_label_accuracy_range": [0.64, 1.0], "annotator_micro_f1": 0.5, "label_exact_match": 0.5}
    records = [{**record, "round": number} for number in range(num_rounds)]
    lines = summary_table(records).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("round ") for line in lines) >= 1
    assert all(re.search(r"^\w.*?  +\w", line) for line in lines if line)
    assert re.findall(r"^round .*", "\n".join(lines), re.MULTILINE)[-1].endswith(str(num_rounds - 1))


def test_the_report_is_titled_by_the_run_begins_with_the_estimate_and_explains_each_column(result):
    words = Elements(result.report().read_text()).text
    assert words.count("Run run") == 2  # of the page, and its heading
    assert {"clean share", "labels that are selected as clean"} <= set(words)
    page = "".join(words)
    assert page.index("estimated accuracy") < page.index("texts")


def test_the_report_has_the_estimate_of_each_label(result):
    words = Elements(result.report().read_text()).text
    assert "right, estimated" in words
    assert sum(" to " in word and "%" in word for word in words) >= 2


def test_the_repr_of_a_result_has_folder_labels_and_rounds(result, corpus):
    first, table = repr(result).split("\n", 1)
    counts = result.dataset.to_pandas()["label"].value_counts()
    assert first.startswith(f"RunResult: {len(result.dataset)} rows in {str(result.output_dir)!r} (")
    assert f"fruit {counts[0]}" in first
    assert f"tool {counts[1]}" in first
    assert table == summary(result.rounds)
    assert table.startswith(summary_table(result.rounds))


def test_the_share_of_tokens_from_the_prompt_cache_is_shown_if_there_are_any():
    used = {"round": 0, "prompt_tokens": 100, "completion_tokens": 5, "cached_tokens": 62}
    assert dict(zip(*summary_rows([used]), strict=True))["prompt cache"] == "62.0 %"
    assert "prompt cache" not in summary_rows([{**used, "cached_tokens": 0}])[0]
