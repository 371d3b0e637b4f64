"""What the pages of mailrun share: templates with their macros and filters, the style, and hashes for their policy."""

from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from engine.quantities import format_share

_PAGES = Path(__file__).parent / "pages"


def make_page_environment(*folders: Path) -> Environment:
    """Make the environment of templates; everything they show is escaped.

    Templates reach the macros with `{% import "macros.html" as m %}`.

    Args:
        folders: further folders with templates, before those of the shared pages.
    """
    environment = Environment(
        loader=FileSystemLoader([*folders, _PAGES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": format_figure,
        "share": format_share,
        "percent_of": compute_percentage,
        "moment": format_moment,
        "iso": format_iso,
        "duration": format_duration,
        "words": spell_out,
    }
    environment.tests["web_address"] = is_web_address
    return environment


def read_page_style() -> str:
    """Read the shared style, for a <style> element or a file of its own."""
    return (_PAGES / "page.css").read_text(encoding="utf-8")


def hash_source(text: str) -> str:
    """Return a source of a Content-Security-Policy that allows one inline script or style.

    >>> hash_source("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}'"


def format_figure(number: float) -> str:
    """Format a number with thousands separators; a fraction with at most one digit.

    >>> format_figure(1234567), format_figure(13.94), format_figure(14.0)
    ('1,234,567', '13.9', '14')
    """
    return f"{number:,}" if isinstance(number, int) else f"{number:,.1f}".removesuffix(".0")


def compute_percentage(part: float, whole: float) -> str:
    """Return a part of a whole as a number from 0 to 100 with three digits, for the attributes of a drawing.

    >>> compute_percentage(1, 3), compute_percentage(5, 0), compute_percentage(9, 3)
    ('33.333', '0', '100')
    """
    percentage = min(100.0, max(0.0, 100 * part / whole)) if whole else 0.0
    return f"{percentage:.3f}".rstrip("0").rstrip(".")


def format_moment(moment: datetime) -> str:
    """Format a time for people, in UTC.

    >>> format_moment(datetime(2026, 12, 1, 9, 5, 7, tzinfo=UTC))
    '2026-12-01 09:05:07 UTC'
    """
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def format_iso(moment: datetime) -> str:
    """Format a time as ISO 8601, in UTC.

    >>> format_iso(datetime(2026, 12, 1, 9, 5, 7, tzinfo=UTC))
    '2026-12-01T09:05:07Z'
    """
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def format_duration(seconds: float) -> str:
    """Format a length of time with its two largest units.

    >>> [format_duration(seconds) for seconds in (0.42, 59, 61, 3600, 90_061)]
    ['0.4 s', '59 s', '1 min 1 s', '1 h', '1 d 1 h']
    """
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    left, parts = round(seconds), list[str]()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(part for part in parts[:2] if part)


def spell_out(name: str) -> str:
    """Return the name of a key as words.

    >>> spell_out("in_doubt")
    'in doubt'
    """
    return name.replace("_", " ")


def is_web_address(url: str) -> bool:
    """Return True if a browser may be offered to open this link: http or https, with a host, and nothing to fill in.

    >>> [is_web_address(url) for url in ("https://a.example/x", "javascript:1", "https://a.example/{{ x }}", "http://[")]
    [True, False, False, False]
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and "{" not in url
