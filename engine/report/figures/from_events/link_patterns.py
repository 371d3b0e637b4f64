"""The links of a campaign as its templates have them, so that clicks on a personalised link are counted together."""

import html
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
from msgspec import Struct

from engine.masking import mask_text

_TEMPLATES = (".j2", ".html", ".htm", ".mjml", ".md", ".txt", ".jinja", ".jinja2")
_MOST = 500  # patterns
_LARGEST = 2_000_000  # of a template that is read, in bytes
_LONGEST = 300  # of a link that is shown, in characters
# Repetitions are bounded and possessive: a quote that is not closed must not cost more than what follows it.
_CODE = r"\{\{.{0,2000}?\}\}|\{%.{0,2000}?%\}|\{#.{0,2000}?#\}"
_LINK = re.compile(rf"https?://(?:{_CODE}|[^\s\"'<>()\[\]{{}}\\|]){{1,4000}}+", re.IGNORECASE | re.DOTALL)
_HREF = re.compile(
    rf"\bhref\s{{0,20}}=\s{{0,20}}(?:\"(?P<a>(?:{_CODE}|[^\"]){{0,4000}}+)\"|'(?P<b>(?:{_CODE}|[^']){{0,4000}}+)')",
    re.IGNORECASE | re.DOTALL,
)
_PARTS = re.compile(rf"({_CODE})", re.DOTALL)
ERASED, UNKNOWN = "(erased)", "…"


class LinkPattern(Struct, frozen=True):
    """A link of a template.

    Attributes:
        shown: as the template has it.
        expression: a regular expression that matches the whole link of any recipient.
        literal: how many characters are the same for all recipients.
    """

    shown: str
    expression: str
    literal: int


def find_patterns(folder: Path, more: Iterable[str] = ()) -> list[LinkPattern]:
    """Find the links of a campaign's templates, the most specific first.

    Args:
        folder: of the frozen campaign.
        more: further links, such as the one to unsubscribe.
    """
    texts = [path.read_text("utf-8", "replace") for path in sorted(folder.rglob("*")) if _is_template(path)]
    found = [pattern for text in (*texts, *more) for link in _list_links(text) if (pattern := make_pattern(link))]
    unique = {pattern.expression: pattern for pattern in reversed(found)}
    ranked = sorted(unique.values(), key=lambda pattern: (-pattern.literal, pattern.shown))
    return ranked[:_MOST]


def _is_template(path: Path) -> bool:
    return path.suffix.lower() in _TEMPLATES and path.is_file() and path.stat().st_size <= _LARGEST


def _list_links(text: str) -> Iterator[str]:
    yield from (found[0].rstrip(".,;:!?") for found in _LINK.finditer(text))
    yield from (link for found in _HREF.finditer(text) if (link := found["a"] or found["b"]) and "{{" in link)


def make_pattern(link: str) -> LinkPattern | None:
    r"""Make the pattern of a link with expressions; None where all of it differs by recipient.

    >>> make_pattern("https://a.example/?u={{ id }}").expression
    '^https://a\\\\.example/\\\\?u=\\\\S*/?$'
    """
    parts = [part for part in _PARTS.split(html.unescape(link.strip())) if part]
    literals = [part for part in parts if not _PARTS.fullmatch(part)]
    size = sum(map(len, literals))
    if not any(character.isalnum() for character in "".join(literals).lower().replace("https", "").replace("http", "")):
        return None
    expression = "".join(r"\S*" if _PARTS.fullmatch(part) else _escape(part) for part in parts)
    shown = re.sub(r"\s+", " ", "".join(parts))[:_LONGEST]
    return LinkPattern(mask_text(shown), f"^{expression}/?$", size)


def _escape(literal: str) -> str:
    """Escape a text for Rust's regular expressions."""
    return re.sub(r"([\\.+*?()|\[\]{}^$#&~-])", r"\\\1", literal)


def name_link(link: pl.Expr, patterns: Iterable[LinkPattern]) -> pl.Expr:
    """Name the link that was clicked: as the template has it; else its host alone, as the rest may be personal."""
    named = [
        pl.when(link.str.contains(pattern.expression)).then(pl.lit(pattern.shown)).otherwise(pl.lit(None, pl.String))
        for pattern in patterns
    ]
    host = link.str.extract(r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([\w.:\[\]-]+)(?:[/?#]|$)", 1)
    host = pl.when(host.str.len_chars() <= _LONGEST).then(host)
    scheme = link.str.extract(r"^([A-Za-z][A-Za-z0-9+.-]*:)", 1)
    fallback = pl.when(host.is_not_null()).then(scheme + "//" + host.str.to_lowercase() + f"/{UNKNOWN}")
    return pl.coalesce(*named, fallback, pl.when(link.is_null()).then(pl.lit(ERASED)), pl.lit(UNKNOWN))
