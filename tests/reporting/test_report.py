from html.parser import HTMLParser

import pytest
from datasets import Dataset

from freeal_hf import FreeAL, FreeALConfig, LoopConfig
from freeal_hf.reporting.report import summary, summary_rows, summary_table
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


def test_texts_are_escaped_in_the_report(result):
    page = Elements(result.report().read_text())
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "49" not in "".join(page.text).split()


def test_the_table_of_a_terminal_has_a_line_for_each_round(result):
    lines = summary_table(result.rounds).splitlines()
    assert len(lines) == 3
    assert "annotator" in lines[0]
    assert len({len(line) for line in lines}) == 1


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
