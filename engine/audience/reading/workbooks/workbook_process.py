"""Start the process that reads a workbook, and turn its failures into errors.

The library that reads workbooks allocates whatever a file declares (one cell at XFD1048576 is 17 billion cells), aborts
the process if memory is short, and ignores signals until then. So it runs in its own process, with limits of memory and
CPU time, without this process's environment except the module path, and without files to write: the result comes
through a pipe.

A start costs about 0.3 s of CPU time, of which importing Polars is 0.25 s (Python 3.11, Polars 2.1).
"""

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from typing import Any

import polars as pl

from engine.audience.reading.sources import AudienceSource, unreadable
from engine.audience.reading.workbooks.zip_directory import unpacked_bytes
from engine.errors import DataError
from engine.read_limits import MEGABYTE, refuse

_SAID_BYTES = 2_000
_OUT_OF_MEMORY = (signal.SIGABRT, signal.SIGKILL)  # SIGABRT: Rust aborts; SIGKILL: the kernel's out-of-memory killer


def ask_reader(
    source: AudienceSource, task: str, wanted: str | None = None
) -> tuple[dict[str, Any], pl.DataFrame | None]:
    """Read a workbook in the process.

    Args:
        source: the workbook.
        task: `sheet`, or `list` for the names of all sheets.
        wanted: the sheet, for `sheet`; None for the first visible one.

    Returns:
        The process's answer, and for a sheet its table.

    Raises:
        DataError: the workbook is damaged, or exceeds `source.limits`.
    """
    try:
        unpacked = unpacked_bytes(source.path)
    except (ValueError, OSError, LookupError, zipfile.BadZipFile) as error:
        raise unreadable(source, error) from error
    source.limits.check_unpacked(unpacked, source.path.stat().st_size, source.name)
    output, status, said = _run(source, task, wanted)
    line, _, table = output.partition(b"\n")
    if status or not line:
        _explain_end(source, status, said)
    answer = json.loads(line)
    if "unreadable" in answer:
        raise unreadable(source, ValueError(answer["unreadable"]))
    if "too_many" in answer:
        what = f"the workbook has too many cells: {answer['too_many']}"
        raise DataError(
            what, where=source.name, remedy="delete the cells far below or to the right of the table, and save it"
        )
    if answer.get("limit") == "cells":
        what = f"the sheet {answer['sheet']} has {answer['rows']:,} rows and {answer['columns']:,} columns"
        instead = "delete the cells far below or to the right of the table, and save it; "
        refuse(f"{what}: more than {source.limits.cells:,} cells", source.name, "cells", instead)
    if "limit" in answer:
        _refuse_memory(source)
    return answer, pl.read_ipc_stream(io.BytesIO(table)) if table else None


def _run(source: AudienceSource, task: str, wanted: str | None) -> tuple[bytes, int, str]:
    limits = source.limits
    limits_given = {
        "cells": limits.cells,
        "memory_bytes": limits.workbook_mb * MEGABYTE,
        "cpu_seconds": limits.workbook_seconds,
        "parent": os.getpid(),
    }
    command = [sys.executable, "-m", "engine.audience.reading.workbooks.workbook_reader"]
    # Two threads: each needs its own memory, and the table is small compared to the workbook.
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "POLARS_MAX_THREADS": "2",
        "LC_ALL": "C.UTF-8",
    }
    process = subprocess.Popen(  # noqa: S603 - our own program
        [*command, str(source.path.absolute()), task, wanted or "", json.dumps(limits_given)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    with process:
        try:
            output, said = process.communicate()
        finally:
            process.kill()  # a stop was requested; otherwise the process has ended
    return output, process.returncode, said[-_SAID_BYTES:].decode(errors="replace")


def _explain_end(source: AudienceSource, status: int, said: str) -> None:
    if -status == signal.SIGXCPU:
        what = f"reading the workbook takes more than {source.limits.workbook_seconds:,} seconds of CPU time"
        refuse(what, source.name, "workbook_seconds", "save it as CSV, or ")
    if -status in _OUT_OF_MEMORY or "MemoryError" in said or "memory allocation" in said:
        _refuse_memory(source)
    end = f"signal {-status}" if status < 0 else (said.strip().splitlines() or [f"status {status}"])[-1]
    what = f"the workbook cannot be read: its reader ended with {end[:200]}"
    raise DataError(what, where=source.name, remedy="open it in a spreadsheet program, and save it as .xlsx or CSV")


def _refuse_memory(source: AudienceSource) -> None:
    what = f"reading the workbook takes more than {source.limits.workbook_mb:,} MB of memory"
    refuse(what, source.name, "workbook_mb", "save it as CSV, or ")
