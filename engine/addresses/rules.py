"""The rules of an address: normalise and check whole columns, rule by rule.

The rules are those under which SES can deliver: an RFC 5321 dot-atom local part in ASCII (SES has no SMTPUTF8), a
domain of A-labels with at least one dot, and the lengths of RFC 5321 4.5.3.1 (local part 64, path 256 with its angle
brackets, so 254 for the address) and RFC 1035 2.3.4 (63 for a label).
"""

from functools import lru_cache

import idna
import polars as pl

from engine.addresses.plain import ATOM, MAX_LABEL_BYTES

MAX_ADDRESS_BYTES = 254
MAX_LOCAL_BYTES = 64
IS_TOO_LONG = f"it is longer than {MAX_ADDRESS_BYTES} characters"

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = rf"^{ATOM}(?:\.{ATOM})*@(?:{_LABEL}\.)+{_LABEL}$"
_NUMERIC_TLD = r"\.[0-9]+$"
_LONG_LOCAL = rf"^[^@]{{{MAX_LOCAL_BYTES + 1}}}"
_LONG_LABEL = rf"@(?:.*\.)?[^.@]{{{MAX_LABEL_BYTES + 1}}}"
# White space and invisible characters (zero-width, byte order and direction marks) come along with pasted text.
_EDGES = r"^[\s\p{Cf}]+|[\s\p{Cf}]+$"
# `Name <address>`, `"Name <x>" <address>`; and the old form, `address (Name)`.
_NAMED = r'^(?:"(?:[^"\\]|\\.)*"|[^<>"])*<([^<>]*)>$'
_SEVERAL = r'^[^<>"]*@[^<>"]*[,;][^<>]*<'  # an address, a comma, and then a name with its address
_COMMENTED = r"^([^\s()<>\"]+@[^\s()<>\"]+)\s+\([^@]*\)$"

_KNOWN_DOMAINS = 1 << 14  # cached international domains: a conversion takes 50 µs, and this many use a few MB
_ACE = "xn--"
_JOINER = "\u200d"  # makes one emoji of two
_EMOJI = r"[\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}\x{200D}\x{FE0F}]"
_WITH_EMOJI = r"[\p{Extended_Pictographic}\p{Regional_Indicator}]"


def read_texts(raw: pl.Series) -> pl.Series:
    """Normalise addresses as people write them, and remove names and comments; null if nothing is left.

    Args:
        raw: a String series.

    Returns:
        `text`, as many rows.
    """
    frame = _normalize(raw).str.replace_all(_EDGES, "").alias("text").to_frame()
    named = pl.when(~pl.col("text").str.contains(_SEVERAL)).then(
        pl.col("text").str.extract(_NAMED).str.replace_all(_EDGES, "")
    )
    found = pl.coalesce(named, pl.col("text").str.extract(_COMMENTED), "text")
    return frame.select(text=pl.when(pl.col("text") != "").then(found)).to_series()


def _normalize(raw: pl.Series) -> pl.Series:
    """Normalise compatibility forms (NFKC); ASCII, as in most addresses, has none."""
    others = (raw.str.len_bytes() != raw.str.len_chars()).arg_true()
    return raw.clone().scatter(others, raw.gather(others).str.normalize("NFKC")) if others.len() else raw


def check_texts(text: pl.Series) -> pl.DataFrame:
    """Check addresses by every rule.

    Args:
        text: from `read_texts`.

    Returns:
        One row for each: `address`, with its domain as A-labels in lower case, or null; and `fault`: the first broken
        rule, or null if no rule is broken or there is no text.
    """
    frame = (
        text.alias("text")
        .to_frame()
        .with_columns(
            ats=pl.col("text").str.count_matches("@", literal=True),
            local=pl.col("text").str.extract("(?s)^(.*)@"),
            domain=pl.col("text").str.extract("(?s)@([^@]*)$"),
        )
    )
    frame = _to_a_labels(frame)
    whole = pl.when(pl.col("ats") == 1).then(pl.concat_str("local", pl.lit("@"), "domain")).otherwise("text")
    frame = frame.with_columns(text=whole)
    frame = frame.select("text", fault=pl.when(pl.col("text").is_not_null()).then(_fault()))
    return _finish(frame)


def _is_address(text: pl.Expr) -> pl.Expr:
    return (
        text.str.contains(_ADDRESS)
        & (text.str.len_bytes() <= MAX_ADDRESS_BYTES)
        & ~text.str.contains(_LONG_LOCAL)
        & ~text.str.contains(_LONG_LABEL)
        & ~text.str.contains(_NUMERIC_TLD)
    )


