"""CSV is read strictly: the right rows, or a refusal that names file, line and remedy."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.plans import read_file

from engine.audience.reading.csv_dialect import HEADER_BYTES, CsvDialect, holds_address, read_dialect
from engine.audience.reading.csv_rows import read_csv_block
from engine.audience.reading.text_files.text_blocks import TextBlock
from engine.errors import DataError

Row = tuple[str | None, ...]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str | bytes, **reading: Any) -> tuple[list[tuple[int, str | None]], list[Row]]:
    """The places (line, why malformed) and the cells."""
    path = Path.cwd() / "list.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    places, cells = read_file(path, **reading)
    return places.rows(), cells.rows()


def columns(text: str, **reading: Any) -> list[str]:
    Path("list.csv").write_text(text, encoding="utf-8")
    return read_file(Path.cwd() / "list.csv", **reading)[1].columns


def refusal(data: bytes, **reading: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read(data, **reading)
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


def test_windows_line_ends_are_not_part_of_the_cells() -> None:
    assert read('a,b\r\n1,"x\r\ny"\r\n\r\n3,4\r\n') == ([(2, None), (5, None)], [("1", "x\ny"), ("3", "4")])


def test_byte_order_mark_is_not_part_of_the_first_name() -> None:
    assert columns("\ufeffemail,name\n") == ["email", "name"]
    assert read(b"\xef\xbb\xbfemail,name\na,b\n")[1] == [("a", "b")]


def test_the_last_line_needs_no_line_break() -> None:
    assert read("a,b\n1,2") == ([(2, None)], [("1", "2")])


def test_header_alone_has_no_rows() -> None:
    assert read("a,b\n") == ([], [])
    assert read("a,b") == ([], [])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_recognized_by_the_header(delimiter: str) -> None:
    assert read(f'a{delimiter}"b,;"{delimiter}c\n1{delimiter}2{delimiter}3\n')[1] == [("1", "2", "3")]


def test_a_given_delimiter_is_not_guessed() -> None:
    assert read("a,b\tc\n1,2\t3\n", delimiter="\t")[1] == [("1,2", "3")]


def test_a_row_of_delimiters_alone_is_a_row() -> None:
    assert read("a\tb\n\t\n", delimiter="\t") == ([(2, None)], [(None, None)])


def test_row_with_too_many_or_too_few_fields_alone_is_malformed() -> None:
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
    assert places == [(2, "a field that is not quoted as a whole has a quotation mark"), (3, None)]
    assert cells == [(None, None), ("1", "2")]


def test_a_carriage_return_inside_an_unquoted_field_ends_the_row() -> None:
    assert read("a,b\n1\rx,2,3\n3,4\n")[0] == [
        (2, "the row has 1 fields, the header has 2"),
        (3, "the row has 3 fields, the header has 2"),
        (4, None),
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


@pytest.mark.parametrize(
    "tail", ["é".encode("latin-1"), "日本".encode("shift-jis"), b"\xc3", b"\xed\xa0\x80", "é".encode() + b"\xe9"]
)
def test_row_with_a_byte_of_another_encoding_alone_is_malformed(tail: bytes) -> None:
    head = "email,name\na@example.com,Ünï\nc@example.com,Ç\nb@example.com,".encode()
    places, cells = read(head + tail + b"\nd@example.com,D\n")
    assert places == [
        (2, None),
        (3, None),
        (4, "it has a byte that is not a character in the file's encoding"),
        (5, None),
    ]
    assert cells[3] == ("d@example.com", "D")


def test_a_header_that_swallows_rows_is_refused() -> None:
    error = refusal(b'email,"name\nann@x.example,Ann\nbob@x.example,Bob\n"\n')
    assert "a quote is not closed" in error.what
    assert columns('email,"first\nname"\n1,2\n') == ["email", "first\nname"]


def test_nul_is_refused_with_its_line() -> None:
    error = refusal(b"a,b\n1,2\n3,\0\n")
    assert error.what == "the file contains NUL characters"
    assert error.where == "list.csv, line 3"


def test_leniently_a_row_with_nul_is_malformed() -> None:
    places, _ = read(b"a,b\n1,2\n3,\0\n4,5\n", lenient=True)
    assert places == [(2, None), (3, "it has a NUL character"), (4, None)]


def test_leniently_an_unclosed_quote_costs_its_own_line_alone() -> None:
    places, cells = read('a,b\n0,1\n1,"two\n3,4\n"5",6\n', lenient=True)
    assert places == [(2, None), (3, "a quote is opened and not closed"), (4, None), (5, None)]
    assert cells == [("0", "1"), (None, None), ("3", "4"), ("5", "6")]


def test_leniently_a_cut_end_is_a_malformed_row() -> None:
    places, _ = read(b"a,b,c\n1,2,3\n4,5", lenient=True)
    assert places == [(2, None), (3, "the row has 2 fields, the header has 3")]


@pytest.mark.parametrize("end", ["", "\r"])
def test_lines_may_end_with_a_carriage_return_alone(end: str) -> None:
    assert read(f"a,b\r1,2\r3,4{end}".encode()) == ([(2, None), (3, None)], [("1", "2"), ("3", "4")])


@pytest.mark.parametrize(
    "text", ["a,b\r1,2\r3,4\n", "a,b\r1,2\n3,4\r", "a,b\n1,2\r3,4", "a,b\r\n1,2\r3,4\r\n", "a,b\r1,2\r\n3,4\r\r"]
)
def test_lines_may_end_in_several_ways_in_one_file(text: str) -> None:
    assert read(text) == ([(2, None), (3, None)], [("1", "2"), ("3", "4")])


def test_a_carriage_return_inside_quotes_is_a_line_break_of_the_field() -> None:
    assert read('a,b\r1,"x\ry"\r\n2,"x\r\ny"\n') == ([(2, None), (4, None)], [("1", "x\ny"), ("2", "x\ny")])


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"\r\r", b"\xef\xbb\xbf\xef\xbb\xbf\r\n"])
def test_a_file_without_a_header_line_is_refused(data: bytes) -> None:
    assert refusal(data).what == "the file is empty"


def test_duplicate_name_is_numbered() -> None:
    assert columns("email,name,email, email \n1,2,3,4\n") == ["email", "name", "email (2)", "email (3)"]


def test_a_column_without_a_name_gets_one() -> None:
    assert columns("email,,name,\n1,2,3,4\n") == ["email", "column_2", "name", "column_4"]


def test_excels_line_about_the_delimiter_is_not_a_header() -> None:
    assert read("sep=|\na|b\n1|2\n") == ([(3, None)], [("1", "2")])


def test_without_a_header_the_first_line_is_a_row() -> None:
    assert columns("1;2\n3;4\n", has_header=False) == ["column_1", "column_2"]
    assert columns("1;2\n3;4\n", has_header=False, columns=("a", "b")) == ["a", "b"]
    assert read("1;2\n3;4\n", has_header=False)[0] == [(1, None), (2, None)]
    error = refusal(b"1;2\n3;4\n", has_header=False, columns=("a",))
    assert error.what == "[audience] columns names 1 columns, but the first row has 2 fields"


PLAIN = "a,b,c\n" + "".join(f"{n},x{n},{'' if n % 7 == 0 else n}\n" for n in range(400))


@pytest.mark.parametrize("odd", ["", '1,"q",3\n', "1,2\n", "1,2,3,4\n", "\n", "1,2,3\r\n", '"1\n",2,3\n', "é,ü,ß\n"])
@pytest.mark.parametrize("block_bytes", [40, 300, 1 << 20])
def test_rows_do_not_depend_on_where_blocks_end(odd: str, block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PLAIN + odd + PLAIN.removeprefix("a,b,c\n")
    whole = read(text)
    monkeypatch.setattr("engine.audience.reading.text_files.text_blocks.BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("engine.audience.reading.text_files.text_encoding.READ_BYTES", block_bytes)
    assert read(text) == whole
    assert len(whole[0]) == 800 + (odd not in ("", "\n"))


@pytest.mark.parametrize("damage", ["1,2,\n1,2,3,\n1,2\n", "1,2\n1,2,3,4\n", "\n\n,\n"])
def test_short_and_long_rows_do_not_make_up_for_one_another(damage: str) -> None:
    places, _ = read("a,b,c\n1,2,\n" + damage)
    malformed = [line for line, fault in places if fault]
    expected = [n for n, line in enumerate(("a,b,c\n1,2,\n" + damage).splitlines(), 1) if line and line.count(",") != 2]
    assert malformed == expected


def test_a_header_is_read_from_the_beginning_of_a_large_file() -> None:
    head = b"email,name\n" + b"a@example.com,\xc3\xa9\n" * (HEADER_BYTES // 10)
    for cut in range(3):
        assert read_dialect(head[: HEADER_BYTES + cut], name="list.csv").columns == ("email", "name")


def test_a_first_line_without_end_is_refused() -> None:
    with pytest.raises(DataError, match="the first line does not end"):
        read_dialect(b"x" * HEADER_BYTES, name="list.csv")


def test_a_file_that_begins_with_an_address_has_no_header() -> None:
    assert holds_address(read_dialect(b"\nann@example.com\n", name="list.csv"))
    assert not holds_address(read_dialect(b"email\nann@example.com\n", name="list.csv"))


def test_cells_are_the_same_whether_a_block_is_plain_or_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = read(PLAIN)
    monkeypatch.setattr("engine.audience.reading.csv_rows._read_plain", lambda *_: None)
    assert read(PLAIN) == plain
    assert pl.Series([cell for row in plain[1] for cell in row]).null_count() == 58


@pytest.mark.parametrize(
    "damage", ["", "1,2,\n1,2,3,\n1,2\n", "1,2\n1,2,3,4\n", "1,2,3,\n", "1\n1,2,3,4,5\n", "\n\n,\n", '1,"q",\n']
)
@pytest.mark.parametrize("wanted", [["a"], ["b"], ["c"], ["c", "a"], ["b", "c", "a"]])
def test_rows_and_faults_are_the_same_for_any_columns(damage: str, wanted: list[str]) -> None:
    dialect = CsvDialect(("a", "b", "c"), ",", 1)
    for rows in (PLAIN, "a,b,c\n1,2,3\n"):
        data = (rows + damage + "1,2,3\n").encode()
        block = TextBlock(data, 1, data.count(b"\n"), damaged=False, is_last=True)
        whole = read_csv_block(block, dialect, name="list.csv", columns=dialect.columns)
        found = read_csv_block(block, dialect, name="list.csv", columns=wanted)
        assert found.places.equals(whole.places)
        assert found.cells.equals(whole.cells.select(wanted))
