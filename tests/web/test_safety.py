"""Limits, forbidden addresses, and the separation of visitors."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from freeal_hf.web import shown
from tests.servers.background import running
from tests.web.conftest import ROOT


@pytest.fixture
def wide_data(tmp_path):
    """Writes a CSV file with a column `text`."""

    def write(texts, name="data.csv"):
        path = tmp_path / name
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text"])
            writer.writerows([text] for text in texts)
        return path

    return write


def read(visitor, path, run="", *, has_header=True):
    """What is found in a file."""
    from gradio_client import handle_file

    return visitor("read_data", file=handle_file(str(path)), has_header=has_header, run=run)


def remarks(visitor, path):
    """The id of the run, and the remarks about a file."""
    answer = read(visitor, path)
    return answer["run"], " ".join(answer["remarks"])


# ---- Limits ----


def test_the_limits_are_on_the_page_before_data_are_read(open_page):
    page = open_page()
    page.get_by_text("Limits: 60 rows, 1 MB").wait_for()


def test_too_many_rows_are_refused_with_the_limit(visitor, wide_data):
    with pytest.raises(Exception, match="61 rows; the limit is 60"):
        visitor.bring(wide_data([f"text {i}" for i in range(61)]))


def test_fifty_megabytes_are_refused(space):
    answer = httpx.post(f"{space.url}/gradio_api/upload", files={"files": ("data.csv", b"text\n" + b"x" * 50_000_000)})
    assert answer.status_code == 413


def test_a_long_text_is_cut_and_the_page_says_so(visitor, wide_data, space):
    path = wide_data(["a" * 500, "b"])
    run, problems = remarks(visitor, path)
    assert "1 text longer than 400 characters" in problems
    visitor("use_data", run, ["text"], "none")
    assert "a" * 401 not in (space.data_dir / "runs" / run / "texts.jsonl").read_text()


def test_too_many_labels_are_refused(visitor, texts):
    run = visitor.bring(texts)
    visitor("use_data", run, ["text"], "none")
    names = [f"label {i}" for i in range(9)]
    with pytest.raises(Exception, match="9 labels; the limit is 8"):
        visitor("describe_task", run, names)


@pytest.mark.parametrize("rounds", [0, 3])
def test_rounds_beyond_the_limit_are_refused(visitor, texts, rounds):
    run = visitor.prepare(texts)
    with pytest.raises(Exception, match="choose 1 to 2"):
        visitor.start(run, rounds=rounds)


# ---- Files that want to be something else ----


def test_a_file_without_a_header_is_detected_and_read_with_new_names(visitor, tmp_path):
    path = tmp_path / "plain.csv"
    path.write_text("the soup was cold and the waiter did not care at all,1\nlovely evening,2\n")
    run, problems = remarks(visitor, path)
    assert "looks like a row" in problems
    answer = read(visitor, path, run, has_header=False)
    assert (answer["run"], answer["rows"], answer["text_columns"]) == (run, 2, ["column 1"])


@pytest.mark.parametrize("content", ["good film,1\nbad film,0\n", "fine,yes\npoor,no\ngreat,yes\n"])
def test_a_short_first_line_that_is_a_row_is_detected(visitor, tmp_path, content):
    path = tmp_path / "plain.csv"
    path.write_text(content)
    assert "looks like a row" in remarks(visitor, path)[1]


def test_commas_in_a_file_of_one_column_do_not_separate(visitor, tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text("review\nwell, well, what a film\nnever again\n")
    answer = read(visitor, path)
    assert answer["text_columns"] == ["review"]
    assert answer["first_rows"][0] == {"review": "well, well, what a film"}


def test_a_column_whose_name_repeats_is_refused_once_it_is_chosen(visitor, tmp_path):
    path = tmp_path / "doubled.csv"
    path.write_text("text,note,note\na film,1,2\nanother film,3,4\n")
    run, problems = remarks(visitor, path)
    assert "2 columns named" in problems
    visitor("use_data", run, ["text"], "none")
    with pytest.raises(Exception, match="rename all but one"):
        visitor("use_data", run, ["text"], "note")


def test_values_that_are_not_strings_are_rows_without_a_text(visitor, tmp_path):
    path = tmp_path / "nested.jsonl"
    path.write_text('{"text": {"a": 1}}\n{"text": ["b"]}\n{"text": "a film"}\n')
    assert "2 rows without a text" in remarks(visitor, path)[1]


def test_an_unreadable_file_leaves_no_run(visitor, space, tmp_path):
    path = tmp_path / "empty.csv"
    path.write_text("text\n")
    before = set((space.data_dir / "runs").iterdir())
    with pytest.raises(Exception, match="no rows"):
        visitor.bring(path)
    assert set((space.data_dir / "runs").iterdir()) == before


def test_a_windows_1252_file_is_read_with_a_remark(visitor, tmp_path):
    path = tmp_path / "windows.csv"
    path.write_bytes("text\ncafé très bon\nmauvais thé\n".encode("cp1252"))
    answer = read(visitor, path)
    assert "Windows-1252" in answer["remarks"][0]
    assert answer["first_rows"][0] == {"text": "café très bon"}


def test_bytes_that_are_not_text_are_refused(visitor, tmp_path):
    path = tmp_path / "picture.csv"
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(Exception, match="has zero bytes"):
        visitor.bring(path)


def test_markup_in_the_preview_is_escaped():
    preview = shown.preview(["text"], [["<script>alert(1)</script>"]])
    assert "<script>" not in preview
    assert "&lt;script&gt;" in preview


def test_markup_in_an_error_is_escaped(visitor, texts):
    run = visitor.bring(texts)
    visitor("use_data", run, ["text"], "none")
    names = ["<img src=x onerror=alert(1)>"] * 2
    with pytest.raises(Exception, match="&lt;img"):
        visitor("describe_task", run, names)


def test_a_pickle_is_refused(visitor, tmp_path):
    path = tmp_path / "data.pkl"
    path.write_bytes(b"\x80\x04.")
    with pytest.raises(Exception, match=r"cannot be read|file type"):
        visitor.bring(path)


# ---- Addresses ----


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "http://localhost/v1",
        "http://2130706433/",
        "http://[::1]:80/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fec0::1]/",
        "http://0x7f.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.1.2.3/",
        "http://0.0.0.0/",
        "file:///etc/passwd",
        "ftp://example.org/",
        "http://user:key@example.org/",
    ],
)
def test_a_private_or_odd_address_is_refused_before_anything_is_called(visitor, texts, url):
    run = visitor.prepare(texts)
    with pytest.raises(Exception, match=r"not public|not the URL|contains a key|no server"):
        visitor.start(run, "Own endpoint", url)


@pytest.fixture
def secret_server():
    """A server inside the operator's network, and what it was asked."""
    asked = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"data": [{"id": "inside"}]})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    with running(app) as url:
        yield url, asked


