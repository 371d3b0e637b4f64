"""The plan's order: a keyed hash of the address."""

from hashlib import blake2b

import polars as pl

_WORD_BYTES = 8
# The finaliser of MurmurHash3 (64 bits): a bijection in which every bit of the input reaches every bit of the output.
_MULTIPLIERS = tuple(pl.Series([word], dtype=pl.UInt64) for word in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53))
# Keys are padded to the length of the longest key. Most addresses have at most this many words; longer keys are rare.
_USUAL_WORDS = 6
# Enough that calls of Polars take little of the time; few enough that their memory is used again for the next rows.
_ROWS_AT_ONCE = 1 << 16
_SHIFT = pl.Series([2**33], dtype=pl.UInt64)
# Eight bytes at once: adding these to an ASCII byte sets its high bit from A on, and from [ on.
_BYTES = 0x0101010101010101
_FROM_A, _AFTER_Z = (pl.Series([(0x80 - code) * _BYTES], dtype=pl.UInt64) for code in (ord("A"), ord("Z") + 1))
_HIGH_BITS = pl.Series([0x80 * _BYTES], dtype=pl.UInt64)
_TO_SPACE = pl.Series([4], dtype=pl.UInt64)  # from the high bit to 0x20, by which a is more than A
_PADDING = pl.Series(["\0" * count for count in range(_WORD_BYTES * _USUAL_WORDS + 1)], dtype=pl.String)


def hash_addresses(addresses: pl.Series, order_key: str) -> tuple[pl.Series, bool]:
    """Hash addresses as `hash_keys` hashes their keys, which need not be made for it.

    Args:
        addresses: String, ASCII, without nulls.
        order_key: any text.

    Returns:
        UInt64, as many; and whether an address has capitals, so that its key differs.
    """
    hashed = _hash_parts(addresses, order_key, folds=True)
    return pl.concat([hashes for hashes, _ in hashed]), any(has_capitals for _, has_capitals in hashed)


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
    return pl.concat([hashes for hashes, _ in _hash_parts(keys, order_key, folds=False)])


def _hash_parts(keys: pl.Series, order_key: str, *, folds: bool) -> list[tuple[pl.Series, bool]]:
    seed = seed_of(order_key)
    starts = range(0, max(keys.len(), 1), _ROWS_AT_ONCE)
    return [_hash_part(keys.slice(start, _ROWS_AT_ONCE), seed, folds=folds) for start in starts]


def _hash_part(keys: pl.Series, seed: int, *, folds: bool) -> tuple[pl.Series, bool]:
    usual = keys.str.len_bytes() <= _USUAL_WORDS * _WORD_BYTES
    if usual.all():
        return _hash(keys, seed, folds=folds)
    long = (~usual).arg_true()
    hashes, has_capitals = _hash(keys.set(~usual, ""), seed, folds=folds)
    of_long, has_long_capitals = _hash(keys.gather(long), seed, folds=folds)
    return hashes.scatter(long, of_long), has_capitals or has_long_capitals


def seed_of(order_key: str) -> int:
    """The 64 bits with which every hash begins."""
    return int.from_bytes(blake2b(order_key.encode(), digest_size=_WORD_BYTES).digest(), "little")


def mix(value: pl.Series) -> pl.Series:
    """Spread UInt64 over all their bits; a bijection."""
    for multiplier in _MULTIPLIERS:
        value = (value ^ (value // _SHIFT)) * multiplier
    return value ^ (value // _SHIFT)


def _hash(keys: pl.Series, seed: int, *, folds: bool) -> tuple[pl.Series, bool]:
    lengths = keys.str.len_bytes()
    shortest, longest = lengths.min(), lengths.max()
    if not isinstance(shortest, int) or not isinstance(longest, int) or not longest:
        return mix(pl.repeat(seed, keys.len(), dtype=pl.UInt64, eager=True)).alias("hash"), False
    count = -(-longest // _WORD_BYTES)
    words = _split_words(keys, lengths, count)
    has_capitals = False
    if folds:
        capitals = _find_capitals(words)
        has_capitals = bool(capitals.max())
        words = words + capitals // _TO_SPACE if has_capitals else words
    value = pl.Series("hash", [seed], dtype=pl.UInt64).new_from_index(0, keys.len())
    for number in range(count):
        word = words.gather_every(count, number)
        mixed = (value ^ word) * _MULTIPLIERS[0]
        mixed = mixed ^ (mixed // _SHIFT)
        # A key's hash must not depend on how long the others are.
        is_over = number * _WORD_BYTES >= shortest
        value = mixed.zip_with(lengths > number * _WORD_BYTES, value) if is_over else mixed
    return mix(value).alias("hash"), has_capitals


def _split_words(keys: pl.Series, lengths: pl.Series, count: int) -> pl.Series:
    """Split keys, padded with NUL, into so many words each: all words of the first key, then those of the next."""
    return _pad(keys, lengths, count * _WORD_BYTES).bin.reinterpret(dtype=pl.Array(pl.UInt64, count)).reshape((-1,))


def _pad(keys: pl.Series, lengths: pl.Series, size: int) -> pl.Series:
    if size >= _PADDING.len():
        return keys.str.pad_end(size, "\0").cast(pl.Binary)
    return (keys + _PADDING.gather(size - lengths)).cast(pl.Binary)  # in half the time


def _find_capitals(words: pl.Series) -> pl.Series:
    """Set the high bit of each of 8 ASCII bytes that is a capital."""
    return ((words + _FROM_A) ^ (words + _AFTER_Z)) & _HIGH_BITS
