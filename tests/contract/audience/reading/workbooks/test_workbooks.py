"""What a spreadsheet program does not show is not used silently, and what it shows is what is read."""

import base64
import datetime as dt
import gzip
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
from support.plans import all_excluded, plan, read_file, recipients

from engine.audience.reading.workbooks.xlsx_marks import read_xlsx
from engine.audience.spec import AudienceSpec
from engine.errors import DataError

at = partial(dt.datetime, tzinfo=None)  # a workbook has no time zones
HEADER = ("email", "zip", "since", "at", "vip", "notes")
PEOPLE: list[tuple[Any, ...]] = [
    ("ann@example.com", 1234, dt.date(2024, 3, 1), at(2024, 3, 1, 9, 30), True, "x"),
    ("hid@example.com", 5, dt.date(2024, 3, 2), at(2024, 3, 2), False, "y"),
    ("bob@example.com", 98765, dt.date(2024, 3, 3), at(2024, 3, 3, 0, 0, 1), False, "z"),
]
SHOWN = [
    ("ann@example.com", "01234", "2024-03-01", "2024-03-01 09:30:00", "true", "x"),
    ("bob@example.com", "98765", "2024-03-03", "2024-03-03 00:00:01", "false", "z"),
]
FORMATS = {1: "00000", 2: "dd/mm/yyyy", 3: "dd/mm/yyyy hh:mm"}
# What xlwt 1.3 writes of the same: no library that is still kept writes this format.
XLS = (
    "ABzY8000000t4+>O=wd=5T1SS<+o{)*8W+c6ruj(4}wUcO;l7674@QsplR};p~*{0qS%61tvw2&C&i264_2r@2Y*mO!GnTO(Ssle"
    "t%4U%f`SKa{C2X5u}#2&R+Kl7owxJt?#yInvb)Li(VDSyH=4(35_OVJ6FCn#OE7`vDF{KrcrGWqg|{0mXVX7L9yb!{bkM!(XD*pT"
    "neTDZ=(_O;oaimu9_pp7Da&k~L0Zc`M1=IALl~$%jn1O^X*T;+%RI__7V~R7_dfG5BgdI{VD6aMO{1Z$i&m>T-lfguF+aGV+q~vA"
    "BP*z$p2#{rd_v^sI%rKg9!b~(e`TP>@X-ZAX>K$vGc9E=UBn<Qm(*ee=n{E}VzFh(<gz|ci&0OP<?i$YYVGcBPbSBx4%K~uKIdAA"
    "J{7jHhpjd~v$!DOUw+126>v9lT@Lpk>*a7SQeO_Qs-VYLK~HrBJ^l)M0u}TG%jh|!8AJn=+b87SGXz`h&V0ddj%Tu&AuPJ-${(le"
    "QdTw+&1Sx0EAs=XMnmbF$w)lWNR&vWdiM8*<5t#8Tam<4^I#;|n=o~v{&+9uW#U%U#HJR>0y@BumCBl#03gc>tLaOlsU*I02Z46S"
    "W0TN6pk1l1Noc=U-URsM2>x_(RP%o71CJplvR}iyY7igh>y?i$wsdU^?PX+uZwvW5MVpKW<>-i9fyI6v(Td}XxWAbBQPw(#`_0Vj"
    "5E8uSZL3$E4TC)A7>~|_os~>4L-R}e3(z0>u>DTU(7Vt=^hY+1_t%ZQ3Z0|5sIC~+%V&_5h$Z68X-RiOg||?r&l~2mr<_D?EvS6Y"
    "sf$y9zR6t*RKr}(5M^cvo*{XsR!g@y1mTh!*zb(Hm=yOzSntGhvMRtH6!Kv3Y}Y@W2iKH52$hGtq^W4-B^{Dplnh8lQF1_X6eTAl"
    "XGu0)Q?e=T$jCi_r}73<OPgj%@6JEgU_(cQ1+>@E)#2e`U)%ezLv!;^AZsA6LE3OD8(N8teac2Y*B-Xf1WCg|+5oA6F2P14bAzN_"
    "jrEdRCG~ohUcHR(I_s@czUx@gM5|m*M0vRAyAI9G^mKg_g_ZAmi4C1?_zJa5<!ad`n{2YlroTl(-L!Od(mT|R!lnM#`Gz)O|4s7W"
    "(hf@D$>KN4db03NQ{S}er-2-zpiBJXn!^8ul6Jy+ntG^<{pgu?{o)2FN<YspFAV;^uh4YuPfW+pKWzUy`H@Qa02TlM"
)


