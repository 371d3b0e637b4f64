"""Counting a byte of a large text."""

import random

import pytest

from engine.audience.reading.text_files.byte_counts import count_byte

LARGE = 70_000


@pytest.mark.parametrize("mark", [",", "\n", ";", "\t", "|", '"'])
@pytest.mark.parametrize("seed", range(8))
def test_count_byte_equals_counting_byte_by_byte(mark: str, seed: int) -> None:
    drawn = random.Random(seed)
    pieces = [
        b",",
        b"\n",
        b";",
        b"\t",
        b"|",
        b'"',
        b"\r",
        b"\0",
        b"#",
        b"\x01",
        b"\xef\xbb\xbf",
        b"\xff",
        b" ",
        b"word",
    ]
    weights = [drawn.random() ** 3 for _ in pieces]
    data = b"".join(drawn.choices(pieces, weights, k=LARGE))
    assert count_byte(data, mark) == data.count(mark.encode())


@pytest.mark.parametrize("data", [b"", b",", b"a" * LARGE, b"," * LARGE, b"," * LARGE + b"a", b"\n" + b"a" * LARGE])
def test_count_byte_counts_at_the_ends(data: bytes) -> None:
    assert count_byte(data, ",") == data.count(b",")


def test_count_byte_counts_a_character_of_several_bytes() -> None:
    assert count_byte("§x".encode() * LARGE, "§") == LARGE
