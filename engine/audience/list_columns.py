"""Which columns of a suppression list hold what. A wrong guess mails who opted out: what is unclear is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from engine.audience.list_entries import HASH, read_entries
from engine.audience.tables import Table, read_batches
from engine.errors import DataError
from engine.ledger.reasons import REASON_NAMES, TIME_NAMES, plain_name

SAMPLE_ROWS = 10_000
_EXACT = frozenset({"email", "emailaddress"})
_OTHERS = frozenset({"address", "addresses", "recipient", "recipients", "subscriber"})
_DOMAINS = frozenset({"domain", "domains"})
_REMEDY = "name the column of the addresses email"


@dataclass(frozen=True, slots=True)
class ListColumns:
    """Where a list has what: names of its columns.

    Attributes:
        addresses: each of them holds entries; more than one only where there is no header and nothing else.
        reason: what people call the reason; None where no column does.
        topic: the topic.
        evidence: what tells the reason in the words and codes of an export.
        times: filled where the reason of the same place holds.
        unread: columns that hold addresses, too.
    """

    addresses: tuple[str, ...]
    reason: str | None = None
    topic: str | None = None
    evidence: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the first rows of a column are: cells that are not blank, and addresses (or hashes of some) among them."""

    filled: int
    addresses: int

    @property
    def is_of_addresses(self) -> bool:
        return self.addresses > 0 and 2 * self.addresses >= self.filled


def find_columns(table: Table, *, has_header: bool) -> ListColumns:
    """Tell where a list has what: by name first, then by what the cells hold.

    Raises:
        DataError: it has no column of addresses, or several and none that is certainly meant.
    """
    texts = [column for column, dtype in table.columns.items() if dtype == pl.String]
    seen = _look_at(table, texts)
    if not has_header:
        return ListColumns(_find_without_header(table, seen))
    names = {column: plain_name(column) for column in table.columns}
    address = _find_by_name(table, seen, {column: names[column] for column in texts})
    if address in table.twice:
        raise _is_unclear(table, [address, *(column for column in texts if column.startswith(f"{address} ("))], seen)
    of_reason = {name: column for column, name in reversed(names.items()) if column != address}
    return ListColumns(
        (address,),
        of_reason.get("reason") or of_reason.get("suppressionreason"),
        of_reason.get("topic"),
        tuple(of_reason[name] for name in REASON_NAMES if name in of_reason),
        tuple(of_reason[name] for name in TIME_NAMES if name in of_reason),
        tuple(column for column, cells in seen.items() if cells.is_of_addresses and column != address),
    )


def _look_at(table: Table, texts: Sequence[str]) -> dict[str, _Seen]:
    batch = next(read_batches([table], texts, table.columns), None) if texts else None
    sample = batch.load().cells.head(SAMPLE_ROWS) if batch else pl.DataFrame(schema=dict.fromkeys(texts, pl.String))
    return {cells.name: _count(cells) for cells in sample}


def _count(cells: pl.Series) -> _Seen:
    filled = cells.filter(cells.str.strip_chars().str.len_bytes() > 0)
    hashes = filled.str.strip_chars().str.contains(HASH)
    found = read_entries(filled.filter(filled.str.contains("@", literal=True) & ~hashes))
    return _Seen(filled.len(), found.drop_nulls("key").get_column("at").n_unique() + hashes.arg_true().len())


def _find_by_name(table: Table, seen: Mapping[str, _Seen], names: Mapping[str, str]) -> str:
    ranks = (
        [column for column, name in names.items() if name in _EXACT],
        [column for column, name in names.items() if "mail" in name],
        [column for column, name in names.items() if name in _OTHERS],
        list(names),
    )
    holders = [column for column, cells in seen.items() if cells.addresses]
    most = max((cells.addresses for cells in seen.values()), default=0)
    is_named = [column for column in ranks[0] if seen[column].filled]
    if len(holders) == 1 and is_named in ([], holders):
        return holders[0]
    if holders and is_named and not set(holders) & set(is_named):
        raise _is_unclear(table, [*is_named, *holders], seen)
    for rank, columns in enumerate(ranks):
        candidates = [column for column in columns if seen[column].is_of_addresses]
        # Only the very name is believed against columns with more addresses.
        if len(candidates) == 1 and (rank == 0 or 2 * seen[candidates[0]].addresses >= most):
            return candidates[0]
        if candidates:
            raise _is_unclear(table, holders, seen)
    if holders:
        raise _is_unclear(table, holders, seen)
    # There is no address at all: an empty list, or one of domains, or of what cannot be read.
    in_doubt = (*ranks[:3], [column for column, name in names.items() if name in _DOMAINS])
    column = next((columns[0] for columns in in_doubt if len(columns) == 1), None)
    if column is None:
        raise DataError(
            "the suppression file has no column of addresses",
            where=table.source.name,
            remedy=f"{_REMEDY}; there are: {', '.join(names) or 'no text columns'}",
        )
    return column


def _find_without_header(table: Table, seen: Mapping[str, _Seen]) -> tuple[str, ...]:
    filled = [column for column, cells in seen.items() if cells.filled] or list(seen)[:1]
    candidates = [column for column in filled if seen[column].is_of_addresses]
    if len(candidates) == 1 or len(filled) == 1 or candidates == filled:
        return tuple(candidates or filled)
    raise _is_unclear(table, candidates or filled, seen)


def _is_unclear(table: Table, columns: Sequence[str], seen: Mapping[str, _Seen]) -> DataError:
    counted = ", ".join(f"{column} ({seen[column].addresses:,} of {seen[column].filled:,} cells)" for column in columns)
    return DataError(
        f"it is not clear which column holds the suppressed addresses: {counted}",
        where=table.source.name,
        remedy=f"{_REMEDY}, or remove the others",
    )
