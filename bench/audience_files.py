"""Audiences to measure planning with: one as people have them, and an easy one."""

from pathlib import Path
from typing import BinaryIO

import polars as pl

BLOCK = 500_000
HEADS = ("gmail.com", "yahoo.com", "outlook.com", "müller-bäckerei.example", "mail.example")
# A fifth of them international.
DOMAINS = (*HEADS, *(f"Bäckerei-{n}.example" if n % 5 == 3 else f"shop{n}.example" for n in range(len(HEADS), 500)))
REPEATED_PERCENT = 37
# Of the people who are listed for the first time one in so many is suppressed: a tenth as many as there are rows.
SUPPRESSED_ONE_IN = 6


def write_realistic(rows: int, path: Path, suppressed: Path) -> None:
    """Write a CSV of some 58 bytes a row, and the addresses to suppress.

    Addresses are `User.123@…` with capitals, a fifth of the domains international; 37 % of the rows repeat an address
    of an earlier row, 1 % are invalid; and a tenth as many addresses as there are rows are suppressed.
    """
    person_hash = _hash(pl.col("person"))
    # Half of the people are with the large providers.
    at = pl.when(person_hash % 2 == 0).then(person_hash // 2 % len(HEADS))
    domain = pl.lit(pl.Series(DOMAINS)).gather(at.otherwise(person_hash // 2 % len(DOMAINS)))
    sign = pl.when(pl.col("hash") // 100 % 100 == 0).then(pl.lit("..@")).otherwise(pl.lit("@"))
    email = pl.format("User.{}{}{}", "person", sign, domain)
    with path.open("wb") as file, suppressed.open("wb") as gone:
        people = 0
        for start in range(0, rows, BLOCK):
            block = _begin_block(start, rows)
            is_new = pl.col("hash") % 100 >= REPEATED_PERCENT
            block = block.with_columns(is_new=is_new, person=people + is_new.cast(pl.Int64).cum_sum() - 1)
            people += int(block.get_column("is_new").sum())
            earlier = pl.max_horizontal(pl.col("person") + 1, 1)
            block = block.with_columns(
                person=pl.when("is_new").then("person").otherwise(_hash(pl.col("i") + rows) % earlier)
            )
            _write_rows(block, email, file)
            listed = block.filter("is_new").gather_every(SUPPRESSED_ONE_IN)
            listed.select(email=pl.format("User.{}@{}", "person", domain)).write_csv(gone, include_header=start == 0)


def write_easy(rows: int, path: Path, suppressed: Path) -> None:
    """Write a CSV of some 53 bytes a row: plain addresses in lower case, all different; nobody is suppressed."""
    domain = pl.lit(pl.Series(["gmail.com", "yahoo.com", "outlook.com", "mail.example"])).gather(pl.col("hash") % 4)
    with path.open("wb") as file:
        for start in range(0, rows, BLOCK):
            _write_rows(_begin_block(start, rows), pl.format("user.{}@{}", "i", domain), file)
    suppressed.write_text("email\n")


def _hash(number: pl.Expr) -> pl.Expr:
    return (number * 2654435761 % 2**32) ^ (number * 40503 // 65536 % 2**16)


def _begin_block(start: int, rows: int) -> pl.DataFrame:
    return pl.select(i=pl.int_range(start, min(start + BLOCK, rows))).with_columns(hash=_hash(pl.col("i")))


def _write_rows(block: pl.DataFrame, email: pl.Expr, file: BinaryIO) -> None:
    words = pl.lit(pl.Series([f"{n * 2654435761 % 2**32:x}"[: 3 + n % 6] for n in range(4096)]))
    block.select(
        email=email,
        first_name=words.gather(pl.col("hash") // 3 % 4096),
        country=pl.when(pl.col("i") % 3 == 0).then(pl.lit("VN")).otherwise(pl.lit("DE")),
        points=pl.col("hash") % 1000,
        signed_up=pl.format("2026-{}-{}", pl.col("hash") // 5 % 12 + 1, pl.col("hash") // 17 % 28 + 1),
        reference=pl.col("hash") * 7919 % 999983,
    ).write_csv(file, include_header=block.item(0, "i") == 0)
