"""Planning: from the audience's files to the frozen plan."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from engine.audience.conditions import columns_in
from engine.audience.exclusions import Cascade, ExclusionReason, FindForgotten, apply_rules, is_blank
from engine.audience.order import hash_keys
from engine.audience.plan_files import (
    EXCLUDED_COLUMNS,
    EXCLUDED_FILE,
    RECIPIENTS_FILE,
    LeaseRange,
    content_of,
    divide,
    prove_balance,
    read_lease,
    stored_name,
    write_plan_file,
)
from engine.audience.sources import Source, SourceRows, read_columns, read_rows, refuse_unknown_column
from engine.audience.spec import AudienceSpec, SuppressionSpec, Value
from engine.audience.suppressions import read_suppressions
from engine.errors import DataError, nearest

__all__ = [
    "LeaseRange",
    "Plan",
    "content_of",
    "plan_audience",
    "read_lease",
    "rows_per_lease",
    "stored_name",
]

# A small audience still gives several leases, for several workers; a large one leases that are worth their file.
LEASES_WANTED = 8
MIN_LEASE_ROWS = 250
MAX_LEASE_ROWS = 5000
EXCLUDED_GROUP_ROWS = 100_000
_SAMPLE_ROWS = 1000


@dataclass(frozen=True)
class Plan:
    """What planning found, and where the plan's rows are.

    Attributes:
        columns: the audience's columns that the recipients carry, under their own names.
        rows_read: all rows of the sources; accepted + the sum of excluded.
        accepted: the recipients.
        excluded: reason -> rows, in order of precedence, without zeros.
        leases: the recipients in order, without gaps.
        files: the plan's files, inside its folder.
        notes: sentences worth telling, such as suppression entries that hold no address.
    """

    columns: tuple[str, ...]
    rows_read: int
    accepted: int
    excluded: dict[str, int]
    leases: tuple[LeaseRange, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


def plan_audience(  # noqa: PLR0913 - the whole of planning, named one by one
    *,
    audience: AudienceSpec,
    suppression: SuppressionSpec,
    workspace: Path,
    sources: tuple[Source, ...],
    columns: frozenset[str] | None,
    folder: Path,
    order_key: str,
    limit: int | None,
    ignore_topics: bool = False,
    find_forgotten: FindForgotten | None = None,
) -> Plan:
    """Read the sources, give every row its place, and write the plan durably.

    The recipients are ordered by a hash of their address, keyed with `order_key`: the same inputs give the same plan.

    Args:
        audience: `[audience]` of the campaign; its `source` is not looked at, `sources` are what is read.
        suppression: `[suppression]` of the campaign.
        workspace: where the paths of suppression files begin.
        sources: the files, in the order in which their rows count.
        columns: the audience's columns that content uses; None keeps all.
        folder: where to write; it exists.
        order_key: what makes the order this run's own.
        limit: the recipients to keep, the first in the plan's order; None keeps all.
        ignore_topics: True for transactional campaigns, to which opt-outs from a topic do not apply.
        find_forgotten: tells which keys belong to people who were forgotten; they are suppressed.

    Returns:
        The counts and leases. In `folder` are then `recipients-0000.parquet` (`row` UInt64, `file` String, `line`
        UInt64, `address` String, `key` String, and the content columns under `stored_name`), in the plan's order, a
        row group for each lease; and `excluded-0000.parquet` (`row`, `file`, `line`, `address` String as read,
        `reason` String, `detail` String), sorted by row.

    Raises:
        DataError: a file or the campaign's words about it are wrong.
        PausedError: the disk is full or failing.
        ConfigurationError: the folder may not be written.
    """
    available = read_columns(sources)
    content = _content_columns(columns, available)
    rows = read_rows(sources, {*_columns_of_rules(audience, available, sources), *content})
    suppressions, notes = read_suppressions(suppression, workspace, ignore_topics=ignore_topics)
    cascade = apply_rules(
        audience, rows, suppressions, untyped=all(source.is_csv for source in sources), find_forgotten=find_forgotten
    )
    ordered = _put_in_order(cascade, order_key, limit)
    recipients = _with_content(ordered, rows, content, audience)
    lease_rows = rows_per_lease(recipients.height)
    excluded = _describe_excluded(cascade.excluded, rows, audience.address)
    write_plan_file(folder / RECIPIENTS_FILE, recipients, row_group_rows=lease_rows)
    write_plan_file(folder / EXCLUDED_FILE, excluded, row_group_rows=EXCLUDED_GROUP_ROWS)
    plan = Plan(
        columns=content,
        rows_read=rows.places.height,
        accepted=recipients.height,
        excluded=cascade.counts,
        leases=divide(recipients.height, lease_rows),
        files=(RECIPIENTS_FILE, EXCLUDED_FILE),
        notes=notes,
    )
    prove_balance(folder, rows_read=plan.rows_read, accepted=plan.accepted, excluded=plan.excluded)
    return plan


def rows_per_lease(accepted: int) -> int:
    """Choose the size of leases: an eighth of the recipients, at least 250 and at most 5,000.

    >>> [rows_per_lease(accepted) for accepted in (0, 2_001, 1_000_000)]
    [250, 251, 5000]
    """
    return min(max(-(-accepted // LEASES_WANTED), MIN_LEASE_ROWS), MAX_LEASE_ROWS)


def _content_columns(columns: Collection[str] | None, available: Sequence[str]) -> tuple[str, ...]:
    """The content's columns in the audience's order."""
    if columns is None:
        return tuple(available)
    for column in sorted(columns):
        if column not in available:
            what = f"the content uses the column {column}, which the audience does not have"
            raise DataError(what, where="the campaign's templates", remedy=nearest(column, list(available)))
    return tuple(column for column in available if column in columns)


def _columns_of_rules(audience: AudienceSpec, available: Sequence[str], sources: Sequence[Source]) -> set[str]:
    """The columns that `[audience]` names, each of which has to be there."""
    if audience.address not in available:
        raise _no_address_column(audience.address, available, sources)
    for key, names in (("[audience] required", audience.required), ("[audience] defaults", audience.defaults)):
        for name in names:
            refuse_unknown_column(name, columns=available, key=key)
    used = columns_in(audience.where, available) if audience.where else frozenset()
    return {audience.address, *audience.required, *audience.defaults, *used}


def _no_address_column(address: str, available: Sequence[str], sources: Sequence[Source]) -> DataError:
    what = f"there is no column {address} for the address"
    if any("@" in column for column in available):
        what += ", and the first line holds an address"
        return DataError(what, where=sources[0].name, remedy="put a line with the column names above it")
    remedy = nearest(address, list(available))
    if "did you mean" not in remedy and (alike := _column_with_addresses(sources[0], available)):
        remedy = f'the column {alike} holds addresses: set address = "{alike}" in [audience]; {remedy}'
    return DataError(what, where=f"{sources[0].name}; campaign.toml, [audience] address", remedy=remedy)


def _column_with_addresses(source: Source, available: Sequence[str]) -> str | None:
    cells = read_rows([source], available).cells.head(_SAMPLE_ROWS)
    with_at = (column.name for column in cells if column.dtype == pl.String and column.str.contains("@").any())
    return next(with_at, None)


def _put_in_order(cascade: Cascade, order_key: str, limit: int | None) -> pl.DataFrame:
    """Sort what is left by the hash of its key, and hold out what is beyond the limit."""
    order = hash_keys(cascade.left.get_column("key"), order_key)
    cascade.left = cascade.left.with_columns(order=order).sort("order", "row").drop("order")
    if limit is not None:
        held_out = cascade.left.slice(limit).select("row")
        detail = pl.lit(f"it is beyond the limit of {limit} recipients")
        cascade.exclude_rows(ExclusionReason.HELD_OUT, held_out.with_columns(detail=detail))
    return cascade.left


def _with_content(
    ordered: pl.DataFrame, rows: SourceRows, content: Sequence[str], audience: AudienceSpec
) -> pl.DataFrame:
    """Add the content's columns under their stored names, blanks filled with their defaults."""
    kept = rows.cells_at(ordered.get_column("row"), content)
    filled = kept.with_columns(
        _fill(kept.get_column(column), value) for column, value in audience.defaults.items() if column in content
    )
    return ordered.hstack(filled.rename({column: stored_name(column) for column in content}))


def _fill(column: pl.Series, default: Value) -> pl.Expr:
    value = str(default).lower() if isinstance(default, bool) and column.dtype == pl.String else default
    try:
        typed = pl.Series([value]).cast(column.dtype)
    except pl.exceptions.PolarsError as error:
        where = f"campaign.toml, [audience] defaults.{column.name}"
        what = f"the default {default!r} does not fit the column {column.name}, which is {column.dtype}"
        raise DataError(what, where=where, remedy="give it a value of that type") from error
    return pl.when(is_blank(column)).then(pl.lit(typed).first()).otherwise(column.name).alias(column.name)


def _describe_excluded(excluded: pl.DataFrame, rows: SourceRows, address: str) -> pl.DataFrame:
    numbers = excluded.get_column("row")
    raw = rows.cells_at(numbers, [address]).select(pl.col(address).cast(pl.String).alias("address"))
    return excluded.hstack(rows.places_at(numbers)).hstack(raw).select(EXCLUDED_COLUMNS)
