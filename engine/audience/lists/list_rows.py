"""Rows of a suppression list: entry, reason and scope."""

from collections.abc import Iterator

import polars as pl
from msgspec import Struct

from engine.audience.lists.list_columns import ListColumns
from engine.audience.lists.list_entries import IS_BLANK, read_entries
from engine.audience.lists.list_tables import ListTable
from engine.audience.reading.tables import Rows
from engine.csv_formulas import read_defused
from engine.ledger.suppressed.reasons import TIME_NAMES, classify_reason, plain_name

_NOTHING = pl.lit(None, dtype=pl.String)


class ListRows(Struct, frozen=True):
    """Some rows of a list.

    Attributes:
        entries: `line`; `key` and `address` (null for a domain); `topic`; `reason`, as the list has it; `named`, the
            reason of ours that its cell names as a whole; `known`, the reason that any column tells;
            `proof`.
        faults: `line` and `fault` of what matches no address.
        malformed: line and words of the first row that cannot be read; None where all can.
    """

    entries: pl.DataFrame
    faults: pl.DataFrame
    malformed: tuple[int, str] | None


def list_wanted(opened: ListTable) -> list[str]:
    """Return the columns to read. All columns of a text file: a row whose cells are all blank is not an entry."""
    columns = opened.columns
    texts = [column for column, dtype in opened.table.columns.items() if dtype == pl.String]
    named = (
        *columns.addresses,
        columns.reason,
        columns.topic,
        columns.proof,
        *columns.evidence,
        *columns.times,
        *texts,
    )
    return [column for column in dict.fromkeys(named) if column]


def read_list_rows(rows: Rows, opened: ListTable) -> ListRows:
    """Read rows whose columns are those of `list_wanted`, as text."""
    malformed = rows.places.filter(pl.col("malformed").is_not_null())
    cells = rows.cells.with_columns(pl.all().str.strip_chars().replace("", None))
    frame = pl.DataFrame(
        [
            rows.places.get_column("line"),
            *_tell(cells, opened.columns),
            cells.select(blank=pl.all_horizontal(pl.all().is_null())).to_series(),
        ]
    ).filter(rows.places.get_column("malformed").is_null())
    sound = cells.filter(rows.places.get_column("malformed").is_null())
    parts = [_read_column(frame, sound.get_column(column), opened.columns) for column in opened.columns.addresses]
    read = pl.concat(parts)
    return ListRows(
        entries=read.drop_nulls("key").select("line", "key", "address", "topic", "reason", "named", "known", "proof"),
        faults=read.filter(pl.col("fault").is_not_null()).select("line", "fault").sort("line", maintain_order=True),
        malformed=malformed.select("line", "malformed").row(0) if malformed.height else None,
    )


def _read_column(frame: pl.DataFrame, raw: pl.Series, columns: ListColumns) -> pl.DataFrame:
    entries = read_entries(read_defused(raw))
    read = pl.concat([frame.select(pl.all().gather(entries.get_column("at"))), entries], how="horizontal")
    is_missing = pl.all_horizontal(pl.col("key").is_null(), pl.col("fault").is_null(), ~pl.col("blank"))
    if len(columns.addresses) > 1:  # lines with different numbers of addresses
        return read
    return read.with_columns(fault=pl.when(is_missing).then(pl.lit(IS_BLANK)).otherwise("fault"))


def _tell(cells: pl.DataFrame, columns: ListColumns) -> Iterator[pl.Series]:
    """Return topic, proof and reason of each row."""
    nothing = cells.select(pl.repeat(None, pl.len(), dtype=pl.String)).to_series()

    def column(name: str | None) -> pl.Series:
        return nothing if name is None else cells.get_column(name)

    named = classify_reasons(column(columns.reason))
    reasons = [
        named,
        *(classify_reasons(cells.get_column(name)) for name in columns.evidence if name != columns.reason),
    ]
    reasons += [
        cells.select(pl.when(pl.col(name).is_not_null()).then(pl.lit(str(TIME_NAMES[plain_name(name)])))).to_series()
        for name in columns.times
    ]
    known = pl.select(pl.coalesce(*(pl.lit(series) for series in reasons))).to_series()
    reason = column(columns.reason)
    yield column(columns.topic).alias("topic")
    yield column(columns.proof).alias("proof")
    yield pl.select(pl.coalesce(pl.lit(reason), pl.lit(known))).to_series().alias("reason")
    yield named.alias("named")
    yield known.alias("known")


def classify_reasons(texts: pl.Series) -> pl.Series:
    """Classify a column of texts; null for a text that names no reason."""
    distinct = texts.drop_nulls().unique().to_list()
    found = {text: str(reason) for text in distinct if (reason := classify_reason(text))}
    return texts.replace_strict(found, default=None, return_dtype=pl.String) if found else _nothing(texts)


def _nothing(texts: pl.Series) -> pl.Series:
    return pl.Series(texts.name, [None], dtype=pl.String).new_from_index(0, texts.len())
