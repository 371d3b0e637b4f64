"""String types of campaign.toml, each with its check."""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from engine.addresses.mailbox import check_address, parse_mailbox
from engine.campaign.files import is_part
from engine.campaign.headers import check_header_name, check_header_value, check_tag_name, check_tag_value
from engine.campaign.locales import read_locales
from engine.campaign.time_zones import find_zone_name
from engine.errors import nearest

_CONTENT_ID = re.compile(r"[A-Za-z0-9._-]{1,78}")  # SESv2 Attachment.ContentId, and safe in <img src="cid:…">
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
COLUMN = "column:"
WAIT = re.compile(r"(\d{1,6})([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
TOKEN_PLACEHOLDER = re.compile(r"\{\{\s*token\s*\}\}")


def checked(check: Callable[[str], object]) -> AfterValidator:
    """Return a validator that runs `check` and keeps the text unchanged."""

    def validate(text: str) -> str:
        check(text)
        return text

    return AfterValidator(validate)


def as_list(value: object) -> object:
    """Return a single string as a tuple of one."""
    return (value,) if isinstance(value, str) else value


def _check_content_path(path: str) -> None:
    pure = PurePosixPath(path)
    if not path or "\\" in path or pure.is_absolute() or ".." in pure.parts or not path.isprintable():
        raise ValueError("is not a path inside the campaign folder", "write the path of a file in the campaign folder")
    if not is_part(path):
        raise ValueError(
            "names a hidden, backup or lock file, which is not part of a campaign",
            "rename the file, or name another file",
        )


def _check_inline_path(path: str) -> None:
    _check_content_path(path)
    if not _CONTENT_ID.fullmatch(PurePosixPath(path).name):
        raise ValueError(
            "is not a valid file name for an inline image", "rename the file: use 1 to 78 letters, digits, ., - and _"
        )


def read_locale(tag: str) -> str:
    """Return a language tag in its canonical form.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    found = read_locales(tag)
    if len(found) != 1:
        raise ValueError("is not a known locale", "write it as vi or vi-VN")
    return str(found[0])


def check_wait(text: str) -> None:
    """Check a duration such as 30m.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    if not WAIT.fullmatch(text):
        raise ValueError("is not a duration", "write it as 90s, 30m, 2h or 1d")


def check_unsubscribe_url(url: str) -> None:
    """Check the URL of unsubscribe links.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    if not TOKEN_PLACEHOLDER.search(url):
        raise ValueError("has no {{ token }}", "put {{ token }} where the recipient's signed token belongs")
    plain = TOKEN_PLACEHOLDER.sub("TOKEN", url)
    if "{" in plain or not re.fullmatch(r"[!-~]+", plain) or any(mark in plain for mark in '<>,"'):
        raise ValueError(
            "has a character that is not allowed in a link", "percent-encode it; only {{ token }} is replaced"
        )
    parts = urlsplit(plain)
    if parts.scheme != "https" or not parts.hostname or "TOKEN" in parts.netloc:
        raise ValueError(
            "is not an https link with a fixed host",
            "one-click unsubscribing (RFC 8058) needs https://HOST/…{{ token }}",
        )
    if "TOKEN" in parts.fragment:
        raise ValueError(
            "has {{ token }} after a #, and browsers do not send that part", "put it in the path or the query"
        )


def _check_time_of_day(text: str) -> None:
    if not _TIME_OF_DAY.fullmatch(text):
        raise ValueError("is not a time of day", 'write it as "09:00"')


def check_timezone(name: str) -> None:
    """Check a time zone, or a column of time zones.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    if name.startswith(COLUMN) and len(name) > len(COLUMN):
        return
    if find_zone_name(name) is None:
        near = nearest(name, sorted(available_timezones())).partition("?")[0]
        hint = f"{near}? Or use" if near.startswith("did you mean") else "use"
        raise ValueError("is not a time zone", f'{hint} an IANA name such as "Europe/Berlin", or "column:NAME"')


def check_deadline(text: str) -> None:
    """Check a time of day, or a date and time with offset.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    if _TIME_OF_DAY.fullmatch(text):
        return
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(
            "is neither a time of day nor a date and time with offset",
            'write it such as "12:00" or "2026-12-24T18:00:00+01:00"',
        )


def _check_domain(domain: str) -> None:
    if domain != domain.lower() or not _DOMAIN.fullmatch(domain):
        raise ValueError(
            "is not a receiver domain", 'write it in lower case and Punycode, such as [domains."gmail.com"]'
        )


MailboxText = Annotated[str, checked(parse_mailbox)]
AddressText = Annotated[str, checked(check_address)]
ClockText = Annotated[str, checked(_check_time_of_day)]
DomainText = Annotated[str, checked(_check_domain)]
ContentPath = Annotated[str, checked(_check_content_path)]
InlinePath = Annotated[str, checked(_check_inline_path)]
HeaderName = Annotated[str, checked(check_header_name)]
HeaderText = Annotated[str, checked(check_header_value)]
TagName = Annotated[str, checked(check_tag_name)]
TagText = Annotated[str, checked(check_tag_value)]
Share = Annotated[float, Field(ge=0, le=1)]