def test_a_redirect_into_the_network_is_not_followed(secret_server):
    """As in the process of a run: the hook is below all HTTP libraries."""
    inside, asked = secret_server

    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound(inside + "/inside")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", redirect)
    with running(app) as outside:
        trusted = outside.removeprefix("http://")
        done = in_guarded_process(
            trusted, f"import httpx; print(httpx.get({outside!r}, follow_redirects=True).status_code)"
        )
    assert "not a public address" in done.stderr
    assert asked == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_name_that_resolves_to_a_private_address_at_the_call_is_blocked(secret_server, name):
    """DNS rebinding: what counts is the address at the connection, not at the check."""
    inside, asked = secret_server
    url = inside.replace("127.0.0.1", name)
    done = in_guarded_process("example.org:443", f"import urllib.request as r; r.urlopen({url!r})", resolve=False)
    assert "not a public address" in done.stderr
    assert asked == []


def in_guarded_process(trusted: str, code: str, *, resolve: bool = True) -> subprocess.CompletedProcess:
    start = f"from freeal_hf.web import guard; guard.forbid_private_connections({[trusted] if resolve else []!r}); "
    return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, cwd=ROOT, timeout=60)


# ---- Visitors ----


def test_two_browsers_do_not_see_each_others_runs(finished, open_page, space):
    mine, other = open_page(finished), open_page()
    mine.wait_for_selector("#tiles .tile")
    other.wait_for_selector("#read")
    assert other.locator("#tiles .tile").count() == 0
    assert finished not in other.content()


