"""Starts the process that reads a workbook, and makes an error of whatever becomes of it.

What reads workbooks takes memory as a file says (one cell at XFD1048576 is 17 billion cells), ends the whole process
where it finds none, and ignores signals until then. So it has its own process, with limits of memory and CPU time,
none of this process's environment but where modules are, and no file to write: what it read comes through a pipe.

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
_OUT_OF_MEMORY = (signal.SIGABRT, signal.SIGKILL)  # Rust aborts; the kernel's last resort


def ask_reader(
    source: AudienceSource, task: str, wanted: str | None = None
) -> tuple[dict[str, Any], pl.DataFrame | None]:
    """Let the process read a workbook.

    Args:
        source: the workbook.
        task: `sheet`, or `list` for the names of all sheets.
        wanted: the sheet, for `sheet`; None for the first that is shown.

    Returns:
        What it says, and of a sheet its table.

    Raises:
        DataError: the workbook is damaged, or larger than `source.limits` allow.
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
            what, where=source.name, remedy="delete what is far below or to the right of the table, and save it"
        )
    if answer.get("limit") == "cells":
        what = f"the sheet {answer['sheet']} has {answer['rows']:,} rows and {answer['columns']:,} columns"
        instead = "delete what is far below or to the right of the table, and save it; "
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
    # Two threads: each needs its own memory, and the table is small compared with the workbook.
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
            process.kill()  # a stop was requested; otherwise it has ended
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
