"""Reading, normalising and judging whole columns of addresses, fast.

`rules` says what an address is. Most rows need not go through all of its rules: a plain address is one that matches a
pattern, and of a simple one the domain decides, which is judged once for all rows that have it.
"""

from collections.abc import Callable

import polars as pl

from engine.addresses.rules import (
    ATOM,
    IS_TOO_LONG,
    MAX_ADDRESS_BYTES,
    MAX_LABEL_BYTES,
    MAX_LOCAL_BYTES,
    judge_texts,
    read_texts,
)

# Most addresses are plain: as SES takes them, without capitals, and none of whose parts can be too long. Neither is
# xn-- plain: it looks so, and may still be no punycode.
_PLAIN_ATOM = ATOM.replace("A-Z", "")
_PLAIN = rf"^{_PLAIN_ATOM}(?:\.{_PLAIN_ATOM})*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{{2,}}$"
_PLAIN_BYTES = MAX_LABEL_BYTES + 2  # with a longer label, or local part, it would be longer

# What is simple has a local part that needs no change, and nothing that could be a name, a comment or a second address.
_AROUND = r"@<>()\",;"
_LOCAL = "x@"
_SIMPLE = rf"^{ATOM}(?:\.{ATOM})*@[^{_AROUND}]*$"

JUDGED_SCHEMA = {"address": pl.String, "key": pl.String, "fault": pl.String}


def judge_addresses(raw: pl.Series) -> pl.DataFrame:
    """Read a column of addresses as people write them.

    White space at the ends goes, `Ann Lee <ann@example.com>` gives what stands in the angle brackets and
    `ann@example.com (Ann Lee)` what stands before the round ones, Unicode
    compatibility forms become plain (NFKC: full-width letters), and an international domain becomes A-labels (IDNA
    2008 with the mapping of UTS 46).

    Args:
        raw: a String series.

    Returns:
        As many rows: `address` (as SES takes it: the local part's case kept, the domain in lower case), `key` (for
        comparing: all in lower case) and `fault`. Where the address cannot be mailed `fault` says why, and the others
        are null; where there is none all three are null.
    """
    is_plain = (raw.str.contains(_PLAIN) & (raw.str.len_bytes() <= _PLAIN_BYTES)).fill_null(value=False)
    nothing = pl.Series("fault", [None], dtype=pl.String).new_from_index(0, raw.len())
    if is_plain.all():
        return pl.DataFrame([raw.alias("address"), raw.alias("key"), nothing])
    judged = pl.DataFrame([raw.alias("address"), raw.alias("key"), nothing, is_plain.alias("is_judged")])
    return _complete(judged, lambda rest: _judge_unusual(raw.gather(rest))).drop("is_judged")


def _judge_unusual(raw: pl.Series) -> pl.DataFrame:
    judged = _judge_simple(raw)
    return _complete(judged, lambda rest: _judge_read(read_texts(raw.gather(rest))))


def _judge_read(text: pl.Series) -> pl.DataFrame:
    judged = _judge_simple(text)
    return _complete(judged, lambda rest: _judge_by_rules(text.gather(rest)))


def _complete(judged: pl.DataFrame, judge_rest: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
    """Put in the rows that are not judged what is found about them, given their places."""
    rest = (~judged.get_column("is_judged")).arg_true()
    if rest.is_empty():
        return judged
    found = judge_rest(rest)
    if rest.len() == judged.height:
        return found
    # Scatter writes into the series itself.
    columns = [judged.get_column(name).clone().scatter(rest, found.get_column(name)) for name in JUDGED_SCHEMA]
    return pl.DataFrame([*columns, judged.get_column("is_judged")])


def _judge_by_rules(text: pl.Series) -> pl.DataFrame:
    judged = judge_texts(text)
    key = pl.col("address").str.to_lowercase().alias("key")
    return judged.select("address", key, "fault", is_judged=pl.repeat(value=True, n=text.len(), dtype=pl.Boolean))


def _judge_simple(text: pl.Series) -> pl.DataFrame:
    """Judge simple addresses by their domains; `is_judged` says which rows those are."""
    is_simple = text.str.contains(_SIMPLE)
    if not is_simple.any():
        nothing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in JUDGED_SCHEMA.items()]
        return pl.select(is_judged=pl.repeat(value=False, n=text.len(), dtype=pl.Boolean)).select(*nothing, "is_judged")
    parts = text.str.splitn("@", 2).struct.unnest().with_columns(is_simple=is_simple)
    parts = parts.rename({"field_0": "local", "field_1": "domain"})
    parts = parts.join(_judge_domains(parts.get_column("domain")), on="domain", how="left", maintain_order="left")
    is_judged = pl.col("is_simple") & pl.col("is_clear") & (pl.col("local").str.len_bytes() <= MAX_LOCAL_BYTES)
    parts = parts.select(
        "fault", address=pl.concat_str("local", "at_domain"), is_judged=is_judged.fill_null(value=False)
    )
    is_too_long = pl.col("address").str.len_bytes() > MAX_ADDRESS_BYTES
    if parts.select(is_too_long.any()).item():
        fault = pl.when(is_too_long).then(pl.lit(IS_TOO_LONG)).otherwise("fault")
        parts = parts.with_columns(fault=fault, address=pl.when(~is_too_long).then("address"))
    return parts.select("address", pl.col("address").str.to_lowercase().alias("key"), "fault", "is_judged")


def _judge_domains(domains: pl.Series) -> pl.DataFrame:
    """Judge each domain once, by what the rules say about a simple local part at it.

    Returns:
        `domain`; `at_domain`: how an address at it ends, null where there is none; `fault`; and `is_clear`: whether
        these are the same for every simple local part.
    """
    distinct = domains.drop_nulls().unique()
    judged = judge_texts(read_texts(_LOCAL + distinct))
    return pl.DataFrame([distinct.alias("domain"), judged.get_column("address"), judged.get_column("fault")]).select(
        "domain",
        at_domain=pl.col("address").str.strip_prefix(_LOCAL[:-1]),
        fault="fault",
        is_clear=~pl.col("domain").str.normalize("NFKC").str.contains(f"[{_AROUND}]"),
    )
