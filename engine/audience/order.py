"""The plan's order: a keyed hash of the address."""

from hashlib import blake2b

import polars as pl

_WORD_BYTES = 8
# The finaliser of MurmurHash3 (64 bits): a bijection in which every bit of the input reaches every bit of the output.
_MULTIPLIERS = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)
# Keys are filled up to the longest one's length; apart from the few longer ones these are most of all addresses.
_USUAL_WORDS = 4
_SHIFT = 2**33


def hash_keys(keys: pl.Series, order_key: str) -> pl.Series:
    """Hash normalised addresses under a key, the same everywhere and for ever.

    Receiver domains interleave by themselves in this order, its beginning is a fair sample, and another `order_key`
    gives another order. It spreads; it does not resist someone who makes up addresses to collide.

    Polars' own hash is faster, but not promised to stay the same. This one is nothing but wrapping 64-bit arithmetic
    over the key's bytes, in words of 8 filled up with NUL: `h = mix(h XOR word)`, where `h` begins as the BLAKE2b
    digest of `order_key`.

    Args:
        keys: String, ASCII, without nulls.
        order_key: any text.

    Returns:
        UInt64, as many.
    """
    seed = seed_of(order_key)
    usual = keys.str.len_bytes() <= _USUAL_WORDS * _WORD_BYTES
    if usual.all():
        return _hash(keys, seed)
    long = (~usual).arg_true()
    return _hash(keys.set(~usual, ""), seed).scatter(long, _hash(keys.gather(long), seed))


def seed_of(order_key: str) -> int:
    """The 64 bits with which the hash of a key begins."""
    return int.from_bytes(blake2b(order_key.encode(), digest_size=_WORD_BYTES).digest(), "little")


def mix(value: pl.Expr) -> pl.Expr:
    """Spread a UInt64 over all its bits; a bijection."""
    for multiplier in _MULTIPLIERS:
        value = (value ^ (value // _unsigned(_SHIFT))) * _unsigned(multiplier)
    return value ^ (value // _unsigned(_SHIFT))


def _hash(keys: pl.Series, seed: int) -> pl.Series:
    longest = keys.str.len_bytes().max()
    words = -(-longest // _WORD_BYTES) if isinstance(longest, int) else 0
    frame = pl.DataFrame({"bytes": keys.str.len_bytes()}).with_columns(hash=_unsigned(seed))
    if words:
        padded = keys.str.pad_end(words * _WORD_BYTES, "\0").cast(pl.Binary)
        frame = frame.with_columns(padded.bin.reinterpret(dtype=pl.Array(pl.UInt64, words)).alias("words"))
    for word in range(words):
        mixed = mix(pl.col("hash") ^ pl.col("words").arr.get(word))
        # A key's hash must not depend on how long the others are.
        frame = frame.with_columns(hash=pl.when(pl.col("bytes") > word * _WORD_BYTES).then(mixed).otherwise("hash"))
    return frame.get_column("hash")


def _unsigned(value: int) -> pl.Expr:
    return pl.lit(value, dtype=pl.UInt64)
