"""Finds an address in a large recipients file by the plan's order, without reading the whole file.

Plans are ordered by a keyed hash of the address, see `engine.addresses.hashing`, which spreads addresses evenly. So the
place of an address can be estimated, and some probes of a few thousand rows find it. A plan that `order_by` sorts has
another order: a probe shows it, and the file is read whole.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from engine.addresses.hashing import hash_keys
from engine.audience.providers import mailbox_of

PROBE_ROWS = 4096
_HASHES = 2**64
_MOST_PROBES = 12  # an estimate is rarely off by more than some probes; reading the file is then as fast

Hash = Callable[[pl.Series], pl.Series]


def find_places(path: Path, key: str, order_key: str) -> list[int]:
    """Find the places of an address in a recipients file, from 0.

    Args:
        path: the file.
        key: the normalised address.
        order_key: of the plan's order: the campaign's name.

    Raises:
        OSError, PolarsError: the file cannot be read.
    """
    rows = int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
    is_ordered = False
    for hash_by in _list_hashes(order_key):  # the file does not tell which rule it was made by
        found = _search(path, key, rows, hash_by)
        if found:
            return found
        is_ordered |= found is not None
    if is_ordered:
        return []
    keys = pl.read_parquet(path, columns=["key"], glob=False)["key"]
    return [int(at) for at in (keys == key).arg_true()]


def _list_hashes(order_key: str) -> list[Hash]:
    """List the functions that may have ordered a plan: by address, and by mailbox (`dedupe = "provider"`)."""

    def hash_address(keys: pl.Series) -> pl.Series:
        return hash_keys(keys, order_key)

    def hash_mailbox(keys: pl.Series) -> pl.Series:
        return hash_keys(mailbox_of(keys), order_key)

    return [hash_address, hash_mailbox]


def _search(path: Path, key: str, rows: int, hash_by: Hash) -> list[int] | None:
    """Search by probes; None where a probe has another order, or the search does not end soon."""
    target = int(hash_by(pl.Series([key], dtype=pl.String)).item())
    low, high, first, last = 0, rows, 0, _HASHES  # every row before low has a lower hash, from high on a higher one
    for _ in range(_MOST_PROBES):
        count = min(PROBE_ROWS, high - low)
        share = (target - first) / max(1, last - first)
        start = min(max(low, low + round(share * (high - low)) - count // 2), high - count)
        keys = pl.scan_parquet(path, glob=False).select("key").slice(start, count).collect()["key"]
        hashes = hash_by(keys.drop_nulls())
        if hashes.is_empty() or not hashes.is_sorted():
            return None
        begin, end = int(hashes[0]), int(hashes[-1])
        if target < begin:
            high, last = start, begin
        elif target > end:
            low, first = start + count, end
        elif (begin < target or start == low) and (target < end or start + count == high):
            return [start + int(at) for at in (keys == key).arg_true()]
        else:
            return None  # equal hashes at the border of a probe
        if low >= high:
            return []
    return None
