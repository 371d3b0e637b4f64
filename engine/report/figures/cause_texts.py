"""Texts of servers and of mailrun without what differs by recipient, so that equal causes are counted together.

Expressions of Polars: linear in the text, which an outsider may have written.
"""

import polars as pl

LONGEST = 240  # of a text that is shown, in characters
_ANY = "…"

_ADDRESS = r"[^\s<>()\"',;:\[\]]+(?:@|%40)[^\s<>()\"',;\[\]]+"
_URL = r"(?i)\bhttps?://[^\s<>\"')\]]+"
_IPV4 = r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b"
_IPV6 = r"(?i)\b[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7}"
_HOST = r"(?i)\b(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]\b"
# Ids of queues and messages: at least seven characters, one of them a digit. Shorter codes of receivers, such as S3150,
# stay.
_ID = r"[A-Za-z0-9_+=-]*[0-9][A-Za-z0-9_+=-]*"
_TOKEN = r"[A-Za-z0-9_+=-]{7,}"  # noqa: S105 - a pattern
_NUMBER = r"\b[0-9]+(?:[.,:][0-9]+)*\b"
# A reply code at the beginning, and every enhanced code, with its reply code or without.
_CODES = r"^\s*[245][0-9][0-9](?:[ -]|$)|\b(?:[245][0-9][0-9][ -]#?)?[245]\.[0-9]{1,3}\.[0-9]{1,3}\b"
_QUOTED = r"\"[^\"]*\""
_COMMON = (
    "user",
    "mail",
    "mailbox",
    "email",
    "account",
    "address",
    "recipient",
    "unknown",
    "the",
    "not",
    "your",
    "info",
)


def without_values(text: pl.Expr) -> pl.Expr:
    """Replace addresses, URLs, hosts, IP addresses, ids and numbers of a text by an ellipsis."""
    for pattern in (_URL, _ADDRESS, _IPV4, _IPV6, _HOST):
        text = text.str.replace_all(pattern, _ANY)
    return _without_ids(text)


def _without_ids(text: pl.Expr) -> pl.Expr:
    words = text.str.replace_all(r"\s+", " ").str.split(" ")
    word = pl.element()
    is_id = word.str.contains(_TOKEN) & word.str.contains(r"[0-9]")
    cleaned = pl.when(is_id).then(word.str.replace_all(_ID, _ANY)).otherwise(word.str.replace_all(_NUMBER, _ANY))
    return words.list.eval(cleaned).list.join(" ")


def name_error(error: pl.Expr) -> pl.Expr:
    """Name the cause that an outcome's error states: without quoted values, and without what differs by recipient."""
    return _cut(without_values(error.str.replace_all(_QUOTED, f'"{_ANY}"')))


def find_code(status: pl.Expr, detail: pl.Expr) -> pl.Expr:
    """Find the enhanced status code of a bounce, or else its reply code; empty where there is none."""
    enhanced, reply = r"\b([245]\.[0-9]{1,3}\.[0-9]{1,3})\b", r"\b([245][0-9][0-9])\b"
    return pl.coalesce(
        status.str.extract(rf"^\s*{enhanced}"), detail.str.extract(enhanced), detail.str.extract(reply), pl.lit("")
    )


def name_diagnosis(detail: pl.Expr, local: pl.Expr) -> pl.Expr:
    """Name the diagnosis of a bounce: what the receiver said, without codes and what differs by recipient.

    Args:
        detail: the receiver's text.
        local: the part of the recipient's address before the @; receivers quote it without the rest.
    """
    plain = detail.str.replace(r"(?i)^\s*(?:smtp|x-[a-z-]+)\s*;", "").str.replace_all(_CODES, "")
    return _cut(_without_local(without_values(plain), local)).fill_null("")


def _without_local(text: pl.Expr, local: pl.Expr) -> pl.Expr:
    """Replace the recipient's local part, where it stands alone, by an ellipsis."""
    spaced = pl.lit(" ") + text.str.replace_all(r"([<>()\[\]\"',;:]|[.](?:\s|$))", " ${1} ") + pl.lit(" ")
    wanted = pl.when((local.str.len_chars() >= 3) & ~local.is_in(_COMMON)).then(local).otherwise(pl.lit("\0"))
    split = spaced.str.split(pl.lit(" ") + wanted.fill_null("\0") + pl.lit(" ")).list.join(f" {_ANY} ")
    return split.str.replace_all(r"\s+([>)\],;:.])", "${1}").str.replace_all(r"([<(\[])\s+", "${1}")


def _cut(text: pl.Expr) -> pl.Expr:
    once = text.str.replace_all(r"…(?:[\s.,:;/=_-]*…)+", _ANY).str.replace_all(r"\s+", " ")
    return once.str.strip_chars(" -:;,").str.slice(0, LONGEST)
