"""The second pass: deduplicate each partition, compare it with the lists of addresses, and sort it."""

from collections.abc import Mapping, Sequence

import polars as pl
from msgspec import Struct, field

from engine.addresses.hashing import mix, seed_of
from engine.audience.exclusions import ExclusionReason
from engine.audience.planning.caps import Cap
from engine.audience.planning.excluded_rows import collect
from engine.audience.planning.first_pass import ADDRESS, AT, LINE, MISSING
from engine.audience.planning.insights import ShelvedInsights
from engine.audience.planning.partitions import HASH, Partitions
from engine.audience.planning.scratch import Scratch
from engine.audience.planning.suppressed_rows import Suppressions
from engine.audience.spec import CheckAction
from engine.ledger.suppressed.forgotten import FindForgotten

_NOTHING = {"row": pl.UInt64, "file": pl.UInt32, "line": pl.UInt64, "address": pl.String, HASH: pl.UInt64}
_PERCENT_STEPS = 2**64 / 100


class BatchPosition(Struct, frozen=True):
    """The position of a batch's rows.

    Attributes:
        table: the number of its table.
        row_before: the number of rows before it.
        has_capitals: whether an address has capitals, so that its key differs from it.
    """

    table: int
    row_before: int
    has_capitals: bool


class SetRules(Struct, frozen=True, kw_only=True):
    """The inputs of the second pass: rows, and the lists to compare them with.

    Attributes:
        files: the names of the tables' files.
        rows: the rows that passed the first pass, by partition.
        suppressions: suppressed addresses.
        find_forgotten: finds the keys of erased recipients, who must not be mailed; None if there are none.
        cap: addresses that received enough messages; None without a cap.
        hold_out: percentage of recipients that is held out.
        partitions: how rows and lists are partitioned.
        insights: what SES said of addresses; None where the check is off.
    """

    files: Sequence[str]
    rows: Scratch[BatchPosition]
    suppressions: Suppressions
    find_forgotten: FindForgotten | None
    cap: Cap | None
    hold_out: float
    partitions: Partitions
    insights: ShelvedInsights | None = None


class Settled(Struct):
    """A partition whose rows are accepted or excluded.

    Attributes:
        frame: its rows as stored by the first pass: `row`, `file` (the number of the table), `line`, `address`,
            `HASH`, and the columns that the first pass kept.
        order: the plan's order: indexes of the frame, sorted by hash, then in the order of the sources.
        left: whether a row of the frame is accepted.
        has_capitals: whether an address has capitals.
        taken: the exclusions, from `collect`.
        counts: reason -> rows.
    """

    frame: pl.DataFrame
    order: pl.Series
    left: pl.Series
    has_capitals: bool
    taken: list[pl.DataFrame] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def accepted(self) -> pl.DataFrame:
        """The accepted rows in the plan's order, with their `key`."""
        rows, order = self.frame, self.order
        if not self.left.all():
            rows = rows.filter(self.left)
            order = (self.left.cum_sum() - 1).gather(self._accepted_order)
        # In the sources' order, in which their texts are in memory: in another one it takes twice the time.
        key = pl.col("address").str.to_lowercase() if self.has_capitals else pl.col("address")
        return rows.with_columns(key.alias("key")).select(pl.all().gather(order))

    @property
    def _accepted_order(self) -> pl.Series:
        return self.order if self.left.all() else self.order.filter(self.left.gather(self.order))

    def exclude(self, reason: ExclusionReason, details: pl.DataFrame) -> None:
        """Exclude the rows of `details` that are not excluded yet.

        Args:
            reason: why.
            details: `at`, the rows' index in the frame, and `detail`; or `first`, the index of the first such row.
        """
        details = details.filter(self.left.gather(details.get_column("at")))
        if details.is_empty():
            return
        at = details.get_column("at")
        self.left = self.left.scatter(at, values=False)
        self.counts[reason.value] = self.counts.get(reason.value, 0) + details.height
        own = self.frame.select(pl.col("row", "file", "line", "address").gather(at))
        if "first" in details.columns:
            first = self.frame.select(pl.col("file", "line").gather(details.get_column("first")))
            said = first.rename({"file": "first_file", "line": "first_line"})
        else:
            said = details.select("detail")
        excluded = pl.concat([own, said], how="horizontal").with_columns(reason=pl.lit(reason.value))
        self.taken.append(collect(excluded))

    def keep_first(self, rows: int, limit: int) -> None:
        """Hold out the accepted rows after the first `limit`."""
        beyond = self._accepted_order.slice(rows)
        words = pl.lit(f"it is beyond the limit of {limit} recipients")
        self.exclude(ExclusionReason.HELD_OUT, pl.select(at=beyond, detail=words))


