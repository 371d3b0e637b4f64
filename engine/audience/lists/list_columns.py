"""Find the columns of a suppression list. A wrong guess mails people who opted out, so an unclear list is refused."""

from collections.abc import Mapping, Sequence

import polars as pl
from msgspec import Struct

from engine.audience.lists.list_entries import HASH, read_entries
from engine.audience.lists.list_names import NameRank, names_actor, rank_name
from engine.audience.reading.tables import Table, read_batches
from engine.csv_formulas import read_defused
from engine.errors import DataError
from engine.ledger.suppressed.reasons import REASON_NAMES, TIME_NAMES, plain_name

SAMPLE_ROWS = 10_000
_REMEDY = "call the column with the addresses email"


class ListColumns(Struct, frozen=True):
    """The names of a list's columns, by meaning.

    Attributes:
        addresses: columns with entries; several only in a file without a header that has no other columns.
        reason: the reason in words; None if no column has it.
        topic: the topic.
        evidence: columns of an export whose words or codes imply the reason.
        times: columns with a time if the reason at the same index applies.
        unread: other columns with addresses, which are not read.
        is_named: whether the column was chosen by its name, or as the only one with addresses.
        proof: in a list that mailrun exported: the evidence for an opt-out that came by mail.
    """

    addresses: tuple[str, ...]
    reason: str | None = None
    topic: str | None = None
    evidence: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    is_named: bool = True
    proof: str | None = None


class _Seen(Struct, frozen=True):
    """Counts of the first rows of a column.

    Attributes:
        filled: cells that are not blank.
        ats: those with an @.
        addresses: those with addresses, or hashes of addresses.
        domains: those with only a domain; counted only if the column's name fits domains.
    """

    filled: int
    ats: int
    addresses: int
    domains: int

    @property
    def entries(self) -> int:
        return self.addresses + self.domains

    @property
    def is_of_addresses(self) -> bool:
        return self.addresses > 0 and 2 * self.addresses >= self.filled

    @property
    def is_of_entries(self) -> bool:
        return self.entries > 0 and 2 * self.entries >= self.filled


def find_columns(table: Table, *, has_header: bool) -> ListColumns:
    """Find the columns of a list: by name first, then by their cells.

    Raises:
        DataError: no column has addresses, or several have and none is clearly the right one.
    """
    seen = _look_at(table, has_header=has_header)
    if not has_header:
        return ListColumns(_find_without_header(table, seen))
    address = _find_by_name(table, seen)
    if address in table.twice:
        raise _is_unclear(table, [address, *(column for column in seen if column.startswith(f"{address} ("))], seen)
    of_reason = {plain_name(column): column for column in reversed(seen) if column != address}
    return ListColumns(
        (address,),
        of_reason.get("reason") or of_reason.get("suppressionreason"),
        of_reason.get("topic"),
        tuple(of_reason[name] for name in REASON_NAMES if name in of_reason),
        tuple(of_reason[name] for name in TIME_NAMES if name in of_reason),
        tuple(column for column, cells in seen.items() if cells.is_of_addresses and column != address),
        rank_name(address) is not NameRank.OTHER or len(seen) == 1,
        of_reason.get("proof"),
    )


def _look_at(table: Table, *, has_header: bool) -> dict[str, _Seen]:
    columns = list(table.columns)
    schema = dict.fromkeys(columns, pl.String())
    batch = next(read_batches([table], columns, schema), None) if columns else None
    sample = batch.load().cells.head(SAMPLE_ROWS) if batch else pl.DataFrame(schema=schema)
    return {
        cells.name: _count(cells, has_domains=has_header and rank_name(cells.name) is not NameRank.OTHER)
        for cells in sample
    }


def _count(cells: pl.Series, *, has_domains: bool) -> _Seen:
    filled = read_defused(cells.str.strip_chars())
    filled = filled.filter(filled.str.len_bytes() > 0)
    hashes, ats = filled.str.contains(HASH), filled.str.contains("@", literal=True)
    readable = filled.filter((ats | has_domains) & ~hashes)
    read = read_entries(readable).drop_nulls("key").get_column("at").unique()
    # In a column whose name does not fit domains, x.example may be anything.
    of_addresses = int(readable.gather(read).str.contains("@", literal=True).sum())
    return _Seen(filled.len(), int(ats.sum()), of_addresses + int(hashes.sum()), read.len() - of_addresses)


