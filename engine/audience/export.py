"""Export the excluded rows as CSV for spreadsheets."""

import codecs
import os
import uuid
from contextlib import suppress
from pathlib import Path

import polars as pl

from engine.audience.exclusions import EXCLUDED_SCHEMA
from engine.csv_formulas import defuse_formulas
from engine.errors import UsageError
from engine.store.files import PRIVATE_FILE
from engine.system.given_paths import shorten_path


def export_excluded_rows(plan: Path, path: Path) -> int:
    """Write all excluded rows of a plan as CSV in UTF-8, with a byte order mark for spreadsheets.

    A cell that a spreadsheet would run as a formula begins with an apostrophe. Only the owner can read the file. An
    existing file is replaced.

    Args:
        plan: the plan's folder.
        path: the file to write.

    Returns:
        How many rows it has.

    Raises:
        UsageError: it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    rows = 0
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(codecs.BOM_UTF8)
            pl.DataFrame(schema=EXCLUDED_SCHEMA).write_csv(file)
            for source in sorted(plan.glob("excluded-*.parquet")):
                excluded = pl.read_parquet(source, glob=False)
                defuse_formulas(excluded).write_csv(file, include_header=False)
                rows += excluded.height
        aside.rename(path)
    except OSError as error:
        remedy = "name a file in a folder that you can write to"
        raise UsageError(
            f"{shorten_path(path)} cannot be written: {error.strerror}", where="--export-excluded", remedy=remedy
        ) from error
    finally:
        with suppress(OSError):  # it was renamed, or never created
            aside.unlink()
    return rows