def settle_partition(number: int, rules: SetRules) -> Settled:
    """Accept or exclude the rows of a partition."""
    parts = rules.rows.take(number)
    frame = _number_rows(parts)
    at = pl.int_range(pl.len(), dtype=pl.UInt32).alias("at")
    order = frame.select(HASH, at).sort(HASH, maintain_order=True)
    everything = pl.repeat(value=True, n=frame.height, dtype=pl.Boolean, eager=True)
    has_capitals = any(place.has_capitals for place, _ in parts)
    settled = Settled(frame, order.get_column("at"), everything, has_capitals)
    if frame.is_empty():
        return settled
    settled.exclude(ExclusionReason.DUPLICATE, _find_duplicates(frame, order, rules.partitions))
    suppressed = rules.suppressions.take(number)
    settled.exclude(ExclusionReason.SUPPRESSED, _find_suppressed(settled, suppressed, rules.partitions))
    if rules.suppressions.domains:
        settled.exclude(ExclusionReason.SUPPRESSED, _find_suppressed_domains(frame, rules.suppressions))
    if rules.find_forgotten is not None:
        settled.exclude(ExclusionReason.SUPPRESSED, _find_forgotten(frame, rules.find_forgotten))
    if MISSING in frame.columns:
        missing = frame.select(at, detail=MISSING).drop_nulls("detail")
        settled.exclude(ExclusionReason.MISSING_DATA, missing)
    if rules.cap is not None:
        settled.exclude(ExclusionReason.CAPPED, _find_listed(settled, rules.cap.take(number), rules.partitions))
    if rules.hold_out:
        settled.exclude(ExclusionReason.HELD_OUT, _find_held_out(frame, rules))
    if rules.insights is not None:
        _apply_insights(settled, rules.insights, number, rules.partitions)
    return settled


def _number_rows(parts: Sequence[tuple[BatchPosition, pl.DataFrame]]) -> pl.DataFrame:
    """Return a partition's rows in the order of the sources."""
    if not parts:
        return pl.DataFrame(schema=_NOTHING)
    # Relaxed: a batch whose values to order by are all blank has no type for them.
    rows = pl.concat([part for _, part in parts], how="vertical_relaxed", rechunk=True)
    before = pl.Series([place.row_before for place, _ in parts], dtype=pl.UInt64)
    table = pl.Series([place.table for place, _ in parts], dtype=pl.UInt32)
    heights = pl.Series([part.height for _, part in parts], dtype=pl.UInt32)
    part = (
        pl.select(pl.int_range(len(parts), dtype=pl.UInt32).repeat_by(heights))
        .to_series()
        .explode(empty_as_null=True, keep_nulls=True)
    )
    return rows.select(
        (pl.col(AT) + before.gather(part)).alias("row"),
        table.gather(part).alias("file"),
        pl.col(LINE).alias("line"),
        pl.col(ADDRESS).alias("address"),
        pl.exclude(AT, LINE, ADDRESS),
    )


def _identify(frame: pl.DataFrame, at: pl.Series, partitions: Partitions) -> pl.Series:
    """Return the identities of the addresses at some indexes."""
    keys = frame.get_column("address").gather(at).str.to_lowercase()
    return partitions.identify(keys).alias("same")


def _find_duplicates(frame: pl.DataFrame, order: pl.DataFrame, partitions: Partitions) -> pl.DataFrame:
    """Of rows with the same identity, keep the first; return the others (`at`), each with the `first`.

    Equal addresses have equal hashes and so are neighbours. Nearly always neighbours with equal hashes are the same.
    """
    hashes, at = order.get_column(HASH), order.get_column("at")
    is_next = (hashes == hashes.shift(1)).fill_null(value=False)
    later = is_next.arg_true()
    if not _are_the_same(frame, at.gather(later - 1), at.gather(later), partitions):
        is_alike = is_next | is_next.shift(-1, fill_value=False)
        return _find_among_alike(frame, at.filter(is_alike), partitions)
    first = pl.select(pl.when(~is_next).then(at).forward_fill()).to_series().gather(later)
    return pl.DataFrame([at.gather(later), first.alias("first")])


def _are_the_same(frame: pl.DataFrame, some: pl.Series, others: pl.Series, partitions: Partitions) -> bool:
    """Whether the addresses at some places reach the same as those at others, each its other."""
    addresses = frame.get_column("address")
    differ = (addresses.gather(some) != addresses.gather(others)).arg_true()
    one, other = (_identify(frame, at.gather(differ), partitions) for at in (some, others))
    return one.equals(other)


def _find_among_alike(frame: pl.DataFrame, at: pl.Series, partitions: Partitions) -> pl.DataFrame:
    """The duplicates among rows whose hashes are equal and whose addresses are not."""
    found = pl.DataFrame([at, _identify(frame, at, partitions)])
    is_first = found.get_column("same").is_first_distinct()
    firsts = found.filter(is_first).select("same", first="at")
    return found.filter(~is_first).join(firsts, on="same", how="left", maintain_order="left").select("at", "first")