def write_xlsx(path: Path) -> None:
    with xlsxwriter.Workbook(path) as book:
        lists = book.add_worksheet("Lists")
        lists.write_column(0, 0, ["email", "lookup@internal.example"])
        lists.hide()
        sheet = book.add_worksheet("Contacts")
        sheet.activate()
        sheet.write_row(0, 1, HEADER)
        formats = {column: book.add_format({"num_format": code}) for column, code in FORMATS.items()}
        for row, person in enumerate(PEOPLE, start=1):
            for column, value in enumerate(person):
                write = sheet.write_datetime if column in (2, 3) else sheet.write
                write(row, column + 1, value, formats.get(column))
        sheet.set_row(2, None, None, {"hidden": True})
        sheet.set_column(6, 6, None, None, {"hidden": True})


def write_ods(path: Path) -> None:
    def cell(value: Any, column: int) -> str:
        shown, kind, attribute = str(value), "string", ""
        if isinstance(value, bool):
            kind, attribute = "boolean", f'office:boolean-value="{str(value).lower()}"'
        elif isinstance(value, int):
            kind, attribute, shown = "float", f'office:value="{value}"', f"{value:05}" if column == 1 else str(value)
        elif isinstance(value, dt.date):
            kind, attribute, shown = "date", f'office:date-value="{value.isoformat()}"', value.strftime("%d/%m/%Y")
        return f'<table:table-cell office:value-type="{kind}" {attribute}><text:p>{shown}</text:p></table:table-cell>'

    def row(values: tuple[Any, ...], attributes: str = "") -> str:
        cells = "".join(cell(value, column) for column, value in enumerate(values))
        return f"<table:table-row {attributes}><table:table-cell/>{cells}</table:table-row>"

    rows = row(HEADER) + "".join(
        row(person, 'table:visibility="filter"' if person[0].startswith("hid") else "") for person in PEOPLE
    )
    names = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{urn}:1.0"'
        for name, urn in (("office", "office"), ("table", "table"), ("text", "text"), ("style", "style"))
    )
    style = '<style:style style:name="gone" style:family="table"><style:table-properties table:display="false"/>'
    content = (
        f"<office:document-content{names}><office:automatic-styles>{style}</style:style></office:automatic-styles>"
        '<office:body><office:spreadsheet><table:table table:name="Lists" table:style-name="gone">'
        f'{row(("email",))}{row(("lookup@internal.example",))}</table:table><table:table table:name="Contacts">'
        '<table:table-column table:number-columns-repeated="6"/><table:table-column table:visibility="collapse"/>'
        f"{rows}</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("content.xml", content)
        manifest = '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
        file.writestr("META-INF/manifest.xml", manifest)


def write_xls(path: Path) -> None:
    path.write_bytes(gzip.decompress(base64.b85decode("".join(XLS))))


WRITERS: dict[str, Callable[[Path], None]] = {"a.xlsx": write_xlsx, "b.ods": write_ods, "c.xls": write_xls}


@pytest.fixture(params=WRITERS)
def workbook(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    WRITERS[request.param](path)
    return path


def test_every_format_is_read_as_it_is_shown(workbook: Path) -> None:
    found = plan(workbook.parent, source=workbook.name)
    assert recipients(workbook.parent).sort("row").select(HEADER).rows() == SHOWN
    assert (found.rows_read, found.excluded) == (3, {"filtered": 1})
    assert all_excluded(workbook.parent).select("line", "detail").rows() == [(3, "the sheet hides this row")]


def test_hidden_rows_and_columns_are_reported(workbook: Path) -> None:
    found = plan(workbook.parent, source=workbook.name)
    others = 'there are also: Lists (hidden) (choose with [audience] sheet = "…")'
    assert found.notes == (
        f"{workbook.name}: the sheet Contacts was read; {others}",
        f"{workbook.name}: the sheet Contacts hides 1 row; excluded as filtered: unhide it to include it",
        f"{workbook.name}: the campaign uses columns that the sheet hides: notes",
    )
    assert len(plan(workbook.parent, source=workbook.name, columns=frozenset(["zip"])).notes) == 2
    named = plan(workbook.parent, source=workbook.name, sheet="Contacts", columns=frozenset(["zip"]))
    assert named.notes == found.notes[1:2]


def test_a_hidden_row_meets_no_condition(workbook: Path) -> None:
    plan(workbook.parent, source=workbook.name, where="zip <> '98765'")
    assert recipients(workbook.parent)["address"].to_list() == ["ann@example.com"]
    assert sorted(all_excluded(workbook.parent)["line"]) == [3, 4]


@pytest.mark.parametrize(("above", "line"), [(["f_17", "f_23"], 3), (None, 2)])
def test_the_names_are_in_the_first_row_that_is_shown(above: list[str] | None, line: int, tmp_path: Path) -> None:
    rows = [row for row in (above, ["email", "name"], ["ann@example.com", "Ann"]) if row]
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
        sheet.set_row(0, None, None, {"hidden": True})  # of two headers the technical one, or the only one
    found = plan(tmp_path, source="a.xlsx")
    assert (found.rows_read, recipients(tmp_path).select("name", "line").rows()) == (1, [("Ann", line)])


def test_a_hidden_sheet_is_read_where_it_is_named(workbook: Path) -> None:
    plan(workbook.parent, source=workbook.name, sheet="Lists")
    assert recipients(workbook.parent)["address"].to_list() == ["lookup@internal.example"]
    with pytest.raises(DataError, match=r"did you mean Lists\? Available: Contacts, Lists"):
        plan(workbook.parent, source=workbook.name, sheet="lists")


def test_a_workbook_of_hidden_sheets_is_refused(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "a.xlsx")
    change(tmp_path / "a.xlsx", "xl/workbook.xml", b'name="Contacts"', b'state="veryHidden" name="Contacts"')
    with pytest.raises(DataError, match=r"all sheets are hidden: Lists, Contacts"):
        plan(tmp_path, source="a.xlsx")


def test_unreadable_marks_of_a_workbook_are_reported(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "a.xlsx")
    change(
        tmp_path / "a.xlsx",
        "xl/worksheets/sheet2.xml",
        b"<cols><col ",
        b'<cols><col hidden="1" min="odd" max="1"/><col ',
    )
    (_, note) = plan(tmp_path, source="a.xlsx").notes
    assert note == "a.xlsx: hidden rows and number formats are unknown for this format; save it as .xlsx"
    assert recipients(tmp_path).height == 3


def change(path: Path, part: str, old: bytes, new: bytes) -> None:
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    assert old in parts[part]
    parts[part] = parts[part].replace(old, new)
    with zipfile.ZipFile(path, "w") as file:
        for name, data in parts.items():
            file.writestr(name, data)


def test_hidden_rows_of_a_suppression_list_count(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "gone.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_column(0, 0, ["email", "hid@example.com", "ann@example.com"])
        sheet.set_row(1, None, None, {"hidden": True})
    (tmp_path / "list.csv").write_text("email\nhid@example.com\nzoe@example.com\nann@example.com\n")
    found = plan(tmp_path, suppressed=["gone.xlsx"])
    assert found.excluded == {"suppressed": 2}
    assert any("hides 1 row; read anyway" in note for note in found.notes)


def test_formula_without_a_value_is_reported(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 1, ["email", "total", "text"])
        for row in (1, 2):
            sheet.write(row, 1, f"a{row}@example.com")
            sheet.write_formula(row, 2, "=1+1", None, 2)
            sheet.write_formula(row, 3, '=""', None, "x")
    change(tmp_path / "a.xlsx", "xl/worksheets/sheet1.xml", b"<v>x</v>", b"<v></v>")
    assert plan(tmp_path, source="a.xlsx").notes == ()
    change(tmp_path / "a.xlsx", "xl/worksheets/sheet1.xml", b"<f>1+1</f><v>2</v>", b"<f>1+1</f><v />")
    (note,) = plan(tmp_path, source="a.xlsx").notes
    what = "2 formulas have no value, the first in row 2, column total"
    assert note == f"a.xlsx: {what}; open the workbook and save it"
    assert recipients(tmp_path)["total"].to_list() == [None, None]
    assert plan(tmp_path, source="a.xlsx", columns=frozenset(["text"])).notes == ()
    spec = AudienceSpec.model_validate({"source": "a.xlsx", "columns": {"sum": "total"}})
    assert plan(tmp_path, spec=spec, columns=frozenset(["sum"])).notes == (note,)


def test_a_hidden_sheet_that_is_named_is_read_with_a_note(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        for name, address in (("Readers", "ann@example.com"), ("Old", "bob@example.com")):
            book.add_worksheet(name).write_column(0, 0, ["email", address])
        book.get_worksheet_by_name("Old").hide()
    found = plan(tmp_path, source="a.xlsx", sheet="Old")
    assert found.notes == ("a.xlsx: the sheet Old was read, although it is hidden",)
    assert recipients(tmp_path)["address"].to_list() == ["bob@example.com"]


@pytest.mark.parametrize("numbered", [True, False])
def test_cell_with_an_error_is_reported(numbered: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet()
        for row, values in enumerate([("email", "n"), ("a@x.example", "#N/A"), ("b@x.example", "#REF!")]):
            sheet.write(row, 0, values[0])
            if row:
                sheet.write_formula(row, 1, "=1", None, values[1])
            else:
                sheet.write(row, 1, values[1])
    if not numbered:
        change(tmp_path / "a.xlsx", "xl/worksheets/sheet1.xml", b'<row r="1" ', b"<row ")
    (note,) = plan(tmp_path, source="a.xlsx").notes
    assert note == "a.xlsx: 1 cell has an error and is empty, the first in row 3, column n; correct them"
    assert recipients(tmp_path)["n"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("code", "number", "text"),
    [
        ("00000", 1234, "01234"),
        ("000-00-0000", 12345678, "012-34-5678"),
        ("00000\\-0000", 12345678, "01234-5678"),
        ("[<=99999]00000;00000-0000", 501, "00501"),
        ("[<=99999]00000;00000-0000", 5011234, "00501-1234"),
        ('"C-"0000', 7, "C-0007"),
        ("0", 7, "7"),
        ("#,##0", 1234, "1234"),
        ("0.00", 7, "7"),
        ("General", 7, "7"),
        ("@", 7, "7"),
    ],
)
def test_zeros_that_a_format_shows_are_read(code: str, number: int, text: str, tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["email", "n"])
        sheet.write(1, 0, "a@example.com")
        sheet.write_number(1, 1, number, book.add_format({"num_format": code}))
    assert read_file(tmp_path / "a.xlsx")[1]["n"].to_list() == [text]


def test_times_of_day_are_read_as_they_are_shown(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["email", "at"])
        sheet.write(1, 0, "a@example.com")
        sheet.write_datetime(1, 1, dt.time(9, 30), book.add_format({"num_format": "hh:mm"}))
    assert read_file(tmp_path / "a.xlsx")[1]["at"].to_list() == ["09:30:00"]


@pytest.mark.parametrize("hidden_by", ['hidden="1"', 'ht="0" customHeight="1"', 'hidden="true"'])
def test_a_large_sheet_is_searched_in_pieces(hidden_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"email": [f"user{n}@example.com" for n in range(500)], "zip": list(range(500))})
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        frame.write_excel(book, "S", column_formats={"zip": "00000"}, autofit=False)
    part = "xl/worksheets/sheet1.xml"
    for row in (7, 400):
        change(tmp_path / "a.xlsx", part, f'<row r="{row}" '.encode(), f'<row r="{row}" {hidden_by} '.encode())
    whole = read_xlsx(tmp_path / "a.xlsx", "S")
    assert whole is not None
    assert whole.hidden_rows == {7, 400}
    assert whole.texts == {1: {n + 2: f"{n:05}" for n in range(500)}}
    monkeypatch.setattr("engine.audience.reading.workbooks.xlsx_marks._CHUNK", 512)
    assert read_xlsx(tmp_path / "a.xlsx", "S") == whole


def test_rows_without_numbers_are_counted(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "a.xlsx")
    part = "xl/worksheets/sheet2.xml"
    for row in range(1, 5):
        change(tmp_path / "a.xlsx", part, f'<row r="{row}" '.encode(), b"<row ")
    marks = read_xlsx(tmp_path / "a.xlsx", "Contacts")
    assert marks is not None
    assert marks.hidden_rows == {3}