def _find_by_name(table: Table, seen: Mapping[str, _Seen]) -> str:
    """Choose the column by name. If one has a fitting name, never choose another because only that one has addresses.

    A column that cannot be read may have the addresses.
    """
    ranks = {column: rank_name(column) for column in (*seen, *table.closed)}
    named = {
        column: rank
        for column, rank in ranks.items()
        if rank is NameRank.EXACT or (rank is not NameRank.OTHER and not names_actor(column))
    }
    best = min(named.values(), default=NameRank.OTHER)
    if not named:
        return _find_unnamed(table, seen)
    first = [column for column, rank in named.items() if rank is best]
    holders = [column for column, cells in seen.items() if cells.entries]
    rivals = [
        column
        for column in holders
        if column not in first and _is_rival(seen[column], ranks[column], best, is_named=column in named)
    ]
    in_doubt = list(dict.fromkeys([*first, *rivals, *holders]))
    if len(first) > 1 or first[0] in table.closed:
        if holders or first[0] in table.closed:
            raise _is_unclear(table, in_doubt, seen)
        raise _has_none(table)
    address, others = seen[first[0]], [column for column in holders if column != first[0]]
    if not others:
        return first[0]
    is_of_domains = best is NameRank.DOMAIN or not address.addresses
    most = max(seen[column].entries for column in others)
    is_sure = address.is_of_entries and (best is NameRank.EXACT or 2 * address.entries >= most)
    if rivals or not is_sure or (is_of_domains and not all(names_actor(column) for column in others)):
        raise _is_unclear(table, in_doubt, seen)
    return first[0]


def _is_rival(cells: _Seen, rank: NameRank, best: NameRank, *, is_named: bool) -> bool:
    """Whether another column of addresses also has a fitting name, if a less clear one than the best."""
    if best is NameRank.EXACT or not cells.addresses:
        return False
    return is_named or (best is not NameRank.EXACT_WITHIN and rank is not NameRank.OTHER)


def _find_unnamed(table: Table, seen: Mapping[str, _Seen]) -> str:
    """Choose the only column with an @ in any row, unless its name says that these are other people's addresses."""
    holders = [column for column, cells in seen.items() if cells.ats or cells.addresses]
    is_sole = len(holders) == 1 and not table.closed and seen[holders[0]].addresses > 0
    if is_sole and (len(seen) == 1 or not names_actor(holders[0])):
        later = _find_ats(table, [column for column in seen if column != holders[0]])
        if not later:
            return holders[0]
        holders += later
    if holders:
        raise _is_unclear(table, [*holders, *table.closed], seen)
    raise _has_none(table)


def _find_ats(table: Table, columns: Sequence[str]) -> list[str]:
    """Return the names of the text columns with an @ in any row."""
    texts = [column for column in columns if table.columns[column] == pl.String]
    for batch in read_batches([table], texts, dict.fromkeys(texts, pl.String())) if texts else ():
        cells = batch.load().cells.select(pl.all().str.contains("@", literal=True).any())
        if found := [column.name for column in cells if column.item()]:
            return found
    return []


def _find_without_header(table: Table, seen: Mapping[str, _Seen]) -> tuple[str, ...]:
    filled = [column for column, cells in seen.items() if cells.filled] or list(seen)[:1]
    candidates = [column for column in filled if seen[column].is_of_addresses]
    if len(candidates) == 1 or len(filled) == 1 or candidates == filled:
        return tuple(candidates or filled)
    raise _is_unclear(table, candidates or filled, seen)


def _has_none(table: Table) -> DataError:
    return DataError(
        "the suppression file has no column of addresses",
        where=table.source.name,
        remedy=f"{_REMEDY}; available: {', '.join((*table.columns, *table.closed)) or 'no columns'}",
    )


def _is_unclear(table: Table, columns: Sequence[str], seen: Mapping[str, _Seen]) -> DataError:
    counted = ", ".join(
        f"{column} ({seen[column].entries:,} of {seen[column].filled:,} cells)" if column in seen else column
        for column in columns
    )
    return DataError(
        f"it is not clear which column holds the suppressed addresses: {counted}",
        where=table.source.name,
        remedy=f"{_REMEDY}, or remove the others",
    )
