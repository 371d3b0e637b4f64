"""Normalise and check whole columns of addresses, fast.

`rules` defines an address. Most rows skip its rules: a plain address matches a pattern, and a simple address only needs
a check of its domain, which is done once for all rows with that domain.
"""

from collections.abc import Callable

import polars as pl

from engine.addresses.rules import (
    ATOM,
    IS_TOO_LONG,
    MAX_ADDRESS_BYTES,
    MAX_LABEL_BYTES,
    MAX_LOCAL_BYTES,
    check_texts,
    read_texts,
)

# Most addresses are plain: SES accepts them unchanged, they have no capitals, and no part can be too long. An xn--
# label is not plain, because it may be invalid Punycode.
_PLAIN_ATOM = ATOM.replace("A-Z", "")
_PLAIN = rf"^{_PLAIN_ATOM}(?:\.{_PLAIN_ATOM})*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{{2,}}$"
_PLAIN_BYTES = MAX_LABEL_BYTES + 2  # an address with a label or local part that is too long has more bytes

# A simple address has a local part that needs no change, and no name, comment or second address.
_AROUND = r"@<>()\",;"
_LOCAL = "x@"
_SIMPLE = rf"^{ATOM}(?:\.{ATOM})*@[^{_AROUND}]*$"

JUDGED_SCHEMA = {"address": pl.String, "key": pl.String, "fault": pl.String}


def judge_addresses(raw: pl.Series) -> pl.DataFrame:
    """Normalise and check a column of addresses as people write them.

    White space at the ends is removed. `Ann Lee <ann@example.com>` and `ann@example.com (Ann Lee)` become
    `ann@example.com`. Unicode compatibility forms, such as full-width letters, become plain letters (NFKC). An
    international domain becomes A-labels (IDNA 2008 with the mapping of UTS 46).

    Args:
        raw: a String series.

    Returns:
        One row for each: `address` (as SES accepts it: the local part unchanged, the domain in lower case), `key` (all
        in lower case, for comparisons) and `fault`. If the address cannot be mailed, `fault` is the reason, and the
        others are null. If there is no address, all three are null.
    """
    is_plain = (raw.str.contains(_PLAIN) & (raw.str.len_bytes() <= _PLAIN_BYTES)).fill_null(value=False)
    nothing = pl.Series("fault", [None], dtype=pl.String).new_from_index(0, raw.len())
    if is_plain.all():
        return pl.DataFrame([raw.alias("address"), raw.alias("key"), nothing])
    checked = pl.DataFrame([raw.alias("address"), raw.alias("key"), nothing, is_plain.alias("is_checked")])
    return _complete(checked, lambda rest: _check_unusual(raw.gather(rest))).drop("is_checked")


def _check_unusual(raw: pl.Series) -> pl.DataFrame:
    checked = _check_simple(raw)
    return _complete(checked, lambda rest: _check_read(read_texts(raw.gather(rest))))


def _check_read(text: pl.Series) -> pl.DataFrame:
    checked = _check_simple(text)
    return _complete(checked, lambda rest: _check_by_rules(text.gather(rest)))


def _complete(checked: pl.DataFrame, check_rest: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
    """Fill in the rows that are not checked yet with the result of `check_rest` for their positions."""
    rest = (~checked.get_column("is_checked")).arg_true()
    if rest.is_empty():
        return checked
    found = check_rest(rest)
    if rest.len() == checked.height:
        return found
    # scatter changes the series in place.
    columns = [checked.get_column(name).clone().scatter(rest, found.get_column(name)) for name in JUDGED_SCHEMA]
    return pl.DataFrame([*columns, checked.get_column("is_checked")])


def _check_by_rules(text: pl.Series) -> pl.DataFrame:
    checked = check_texts(text)
    key = pl.col("address").str.to_lowercase().alias("key")
    return checked.select("address", key, "fault", is_checked=pl.repeat(value=True, n=text.len(), dtype=pl.Boolean))


def _check_simple(text: pl.Series) -> pl.DataFrame:
    """Check simple addresses by their domains; `is_checked` marks their rows."""
    is_simple = text.str.contains(_SIMPLE)
    if not is_simple.any():
        nothing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in JUDGED_SCHEMA.items()]
        return pl.select(is_checked=pl.repeat(value=False, n=text.len(), dtype=pl.Boolean)).select(
            *nothing, "is_checked"
        )
    parts = text.str.splitn("@", 2).struct.unnest().with_columns(is_simple=is_simple)
    parts = parts.rename({"field_0": "local", "field_1": "domain"})
    parts = parts.join(_check_domains(parts.get_column("domain")), on="domain", how="left", maintain_order="left")
    is_checked = pl.col("is_simple") & pl.col("is_clear") & (pl.col("local").str.len_bytes() <= MAX_LOCAL_BYTES)
    parts = parts.select(
        "fault", address=pl.concat_str("local", "at_domain"), is_checked=is_checked.fill_null(value=False)
    )
    is_too_long = pl.col("address").str.len_bytes() > MAX_ADDRESS_BYTES
    if parts.select(is_too_long.any()).item():
        fault = pl.when(is_too_long).then(pl.lit(IS_TOO_LONG)).otherwise("fault")
        parts = parts.with_columns(fault=fault, address=pl.when(~is_too_long).then("address"))
    return parts.select("address", pl.col("address").str.to_lowercase().alias("key"), "fault", "is_checked")


def _check_domains(domains: pl.Series) -> pl.DataFrame:
    """Check each domain once, with a simple local part before it.

    Returns:
        `domain`; `at_domain`: the end of every valid address at it, or null; `fault`; and `is_clear`: whether these are
        the same for every simple local part.
    """
    distinct = domains.drop_nulls().unique()
    checked = check_texts(read_texts(_LOCAL + distinct))
    return pl.DataFrame([distinct.alias("domain"), checked.get_column("address"), checked.get_column("fault")]).select(
        "domain",
        at_domain=pl.col("address").str.strip_prefix(_LOCAL[:-1]),
        fault="fault",
        is_clear=~pl.col("domain").str.normalize("NFKC").str.contains(f"[{_AROUND}]"),
    )
