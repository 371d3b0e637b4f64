"""The run by properties of its recipients: receiver domain, locale, variant and hour of sending.

Leases are read in the plan's order, some at a time: the plan, its outcomes and the flags of its events fit together
row by row, and memory does not grow with the run.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import polars as pl

from engine.audience.planning.lease_range import LeaseRange
from engine.audience.planning.plan_files import stored_name
from engine.ledger import event_flags
from engine.ledger.database import Ledger
from engine.ledger.event_flags import SHOWN, Flag
from engine.ledger.journal import Outcome
from engine.report.figures.document import Breakdown, BreakdownRow
from engine.report.figures.run_data import RunData

By = Literal["receiver", "locale", "variant", "hour"]
MOST = 50
ROWS_AT_ONCE = 1_000_000
VARIANT = "variant"
_TAG = r"^[a-z]{1,8}(-[a-z0-9]{1,8}){0,8}$"
_SUMS = ("recipients", "sent", *SHOWN)


def make_breakdowns(data: RunData, ledger: Ledger, *, rows_at_once: int = ROWS_AT_ONCE) -> list[Breakdown]:
    """Make the breakdowns of a run; one by a property that its plan does not have is left out.

    Args:
        data: of the run.
        ledger: has the flags of its events.
        rows_at_once: recipients in memory, about.
    """
    values = _find_values(data)
    sums: dict[By, list[pl.DataFrame]] = {by: [] for by in values}
    for leases in _divide(data.plan, rows_at_once):
        rows = _read_rows(data, ledger, leases, values)
        for by, parts in sums.items():
            parts.append(_count(rows, by))
            if len(parts) > 16:
                sums[by] = [_add_up(parts)]
    return [Breakdown(by, rank(_add_up(parts), by)) for by, parts in sums.items() if parts]


def _find_values(data: RunData) -> dict[By, pl.Expr]:
    """Make an expression over the plan's columns for each property; null where a recipient has no value."""
    if not data.recipients:
        return {}
    columns = pl.read_parquet_schema(data.recipients[0])
    values: dict[By, pl.Expr] = {"receiver": pl.col("key").str.extract("@([^@]*)$")}
    locale = None if data.spec is None else data.spec.content.locale
    if data.spec is not None and locale is not None and stored_name(locale) in columns:
        tag = pl.col(stored_name(locale)).cast(pl.String).str.strip_chars().str.replace_all("_", "-").str.to_lowercase()
        default = data.spec.content.default_locale.replace("_", "-").lower()
        known = pl.when(tag.str.contains(_TAG)).then(tag).otherwise(pl.lit(default))
        values["locale"] = pl.when(pl.col("key").is_not_null()).then(known)
    if VARIANT in columns:
        values["variant"] = pl.col(VARIANT).cast(pl.String).str.slice(0, 64)
    values["hour"] = pl.col("at").dt.truncate("1h").dt.strftime("%Y-%m-%dT%H:%MZ")
    return values


def _divide(plan: Sequence[LeaseRange], rows_at_once: int) -> Iterator[list[LeaseRange]]:
    """Divide leases, in order, into groups of about so many rows."""
    group, rows = list[LeaseRange](), 0
    for lease in plan:
        if group and rows + lease.rows > rows_at_once:
            yield group
            group, rows = [], 0
        group.append(lease)
        rows += lease.rows
    if group:
        yield group


def _read_rows(data: RunData, ledger: Ledger, leases: Sequence[LeaseRange], values: dict[By, pl.Expr]) -> pl.DataFrame:
    """Read the rows of leases: a column for each property, `sent`, `has_outcome` and `flags`."""
    of_plan = [value.alias(by) for by, value in values.items() if by != "hour"]
    planned = pl.concat([
        pl.scan_parquet(data.plan_folder / file, glob=False).slice(first, rows).select("row", *of_plan)
        for file, first, rows in _merge(leases)
    ]).collect(engine="streaming")  # fmt: skip
    rows = planned.with_columns(_read_flags(data, ledger, leases))
    outcomes = data.scan_outcomes([lease.ordinal for lease in leases]).select("row", "outcome", "at").collect()
    joined = rows.join(outcomes, on="row", how="left")
    return joined.with_columns(
        values["hour"].alias("hour"), (pl.col("outcome") == Outcome.SENT.value).fill_null(value=False).alias("sent")
    )


def _merge(leases: Sequence[LeaseRange]) -> Iterator[tuple[str, int, int]]:
    """Merge leases that follow each other in a file: file, first row, rows."""
    file, first, rows = leases[0].file, leases[0].first_row, 0
    for lease in leases:
        if (lease.file, lease.first_row) != (file, first + rows):
            yield file, first, rows
            file, first, rows = lease.file, lease.first_row, 0
        rows += lease.rows
    yield file, first, rows


def _read_flags(data: RunData, ledger: Ledger, leases: Sequence[LeaseRange]) -> pl.Series:
    """Read the flags of leases, in the plan's order; 0 where a lease has no events."""
    with ledger.read() as tx:
        found = [(lease.rows, event_flags.read_flags(tx, data.run.name, lease.ordinal)) for lease in leases]
    parts = [
        pl.Series(flags, dtype=pl.UInt16) if flags else pl.zeros(rows, dtype=pl.UInt16, eager=True)
        for rows, flags in found
    ]
    return pl.concat(parts).alias("flags")


def _count(rows: pl.DataFrame, by: By) -> pl.DataFrame:
    """Count recipients by a property: `value`, `recipients`, `sent` and SHOWN; those without an hour are left out."""
    kept = rows.filter(pl.col("hour").is_not_null()) if by == "hour" else rows
    shown = [(pl.col("flags").and_(int(Flag[name.upper()])) > 0).sum().cast(pl.Int64).alias(name) for name in SHOWN]
    return kept.group_by(pl.col(by).fill_null("").alias("value")).agg(
        pl.len().cast(pl.Int64).alias("recipients"), pl.col("sent").sum().cast(pl.Int64), *shown
    )


def _add_up(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(parts).group_by("value").agg(pl.col(_SUMS).sum())


def rank(sums: pl.DataFrame, by: By) -> list[BreakdownRow]:
    """Rank values by recipients, hours by time; values beyond MOST, and recipients without one, are the last row.

    Args:
        sums: `value`, `recipients`, `sent` and SHOWN, each value once.
        by: the property.
    """
    named = sums.filter(pl.col("value") != "").sort(["recipients", "value"], descending=[True, False])
    unnamed = sums.filter(pl.col("value") == "")
    room = MOST if named.height + unnamed.height <= MOST else MOST - 1
    shown = named.head(room).sort("value") if by == "hour" else named.head(room)
    rest = pl.concat([named.slice(room), unnamed])
    rows = [_make_row(row) for row in shown.select("value", *_SUMS).iter_rows()]
    if not rest.is_empty():
        rows.append(_make_row(("", *rest.select(pl.col(_SUMS).sum()).row(0))))
    return rows


def _make_row(row: Sequence[object]) -> BreakdownRow:
    value, recipients, sent, *counts = row
    feedback = {name: count for name, count in zip(SHOWN, counts, strict=True) if isinstance(count, int)}
    return BreakdownRow(str(value), int(str(recipients)), int(str(sent)), feedback)