def _finish(frame: pl.DataFrame) -> pl.DataFrame:
    """Convert `text` and `fault` to `address` and `fault`, with the domain in lower case."""
    lowered = pl.concat_str(
        pl.col("text").str.extract("^([^@]*)@"), pl.lit("@"), pl.col("text").str.extract("@(.*)$").str.to_lowercase()
    )
    return frame.select(pl.when(pl.col("fault").is_null()).then(lowered).alias("address"), "fault")


def _to_a_labels(frame: pl.DataFrame) -> pl.DataFrame:
    """Replace international domains in `domain`, and mark invalid ones in `unknown_domain`.

    One conversion for each distinct domain.
    """
    international = pl.col("domain").str.contains(r"[^\x00-\x7F]|(?i:xn--)") & (pl.col("ats") == 1)
    distinct = frame.filter(international).get_column("domain").unique().to_list()
    converted = pl.DataFrame(
        {"domain": distinct, "a_labels": [_a_labels(domain) for domain in distinct]},
        schema={"domain": pl.String, "a_labels": pl.String},
    )
    frame = frame.join(converted, on="domain", how="left", maintain_order="left")
    return frame.with_columns(
        domain=pl.coalesce("a_labels", "domain"), unknown_domain=international & pl.col("a_labels").is_null()
    )


@lru_cache(_KNOWN_DOMAINS)
def _a_labels(domain: str) -> str | None:
    try:
        return idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return _a_labels_with_emoji(domain)


def _a_labels_with_emoji(domain: str) -> str | None:
    """Convert a domain with emoji: IDNA 2008 excludes them, but some registries accept them."""
    try:
        mapped = idna.uts46_remap(domain, std3_rules=False, transitional=False)
        labels = [_a_label_with_emoji(label) for label in mapped.split(".")]
    except (idna.IDNAError, UnicodeError):
        return None
    return ".".join(labels)


def _a_label_with_emoji(label: str) -> str:
    """Convert a label; raise UnicodeError if it is neither valid under IDNA 2008 nor a label with emoji."""
    text = label[len(_ACE) :].encode("ascii").decode("punycode") if label.startswith(_ACE) else label
    if not pl.Series([text], dtype=pl.String).str.contains(_WITH_EMOJI).item():
        return idna.encode(label, uts46=True).decode()
    if text.strip(_JOINER) != text:
        raise UnicodeError("an unused joiner")
    plain = "".join(character for character in text if not pl.Series([character]).str.contains(_EMOJI).item())
    if plain.strip("-"):
        idna.encode(plain.strip("-"))  # all characters other than emoji follow the rules
    converted = _ACE + text.encode("punycode").decode("ascii")
    if label.startswith(_ACE) and converted != label:
        raise UnicodeError("not canonical Punycode")
    return converted


def _fault() -> pl.Expr:
    """The first rule that the address in `text` (with `ats`, `local`, `domain`, `unknown_domain`) breaks, or null."""
    text, local, domain = pl.col("text"), pl.col("local"), pl.col("domain")
    rules: list[tuple[pl.Expr, str]] = [
        (pl.col("ats") == 0, "there is no @"),
        (local.str.starts_with('"'), "a quoted local part is not supported by SES"),
        (pl.col("ats") > 1, "there is more than one @"),
        (text.str.contains(r"[\s\p{Cc}]"), "it contains a space or a control character"),
        (local == "", "there is nothing before the @"),
        (domain == "", "there is nothing after the @"),
        (
            local.str.contains(r"[^\x00-\x7F]"),
            "the part before the @ has characters outside ASCII, which SES cannot send to",
        ),
        (local.str.contains(r"^\.|\.$|\.\."), "the part before the @ begins or ends with a dot, or has two in a row"),
        (~local.str.contains(rf"^(?:{ATOM}|\.)+$"), "the part before the @ has a character that is not allowed there"),
        (text.str.contains(_LONG_LOCAL), f"the part before the @ is longer than {MAX_LOCAL_BYTES} characters"),
        (domain.str.contains(r"^\.|\.$|\.\."), "the domain begins or ends with a dot, or has two in a row"),
        (text.str.contains(_LONG_LABEL), f"a part of the domain is longer than {MAX_LABEL_BYTES} characters"),
        (pl.col("unknown_domain"), "the domain is not a valid international domain name"),
        (~domain.str.contains("^[A-Za-z0-9.-]*$"), "the domain has a character that is not allowed there"),
        (~domain.str.contains(".", literal=True), "the domain has no dot"),
        (domain.str.contains(r"^-|-$|\.-|-\."), "a part of the domain begins or ends with a hyphen"),
        (domain.str.contains(_NUMERIC_TLD), "the domain ends with a number"),
        (text.str.len_bytes() > MAX_ADDRESS_BYTES, IS_TOO_LONG),
        # The full grammar decides last, in case a rule above is missing.
        (~_is_address(text), "it is not an address"),
    ]
    return pl.coalesce(*(pl.when(broken).then(pl.lit(words)) for broken, words in rules))
