"""Examples of rows: masked, one text each."""

import polars as pl

from engine.masking import ADDRESS_COLUMN, MASK, mask_text

MOST = 3
_LONGEST = 200


def write_examples(rows: pl.DataFrame) -> list[str]:
    """Write examples.

    Args:
        rows: `address`, `file`, `line` and `detail`, each may be null. A row of an erased person has no file.
    """
    shown = rows.filter(pl.col("file").is_not_null()).head(MOST)
    return [_write(*row) for row in shown.select("address", "file", "line", "detail").iter_rows()]


def _write(address: str | None, file: str, line: int | None, detail: str | None) -> str:
    place = mask_text(file) + ("" if line is None else f" line {line}")
    words = ", ".join(part for part in (mask_address(address), place) if part)
    return (words + (f": {mask_text(detail)}" if detail else ""))[:_LONGEST]


def mask_address(address: str | None) -> str:
    """Show the first letter of an address, and its domain; of a text that is not an address the first letter alone.

    >>> mask_address("ann@b.example"), mask_address("Ann Lee"), mask_address(None)
    ('a***@b.example', 'A***', '')
    """
    if not address:
        return ""
    if "@" not in address:
        return address[0] + MASK
    return str(pl.select(pl.lit(address).str.replace(*ADDRESS_COLUMN)).item())
