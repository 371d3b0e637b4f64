"""Mask addresses, tokens and secrets in texts that people and log collectors read.

Messages are written without them. This is the second line of defence: what an SMTP server, SES, PostgreSQL, a library
or a person quotes is masked before it reaches a log, an error, or a reason in the ledger. Every pattern takes time that
grows linearly with the text, because an outsider may have written it: a match starts only at the beginning of a run of
characters (look-behind), and never backtracks (possessive quantifiers).
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "***"

# Variables whose value is a secret, wherever it appears.
_SECRET_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "MAILRUN_DASHBOARD_TOKEN",
    "MAILRUN_SANDBOX_SECRET",
    "MAILRUN_SANDBOX_TOKEN",
    "MAILRUN_SMTP_PASSWORD",
    "MAILRUN_UNSUBSCRIBE_KEYS",
    "PGPASSWORD",
)
_SHORTEST_SECRET = 8  # a shorter value may be an ordinary word; in a URL it is masked anyway

_MARKS = r".!#$&'*+=?^`{|}~\-"
_LOCAL = rf"\w{_MARKS}"  # of an address before its @; beyond ASCII as well (RFC 6531). `%` is apart, for %40
_ADDRESS = re.compile(
    rf"(?<![{_LOCAL}%])(?<!://)"
    rf"(?P<first>[{_MARKS}]*+(?:\w|%))(?:[{_LOCAL}]|%(?!(?:25)?40))*+(?P<at>[@\uff20]|%(?:25)?40)"
    r"(?![\d.]++(?![\w-]))(?=(?P<domain>[\w-]++(?:\.[\w-]++)++)|\[)",
    re.IGNORECASE,
)
_QUOTED_ADDRESS = re.compile(r'"[^"\n]{1,128}"@(?=[\w\[])')
ADDRESS_COLUMN = (
    r"(?s)^(.).*@",
    "${1}" + MASK + "@",
)  # pattern and replacement for a column that holds addresses alone

_URL = re.compile(r"(?<![\w+.-])(?P<scheme>[A-Za-z][\w+.-]*+):/{2,}+[^\s\"'<>]++")
_WITHOUT_USER = ("sqlite", "file")
_HTTP_AUTHORITY = re.compile(r"(?:\[[^\]]*+\]|[^@:]*+)(?::[0-9]*+)?")

_NAMES = (
    "passw(?:or)?d|pwd|secret|token|signature|credentials?|authorization|api[_-]?key|access[_-]?key|unsubscribe_keys"
)
# `password=x`, `"SecretAccessKey": "x"`, `x-amz-security-token:x`, the query of a URL; prose such as `token: x` is not.
_NAMED_SECRET = re.compile(
    rf"(?P<name>(?:{_NAMES})[\w-]{{0,40}}(?:\s{{0,2}}=\s{{0,2}}|[\"']\s{{0,2}}[:=]\s{{0,2}}|:(?=[^\s/])))"
    r"b?(?P<value>'[^'\n]*+'?|\"[^\"\n]*+\"?|[^\s&,;'\"<>)]++)",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<name>(?:x-amz-security-token|x-amz-signature|(?:proxy-)?authorization)[\"']?\s{0,2}[:=]\s{0,2})[^\n]++",
    re.IGNORECASE,
)
# What SES adds to SignatureDoesNotMatch: the canonical request with its headers, the session token among them.
_CANONICAL = re.compile(r"(?P<name>for this request should have been\s{0,4})'[^']*+'?", re.IGNORECASE)
_ACCESS_KEY = re.compile(r"(?<![A-Za-z0-9])(?P<kind>AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}+")
_SESSION_TOKEN = re.compile(r"(?<![A-Za-z0-9])(?:IQoJ|FwoG|FQoG|AQoD)[A-Za-z0-9+/=_-]{40,}+")
# Ours (see campaign/unsubscribe_tokens.py), those of other services, and any other string that is too long to be a
# word.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:[0-9]\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{16,}+|[A-Za-z0-9_-]{96,1200}+(?![A-Za-z0-9_-]))"
)
# PostgreSQL's DETAIL: `Key (address)=(x) already exists.`, `Failing row contains (x, …).`
_ROW = re.compile(r"(?P<name>\bKey \(|Failing row contains \(|\bParameters: |\bparameters: )[^\n]++")

_shown = {"user@example.com"}  # of remedies: how an address is written
_known_secrets: set[str] = set()
_known: re.Pattern[str] | None = None


def mask_text(text: str) -> str:
    """Mask addresses, tokens and secrets in a text; of an address the first letter and the domain stay.

    >>> mask_text("550 no mailbox <ann.lee@b.example>, see https://b.example/?token=1234")
    '550 no mailbox <a***@b.example>, see https://b.example/?token=***'
    """
    text = mask_secrets(text)
    if "@" not in text and "40" not in text and "\uff20" not in text:
        return text
    text = _QUOTED_ADDRESS.sub(f'"{MASK}"@', text)
    return _ADDRESS.sub(_mask_address, text)


def _mask_address(found: re.Match[str]) -> str:
    return found[0] if _write_whole(found) in _shown else f"{found['first']}{MASK}{found['at']}"


def _write_whole(found: re.Match[str]) -> str:
    return f"{found[0]}{found['domain']}".lstrip("'").lower()


def mask_secrets(text: str) -> str:
    """Mask tokens and secrets in a text, and leave addresses: for files that hold addresses anyway.

    >>> mask_secrets("cannot connect to postgresql://ann:hush@db/mailrun")
    'cannot connect to postgresql://ann:***@db/mailrun'
    """
    if _known is not None:
        text = _known.sub(MASK, text)
    if "//" in text:
        text = _URL.sub(lambda found: mask_url(found[0]), text)
    text = _CANONICAL.sub(rf"\g<name>'{MASK}'", text)
    text = _ROW.sub(rf"\g<name>{MASK}", text)
    text = _HEADER.sub(rf"\g<name>{MASK}", text)
    text = _NAMED_SECRET.sub(rf"\g<name>{MASK}", text)
    text = _SESSION_TOKEN.sub(MASK, text)
    text = _TOKEN.sub(MASK, text)
    return _ACCESS_KEY.sub(rf"\g<kind>{MASK}", text)


def mask_url(url: str) -> str:
    """Mask the password of a URL, and secrets in its query; also in a malformed URL.

    A password may contain any character, unescaped: it extends to the last `@`.

    >>> mask_url("postgresql://ann:hush@host/db?sslmode=require&password=hush")
    'postgresql://ann:***@host/db?sslmode=require&password=***'
    """
    url = _NAMED_SECRET.sub(rf"\g<name>{MASK}", url)
    scheme, divider, rest = url.partition("//")
    if not divider:
        scheme, rest = "", url
        if kind := re.match(r"(?:pg|psql|postgres\w*|s3|https?|smtps?)(?:\+\w+)?:", url, re.IGNORECASE):
            scheme, rest = kind[0], url[kind.end() :]
    start = url[: len(url) - len(rest)]
    kind_name = scheme.rstrip(":").lower().partition("+")[0]
    if "@" not in rest or (kind_name in _WITHOUT_USER and rest.startswith("/")):
        return url
    if kind_name in ("http", "https") and _HTTP_AUTHORITY.fullmatch(re.split("[/?#]", rest, maxsplit=1)[0]):
        return url  # the @ is in the path or the query
    user, _, host = rest.rpartition("@")
    if kind_name in ("http", "https"):  # a token may be in place of the user
        return f"{start}{MASK}@{host}"
    name, colon, _ = user.partition(":")
    return f"{start}{name}{colon}{MASK if colon else ''}@{host}"


def mask_value(value: Any) -> Any:
    """Mask every text of a value of JSON's types; anything else becomes its masked text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {mask_text(str(key)): mask_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_value(one) for one in value]
    return mask_text(str(value))


def show_address(address: str) -> None:
    """Exempt an address from masking: a sender address, which every recipient sees, or one that a person typed.

    People need the whole address to correct it. Do not pass addresses from data or from servers.

    Args:
        address: or a text with addresses in it.
    """
    for found in _ADDRESS.finditer(address):
        _shown.add(_write_whole(found))


def remember_secrets(values: Iterable[str]) -> None:
    """Mask these values wherever they appear, from now on and in this process."""
    global _known  # noqa: PLW0603 - of the process, as its environment is
    found = {value for value in values if len(value) >= _SHORTEST_SECRET} - _known_secrets
    if found:
        _known_secrets.update(found)
        longest_first = sorted(_known_secrets, key=len, reverse=True)
        _known = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def remember_secrets_of_environment(environment: Mapping[str, str] = os.environ) -> None:
    """Remember the secrets in the environment, see `remember_secrets`."""
    remember_secrets(
        part for name in _SECRET_VARIABLES for part in re.split(r"[\s,]+", environment.get(name, "")) if part
    )
