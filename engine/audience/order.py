"""The plan's order: a keyed hash of the address."""

from hashlib import blake2b

import polars as pl

_WORD_BYTES = 8
# The finaliser of MurmurHash3 (64 bits): a bijection in which every bit of the input reaches every bit of the output.
_MULTIPLIERS = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)
# Every key is filled up to the longest one's length, up to 254 bytes; in blocks this needs little memory.
_KEYS_AT_ONCE = 100_000
_SHIFT = 2**33


def hash_keys(keys: pl.Series, order_key: str) -> pl.Series:
    """Hash normalised addresses under a key, the same everywhere and for ever.

    Receiver domains interleave by themselves in this order, its beginning is a fair sample, and another `order_key`
    gives another order. It spreads; it does not resist someone who makes up addresses to collide.

    Polars' own hash is faster (0.01 s a million instead of 0.4 s), but not promised to stay the same. This one is
    nothing but wrapping 64-bit arithmetic over the key's bytes, in words of 8 filled up with NUL:
    `h = mix(h XOR word)`, where `h` begins as the BLAKE2b digest of `order_key`.

    Args:
        keys: String, ASCII, without nulls.
        order_key: any text.

    Returns:
        UInt64, as many.
    """
    seed = int.from_bytes(blake2b(order_key.encode(), digest_size=_WORD_BYTES).digest(), "little")
    blocks = [_hash_block(keys.slice(start, _KEYS_AT_ONCE), seed) for start in range(0, keys.len(), _KEYS_AT_ONCE)]
    return pl.concat([pl.Series("hash", dtype=pl.UInt64), *blocks])


def _hash_block(keys: pl.Series, seed: int) -> pl.Series:
    frame = pl.DataFrame({"key": keys}).select("key", bytes=pl.col("key").str.len_bytes(), hash=_unsigned(seed))
    longest = int(frame.select(pl.col("bytes").max()).item())
    padded = pl.col("key").str.pad_end(longest + _WORD_BYTES, "\0").cast(pl.Binary)
    frame = frame.with_columns(key=padded)
    for start in range(0, longest, _WORD_BYTES):
        word = pl.col("key").bin.slice(start, _WORD_BYTES).bin.reinterpret(dtype=pl.UInt64, endianness="little")
        # A key's hash must not depend on how long the others are.
        mixed = pl.when(pl.col("bytes") > start).then(_mix(pl.col("hash") ^ word)).otherwise("hash")
        frame = frame.with_columns(hash=mixed)
    return frame.get_column("hash")


def _mix(value: pl.Expr) -> pl.Expr:
    for multiplier in _MULTIPLIERS:
        value = (value ^ (value // _unsigned(_SHIFT))) * _unsigned(multiplier)
    return value ^ (value // _unsigned(_SHIFT))


def _unsigned(value: int) -> pl.Expr:
    return pl.lit(value, dtype=pl.UInt64)
