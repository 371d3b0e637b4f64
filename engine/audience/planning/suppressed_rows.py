"""Suppressed addresses: suppression files and the ledger's list, stored by partition."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
from msgspec import Struct, field

from engine.audience.lists.list_rows import ListRows, list_wanted, read_list_rows
from engine.audience.lists.list_tables import ListTable, open_lists
from engine.audience.planning.partitions import HASH, Partitions
from engine.audience.planning.scratch import Scratch
from engine.audience.planning.threads import work_through
from engine.audience.reading.sources import find_sources
from engine.audience.reading.tables import Batch, read_batches
from engine.audience.spec import SuppressionSpec
from engine.errors import DataError
from engine.ledger.suppressed.blocked_rows import are_blocked
from engine.ledger.suppressed.reasons import classify_reason
from engine.ledger.suppressed.suppression_scope import CampaignKind
from engine.ledger.suppressed.suppressions import DOMAIN_MARK, Suppression, list_keys
from engine.read_limits import DEFAULT_LIMITS, ReadLimits

_LEDGER = "the ledger"
_NAMED = 5  # domains in a note
ENTRIES_SCHEMA = {HASH: pl.UInt64, "key": pl.String, "line": pl.UInt64, "reason": pl.String}


class Suppressions(Struct, frozen=True):
    """The suppressions that apply to a campaign.

    Attributes:
        shelves: `ENTRIES_SCHEMA` by partition, of addresses; a label is the name of its source.
        domains: keys of entries for whole domains -> source and reason.
        notes: sentences for people.
    """

    shelves: Scratch[str]
    domains: Mapping[str, str]
    notes: tuple[str, ...]

    def take(self, partition: int) -> pl.DataFrame:
        """Read the entries of a partition: `HASH`, `key`, and `source` (source and reason)."""
        parts = [entries.select(HASH, "key", source=_in_words(name)) for name, entries in self.shelves.take(partition)]
        nothing = pl.DataFrame(schema={HASH: pl.UInt64, "key": pl.String, "source": pl.String})
        return pl.concat([nothing, *parts])

    def find_domains(self, domains: pl.Series) -> pl.DataFrame:
        """Return the suppressed domains among these, in lower case: `domain` and `source`."""
        found = {
            domain: next(self.domains[key] for key in keys if key in self.domains)
            for domain in (domains.unique().to_list() if self.domains else ())
            if not self.domains.keys().isdisjoint(keys := list(list_keys(f"{DOMAIN_MARK}{domain}")))
        }
        return pl.DataFrame(list(found.items()), schema={"domain": pl.String, "source": pl.String}, orient="row")


class _Aside(Struct):
    """Stores the entries that apply to a campaign."""

    partitions: Partitions
    shelves: Scratch[str]
    topic: str | None
    kind: CampaignKind
    skip_invalid: bool
    domains: dict[str, str] = field(default_factory=dict)

    def divide(self, entries: pl.DataFrame, name: str) -> "_Divided":
        """Divide the entries (`key`, `topic`, `known`, `reason`, `line`) that apply."""
        applying = entries.filter(are_blocked(campaign_topic=self.topic, kind=self.kind))
        is_of_a_domain = applying.get_column("key").str.starts_with(DOMAIN_MARK)
        of_domains = applying.filter(is_of_a_domain).select("key", source=_in_words(name))
        addresses = applying.filter(~is_of_a_domain)
        hashes = self.partitions.hash(addresses.get_column("key"))
        parts = list(self.partitions.split(addresses.with_columns(hashes).select(*ENTRIES_SCHEMA)))
        return _Divided(parts, dict(reversed(of_domains.rows())))

    def put(self, divided: "_Divided", name: str) -> None:
        """Store entries; the first of two entries for a domain wins."""
        for part, entries in divided.parts:
            self.shelves.put(part, entries, name)
        self.domains = divided.domains | self.domains


class _Divided(Struct, frozen=True):
    parts: list[tuple[int, pl.DataFrame]]
    domains: dict[str, str]


def set_aside_suppressions(  # noqa: PLR0913 - keyword-only
    suppression: SuppressionSpec,
    listed: Iterable[Sequence[Suppression]],
    *,
    workspace: Path,
    downloads: Path | None,
    partitions: Partitions,
    shelves: Scratch[str],
    kind: CampaignKind,
    limits: ReadLimits = DEFAULT_LIMITS,
) -> Suppressions:
    """Read all suppression files of a campaign, and the ledger's list.

    A list that cannot be read stops planning, and so does an entry that cannot match any address, so that no address is
    mailed by mistake. See `open_lists` for files, `read_entries` for entries, and
    `Suppression.applies_to` for the campaigns that an entry applies to.

    Args:
        suppression: the files (as in `[audience] source`), the campaign's topic, and whether to skip entries that
            cannot match any address.
        listed: the ledger's list, block by block.
        workspace: the folder that paths are relative to.
        downloads: the folder for copies of S3 objects.
        partitions: how the audience is partitioned.
        shelves: stores the entries.
        kind: the campaign's: opt-outs from a topic do not apply to transactional mail.
        limits: the size limits of a file.

    Raises:
        DataError: a file is missing or damaged, has no column of addresses, or an entry that matches no address.
    """
    aside = _Aside(partitions, shelves, suppression.topic, kind, suppression.skip_invalid)
    sources = find_sources(suppression.files, workspace, downloads=downloads, limits=limits)
    tables = [opened for source in sources for opened in open_lists(source)]
    notes = [note for opened in tables for note in _set_aside_table(opened, aside)]
    for block in listed:
        columns = {
            "key": [item.key for item in block],
            "topic": [item.topic for item in block],
            "known": [classify_reason(item.reason) for item in block],
            "reason": [f"{item.reason}, {item.source}" for item in block],
        }
        entries = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
        aside.put(aside.divide(entries.with_columns(line=pl.lit(0, dtype=pl.UInt64)), _LEDGER), _LEDGER)
    return Suppressions(shelves, aside.domains, tuple(notes))


def _set_aside_table(opened: ListTable, aside: _Aside) -> Iterator[str]:
    table, name = opened.table, opened.table.source.name

    def work(batch: Batch) -> tuple[_Divided, ListRows]:
        rows = read_list_rows(batch.load(), opened)
        if rows.malformed is not None:
            line, what = rows.malformed
            remedy = "fix the line: an entry that cannot be read is never skipped"
            raise DataError(what, where=f"{name}, line {line}", remedy=remedy)
        return aside.divide(rows.entries, name), rows

    domains: dict[str, None] = {}
    count, faults, first = 0, 0, None
    wanted = list_wanted(opened)
    for divided, rows in work_through(read_batches([table], wanted, dict.fromkeys(wanted, pl.String())), work):
        aside.put(divided, name)
        domains |= dict.fromkeys(divided.domains)
        count, faults = count + rows.entries.height + rows.faults.height, faults + rows.faults.height
        first = first or next(rows.faults.iter_rows(), None)
    yield from opened.notes
    if first is not None:
        line, fault = first
        if not aside.skip_invalid:
            raise DataError(
                f"{faults:,} of {count:,} entries match no address; the first: {fault}",
                where=f"{name}, line {line}",
                remedy="correct or remove them, or set skip_invalid = true in [suppression] to skip them",
            )
        skipped = f"{faults:,} of {count:,} entries match no address and were skipped"
        yield f"{name}: {skipped}, the first in line {line}: {fault}"
    if domains:
        shown = ", ".join(key.removeprefix(DOMAIN_MARK) for key in list(domains)[:_NAMED])
        more = f" and {len(domains) - _NAMED:,} more" if len(domains) > _NAMED else ""
        yield f"{name}: suppresses whole domains: {shown}{more}"


def _in_words(name: str) -> pl.Expr:
    place = pl.lit(name) if name == _LEDGER else pl.format("{} line {}", pl.lit(name), "line")
    reason = pl.when(pl.col("reason").fill_null("") != "").then(pl.format(": {}", "reason")).otherwise(pl.lit(""))
    return pl.concat_str(place, reason)
