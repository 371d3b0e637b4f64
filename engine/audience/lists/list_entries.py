"""Entries of a suppression list: one or several addresses, a domain, or text that matches nothing."""

import polars as pl

from engine.addresses.parse import JUDGED_COLUMNS, judge_addresses
from engine.ledger.suppressed.suppressions import DOMAIN_MARK

# `@d.example`, `*@d.example`, `%@d.example` and `d.example` mean the domain; `*.d.example` and `.d.example`, alone or
# after an @, mean all of its subdomains.
_DOMAIN = r"^(?:[*%]?@)?(?P<below>\*?\.)?(?P<domain>[^@\s.*%/:][^@\s*%/:]*\.[^@\s*%/:]*[^@\s*%/:.])$"
_WILDCARD = r"\*[^@]*@|@.*[*%]"
HASH = (
    r"(?i)^(?:\{?(?:md5|sha-?1|sha-?224|sha-?256|sha-?384|sha-?512)\}?\s*[:$]?\s*)?"
    r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})$"
)
IS_AHASH = "it is a hash, and mailrun cannot find the address of a hash: export the list with plain addresses"
HAS_A_WILDCARD = "its wildcard is not supported: write an address, or *@d.example or *.d.example for a domain"
IS_BLANK = "it has no address"
SEPARATOR = "\x1f"  # between the values of a list in one cell
_LINK = r"(?i)(^|<)\s*mailto:\s*([^%?<>\s]+@[^%?<>\s]+)(>|$)"  # with escapes inside it could be another address


def read_entries(raw: pl.Series) -> pl.DataFrame:
    """Read a column of entries of a suppression list.

    Args:
        raw: a String series.

    Returns:
        For each cell a row, or several where it holds several: `at` (the cell's place, UInt32), `key` (as
        `Suppression.key` has it), `address` (null for a domain) and `fault`: why a part of it matches no address.
        Of a blank cell key, address and fault are null.
    """
    at = pl.int_range(raw.len(), dtype=pl.UInt32, eager=True).alias("at")
    judged = judge_addresses(raw)
    key = judged.get_column("key")
    # Several addresses may look like a name and one of them: bob@d.example, Ann <ann@d.example>.
    is_plain = key.is_not_null() & ~key.str.contains(r"^%@|\*") & (raw.str.count_matches("@", literal=True) == 1)
    frame = pl.DataFrame([at, *judged.get_columns()]).with_columns(raw=raw)
    unusual = ~is_plain.fill_null(value=False) & (raw.str.strip_chars() != "").fill_null(value=False)
    if not unusual.any():
        return frame.select("at", *JUDGED_COLUMNS)
    read = _read_unusual(frame.filter(unusual).select("at", "raw"))
    return pl.concat([frame.filter(~unusual).select("at", *JUDGED_COLUMNS), read]).sort("at", maintain_order=True)


def _read_unusual(frame: pl.DataFrame) -> pl.DataFrame:
    """Split cells that are not a single address, and read their parts."""
    parts = frame.select("at", text=_split(pl.col("raw"))).explode("text", empty_as_null=True, keep_nulls=True)
    parts = parts.with_columns(pl.col("text").str.strip_chars().str.replace(_LINK, "${1}${2}${3}"))
    parts = parts.filter(pl.col("text") != "")
    plain = pl.col("text").str.normalize("NFKC")
    parts = parts.with_columns(
        *judge_addresses(parts.get_column("text")).get_columns(),
        below=plain.str.extract(_DOMAIN, 1),
        domain=pl.concat_str(pl.lit("x@"), plain.str.extract(_DOMAIN, 2)),
    )
    # Only a domain that an address can have.
    at_domain = judge_addresses(parts.get_column("domain")).get_column("key").str.strip_prefix("x@")
    below = pl.when(pl.col("below").is_not_null()).then(pl.lit("*.")).otherwise(pl.lit(""))
    parts = parts.with_columns(domain=pl.concat_str(pl.lit(DOMAIN_MARK), below, at_domain))
    is_domain = pl.col("domain").is_not_null()
    fault = (
        pl.when(pl.col("text").str.contains(HASH)).then(pl.lit(IS_AHASH))
        .when(is_domain).then(None)
        .when(pl.col("text").str.contains(_WILDCARD)).then(pl.lit(HAS_A_WILDCARD))
        .otherwise("fault")
    )  # fmt: skip
    return parts.with_columns(fault=fault).select(
        "at",
        address=pl.when(pl.col("fault").is_null() & ~is_domain).then("address"),
        key=pl.when(pl.col("fault").is_null()).then(pl.coalesce("domain", "key")),
        fault="fault",
    )


def _split(text: pl.Expr) -> pl.Expr:
    """Split a cell with several addresses at commas, semicolons, line ends, and spaces between bare addresses.

    Separators in a quoted name or in round brackets do not count.
    """
    names_gone = text.str.replace_all(r'"[^"]*"\s*<', "<").str.replace_all(r"\s\([^()]*\)", "")
    divided = names_gone.str.replace_all(r'[,;|\t\r\n"]+', SEPARATOR)
    is_bare = ~text.str.contains("<", literal=True)
    at_spaces = divided.str.replace_all(r"(@[^\s@]+)\s+", f"${{1}}{SEPARATOR}")
    parts = pl.when(is_bare).then(at_spaces).otherwise(divided).str.split(SEPARATOR)
    has_several = (names_gone.str.count_matches("@", literal=True) > 1) | text.str.contains(SEPARATOR, literal=True)
    return pl.when(has_several).then(parts).otherwise(pl.concat_list(text))
