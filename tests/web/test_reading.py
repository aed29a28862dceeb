"""Reading of uploaded files, without a page."""

import json

import pytest

from freeal_hf.errors import InputError
from freeal_hf.web import reading
from freeal_hf.web.settings import Settings

UNBALANCED = 'text,stars\n"good" film,1\n"never again,2\nlovely,3\n'
DOUBLED = "text,note,note\na film,1,2\nanother film,3,4\n"


@pytest.fixture
def read(tmp_path):
    """Reads a file with this content."""

    def read(content: str | bytes, name: str = "upload.csv", **layout) -> reading.Table:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return reading.read_file(path, Settings(), **layout)

    return read


def test_unbalanced_quotes_are_refused_with_the_field_of_the_page_that_helps(read):
    with pytest.raises(InputError, match="choose “are part of the texts” under “Quotes”"):
        read(UNBALANCED)


def test_quotes_that_are_part_of_the_texts_are_kept(read):
    table = read(UNBALANCED, quotes="are part of the texts")
    assert table.columns["text"] == ['"good" film', '"never again', "lovely"]


@pytest.mark.parametrize(
    "content",
    [
        UNBALANCED,
        'text,stars\n"a film,1\nanother one,2\nlovely",3\n',
        "text,stars\na,film,1\n",
        'text\n"a film" of mine\n',
        bytes(range(256)) * 4,
        "text\nпривет мир\n".encode("cp1251"),
        "text\na film\n".encode("utf-16-le"),
    ],
)
def test_no_error_names_a_file_or_an_option_that_the_page_does_not_have(read, tmp_path, content):
    with pytest.raises(InputError) as error:
        read(content)
    assert "--" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("text;stars\na film, mine;1\nb;2\n", "upload.csv"),
        ("sep=;\ntext;stars\na film, mine;1\nb;2\n", "upload.csv"),
        ("text\tstars\na film, mine\t1\nb\t2\n", "upload.csv"),
        ('text,stars\n"a film, mine",1\nb,2\n'.encode("utf-16"), "upload.csv"),
        ('[{"text": "a film, mine", "stars": "1"}, {"text": "b", "stars": "2"}]', "upload.jsonl"),
        ('{"text": "a film, mine", "stars": "1"}\n{"text": "b", "stars": "2"}\n', "upload.json"),
    ],
)
def test_the_layout_of_a_file_is_detected(read, content, name):
    assert read(content, name).columns == {"text": ["a film, mine", "b"], "stars": ["1", "2"]}


def test_a_first_line_that_is_a_row_is_a_row_although_its_cells_repeat(read):
    table = read("good;1;1\nbad;2;3\n", has_header=False)
    assert table.columns == {"column 1": ["good", "bad"], "column 2": ["1", "2"], "column 3": ["1", "3"]}


@pytest.mark.parametrize("content", ["good film,1\nbad film,0\n", "good film,1\nbad film\nfair film,0\n"])
def test_a_first_line_that_looks_like_a_row_is_detected(read, content):
    assert "looks like a row" in " ".join(read(content).remarks)


def test_columns_with_one_name_leave_the_others_readable_and_say_what_to_do(read):
    table = read(DOUBLED)
    assert table.columns == {"text": ["a film", "another film"]}
    assert "2 columns named 'note'; rename all but one" in table.faults["note"]


def test_a_repeated_name_in_a_json_object_affects_only_its_column(read):
    table = read('{"text": "a film", "note": 1, "note": 2}\n{"text": "b"}\n', "upload.jsonl")
    assert table.columns == {"text": ["a film", "b"]}
    assert "more than once" in table.faults["note"]
    assert table.faults["note"].startswith("The file, row 1")


def test_a_file_without_a_usable_column_is_refused(read):
    with pytest.raises(InputError, match="rename all but one"):
        read("text,text\na,b\n")


def test_more_rows_or_columns_than_the_limits_are_refused(read, tmp_path):
    with pytest.raises(InputError, match="5,001 rows; the limit is 5,000"):
        read("text\n" + "a\n" * 5001)
    with pytest.raises(InputError, match="201 columns; the limit is 200"):
        read(json.dumps([{f"c{i}": "a" for i in range(201)}]), "upload.json")


@pytest.mark.parametrize(
    ("cells", "names", "has_several"),
    [
        (["late", "rude", "late", ""], ["late", "rude"], False),
        (['["late", "rude"]', "['rude']", "[]"], ["late", "rude"], True),
        ([["late"], ["rude", "late"], None, []], ["late", "rude"], True),
        (["late; rude", "rude", "(none)", "late"], ["late", "rude"], True),
        (["late|rude", "late", "rude"], ["late", "rude"], True),
        (["a; b", "c"], ["a; b", "c"], False),
    ],
)
def test_several_labels_in_a_cell_are_proposed_one_by_one(cells, names, has_several):
    assert reading.label_names(reading.Table({"kind": cells}, []), "kind") == (names, has_several)
