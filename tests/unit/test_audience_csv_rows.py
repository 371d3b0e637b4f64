"""CSV is read strictly: the right rows, or a refusal that names file, line and remedy."""

import pytest

from engine.audience.csv_rows import HEADER_BYTES, is_headless, read_csv_header, read_csv_rows
from engine.errors import DataError

Row = tuple[str | None, ...]


def read(text: str | bytes, *, delimiter: str | None = None) -> tuple[list[tuple[int, str | None]], list[Row]]:
    """The places (line, why malformed) and the cells."""
    data = text.encode() if isinstance(text, str) else text
    rows = read_csv_rows(data, name="list.csv", delimiter=delimiter)
    return rows.places.rows(), rows.cells.rows()


def refusal(data: bytes) -> DataError:
    with pytest.raises(DataError) as caught:
        read_csv_rows(data, name="list.csv", delimiter=None)
    assert caught.value.remedy
    return caught.value


def test_every_record_is_a_row_with_the_line_where_it_begins() -> None:
    places, cells = read("a,b\n1,2\n\n3,4\n   \n5,6\n")
    assert places == [(2, None), (4, None), (6, None)]
    assert cells == [("1", "2"), ("3", "4"), ("5", "6")]


def test_cells_stay_the_text_that_they_are() -> None:
    assert read("zip,n,b\n01234,1e3,true\n")[1] == [("01234", "1e3", "true")]


def test_an_empty_cell_is_null() -> None:
    assert read("a,b,c\n,x,\n")[1] == [(None, "x", None)]


def test_a_quoted_field_keeps_delimiters_quotes_and_line_breaks() -> None:
    places, cells = read('a,b\n"x, y","say ""hi"""\n"two\nlines",z\nlast,1\n')
    assert places == [(2, None), (3, None), (5, None)]
    assert cells == [("x, y", 'say "hi"'), ("two\nlines", "z"), ("last", "1")]


def test_a_line_break_in_the_header_counts_as_a_line() -> None:
    places, cells = read('"a\nx",b\n1,2\n')
    assert (places, cells) == ([(3, None)], [("1", "2")])


def test_windows_line_ends_are_no_part_of_the_cells() -> None:
    assert read('a,b\r\n1,"x\r\ny"\r\n\r\n3,4\r\n') == ([(2, None), (5, None)], [("1", "x\ny"), ("3", "4")])


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert read_csv_header(b"\xef\xbb\xbfemail,name\n", name="list.csv", delimiter=None) == ("email", "name")
    assert read(b"\xef\xbb\xbfemail,name\na,b\n")[1] == [("a", "b")]


def test_the_last_line_needs_no_line_break() -> None:
    assert read("a,b\n1,2") == ([(2, None)], [("1", "2")])


def test_a_header_alone_is_no_rows() -> None:
    assert read("a,b\n") == ([], [])
    assert read("a,b") == ([], [])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_from_the_header(delimiter: str) -> None:
    assert read(f'a{delimiter}"b,;"{delimiter}c\n1{delimiter}2{delimiter}3\n')[1] == [("1", "2", "3")]


def test_a_given_delimiter_is_not_guessed() -> None:
    assert read("a,b\tc\n1,2\t3\n", delimiter="\t")[1] == [("1,2", "3")]


def test_a_row_of_delimiters_alone_is_a_row() -> None:
    assert read("a\tb\n\t\n", delimiter="\t") == ([(2, None)], [(None, None)])


def test_a_row_with_too_many_or_too_few_fields_is_malformed_and_the_rest_goes_on() -> None:
    places, cells = read("a,b,c\n1,2\n3,4,5\n6,7,8,9\n10,11,12\n")
    assert places == [
        (2, "the row has 2 fields, the header has 3"),
        (3, None),
        (4, "the row has 4 fields, the header has 3"),
        (5, None),
    ]
    assert cells == [(None, None, None), ("3", "4", "5"), (None, None, None), ("10", "11", "12")]


def test_a_ragged_row_over_several_lines_says_where_it_ends() -> None:
    assert read('a,b\n"x\ny"\n1,2\n')[0] == [
        (2, "the row has 1 fields, the header has 2 (it ends in line 3)"),
        (4, None),
    ]


