"""People erased by `mailrun forget` stay suppressed, as keyed hashes from which no address can be read."""

import hmac
from collections.abc import Callable, Collection
from datetime import datetime

import polars as pl
from sqlalchemy import Connection, select

from engine.addresses.hashing import hash_keys
from engine.ledger.database import Ledger, insert_if_absent
from engine.ledger.schema import forgotten_table

FindForgotten = Callable[[pl.Series], pl.DataFrame]  # keys -> `key` and `source`, as suppressions have them

_BUCKETS = 2**62  # fits an SQL integer
_SOURCE = "mailrun forget"
_SCHEMA = {"key": pl.String, "source": pl.String}


def add_forgotten(tx: Connection, key: str, secret: bytes, now: datetime) -> bool:
    """Suppress an address permanently; False if it was forgotten before.

    Args:
        tx: a write transaction.
        key: the address as the plan compares it.
        secret: the store's key of these hashes.
        now: when.
    """
    bucket = _hash(pl.Series([key]), secret).item(0)
    values = {"digest": _digest(key, secret), "bucket": bucket, "at": now}
    return tx.execute(insert_if_absent(tx, forgotten_table).values(**values)).rowcount == 1


def make_find_forgotten(ledger: Ledger, read_secret: Callable[[], bytes]) -> FindForgotten | None:
    """Make the function that finds forgotten people among an audience's keys; None if nobody was forgotten.

    All keys are hashed by the fast hash of the plan's order, under the secret; the few that match are checked by HMAC.

    Args:
        ledger: where people were forgotten.
        read_secret: reads the store's key of these hashes; called once, and only if somebody was forgotten.
    """
    with ledger.read() as tx:
        rows = tx.execute(select(forgotten_table.c.bucket, forgotten_table.c.digest)).all()
    if not rows:
        return None
    secret, digests = read_secret(), {row.digest for row in rows}
    buckets = pl.Series([row.bucket for row in rows], dtype=pl.UInt64)

    def find(keys: pl.Series) -> pl.DataFrame:
        candidates = keys.filter(_hash(keys, secret).is_in(buckets.implode()))
        found = [key for key in candidates if _digest(key, secret) in digests]
        return pl.DataFrame({"key": found, "source": [_SOURCE] * len(found)}, schema=_SCHEMA).unique("key")

    return find


def find_forgotten_keys(tx: Connection, keys: Collection[str], secret: bytes) -> set[str]:
    """Find forgotten people among a few keys, as they are at this moment.

    Args:
        tx: any transaction.
        keys: addresses as the plan compares them.
        secret: the store's key of these hashes.
    """
    if not keys:
        return set()
    table = forgotten_table.c
    buckets = _hash(pl.Series(list(keys), dtype=pl.String), secret).to_list()
    digests = set(tx.execute(select(table.digest).where(table.bucket.in_(buckets))).scalars())
    return {key for key in keys if _digest(key, secret) in digests} if digests else set()


def _hash(keys: pl.Series, secret: bytes) -> pl.Series:
    return hash_keys(keys, secret.decode()) % _BUCKETS


def _digest(key: str, secret: bytes) -> str:
    return hmac.digest(secret, key.encode(), "sha256").hex()
