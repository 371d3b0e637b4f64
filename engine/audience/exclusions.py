"""The reasons why a row is excluded."""

from collections.abc import Mapping
from enum import StrEnum

import polars as pl


class ExclusionReason(StrEnum):
    """The reason why a row is excluded, in order of precedence: a row gets the first that applies."""

    MALFORMED_ROW = "malformed_row"
    MISSING_ADDRESS = "missing_address"
    INVALID_ADDRESS = "invalid_address"
    FILTERED = "filtered"
    DUPLICATE = "duplicate"
    SUPPRESSED = "suppressed"
    MISSING_DATA = "missing_data"
    CAPPED = "capped"
    HELD_OUT = "held_out"


# Shown by --explain: the setting that decides.
RULES: Mapping[ExclusionReason, str] = {
    ExclusionReason.MALFORMED_ROW: "the file itself",
    ExclusionReason.MISSING_ADDRESS: "[audience] address",
    ExclusionReason.INVALID_ADDRESS: "the grammar of addresses, or [audience.checks]",
    ExclusionReason.FILTERED: "[audience] where",
    ExclusionReason.DUPLICATE: "[audience] dedupe",
    ExclusionReason.SUPPRESSED: "[suppression], or the ledger's list",
    ExclusionReason.MISSING_DATA: "[audience] required",
    ExclusionReason.CAPPED: "[cap]",
    ExclusionReason.HELD_OUT: "[audience] hold_out, or --limit",
}

EXCLUDED_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "row": pl.UInt64,
    "file": pl.String,
    "line": pl.UInt64,
    "address": pl.String,
    "reason": pl.String,
    "detail": pl.String,
}


def first_that_applies(rules: Mapping[ExclusionReason, pl.Expr | None]) -> tuple[pl.Expr, pl.Expr]:
    """Combine rules into the columns `reason` and `detail`.

    Args:
        rules: in order of precedence; each is a detail (String) where it applies and null elsewhere.
    """
    details = {reason: detail for reason, detail in rules.items() if detail is not None}
    reasons = [pl.when(detail.is_not_null()).then(pl.lit(reason.value)) for reason, detail in details.items()]
    nothing = pl.lit(None, dtype=pl.String)
    return pl.coalesce(*reasons, nothing).alias("reason"), pl.coalesce(*details.values(), nothing).alias("detail")


def detail_where(condition: pl.Expr, words: str) -> pl.Expr:
    """Return a detail: a text where a condition is true, null elsewhere."""
    return pl.when(condition).then(pl.lit(words)).otherwise(pl.lit(None, dtype=pl.String))
