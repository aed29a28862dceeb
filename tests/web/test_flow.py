"""The whole flow, in a browser and through gradio_client."""

import io
import json
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest


def test_the_example_becomes_a_labelled_parquet_file_in_a_browser_although_the_page_is_reloaded(open_page, tmp_path):
    page = open_page()
    page.click("#read")
    page.click("#use-data")
    page.click("#use-task")
    page.click("#start:not([disabled])")
    page.wait_for_selector("#stop")
    page.reload()  # the address holds the run
    page.wait_for_selector("#tiles .tile")
    page.get_by_role("tab", name="Download").click()
    page.click("#prepare")
    with page.expect_download() as download:
        page.click("#download a")
    download.value.save_as(tmp_path / "labels.parquet")
    table = pq.read_table(tmp_path / "labels.parquet")
    assert table.num_rows == 60
    assert {"text", "label", "label_confidence", "is_clean"} <= set(table.column_names)


def test_a_program_gets_what_the_page_shows(finished, visitor):
    path = Path(visitor("download", finished, "Parquet"))
    assert pq.read_table(path).num_rows == 50


def test_the_student_comes_as_a_zip_without_pickles(finished, visitor):
    content = Path(visitor("download", finished, "Student")).read_bytes()
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert {"student/config.json", "student/model.safetensors"} <= set(names)
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
    figures = [value for value in visitor("results", finished) if isinstance(value, dict) and "plot" in value]
    sliders = [json.loads(figure["plot"])["layout"].get("sliders") for figure in figures]
    assert [len(slider[0]["steps"]) for slider in sliders if slider] == [4]  # two epochs in each of two rounds


@pytest.mark.parametrize("kind", ["PDF", "../config.yaml"])
def test_another_download_is_refused(finished, visitor, kind):
    with pytest.raises(Exception, match=r"There is no download|not in the list"):
        visitor("download", finished, kind)
