"""The way out by a click: what a request to an unsubscribe link is answered.

Source: RFC 8058 (one click): a POST with `List-Unsubscribe=One-Click`, form-encoded, without cookies or login,
unsubscribes at once; a GET must change nothing, as programs follow the links of every mail. Who the link is for stands
in its token alone, and no answer shows it.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from html import escape
from urllib.parse import parse_qsl, unquote

from engine.audience.addresses import MAX_ADDRESS_BYTES
from engine.campaign.unsubscribe import TokenSigner
from engine.errors import PausedError

MOST_BODY_BYTES = 8 * 1024
MOST_TARGET_CHARACTERS = 2048
MOST_CANDIDATES = 8  # parts of a request that may be the token
RETRY_SECONDS = 30

_FIELD, _VALUE = "List-Unsubscribe", "One-Click"
_TOKEN = re.compile(r"1\.[A-Za-z0-9_-]{1,1024}\.[A-Za-z0-9_-]{24}")
_BOUNDARY = re.compile(r'\bboundary\s*=\s*(?:"([^"]{1,70})"|([^";,\s]{1,70}))', re.IGNORECASE)
_PART_NAME = re.compile(rb'\bname\s*=\s*("?)List-Unsubscribe\1\s*(?:;|$)', re.IGNORECASE | re.MULTILINE)
_STYLE = """body{font:1.05rem/1.5 system-ui,sans-serif;max-width:32rem;margin:12vh auto;padding:0 1.25rem;color:#1c2733;
background:#fff}h1{font-size:1.5rem;line-height:1.25}button{font:inherit;padding:.7rem 1.4rem;border:0;
border-radius:.4rem;background:#0b5cad;color:#fff;cursor:pointer}
button:focus-visible{outline:3px solid #f5a623;outline-offset:2px}
@media(prefers-color-scheme:dark){body{background:#12181f;color:#e8edf2}}"""
_STYLE_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


class Meaning(StrEnum):
    """What a request was."""

    PAGE = "page"  # the page with the button
    UNSUBSCRIBED = "unsubscribed"
    NO_TOKEN = "no_token"  # noqa: S105 - no secret
    NOT_ONE_CLICK = "not_one_click"
    WRONG_METHOD = "wrong_method"
    LATER = "later"  # the ledger cannot be reached
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes:
        method: GET, POST …
        target: path and query, as in the request line.
        content_type: of the body.
        body: at most `MOST_BODY_BYTES`.
    """

    method: str
    target: str
    content_type: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered; `meaning` is for the log."""

    status: int
    meaning: Meaning
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)


OptOut = Callable[[str, str], None]
"""Suppresses an address for a topic, durably; done again, it changes nothing. PausedError where it cannot now."""


def answer(  # noqa: PLR0911 - one for each meaning
    request: Request, signer: TokenSigner, opt_out: OptOut
) -> Answer:
    """Answer a request to an unsubscribe link.

    Args:
        request: what was asked.
        signer: verifies tokens: every key that ever signed a link in somebody's mailbox.
        opt_out: is called with the address and the topic of a valid token, before the 200 is answered.
    """
    if request.method not in ("GET", "HEAD", "POST"):
        headers = {**HEADERS, "Allow": "GET, HEAD, POST"}
        return Answer(405, Meaning.WRONG_METHOD, _page("This is not possible", "Use the link in the mail."), headers)
    if len(request.body) > MOST_BODY_BYTES or len(request.target) > MOST_TARGET_CHARACTERS:
        return Answer(413, Meaning.TOO_LARGE, _page("This is too large", "Use the link in the mail."))
    whom = find_token(request.target, signer)
    if whom is None:
        text = "It may have been cut. Open it again from the mail, or answer the mail and ask to be taken off."
        return Answer(404, Meaning.NO_TOKEN, _page("This link is not complete", text))
    if request.method != "POST":
        return Answer(200, Meaning.PAGE, _ASK if request.method == "GET" else b"")
    if not is_one_click(request.content_type, request.body):
        return Answer(400, Meaning.NOT_ONE_CLICK, _ASK)
    try:
        opt_out(*whom)
    except PausedError:
        headers = {**HEADERS, "Retry-After": str(RETRY_SECONDS)}
        text = "Your wish could not be written down just now. Please try again in a minute."
        return Answer(503, Meaning.LATER, _page("Please try again", text), headers)
    return Answer(200, Meaning.UNSUBSCRIBED, _DONE)


def find_token(target: str, signer: TokenSigner) -> tuple[str, str] | None:
    """Return the address and topic of the token in a path or query, None where there is no valid one."""
    path, _, query = target.partition("?")
    candidates = [*reversed(path.split("/")), *(value for _, value in _pairs(query)), query]
    for candidate in candidates[:MOST_CANDIDATES]:
        if whom := verify_token(unquote(candidate), signer):
            return whom
    return None


def find_tokens(text: str) -> list[str]:
    """Return what looks like a token in a text."""
    return _TOKEN.findall(text)[:MOST_CANDIDATES]


def verify_token(token: str, signer: TokenSigner) -> tuple[str, str] | None:
    """Return the address and topic of a token; None for everything that we did not sign."""
    if _TOKEN.fullmatch(token) is None:
        return None
    whom = signer.verify(token)
    return whom if whom is not None and len(whom[0]) <= MAX_ADDRESS_BYTES else None


def is_one_click(content_type: str, body: bytes) -> bool:
    """Say whether a body is the form of RFC 8058, in either encoding of forms.

    Capitals, quotation marks and line ends around do not matter: the token says whose wish it is, and it is a wish.
    """
    kind, _, parameters = content_type.partition(";")
    if kind.strip().lower() == "multipart/form-data":
        return _has_part(parameters, body)
    if kind.strip().lower() not in ("application/x-www-form-urlencoded", ""):
        return False
    try:
        fields = parse_qsl(body.decode("ascii").lower(), max_num_fields=20)
    except (UnicodeDecodeError, ValueError):
        return False
    return {value.strip() for name, value in fields if name.strip() == _FIELD.lower()} == {_VALUE.lower()}


def _has_part(parameters: str, body: bytes) -> bool:
    found = _BOUNDARY.search(parameters)
    if found is None:
        return False
    parts = body.split(b"--" + (found[1] or found[2]).encode("ascii", "replace"))
    return any(
        _PART_NAME.search(head) is not None and content.strip().lower() == _VALUE.lower().encode()
        for head, _, content in (part.replace(b"\r\n", b"\n").partition(b"\n\n") for part in parts)
    )


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, max_num_fields=20)
    except ValueError:
        return []


def _page(title: str, text: str, form: str = "") -> bytes:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>'
        f'{escape(title)}</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1><p>{escape(text)}</p>{form}</main></body>"
        "</html>\n"
    ).encode()


_ASK = _page(
    "Unsubscribe?",
    "You will not get this mailing any more.",
    f'<form method="post"><input type="hidden" name="{_FIELD}" value="{_VALUE}">'
    '<button type="submit">Unsubscribe</button></form>',
)
_DONE = _page("You are unsubscribed", "You will not get this mailing any more. You can close this page.")


def answer_event(event: Mapping[str, object], signer: TokenSigner, opt_out: OptOut) -> dict[str, object]:
    """Answer an event of an API Gateway HTTP API (payload 2.0) or of a Lambda function URL.

    Source: AWS Lambda developer guide, "Function URL request and response payloads".

    Args:
        event: the event.
        signer: as in `answer`.
        opt_out: as in `answer`.

    Returns:
        The response: `statusCode`, `headers`, `body`, `isBase64Encoded`.
    """
    reply = answer(read_event(event), signer, opt_out)
    return {
        "statusCode": reply.status,
        "headers": {name.lower(): value for name, value in reply.headers.items()},
        "body": reply.body.decode(),
        "isBase64Encoded": False,
    }


def read_event(event: Mapping[str, object]) -> Request:
    """Return the request of an event; what it lacks is empty."""
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, Mapping) else None
    method = http.get("method") if isinstance(http, Mapping) else ""
    headers = event.get("headers")
    known = {str(name).lower(): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {}
    text = event.get("body")
    body = text.encode() if isinstance(text, str) else b""
    if event.get("isBase64Encoded"):
        try:
            body = base64.b64decode(body, validate=True)
        except binascii.Error:
            body = b""
    query = event.get("rawQueryString")
    target = f"{event.get('rawPath') or '/'}{f'?{query}' if query else ''}"
    return Request(str(method), target, known.get("content-type", ""), body)
