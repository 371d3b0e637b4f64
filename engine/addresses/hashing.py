"""The plan's order: a keyed hash of the address."""

from hashlib import blake2b

import polars as pl

_WORD_BYTES = 8
# The finaliser of MurmurHash3 (64 bits): a bijection in which every bit of the input reaches every bit of the output.
_MULTIPLIERS = tuple(pl.Series([word], dtype=pl.UInt64) for word in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53))
# Keys are padded to the length of the longest key. Most addresses have at most this many words; longer keys are rare.
_USUAL_WORDS = 6
_SHIFT = pl.Series([2**33], dtype=pl.UInt64)


def hash_keys(keys: pl.Series, order_key: str) -> pl.Series:
    """Hash normalised addresses under a key, the same everywhere and forever.

    This order interleaves receiver domains, its beginning is a fair sample, and another `order_key` gives another
    order. The hash spreads keys evenly; it does not resist addresses that are made up to collide.

    Polars' own hash is faster, but may change between versions. This one is only wrapping 64-bit arithmetic over the
    key's bytes, in words of 8 padded with NUL: for each word `h = (h XOR word) * M; h = h XOR (h >> 33)`,
    then `mix(h)`; `h` begins as the BLAKE2b digest of `order_key`, and M is the first multiplier of `mix`.

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
    """The 64 bits with which every hash begins."""
    return int.from_bytes(blake2b(order_key.encode(), digest_size=_WORD_BYTES).digest(), "little")


def mix(value: pl.Series) -> pl.Series:
    """Spread UInt64 over all their bits; a bijection."""
    for multiplier in _MULTIPLIERS:
        value = (value ^ (value // _SHIFT)) * multiplier
    return value ^ (value // _SHIFT)


def _hash(keys: pl.Series, seed: int) -> pl.Series:
    lengths = keys.str.len_bytes()
    shortest, longest = lengths.min(), lengths.max()
    if not isinstance(shortest, int) or not isinstance(longest, int) or not longest:
        return mix(pl.repeat(seed, keys.len(), dtype=pl.UInt64, eager=True)).alias("hash")
    words = -(-longest // _WORD_BYTES)
    padded = keys.str.pad_end(words * _WORD_BYTES, "\0").cast(pl.Binary)
    array = padded.bin.reinterpret(dtype=pl.Array(pl.UInt64, words)).alias("words")
    value = pl.Series("hash", [seed], dtype=pl.UInt64).new_from_index(0, keys.len())
    for word in range(words):
        mixed = (value ^ array.arr.get(word)) * _MULTIPLIERS[0]
        mixed = mixed ^ (mixed // _SHIFT)
        # A key's hash must not depend on how long the others are.
        is_over = word * _WORD_BYTES >= shortest
        value = mixed.zip_with(lengths > word * _WORD_BYTES, value) if is_over else mixed
    return mix(value).alias("hash")
