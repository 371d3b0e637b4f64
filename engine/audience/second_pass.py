"""The second pass: each partition is deduplicated, held against the lists of addresses, and put in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from engine.audience.caps import Cap
from engine.audience.exclusions import EXCLUDED_SCHEMA, ExclusionReason
from engine.audience.first_pass import ADDRESS, AT, LINE, MISSING
from engine.audience.order import mix, seed_of
from engine.audience.partitions import HASH, Partitions
from engine.audience.scratch import Scratch
from engine.audience.suppressions import Suppressions

_PERCENT_STEPS = 2**64 / 100


@dataclass(frozen=True, slots=True)
class Place:
    """Where a batch's rows belong.

    Attributes:
        table: the number of its table.
        row_before: how many rows there are before it.
    """

    table: int
    row_before: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRules:
    """What rows are judged by beside other rows, and beside lists.

    Attributes:
        files: the names of the tables' files.
        rows: what the first pass left, by partition.
        suppressions: who must not be mailed.
        cap: who has had enough; None without a cap.
        hold_out: percentage that gets nothing.
        partitions: how everything is divided.
    """

    files: Sequence[str]
    rows: Scratch[Place]
    suppressions: Suppressions
    cap: Cap | None
    hold_out: float
    partitions: Partitions


@dataclass(slots=True)
class Settled:
    """A partition whose rows are decided.

    Attributes:
        frame: its rows in the plan's order: `row`, `file`, `line`, `address`, `key`, `HASH`, and what the first pass
            kept.
        left: which of them are accepted.
        taken: their exclusions, as `EXCLUDED_SCHEMA`.
        counts: reason -> rows.
    """

    frame: pl.DataFrame
    left: pl.Series
    taken: list[pl.DataFrame] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def accepted(self) -> pl.DataFrame:
        """The accepted rows."""
        return self.frame.filter(self.left)

    def exclude(self, reason: ExclusionReason, details: pl.DataFrame) -> None:
        """Take out the rows of `details`: `at` (their place in the frame) and `detail`, unless they are out already."""
        details = details.filter(self.left.gather(details.get_column("at")))
        if details.is_empty():
            return
        at = details.get_column("at")
        self.left = self.left.scatter(at, values=False)
        self.counts[reason.value] = self.counts.get(reason.value, 0) + details.height
        described = self.frame.select(pl.col("row", "file", "line", "address").gather(at)).with_columns(
            details.get_column("detail"), reason=pl.lit(reason.value)
        )
        self.taken.append(described.select(*EXCLUDED_SCHEMA))

    def keep_first(self, rows: int, limit: int) -> None:
        """Hold out the accepted rows after the first so many."""
        beyond = self.left.arg_true().slice(rows)
        words = pl.lit(f"it is beyond the limit of {limit} recipients")
        self.exclude(ExclusionReason.HELD_OUT, pl.select(at=beyond, detail=words))


def settle_partition(number: int, rules: SetRules) -> Settled:
    """Decide the rows of a partition."""
    frame = _take_rows(number, rules)
    settled = Settled(frame, pl.repeat(value=True, n=frame.height, dtype=pl.Boolean, eager=True))
    if frame.is_empty():
        return settled
    settled.exclude(ExclusionReason.DUPLICATE, _find_duplicates(frame, rules.partitions))
    settled.exclude(ExclusionReason.SUPPRESSED, _find_suppressed(frame, rules.suppressions.take(number), rules.partitions))
    if MISSING in frame.columns:
        missing = _numbered(frame, pl.col(MISSING).is_not_null(), MISSING)
        settled.exclude(ExclusionReason.MISSING_DATA, missing.select("at", detail=MISSING))
    if rules.cap is not None:
        settled.exclude(ExclusionReason.CAPPED, _find_capped(frame, rules.cap.take(number), rules.partitions))
    if rules.hold_out:
        settled.exclude(ExclusionReason.HELD_OUT, _find_held_out(frame, rules))
    return settled


def _take_rows(number: int, rules: SetRules) -> pl.DataFrame:
    """A partition's rows, sorted by their hash, and where it is the same in the sources' order."""
    files = pl.Series(rules.files, dtype=pl.String)
    parts = [
        part.select(
            (pl.col(AT) + pl.lit(place.row_before, dtype=pl.UInt64)).cast(pl.UInt64).alias("row"),
            pl.lit(place.table, dtype=pl.UInt32).alias("table"),
            pl.exclude(AT),
        )
        for place, part in rules.rows.take(number)
    ]
    if not parts:
        return pl.DataFrame(schema={"row": pl.UInt64})
    rows = pl.concat(parts, how="vertical").sort(HASH, maintain_order=True)
    file = pl.lit(files.item()) if files.len() == 1 else pl.lit(files).gather(pl.col("table"))
    return rows.select(
        "row",
        file.alias("file"),
        pl.col(LINE).alias("line"),
        pl.col(ADDRESS).alias("address"),
        pl.col(ADDRESS).str.to_lowercase().alias("key"),
        pl.exclude("row", "table", LINE, ADDRESS),
    )


def _numbered(frame: pl.DataFrame, chosen: pl.Expr, *columns: str) -> pl.DataFrame:
    """Some rows, with their place in the frame as `at`."""
    return frame.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("at"), *columns, chosen=chosen).filter("chosen").drop("chosen")


def _find_duplicates(frame: pl.DataFrame, partitions: Partitions) -> pl.DataFrame:
    """Of the rows that reach the same the first is kept; the others name it.

    Equal addresses have equal hashes and so are neighbours; the few neighbours with equal hashes are compared.
    """
    is_next = pl.col(HASH) == pl.col(HASH).shift(1)
    alike = (is_next | is_next.shift(-1)).fill_null(value=False)
    found = _numbered(frame, alike, "file", "line", "key")
    found = found.with_columns(partitions.identify(found.get_column("key")).alias("same"))
    is_first = found.get_column("same").is_first_distinct()
    firsts = found.filter(is_first).select("same", detail=pl.format("the same address as in {} line {}", "file", "line"))
    return found.filter(~is_first).join(firsts, on="same", how="left", maintain_order="left").select("at", "detail")


def _find_suppressed(frame: pl.DataFrame, entries: pl.DataFrame, partitions: Partitions) -> pl.DataFrame:
    entries = entries.with_columns(partitions.identify(entries.get_column("key")).alias("same"))
    listed = entries.unique("same", keep="first", maintain_order=True)
    return _find_listed(frame, listed.select(HASH, "same", detail=pl.format("suppressed by {}", "source")), partitions)


def _find_capped(frame: pl.DataFrame, enough: pl.DataFrame, partitions: Partitions) -> pl.DataFrame:
    return _find_listed(frame, enough, partitions)


def _find_listed(frame: pl.DataFrame, listed: pl.DataFrame, partitions: Partitions) -> pl.DataFrame:
    """The rows whom a list (`HASH`, `same`, `detail`) names; hashes are compared first, for they are small."""
    if listed.is_empty():
        return pl.DataFrame(schema={"at": pl.UInt32, "detail": pl.String})
    numbered = frame.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("at"), HASH)
    near = numbered.join(listed.select(HASH).unique(), on=HASH, how="semi", maintain_order="left")
    keys = frame.get_column("key").gather(near.get_column("at"))
    near = near.with_columns(partitions.identify(keys).alias("same"))
    return near.join(listed.select("same", "detail"), on="same", how="inner", maintain_order="left").select("at", "detail")


def _find_held_out(frame: pl.DataFrame, rules: SetRules) -> pl.DataFrame:
    """Who gets nothing is decided by a second hash: the same addresses in every run, whatever the others."""
    seed = pl.lit(seed_of(f"hold out {rules.partitions.order_key}"), dtype=pl.UInt64)
    below = min(int(rules.hold_out * _PERCENT_STEPS), 2**64 - 1)
    chosen = mix(pl.col(HASH) ^ seed) < pl.lit(below, dtype=pl.UInt64) if rules.hold_out < 100 else pl.lit(value=True)  # noqa: PLR2004 - per cent
    held = _numbered(frame, chosen)
    return held.with_columns(detail=pl.lit(f"it is among the {rules.hold_out:g} % that are held out"))


def merge_counts(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Add up counts, in order of precedence, without zeros."""
    added = {reason.value: counts.get(reason, 0) + more.get(reason, 0) for reason in ExclusionReason}
    return {reason: count for reason, count in added.items() if count}
