"""Read a workbook in a process with little memory and no secrets: see `workbook_process`.

The arguments are a path, a task and limits. It writes a line of JSON to stdout and, for a sheet, its table as an Arrow
stream. It imports little, so that it starts fast.
"""

import ctypes
import json
import os
import re
import resource
import signal
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from engine.audience.reading.header_names import clean_name
from engine.audience.reading.workbooks.ods_marks import read_ods
from engine.audience.reading.workbooks.sheet_marks import SheetMarks
from engine.audience.reading.workbooks.xls_marks import read_xls
from engine.audience.reading.workbooks.xlsx_marks import find_hidden, read_xlsx
from engine.audience.reading.workbooks.zip_directory import open_zip

_PARENT_DEATH = 1  # PR_SET_PDEATHSIG of Linux
_PROLOG_BYTES = 1 << 16
_LAST_ROW = 1 << 20
_LAST_NARROW = 25  # column Z
# calamine's format of a date with time, with a blank or a T; and the date that it puts before a time of day.
_MOMENT = r"^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.0+)?$"
_AFTER_MIDNIGHT = r"^\d{4}-\d{2}-\d{2} (?:0[1-9]|1|2|00:0[1-9]|00:[1-5]|00:00:0[1-9]|00:00:[1-5])"
_DAY_ZERO = "^(?:1899-12-3[01]|1904-01-01) "
_NAME = re.compile("[A-Za-z_:]")

Answer = dict[str, Any]


# What parsers raise about a file that calamine could read and that is unusual anyway.
_ODD = (ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError,
        TypeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error)  # fmt: skip


class _RefusedError(Exception):
    """The workbook is rejected; the answer has the reason."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def main(arguments: list[str]) -> None:
    """Run the task of the arguments within their limits."""
    path, task, wanted, limits = Path(arguments[0]), arguments[1], arguments[2], json.loads(arguments[3])
    _limit(limits["memory_bytes"], limits["cpu_seconds"], limits["parent"])
    import fastexcel  # noqa: PLC0415 - imported under the limits

    try:
        _refuse_entities(path)
        book = fastexcel.read_excel(path)
        answer, table = (_list_sheets if task == "list" else _read_sheet)(book, path, wanted or None, limits["cells"])
    except _RefusedError as refused:
        answer, table = refused.answer, None
    except MemoryError:
        answer, table = {"limit": "workbook_mb"}, None
    except fastexcel.FastExcelError as error:
        # calamine 0.36 expands at most 100 million cells of OpenDocument.
        said = str(error)
        answer = {"too_many": said.splitlines()[0]} if "Cell limit exceeded" in said else {"unreadable": said}
        table = None
    except (zipfile.BadZipFile, OSError) as error:
        answer, table = {"unreadable": str(error)}, None
    _write(sys.stdout.buffer, answer, table)


def _limit(memory_bytes: int, cpu_seconds: int, parent: int) -> None:
    """Limit this process's resources, and end it when its parent ends.

    RLIMIT_DATA counts written memory, not mapped memory: libraries and stacks of threads need gigabytes of
    addresses and almost no memory.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it as well, and ends this process
    if sys.platform == "linux":
        # The thread that started this process waits for its answer, so it does not end earlier.
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    for what, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        # The hard limit of CPU time sends SIGKILL; the soft one sends SIGXCPU, which shows the cause.
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _refuse_entities(path: Path) -> None:
    """Reject parts with a document type: no valid workbook has one, and its entities can expand without limit."""
    if not zipfile.is_zipfile(path):
        return
    with open_zip(path) as file:
        for part in file.infolist():
            if part.filename.lower().endswith((".xml", ".rels")):
                with file.open(part) as opened:
                    if _has_document_type(opened.read(_PROLOG_BYTES)):
                        raise _RefusedError({"unreadable": f"its part {part.filename[:100]} declares a document type"})


