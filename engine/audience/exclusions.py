"""Why a row is not accepted: the reasons, and the cascade that gives each such row exactly one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl

from engine.audience.addresses import judge_addresses
from engine.audience.conditions import rows_that_meet
from engine.audience.sources import SourceRows
from engine.audience.spec import AudienceSpec
from engine.errors import DataError


class ExclusionReason(StrEnum):
    """Why a row was not accepted, in order of precedence: a row has the first that holds."""

    MALFORMED_ROW = "malformed_row"
    MISSING_ADDRESS = "missing_address"
    INVALID_ADDRESS = "invalid_address"
    FILTERED = "filtered"
    DUPLICATE = "duplicate"
    SUPPRESSED = "suppressed"
    MISSING_DATA = "missing_data"
    CAPPED = "capped"
    HELD_OUT = "held_out"


FindForgotten = Callable[[pl.Series], pl.DataFrame]  # keys -> `key` and `source`, as suppressions have them

EXCLUSIONS_SCHEMA = {"row": pl.UInt64, "reason": pl.String, "detail": pl.String}


@dataclass
class Cascade:
    """What is left of the rows, and what was taken out, while the rules go over them one after the other.

    Attributes:
        left: the rows that every rule so far has passed; at least `row`.
        taken: for each rule its exclusions: `row`, `reason`, `detail`.
    """

    left: pl.DataFrame
    taken: list[pl.DataFrame] = field(default_factory=list)

    def exclude(self, reason: ExclusionReason, detail: pl.Expr) -> None:
        """Take out the rows for which `detail` (String, over the columns of `left`) is not null."""
        self.exclude_rows(reason, self.left.select("row", detail=detail.cast(pl.String)).drop_nulls("detail"))

    def exclude_rows(self, reason: ExclusionReason, details: pl.DataFrame) -> None:
        """Take out the rows that `details` (`row`, `detail`) names."""
        if details.is_empty():
            return
        self.taken.append(details.select("row", pl.lit(reason.value).alias("reason"), "detail"))
        self.left = self.left.join(details, on="row", how="anti", maintain_order="left")

    @property
    def excluded(self) -> pl.DataFrame:
        """All exclusions, sorted by row."""
        return pl.concat([pl.DataFrame(schema=EXCLUSIONS_SCHEMA), *self.taken]).sort("row")

    @property
    def counts(self) -> dict[str, int]:
        """Reason -> number of rows, in order of precedence, without zeros."""
        return {part.item(0, "reason"): part.height for part in self.taken}


def apply_rules(
    audience: AudienceSpec,
    rows: SourceRows,
    suppressions: pl.DataFrame,
    *,
    untyped: bool,
    find_forgotten: FindForgotten | None = None,
) -> Cascade:
    """Exclude by every rule but the limit, in order of precedence.

    Duplicates are looked for among the rows that passed the rules before: a filtered row does not make a later one a
    duplicate, but a suppressed one does.

    Args:
        audience: the campaign's rules; the columns that it names are there.
        rows: all rows.
        suppressions: as `read_suppressions` gives them.
        untyped: whether the cells come from CSV.
        find_forgotten: tells which of some keys belong to people who were forgotten: suppressed as well.

    Returns:
        What is left as `row`, `file`, `line`, `address`, `key`, in the order of the rows.

    Raises:
        DataError: the address column holds no text, or the condition does not fit the columns.
    """
    met = rows_that_meet(audience.where, rows.cells, untyped=untyped) if audience.where else pl.lit(value=True)
    left = rows.places.hstack(judge_addresses(_addresses(rows.cells, audience.address)))
    cascade = Cascade(left.with_columns(met=met))
    cascade.exclude(ExclusionReason.MALFORMED_ROW, pl.col("malformed"))
    no_address = pl.col("address").is_null() & pl.col("fault").is_null()
    cascade.exclude(ExclusionReason.MISSING_ADDRESS, _say_where(no_address, f"the column {audience.address} is empty"))
    cascade.exclude(ExclusionReason.INVALID_ADDRESS, pl.col("fault"))
    cascade.exclude(ExclusionReason.FILTERED, _say_where(~pl.col("met"), f"it does not meet: {audience.where}"))
    cascade.left = cascade.left.select("row", "file", "line", "address", "key")
    _exclude_duplicates(cascade)
    if find_forgotten is not None:
        suppressions = pl.concat([suppressions, find_forgotten(cascade.left.get_column("key"))]).unique("key")
    _exclude_suppressed(cascade, suppressions)
    cascade.exclude_rows(ExclusionReason.MISSING_DATA, _missing_data(cascade.left, rows, audience))
    return cascade


def _addresses(cells: pl.DataFrame, column: str) -> pl.Series:
    raw = cells.get_column(column)
    if raw.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        what = f"the column {column} holds {raw.dtype} and no addresses"
        raise DataError(what, where="campaign.toml, [audience] address", remedy="name the column of the addresses")
    return raw.cast(pl.String)


def _exclude_duplicates(cascade: Cascade) -> None:
    """Of the rows with the same `key` the first is kept; the others name it. Needs `file` and `line`."""
    first = cascade.left.get_column("key").is_first_distinct()
    repeated = cascade.left.filter(~first).select("row", "key")
    if repeated.is_empty():
        return
    firsts = cascade.left.filter(first).join(repeated.select("key").unique(), on="key", how="semi")
    firsts = firsts.select("key", detail=pl.format("the same address as in {} line {}", "file", "line"))
    details = repeated.join(firsts, on="key", how="left").select("row", "detail")
    cascade.exclude_rows(ExclusionReason.DUPLICATE, details)


def _exclude_suppressed(cascade: Cascade, suppressions: pl.DataFrame) -> None:
    """Take out the rows whose `key` is suppressed; `suppressions` as `read_suppressions` gives them."""
    detail = pl.format("suppressed by {}", "source")
    hits = cascade.left.select("row", "key").join(suppressions, on="key", how="inner").select("row", detail=detail)
    cascade.exclude_rows(ExclusionReason.SUPPRESSED, hits)


def _say_where(condition: pl.Expr, words: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(words))


def _missing_data(left: pl.DataFrame, rows: SourceRows, audience: AudienceSpec) -> pl.DataFrame:
    """The rows (`row`, `detail`) in which a required column without default is blank."""
    required = [column for column in dict.fromkeys(audience.required) if column not in audience.defaults]
    if not required:
        return pl.DataFrame(schema={"row": pl.UInt64, "detail": pl.String})
    needed = rows.cells_at(left.get_column("row"), required)
    names = [_say_where(is_blank(needed.get_column(column)), column).alias(column) for column in required]
    detail = pl.concat_str(names, separator=", ", ignore_nulls=True)
    details = needed.select(detail=detail).insert_column(0, left.get_column("row"))
    return details.filter(pl.col("detail") != "").with_columns(detail=pl.format("there is no value for: {}", "detail"))


def is_blank(column: pl.Series) -> pl.Expr:
    """Whether there is no value: null, or text of white space alone."""
    value = pl.col(column.name)
    return value.is_null() | (value.str.strip_chars() == "") if column.dtype == pl.String else value.is_null()