def test_a_guessed_run_does_not_exist(open_page):
    page = open_page("A" * 32)
    page.get_by_text("This run does not exist any more").wait_for()


@pytest.mark.parametrize("run", ["../../../../etc/passwd", "..", "", "A" * 32])
def test_the_name_of_a_run_cannot_be_a_path(visitor, run):
    with pytest.raises(Exception, match="no such run"):
        visitor("status", run)


@pytest.mark.parametrize("name", ["texts.jsonl", "space.json", "run/labels.parquet", "run/config.yaml"])
def test_files_of_a_run_are_not_served(finished, space, name):
    path = space.data_dir / "runs" / finished / name
    assert path.is_file()
    assert httpx.get(f"{space.url}/gradio_api/file={path}").status_code in (403, 404)


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"meta": {"_type": "gradio.FileData"}}, '{"error": null}'),  # refused by Gradio, which hides the reason
        ({}, "This file was not uploaded"),
    ],
)
def test_a_local_file_cannot_be_used_as_an_upload(finished, space, meta, said):
    stolen = space.data_dir / "runs" / finished / "texts.jsonl"
    log = space.data_dir.with_suffix(".log")
    texts = [json.loads(line)["text"] for line in stolen.read_text().splitlines()]
    kept, logged = files_of(space), len(log.read_text())
    forged = {"path": str(stolen), **meta}
    call = f"{space.url}/gradio_api/call/read_data"
    data = [False, forged, None, "", "", True, "are detected", "", ""]
    event = httpx.post(call, json={"data": data}).json()["event_id"]
    answer = httpx.get(f"{call}/{event}", timeout=30).text
    assert "event: error" in answer
    assert said in answer
    assert "was not uploaded" in answer + log.read_text()[logged:]
    assert texts
    assert not [text for text in [*texts, str(space.data_dir)] if text in answer]
    assert files_of(space) <= kept


def files_of(space):
    """The runs, and the files that are served."""
    return {*space.data_dir.glob("runs/*"), *space.data_dir.glob("files/*/*")}


def test_a_deleted_run_leaves_no_files(visitor, space, corpus, tmp_path):
    path = tmp_path / "deleted.csv"
    corpus.select(range(12)).to_csv(str(path), index=False)
    run = visitor.prepare(path)
    assert list((space.data_dir / "files").glob("*/deleted.csv"))
    visitor("delete", run)
    assert not Path(space.data_dir / "runs" / run).exists()
    assert not list((space.data_dir / "files").glob("*/deleted.csv"))


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (["81.2.69.142"], "81.2.69.142"),
        (["1.1.1.1, 81.2.69.142, 10.16.3.80"], "81.2.69.142"),
        (["1.1.1.1", "81.2.69.142"], "81.2.69.142"),
        (["unknown, 10.0.0.9"], "10.16.3.80"),
        ([], "10.16.3.80"),
    ],
)
def test_a_visitor_cannot_pretend_to_be_another_one(headers, found, monkeypatch):
    import gradio as gr
    from starlette.requests import Request

    from freeal_hf.web.page import visitor_of

    monkeypatch.setenv("SPACE_ID", "ada/freeal")
    named = [(b"x-forwarded-for", value.encode()) for value in headers]
    request = Request({"type": "http", "headers": named, "client": ("10.16.3.80", 1)})
    assert visitor_of(gr.Request(request)) == found
