"""The first pass: check every row by itself, then partition the rows by the hash of the address."""

from collections.abc import Mapping, Sequence

import polars as pl
from msgspec import Struct, field

from engine.addresses.parse import read_addresses
from engine.audience.checks import AddressChecks
from engine.audience.exclusions import ExclusionReason, detail_where, first_that_applies
from engine.audience.planning.excluded_rows import collect
from engine.audience.planning.partitions import HASH, Partitions
from engine.audience.planning.plan_files import SCRATCH_PREFIX, stored_name
from engine.audience.reading.blanks import fill, is_blank
from engine.audience.reading.conditions.conditions import rows_that_meet
from engine.audience.reading.tables import Batch
from engine.audience.reading.types import ColumnTypes
from engine.audience.spec import AudienceSpec

AT = f"{SCRATCH_PREFIX}at"
LINE = f"{SCRATCH_PREFIX}line"
ADDRESS = f"{SCRATCH_PREFIX}address"
MISSING = f"{SCRATCH_PREFIX}missing"
# One row in this many, by its hash, is sampled for the distribution of the values to order by.
SAMPLE_ONE_IN = 256


def order_name(number: int) -> str:
    """Return the name of the scratch column with the nth value to order by."""
    return f"{SCRATCH_PREFIX}order{number}"


class RowRules(Struct, frozen=True, kw_only=True):
    """The rules for a row, and the columns kept of it.

    Attributes:
        audience: `[audience]`; the columns that it names exist.
        content: the columns that recipients carry.
        order_by: the columns to order by.
        types: of the columns of `where` and `order_by`.
        checks: of addresses.
        partitions: how the rows are partitioned.
    """

    audience: AudienceSpec
    content: Sequence[str]
    order_by: Sequence[str]
    types: ColumnTypes
    checks: AddressChecks
    partitions: Partitions


class JudgedBatch(Struct):
    """The result of checking a batch.

    Attributes:
        table: the number of its table.
        height: its rows.
        parts: the rows that passed, for scratch: partition and rows. Columns: `AT` (the row in the batch,
            from 1), `LINE`, `ADDRESS`, `HASH`, `MISSING` where data is required, the values to order by, and the
            content under its stored names.
        excluded: the excluded rows, as `COLLECTED_SCHEMA`, with the row in the batch; None if there are none.
        counts: reason -> rows.
        has_capitals: whether an address of a row that passed has capitals.
        sample: `HASH` and the values to order by of some rows.
    """

    table: int
    height: int
    parts: list[tuple[int, pl.DataFrame]]
    excluded: pl.DataFrame | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    has_capitals: bool = False
    sample: pl.DataFrame | None = None


def judge_batch(batch: Batch, rules: RowRules) -> JudgedBatch:
    """Apply every rule that needs no other row to the rows of a batch.

    Raises:
        DataError: the file is damaged, or the condition does not fit it.
    """
    rows = batch.load()
    raw = rows.cells.get_column(rules.audience.address)
    judged = read_addresses(raw)
    if rules.checks.are_on:
        objections = rules.checks.judge(judged.get_column("address").str.to_lowercase())
        judged = judged.with_columns(fault=pl.coalesce("fault", objections))
    hidden = rows.places.get_column("hidden") if "hidden" in rows.places.columns else None
    frame = pl.concat([rows.places, judged, raw.alias("raw").to_frame()], how="horizontal")
    is_left = judged.get_column("fault").is_null() & judged.get_column("address").is_not_null()
    if hidden is not None:
        is_left &= ~hidden
    met = None
    typed = rules.types.give_types(rows.cells) if rules.order_by else pl.DataFrame()
    if rules.audience.where:
        met = rows_that_meet(rules.audience.where, rows.cells, rules.types)
        is_left &= met
    found = JudgedBatch(batch.table, rows.places.height, [])
    if not is_left.all():
        _exclude(found, frame, ~is_left, met, rules)
    kept = _keep(frame, rows.cells, typed, is_left, rules)
    hashes, found.has_capitals = rules.partitions.hash_addresses(kept.get_column(ADDRESS))
    kept = kept.with_columns(hashes)
    found.parts = list(rules.partitions.split(kept))
    if rules.order_by:
        chosen = [HASH, *(order_name(number) for number in range(len(rules.order_by)))]
        found.sample = kept.filter(pl.col(HASH) % SAMPLE_ONE_IN == 0).select(chosen)
    return found


def _exclude(
    found: JudgedBatch, frame: pl.DataFrame, is_out: pl.Series, met: pl.Series | None, rules: RowRules
) -> None:
    if met is not None:
        frame = frame.with_columns(met.alias("met"))
    out = frame.with_row_index("row", offset=1).filter(is_out)
    is_missing = pl.col("address").is_null() & pl.col("fault").is_null()
    audience = rules.audience
    reason, detail = first_that_applies(
        {
            ExclusionReason.MALFORMED_ROW: pl.col("malformed"),
            ExclusionReason.MISSING_ADDRESS: detail_where(is_missing, f"the column {audience.address} is empty"),
            ExclusionReason.INVALID_ADDRESS: pl.col("fault"),
            ExclusionReason.FILTERED: _say_filtered(frame.columns, audience.where),
        }
    )
    described = out.select(
        pl.col("row").cast(pl.UInt64),
        "line",
        pl.col("raw").alias("address"),
        reason,
        detail,
        pl.lit(found.table).alias("file"),
    )
    found.counts = dict(described.group_by("reason").len().iter_rows())
    found.excluded = collect(described)


def _say_filtered(columns: Sequence[str], where: str | None) -> pl.Expr | None:
    says = [detail_where(pl.col("hidden"), "the sheet hides this row")] if "hidden" in columns else []
    says += [detail_where(~pl.col("met"), f"it does not meet the condition: {where}")] if "met" in columns else []
    return pl.coalesce(says) if says else None


def _keep(
    frame: pl.DataFrame, cells: pl.DataFrame, typed: pl.DataFrame, is_left: pl.Series, rules: RowRules
) -> pl.DataFrame:
    """Return the rows that passed, with the columns to keep."""
    ours = frame.select(
        pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).alias(AT),
        pl.col("line").alias(LINE),
        pl.col("address").alias(ADDRESS),
    )
    required = [column for column in dict.fromkeys(rules.audience.required) if column not in rules.audience.defaults]
    if required:
        ours = ours.with_columns(_missing(cells, required).alias(MISSING))
    orders = {order_name(number): typed.get_column(column) for number, column in enumerate(rules.order_by)}
    defaults = rules.audience.defaults
    content = [
        (fill(cells.get_column(column), defaults[column]) if column in defaults else cells.get_column(column)).alias(
            stored_name(column)
        )
        for column in rules.content
    ]
    whole = pl.DataFrame([*ours, *(series.alias(name) for name, series in orders.items()), *content])
    return whole if is_left.all() else whole.filter(is_left)


def _missing(cells: pl.DataFrame, required: Sequence[str]) -> pl.Series:
    """Return a detail that names the required columns that are blank; null if none is."""
    names = [pl.when(is_blank(cells.get_column(column))).then(pl.lit(column)).alias(column) for column in required]
    listed = pl.concat_str(names, separator=", ", ignore_nulls=True)
    return cells.select(missing=pl.when(listed != "").then(pl.format("missing values: {}", listed))).to_series()
