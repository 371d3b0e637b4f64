"""Normalise and check whole columns of addresses, fast.

`rules` defines an address. Most rows skip its rules: a plain address matches a pattern, and a simple address only needs
a check of its domain, which is done once for all rows with that domain.
"""

from collections.abc import Callable
from functools import partial

import polars as pl

from engine.addresses.plain import ATOM, PLAIN, PLAIN_BYTES
from engine.addresses.rules import IS_TOO_LONG, MAX_ADDRESS_BYTES, MAX_LOCAL_BYTES, check_texts, read_texts

# A simple address has a local part that needs no change, and no marks of a name, comment or second address after it.
_AROUND = r"[@<>()\",;]"
_LOCAL = "x@"
_KNOWN_DOMAINS = 1 << 14  # remembered: a check of some takes 3 ms and more
_SIMPLE = rf"^{ATOM}(?:\.{ATOM})*@"

_READ_COLUMNS = ("address", "fault")
JUDGED_COLUMNS = ("address", "key", "fault")


def judge_addresses(raw: pl.Series) -> pl.DataFrame:
    """Normalise and check a column of addresses, as `read_addresses` does, and make their keys.

    Args:
        raw: a String series.

    Returns:
        One row for each: `address`; `key`: the address in lower case, for comparisons; and `fault`.
    """
    return read_addresses(raw).select("address", pl.col("address").str.to_lowercase().alias("key"), "fault")


def read_addresses(raw: pl.Series) -> pl.DataFrame:
    """Normalise and check a column of addresses as people write them.

    White space at the ends is removed. `Ann Lee <ann@example.com>` and `ann@example.com (Ann Lee)` become
    `ann@example.com`. Unicode compatibility forms, such as full-width letters, become plain letters (NFKC). An
    international domain becomes A-labels (IDNA 2008 with the mapping of UTS 46).

    Args:
        raw: a String series.

    Returns:
        One row for each: `address` (ASCII, as SES accepts it: the local part unchanged, the domain in lower case) and
        `fault`. If the address cannot be mailed, `fault` is the reason, and `address` is null. If there is no address,
        both are null.
    """
    return _read_plain(raw, partial(_read_simple, read_rest=_read_with_names))


def _read_with_names(raw: pl.Series) -> pl.DataFrame:
    return _read_plain(read_texts(raw), partial(_read_simple, read_rest=check_texts))


def _read_plain(text: pl.Series, read_rest: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
    is_plain = text.str.contains(PLAIN) & (text.str.len_bytes() <= PLAIN_BYTES)
    nothing = pl.Series("fault", [None], dtype=pl.String).new_from_index(0, text.len())
    return _complete(pl.DataFrame([text.alias("address"), nothing]), is_plain, text, read_rest)


def _complete(
    read: pl.DataFrame, is_read: pl.Series, text: pl.Series, read_rest: Callable[[pl.Series], pl.DataFrame]
) -> pl.DataFrame:
    """Replace the rows that are not read yet by what `read_rest` makes of their texts."""
    rest = (~is_read.fill_null(value=False)).arg_true()
    if rest.is_empty():
        return read
    if rest.len() == text.len():
        return read_rest(text)
    found = read_rest(text.gather(rest))
    # scatter changes the series in place.
    return pl.DataFrame([read.get_column(name).clone().scatter(rest, found.get_column(name)) for name in _READ_COLUMNS])


def _read_simple(text: pl.Series, read_rest: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
    """Read simple addresses by their domains."""
    is_simple = text.str.contains(_SIMPLE)
    if not is_simple.any():
        return read_rest(text)
    parts = text.str.splitn("@", 2).struct.unnest().with_columns(is_simple=is_simple)
    parts = parts.rename({"field_0": "local", "field_1": "domain"})
    domains = _DOMAINS.look_up(parts.get_column("domain"))
    parts = parts.join(domains, on="domain", how="left", maintain_order="left")
    is_read = pl.col("is_simple") & pl.col("is_clear") & (pl.col("local").str.len_bytes() <= MAX_LOCAL_BYTES)
    parts = parts.select("fault", address=pl.concat_str("local", "at_domain"), is_read=is_read)
    is_too_long = pl.col("address").str.len_bytes() > MAX_ADDRESS_BYTES
    if parts.select(is_too_long.any()).item():
        fault = pl.when(is_too_long).then(pl.lit(IS_TOO_LONG)).otherwise("fault")
        parts = parts.with_columns(fault=fault, address=pl.when(~is_too_long).then("address"))
    return _complete(parts.select(*_READ_COLUMNS), parts.get_column("is_read"), text, read_rest)


class _Domains:
    """Checks domains, and remembers those of the last columns. Thread-safe: at worst a domain is checked again."""

    def __init__(self) -> None:
        # As `_check_domains` returns it, which at an import would start the threads of Polars.
        self._known = pl.DataFrame(
            schema=dict.fromkeys(("domain", "at_domain", "fault"), pl.String) | {"is_clear": pl.Boolean}
        )

    def look_up(self, domains: pl.Series) -> pl.DataFrame:
        """Return what `_check_domains` says of these domains, and perhaps of others."""
        known = self._known
        distinct = domains.drop_nulls().unique().alias("domain").to_frame()
        new = distinct.join(known, on="domain", how="anti").to_series()
        if new.is_empty():
            return known
        found = pl.concat([known, _check_domains(new)])
        self._known = found if found.height <= _KNOWN_DOMAINS else known.clear()
        return found


def _check_domains(domains: pl.Series) -> pl.DataFrame:
    """Check domains, each with a simple local part before it.

    Args:
        domains: all different.

    Returns:
        `domain`; `at_domain`: the end of every valid address at it, or null; `fault`; and `is_clear`: whether these are
        the same for every simple local part.
    """
    checked = check_texts(read_texts(_LOCAL + domains))
    return pl.DataFrame([domains, checked.get_column("address"), checked.get_column("fault")]).select(
        "domain",
        at_domain=pl.col("address").str.strip_prefix(_LOCAL[:-1]),
        fault="fault",
        is_clear=~(
            pl.col("domain").str.contains(_AROUND) | pl.col("domain").str.normalize("NFKC").str.contains(_AROUND)
        ),
    )


_DOMAINS = _Domains()
