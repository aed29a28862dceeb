"""The whole flow, in a browser and through gradio_client."""

import io
import json
import re
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest


def test_texts_are_tried_and_then_labelled_in_a_browser_although_the_page_is_reloaded(open_page, tmp_path):
    page = open_page()
    page.click("#read")
    page.click("#use-data")
    page.click("#use-task")
    page.click("#try-first:not([disabled])")
    page.get_by_text("These are the labels of the first texts").wait_for()
    rows = page.locator("#live-labels tbody tr")
    assert 20 <= rows.count() < 60
    page.click("#start")
    page.wait_for_selector("#stop")
    page.locator("#live-labels tbody tr").first.wait_for()
    page.get_by_text(re.compile(r"Running for \d+ s, about \d+ (s|min) left")).wait_for()
    page.reload()  # the address holds the run
    page.wait_for_selector("#tiles .tile")
    assert re.search(r"\d+ of 100 labels are right\.", page.inner_text("#verdict"))
    page.get_by_role("tab", name="Download").click()
    with page.expect_download() as download:
        page.click("#get-Table")
    download.value.save_as(tmp_path / "labelled.csv")
    table = pd.read_csv(tmp_path / "labelled.csv")
    assert list(table.columns) == ["text", "gold", "label", "confidence"]
    assert len(table) == 60
    assert table["label"].notna().all()


def test_the_example_opens_at_once_as_a_finished_run_with_which_a_visitor_can_work(open_page, visitor):
    page = open_page(landing=True)
    page.click("#try-example")
    page.locator("#verdict").get_by_text("of 100 labels are").first.wait_for()
    page.click("#check-first")
    page.get_by_role("tab", name="Check and correct", selected=True).wait_for()
    run = page.evaluate("new URL(location).searchParams.get('run')")
    assert visitor.status(run)["state"] == "finished"
    table = pd.read_csv(visitor("download", run, "Table"))
    assert len(table) == 747
    with pytest.raises(Exception, match="without its small model"):
        visitor("try_student", run, "where is my parcel?")


def test_the_own_table_comes_with_all_its_columns_and_with_corrections(visitor, corpus, tmp_path):
    path = tmp_path / "own.csv"
    own = corpus.select(range(30)).add_column("code", [f"00{i}" for i in range(30)])
    own.to_csv(str(path), index=False)
    run = visitor.prepare(path)
    visitor.start(run)
    assert visitor.wait(run)["state"] == "finished"
    before = pd.read_csv(visitor("download", run, "Table"), dtype=str)
    text_id = pq.read_table(visitor("download", run, "Parquet"))["id"][0].as_py()
    right = "tool" if before["label"][0] == "fruit" else "fruit"
    visitor("correct", run, text_id, right)
    after = pd.read_csv(visitor("download", run, "Table"), dtype=str)
    assert list(after.columns) == ["text", "gold", "code", "label", "confidence"]
    assert list(after["code"]) == own["code"]
    assert (after["label"][0], after["confidence"][0]) == (right, "1.0")
    assert after[1:].equals(before[1:])


def test_a_program_gets_what_the_page_shows(finished, visitor):
    path = Path(visitor("download", finished, "Parquet"))
    assert pq.read_table(path).num_rows == 50


def test_every_function_and_every_result_has_a_name(visitor):
    functions = visitor.client.view_api(print_info=False, return_format="dict")["named_endpoints"]
    results = {value["label"] for function in functions.values() for value in function["returns"]}
    assert not [name for name in results if name.startswith("value_")]
    assert not [name for name in functions if name[-1].isdigit()]


def test_a_program_gets_the_results_as_json(finished, visitor):
    found = visitor("results", finished, texts=True)
    assert (found["state"], len(found["rounds"]), len(found["texts"])) == ("finished", 2, 50)
    assert sum(found["labels"].values()) == 50
    assert {one["label"] for one in found["texts"]} == {"fruit", "tool"}


def test_the_student_comes_as_a_zip_without_pickles(finished, visitor):
    content = Path(visitor("download", finished, "Student")).read_bytes()
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert {"student/config.json", "student/model.safetensors", "student/README.md"} <= set(names)
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]


def test_the_report_can_be_downloaded(finished, visitor):
    assert "<svg" in Path(visitor("download", finished, "Report")).read_text()


def test_the_new_student_predicts(finished, visitor):
    answer = visitor("try_student", finished, "my old apple")
    assert {entry["label"] for entry in answer["confidences"]} == {"fruit", "tool"}


def test_the_map_shows_every_text_once_beside_its_legend(finished, visitor):
    figure = json.loads(visitor("draw_map", finished)["plot"])
    shown = sum(len(trace["hovertext"]) for trace in figure["data"] if "hovertext" in trace)
    assert shown == 50


def test_the_losses_can_be_followed_from_epoch_to_epoch(finished, visitor):
    figures = [value for value in visitor("figures", finished) if isinstance(value, dict) and "plot" in value]
    sliders = [json.loads(figure["plot"])["layout"].get("sliders") for figure in figures]
    # Two epochs in each round. The second round only trains if it changes a label.
    assert [len(slider[0]["steps"]) for slider in sliders if slider] in ([2], [4])


@pytest.mark.parametrize("kind", ["PDF", "../config.yaml"])
def test_another_download_is_refused(finished, visitor, kind):
    with pytest.raises(Exception, match=r"There is no download|not in the list"):
        visitor("download", finished, kind)
