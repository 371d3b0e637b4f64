"""The plan's order is the same everywhere and forever."""

from hashlib import blake2b
from random import Random

import polars as pl
import pytest

from engine.addresses.hashing import hash_addresses, hash_keys

MASK = 2**64 - 1


def hash_slowly(key: str, order_key: str) -> int:
    """The same hash in plain Python, from its description."""
    value = int.from_bytes(blake2b(order_key.encode(), digest_size=8).digest(), "little")
    for start in range(0, len(key), 8):
        value ^= int.from_bytes(key[start : start + 8].encode().ljust(8, b"\0"), "little")
        value = value * 0xFF51AFD7ED558CCD & MASK
        value ^= value >> 33
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ (value >> 33)) * multiplier & MASK
    return value ^ (value >> 33)


def test_the_hash_is_the_one_described() -> None:
    random = Random(7)
    keys = ["".join(random.choices("abc@.+0123456789~", k=length)) for length in (*range(1, 40), 63, 64, 254)]
    assert hash_keys(pl.Series(keys), "some run").to_list() == [hash_slowly(key, "some run") for key in keys]


def test_the_hash_of_an_address_is_this_one_forever() -> None:
    assert hash_keys(pl.Series(["ann@example.com"]), "welcome/2026-01-01").to_list() == [8211766873266291222]


def test_key_has_the_same_hash_among_any_other_keys() -> None:
    alone = hash_keys(pl.Series(["a@x.example"]), "k").item()
    assert hash_keys(pl.Series(["b" * 200, "a@x.example"]), "k").to_list()[1] == alone


def test_long_keys_do_not_change_the_others_hashes() -> None:
    keys = pl.Series([f"{'u' * (number % 90)}{number}@example.com" for number in range(500)])
    alone = [hash_keys(keys.slice(number, 1), "k").item() for number in range(500)]
    assert hash_keys(keys, "k").to_list() == alone


def test_another_order_key_gives_another_order() -> None:
    keys = pl.Series([f"user{number}@example.com" for number in range(1000)])
    orders = [hash_keys(keys, order_key).arg_sort().to_list() for order_key in ("a", "b")]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_the_first_tenth_is_a_fair_sample_of_every_domain() -> None:
    domains = ("gmail.example", "outlook.example", "mail.example", "x.example")
    keys = pl.Series([f"user{number}@{domains[number % 4]}" for number in range(20_000)])
    first = keys.gather(hash_keys(keys, "run").arg_sort().head(2_000))
    for domain in domains:
        assert 400 < first.str.ends_with(f"@{domain}").sum() < 600


def test_hashes_of_no_keys_are_empty() -> None:
    hashes = hash_keys(pl.Series([], dtype=pl.String), "k")
    assert hashes.len() == 0
    assert hashes.dtype == pl.UInt64


def test_hash_addresses_hashes_their_keys() -> None:
    addresses = pl.Series(["Ann.O'Neil@example.com", "a@x.example", "[`{@Z_", "", f"{'Az09-' * 20}@{'Q' * 60}.example"])
    hashes, has_capitals = hash_addresses(addresses, "k")
    assert hashes.to_list() == hash_keys(addresses.str.to_lowercase(), "k").to_list()
    assert has_capitals


@pytest.mark.parametrize("letter", "AMZ")
@pytest.mark.parametrize("place", [0, 7, 8, 40, 60])
def test_hash_addresses_finds_a_capital_anywhere(letter: str, place: int) -> None:
    plain = pl.Series(["ann@x.example", "[`{@z_^.example", "x" * 61])
    assert not hash_addresses(plain, "k")[1]
    assert hash_addresses(plain.extend(pl.Series(["a" * place + letter])), "k")[1]


def test_hash_keys_depends_on_no_other_key_of_a_large_column() -> None:
    keys = pl.Series([f"user{number}@x.example" for number in range(100_000)])
    whole = hash_keys(keys, "k")
    assert (
        whole.gather([0, 65_535, 65_536, 99_999]).to_list()
        == hash_keys(keys.gather([0, 65_535, 65_536, 99_999]), "k").to_list()
    )