def _has_document_type(begin: bytes) -> bool:
    """Whether XML declares a document type, or its root does not begin within the bytes that are checked."""
    wide = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
    text = begin.decode(wide.get(begin[:2], "latin-1"), "replace")
    at = 0
    while (at := text.find("<", at)) >= 0:
        if text.startswith("<?", at):
            at = text.find("?>", at)
        elif text.startswith("<!--", at):
            at = text.find("-->", at)
        else:
            return _NAME.match(text, at + 1) is None
        if at < 0:
            return True
    return len(begin) == _PROLOG_BYTES


def _try_formats(path: Path, sheet: str) -> SheetMarks | None:
    """Read the marks of a sheet; None for .xlsb, and for a file with an unusual structure."""
    try:
        readers = (read_xlsx, read_ods, read_xls)
        return next((marks for read in readers if (marks := read(path, sheet)) is not None), None)
    except _ODD:
        return None


def _read_marks(path: Path, name: str, most_cells: int) -> SheetMarks | None:
    """Read the marks of a sheet; reject one with too many cells before memory is allocated for it."""
    marks = _try_formats(path, name)
    is_far = marks is not None and (marks.last_column > _LAST_NARROW or marks.last_row > _LAST_ROW)
    if marks is not None and is_far and marks.count_cells() > most_cells:
        raise _RefusedError({"limit": "cells", "sheet": name, "rows": marks.last_row, "columns": marks.last_column + 1})
    return marks


def _list_sheets(book: Any, path: Path, _wanted: str | None, most_cells: int) -> tuple[Answer, None]:
    found = []
    for name in book.sheet_names:
        _read_marks(path, name, most_cells)
        sheet = book.load_sheet(name, header_row=None, dtypes="string")
        if sheet.total_height:
            found.append((name, sheet.visible == "visible"))
    return {"sheets": found}, None


def _read_sheet(book: Any, path: Path, wanted: str | None, most_cells: int) -> tuple[Answer, pl.DataFrame | None]:
    names = book.sheet_names
    shown = _find_shown(book, path)
    answer: Answer = {"names": names, "shown": shown, "name": None, "marks": None}
    if wanted is not None:
        answer["name"] = next((name for name in names if wanted in (name, clean_name(name))), None)
    elif shown:
        answer["name"] = shown[0]
    if answer["name"] is None:
        return answer, None
    marks = _read_marks(path, answer["name"], most_cells)
    table = pl.DataFrame(book.load_sheet(answer["name"], header_row=None, dtypes="string", skip_rows=0))
    if table.height * table.width > most_cells:
        place = {"sheet": answer["name"], "rows": table.height, "columns": table.width}
        raise _RefusedError({"limit": "cells", **place})
    if marks is not None:
        table = marks.put_texts(table)
        answer["marks"] = {
            "hidden_rows": sorted(marks.hidden_rows),
            "hidden_columns": sorted(marks.hidden_columns),
            "unsaved": marks.unsaved,
            "errors": marks.errors,
            "first_column": marks.first_column,
        }
    return answer, table.select(_write_dates(c) for c in table.with_columns(pl.col(pl.String).replace("", None)))


def _find_shown(book: Any, path: Path) -> list[str]:
    """Return the visible sheets; if the file does not list them, each sheet is read."""
    try:
        hidden = find_hidden(path)
    except _ODD:
        hidden = None
    if hidden is not None:
        return [name for name in book.sheet_names if name not in hidden]
    return [n for n in book.sheet_names if book.load_sheet(n, header_row=None, n_rows=0).visible == "visible"]


def _write_dates(column: pl.Series) -> pl.Series:
    """Write dates as in every format: 2026-11-24, or 2026-11-24 09:30:00 in a column of dates with times."""
    if not column.str.contains(_MOMENT).any():
        return column
    moments = column.str.replace(_MOMENT, "${1} ${2}").str.replace(_DAY_ZERO, "")
    if moments.str.contains(_MOMENT).any() and not moments.str.contains(_AFTER_MIDNIGHT).any():
        return moments.str.replace(_MOMENT, "${1}")
    return moments


def _write(out: BinaryIO, answer: Answer, table: pl.DataFrame | None) -> None:
    out.write(json.dumps(answer).encode() + b"\n")
    if table is not None:
        table.write_ipc_stream(out)
    out.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