def _find_suppressed(settled: Settled, entries: pl.DataFrame, partitions: Partitions) -> pl.DataFrame:
    """Return the accepted rows that an entry names, with the first such entry."""
    near = _find_near(settled, entries)
    same = partitions.identify(entries.get_column("key").gather(near.get_column("entry")))
    named = _keep_same(settled, near, same, partitions).unique("at", keep="first", maintain_order=True)
    source = entries.get_column("source").gather(named.get_column("entry"))
    return named.select("at", detail=pl.format("suppressed by {}", source))


def _find_suppressed_domains(frame: pl.DataFrame, suppressions: Suppressions) -> pl.DataFrame:
    """Return the rows whose domain an entry names."""
    at = pl.int_range(pl.len(), dtype=pl.UInt32).alias("at")
    domains = frame.select(at, domain=pl.col("address").str.extract("@(.*)$").str.to_lowercase())
    found = suppressions.find_domains(domains.get_column("domain"))
    found = found.select("domain", detail=pl.format("suppressed by {}", "source"))
    return domains.join(found, on="domain", how="inner", maintain_order="left").select("at", "detail")


def _find_forgotten(frame: pl.DataFrame, find: FindForgotten) -> pl.DataFrame:
    """Return the rows of erased recipients: only hashes of their keys are stored."""
    keys = frame.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("at"), key=pl.col("address").str.to_lowercase())
    found = find(keys.get_column("key")).select("key", detail=pl.format("suppressed by {}", "source"))
    return keys.join(found, on="key", how="inner", maintain_order="left").select("at", "detail")


def _find_listed(settled: Settled, listed: pl.DataFrame, partitions: Partitions) -> pl.DataFrame:
    """Return the accepted rows that a list (`HASH`, `same`, `detail`) names."""
    near = _find_near(settled, listed)
    same = listed.get_column("same").gather(near.get_column("entry"))
    named = _keep_same(settled, near, same, partitions)
    return named.select("at", detail=listed.get_column("detail").gather(named.get_column("entry")))


def _apply_insights(settled: Settled, shelved: ShelvedInsights, number: int, partitions: Partitions) -> None:
    """Exclude or count the accepted rows that SES does not expect to reach, and note those to ask about."""
    insights = shelved.insights
    mailed = _find_listed(settled, shelved.take_mailed(number), partitions).get_column("at")
    known = _find_listed(settled, shelved.take_known(number), partitions)
    known = known.filter(~pl.col("at").is_in(mailed.implode()))
    answered = pl.concat([known.get_column("at"), mailed])
    accepted = settled.left.arg_true()
    unknown = accepted.filter(~accepted.is_in(answered.implode()))
    faulty = known.drop_nulls("detail")
    if insights.action is CheckAction.EXCLUDE:
        settled.exclude(ExclusionReason.INVALID_ADDRESS, faulty)
    else:
        insights.count_warned(faulty.height)
    rows = settled.frame.select(pl.col(HASH, "address").gather(unknown))
    insights.want(rows.select(HASH, pl.col("address").str.to_lowercase().alias("key"), "address"))


def _keep_same(settled: Settled, near: pl.DataFrame, same: pl.Series, partitions: Partitions) -> pl.DataFrame:
    """Keep the pairs whose row has the identity of its entry (`same`)."""
    return near.filter(_identify(settled.frame, near.get_column("at"), partitions) == same)


def _find_near(settled: Settled, listed: pl.DataFrame) -> pl.DataFrame:
    """Return the accepted rows (`at`) whose hash is in a list, with the index of each such `entry`, in order.

    Hashes are small and nearly always decide alone, so texts are compared for these rows only.
    """
    rows = settled.frame.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("at"), HASH).filter(settled.left)
    entries = listed.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("entry"), HASH)
    return rows.join(entries, on=HASH, how="inner", maintain_order="left_right").select("at", "entry")


def _find_held_out(frame: pl.DataFrame, rules: SetRules) -> pl.DataFrame:
    """A second hash decides who is held out: the same addresses in every run, independent of the other rows."""
    seed = pl.Series([seed_of(f"hold out {rules.partitions.order_key}")], dtype=pl.UInt64)
    below = min(int(rules.hold_out * _PERCENT_STEPS), 2**64 - 1)
    drawn = mix(frame.get_column(HASH) ^ seed)
    at = (drawn <= pl.Series([below], dtype=pl.UInt64)).arg_true()
    return pl.select(at=at, detail=pl.lit(f"it is among the {rules.hold_out:g} % that are held out"))


def merge_counts(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Sum counts, in order of precedence, without zeros."""
    added = {reason.value: counts.get(reason, 0) + more.get(reason, 0) for reason in ExclusionReason}
    return {reason: count for reason, count in added.items() if count}
