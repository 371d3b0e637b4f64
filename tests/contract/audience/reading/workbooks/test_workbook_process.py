"""Workbooks that need more than the limits: refused, and only their own process can fail."""

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from engine.audience.reading.sources import AudienceSource, Format, find_sources
from engine.audience.reading.workbooks import workbook_process
from engine.audience.reading.workbooks.workbook_reader import _has_document_type
from engine.audience.reading.workbooks.workbooks import list_sheets, read_sheet
from engine.errors import DataError
from engine.read_limits import ReadLimits


def write_far(path: Path, row: int = 1_048_575, column: int = 16_383) -> None:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("S")
        sheet.write(0, 0, "email")
        sheet.write(row, column, "x")


def change(path: Path, part: str, old: bytes, new: bytes) -> None:
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    assert old in parts[part]
    parts[part] = parts[part].replace(old, new)
    with zipfile.ZipFile(path, "w") as file:
        for name, data in parts.items():
            file.writestr(name, data)


def find(path: Path, limits: ReadLimits | None = None) -> AudienceSource:
    (source,) = find_sources(path.name, path.parent, limits=limits or ReadLimits())
    return source


def test_a_cell_in_the_last_corner_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    write_far(tmp_path / "a.xlsx")
    for read in (lambda source: read_sheet(source, None), list_sheets):
        with pytest.raises(DataError) as caught:
            read(find(tmp_path / "a.xlsx"))
        assert caught.value.what == ("the sheet S has 1,048,576 rows and 16,384 columns: more than 40,000,000 cells")
        assert "delete the cells far below or to the right of the table" in caught.value.remedy
        assert "[limits] cells in mailrun.toml, or MAILRUN_LIMITS_CELLS, raises the limit" in caught.value.remedy


def test_cells_are_counted_where_no_letter_tells_how_far_they_are(tmp_path: Path) -> None:
    write_far(tmp_path / "a.xlsx", row=499, column=9)
    assert read_sheet(find(tmp_path / "a.xlsx", ReadLimits(cells=5_000)), None).table.height == 2
    with pytest.raises(DataError, match=r"S has 500 rows and 10 columns: more than 4,999 cells"):
        read_sheet(find(tmp_path / "a.xlsx", ReadLimits(cells=4_999)), None)


@pytest.mark.parametrize(
    ("rows", "columns", "what"),
    [(100, 50, "the sheet S has 100 rows and 50 columns"), (1 << 20, 1 << 14, "the workbook has too many cells")],
)
def test_repeated_cells_of_opendocument_are_counted(rows: int, columns: int, what: str, tmp_path: Path) -> None:
    names = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    cell = f'<table:table-cell office:value-type="string" table:number-columns-repeated="{columns}"><text:p>x</text:p>'
    content = (
        f'<office:document-content{names}><office:body><office:spreadsheet><table:table table:name="S">'
        f'<table:table-row table:number-rows-repeated="{rows}">{cell}</table:table-cell></table:table-row>'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(tmp_path / "a.ods", "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("content.xml", content)
        file.writestr("META-INF/manifest.xml", "<manifest/>")
    with pytest.raises(DataError, match=what):
        list_sheets(find(tmp_path / "a.ods", ReadLimits(cells=4_999)))


def test_a_reader_that_reaches_its_memory_limit_is_an_error(tmp_path: Path) -> None:
    """The sheet's own size cannot be read, so only this limit applies."""
    write_far(tmp_path / "a.xlsx")
    odd = b'<cols><col hidden="1" min="odd" max="1"/></cols><sheetData>'
    change(tmp_path / "a.xlsx", "xl/worksheets/sheet1.xml", b"<sheetData>", odd)
    with pytest.raises(DataError) as caught:
        read_sheet(find(tmp_path / "a.xlsx", ReadLimits(workbook_mb=300)), None)
    assert caught.value.what == "reading the workbook takes more than 300 MB of memory"
    assert "save it as CSV, or [limits] workbook_mb in mailrun.toml" in caught.value.remedy


def test_a_reader_that_takes_too_long_is_an_error() -> None:
    source = AudienceSource(Path("a.xlsx"), "a.xlsx", 1, 1, Format.EXCEL)
    with pytest.raises(DataError, match=r"more than 900 seconds of CPU time .*\[limits\] workbook_seconds"):
        workbook_process._explain_end(source, -signal.SIGXCPU, "")
    with pytest.raises(DataError, match=r"its reader ended with signal 11"):
        workbook_process._explain_end(source, -signal.SIGSEGV, "")


@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_a_document_type_is_refused(encoding: str, tmp_path: Path) -> None:
    write_far(tmp_path / "a.xlsx", row=1, column=1)
    with zipfile.ZipFile(tmp_path / "a.xlsx", "a") as file:
        text = '<?xml version="1.0"?><!-- x > --><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
        file.writestr("xl/odd.xml", text.encode(encoding))
    with pytest.raises(DataError, match=r"its part xl/odd.xml declares a document type"):
        read_sheet(find(tmp_path / "a.xlsx"), None)


@pytest.mark.parametrize(
    ("begin", "has_one"),
    [
        (b"<a/>", False),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- <!DOCTYPE a> -->\n<a:b/>', False),
        (b"", False),
        (b"<!DOCTYPE a>", True),
        (b"<!-- <a> --><!DOCTYPE a>", True),
        (b"<?a <b?><!DOCTYPE a>", True),
        (b"<!-- " + b"x" * (1 << 16), True),
        (b" " * (1 << 16), True),
    ],
)
def test_the_root_of_xml_is_found(begin: bytes, has_one: bool) -> None:  # noqa: FBT001 - a parameter
    assert _has_document_type(begin[: 1 << 16]) is has_one


def test_the_reader_sees_no_secret_and_ends_when_a_stop_is_requested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    seen: list[Any] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], env: Mapping[str, str], **how: Any) -> None:
            seen.append(env)
            super().__init__(command, env=env, **how)
            seen.append(self)

        def communicate(self, *_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

    write_far(tmp_path / "a.xlsx", row=1, column=1)
    source = find(tmp_path / "a.xlsx")
    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with pytest.raises(KeyboardInterrupt):
        read_sheet(source, None)
    environment, process = seen
    assert set(environment) == {"PYTHONPATH", "POLARS_MAX_THREADS", "LC_ALL"}
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_the_reader_ends_with_its_parent() -> None:
    """The pipe ends when the last process that holds it has ended: its parent was killed, so the reader is gone too."""
    reader = (
        "import os, sys; from engine.audience.reading.workbooks.workbook_reader import _limit;"
        "_limit(10**9, 60, int(sys.argv[1])); print('ready', flush=True); sys.stdin.read()"
    )
    parent = "import os, subprocess, sys;subprocess.run([sys.executable, '-c', sys.argv[1], str(os.getpid())])"
    with subprocess.Popen(
        [sys.executable, "-c", parent, reader], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGKILL)
        assert process.stdout.read() == b""