@pytest.mark.parametrize("row", ['Bob "Bobby" Lee,x', '"Bob" Lee,x', 'x, "Bob"', '"Bob" ,x'])
def test_a_quotation_mark_in_an_unquoted_field_makes_the_row_malformed(row: str) -> None:
    places, cells = read(f"a,b\n{row}\n1,2\n")
    assert places == [(2, "a quotation mark stands in a field that is not quoted as a whole"), (3, None)]
    assert cells == [(None, None), ("1", "2")]


def test_a_carriage_return_in_an_unquoted_field_makes_the_row_malformed() -> None:
    assert read("a,b\n1\rx,2\n3,4\n")[0] == [
        (2, "a carriage return stands in a field that is not quoted"),
        (3, None),
    ]


@pytest.mark.parametrize("rest", ["", "3,4\n", '3,"4"\n', '"3",4\n5,6\n', '"3",4\n"5",6\n'])
def test_an_unclosed_quote_is_refused_with_the_line_where_it_opens(rest: str) -> None:
    error = refusal(f'a,b\n0,1\n1,"two\n{rest}'.encode())
    assert error.what == "a quote is opened and not closed"
    assert error.where == "list.csv, line 3"


def test_a_file_cut_in_the_middle_of_a_row_is_refused() -> None:
    error = refusal(b"a,b,c\n1,2,3\n4,5")
    assert error.what.startswith("the file ends in the middle of a row")
    assert error.where == "list.csv, line 3"
    assert read("a,b,c\n1,2,3\n4,5\n")[0][1] == (3, "the row has 2 fields, the header has 3")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_with_the_way_to_convert_it(encoding: str) -> None:
    error = refusal("email\nann@example.com\n".encode(encoding))
    assert "UTF-16" in str(error)
    assert error.where == "list.csv, line 1"


@pytest.mark.parametrize(
    "tail", ["é".encode("latin-1"), "日本".encode("shift-jis"), b"\xc3", b"\xed\xa0\x80", "é".encode() + b"\xe9"]
)
def test_another_encoding_is_refused_with_the_line_of_its_first_byte(tail: bytes) -> None:
    error = refusal("email,name\na@example.com,Ünï\nb@example.com,".encode() + tail + b"\nc@example.com,C\n")
    assert error.what.startswith("the file is not UTF-8: byte 0x")
    assert error.where == "list.csv, line 3"


def test_nul_is_refused_with_its_line() -> None:
    error = refusal(b"a,b\n1,2\n3,\0\n")
    assert error.what == "the file contains NUL characters"
    assert error.where == "list.csv, line 3"


def test_carriage_returns_alone_are_refused() -> None:
    assert refusal(b"a,b\r1,2\r3,4\r").what == "the lines end with a carriage return alone"


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_a_header_line_is_refused(data: bytes) -> None:
    assert refusal(data).what == "the file is empty"


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (b"email,name,email", "the header has a name twice: email"),
        (b"email, email", "the header has a name twice: email"),
        (b"email,,name", "column 2 has no name"),
    ],
)
def test_a_header_has_each_name_once(header: bytes, what: str) -> None:
    assert refusal(header + b"\n1,2,3\n").what == what


def test_rows_are_the_same_however_many_are_parsed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a,b\n" + "".join(f'"{n}\n",x\n' if n % 3 else f"{n}\n" for n in range(20))
    at_once = read(text)
    monkeypatch.setattr("engine.audience.csv_rows.RECORDS_AT_ONCE", 3)
    assert read(text) == at_once


def test_a_header_is_read_from_the_beginning_of_a_large_file() -> None:
    head = b"email,name\n" + b"a@example.com,\xc3\xa9\n" * (HEADER_BYTES // 10)
    for cut in range(3):
        assert read_csv_header(head[: HEADER_BYTES + cut], name="list.csv", delimiter=None) == ("email", "name")


def test_a_first_line_without_end_is_refused() -> None:
    with pytest.raises(DataError, match="the first line does not end"):
        read_csv_header(b"x" * HEADER_BYTES, name="list.csv", delimiter=None)


def test_a_file_that_begins_with_an_address_is_headless() -> None:
    assert is_headless(b"\nann@example.com\n", name="list.csv")
    assert not is_headless(b"email\nann@example.com\n", name="list.csv")
    rows = read_csv_rows(b"ann@example.com,x\nbob@example.com,y\n", name="list.csv", delimiter=None, headless=True)
    assert rows.cells.to_dict(as_series=False) == {
        "column_1": ["ann@example.com", "bob@example.com"],
        "column_2": ["x", "y"],
    }
