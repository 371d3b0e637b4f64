"""The way out by a click: what a request to an unsubscribe link is answered.

Source: RFC 8058 (one click): a POST with `List-Unsubscribe=One-Click`, form-encoded, without cookies or login,
unsubscribes at once; a GET must change nothing, as programs follow the links of every mail. Who the link is for stands
in its token alone, and no answer shows the address.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote

from engine.addresses.parse import MAX_ADDRESS_BYTES
from engine.campaign.unsubscribe import TOKEN_PATTERN, TokenSigner
from engine.errors import MailrunError
from engine.feedback.inbound.mail_parts import (
    UnreadableMailError,
    read_content_type,
    read_fields,
    split_multipart,
    unfold,
)
from engine.feedback.unsubscribe.pages import ONE_CLICK, UNDO, PageKind, UnsubscribePages

MOST_BODY_BYTES = 8 * 1024
MOST_TARGET_CHARACTERS = 2048
MOST_TOKENS = 8  # of a text that anybody may write
RETRY_SECONDS = 30

_TOKEN = re.compile(TOKEN_PATTERN)
_TOKENS = re.compile(f"(?=({_TOKEN.pattern}))")  # what stands before a token may look like the beginning of one
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": ("default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


class Meaning(StrEnum):
    """What a request was."""

    PAGE = "page"  # the page with the button
    UNSUBSCRIBED = "unsubscribed"
    UNDONE = "undone"
    TOO_LATE = "too_late"  # to undo
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
        languages: Accept-Language.
    """

    method: str
    target: str
    content_type: str = ""
    body: bytes = b""
    languages: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered; `meaning` is for the log, and so is `problem`: why the ledger could not be written."""

    status: int
    meaning: Meaning
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)
    problem: str = ""


class OptOuts(Protocol):
    """Writes down what a person asks for. MailrunError where it cannot now."""

    def opt_out(self, address: str, topic: str) -> None:
        """Suppress an address for a topic, durably; done again, it changes nothing."""

    def undo(self, address: str, topic: str) -> bool:
        """Take back a recent opt-out by link; False where there is another reason, or it is too long ago."""


def answer(request: Request, signer: TokenSigner, opt_outs: OptOuts, pages: UnsubscribePages) -> Answer:
    """Answer a request to an unsubscribe link.

    Args:
        request: what was asked.
        signer: verifies tokens: every key that ever signed a link in somebody's mailbox.
        opt_outs: is called with the address and the topic of a valid token, before the 200 is answered.
        pages: what a person sees.
    """
    headers = {**HEADERS, "Content-Security-Policy": pages.policy}
    render = partial(pages.render, accept=request.languages)
    if request.method not in ("GET", "HEAD", "POST"):
        headers["Allow"] = "GET, HEAD, POST"
        return Answer(405, Meaning.WRONG_METHOD, render(PageKind.IMPOSSIBLE), headers)
    if len(request.body) > MOST_BODY_BYTES or len(request.target) > MOST_TARGET_CHARACTERS:
        return Answer(413, Meaning.TOO_LARGE, render(PageKind.IMPOSSIBLE), headers)
    found = find_token(request.target, signer)
    if found is None:
        return Answer(404, Meaning.NO_TOKEN, render(PageKind.CUT), headers)
    try:
        status, meaning, kind = _act(request, found, opt_outs)
    except MailrunError as error:  # away, locked, read-only, full: nothing was recorded, and the next try may be
        return answer_later(pages, problem=str(error), languages=request.languages)
    body = b"" if request.method == "HEAD" else render(kind, topic=found.topic, token=found.token)
    return Answer(status, meaning, body, headers)


def answer_later(pages: UnsubscribePages, *, problem: str, languages: str = "") -> Answer:
    """Ask to come again: nothing was recorded.

    Args:
        pages: what a person sees.
        problem: why, for the log; the page does not say it.
        languages: Accept-Language.
    """
    headers = {**HEADERS, "Content-Security-Policy": pages.policy, "Retry-After": str(RETRY_SECONDS)}
    return Answer(503, Meaning.LATER, pages.render(PageKind.LATER, accept=languages), headers, problem)


def _act(request: Request, found: "FoundToken", opt_outs: OptOuts) -> tuple[int, Meaning, PageKind]:
    """Do what a request with a valid token asks for; returns status, meaning and page."""
    if request.method != "POST":
        return 200, Meaning.PAGE, PageKind.ASK
    if has_field(request.content_type, request.body, *ONE_CLICK):
        opt_outs.opt_out(found.address, found.topic)
        return 200, Meaning.UNSUBSCRIBED, PageKind.DONE
    if has_field(request.content_type, request.body, *UNDO):
        if opt_outs.undo(found.address, found.topic):
            return 200, Meaning.UNDONE, PageKind.UNDONE
        return 409, Meaning.TOO_LATE, PageKind.LATE
    return 400, Meaning.NOT_ONE_CLICK, PageKind.ASK


class FoundToken(NamedTuple):
    """A valid token, and who wants out of what."""

    token: str
    address: str
    topic: str


def find_token(target: str, signer: TokenSigner) -> FoundToken | None:
    """Return the token in a path or query, None where there is no valid one.

    It may stand anywhere, as `[unsubscribe] url` has it, and percent-encoded, as some programs send it.
    """
    for text in dict.fromkeys((target, unquote(target))):
        for found in _TOKENS.finditer(text):
            if whom := verify_token(found[1], signer):
                return FoundToken(found[1], *whom)
    return None


def find_tokens(text: str) -> list[str]:
    """Return what looks like a token in a text."""
    return _TOKEN.findall(text)[:MOST_TOKENS]


def verify_token(token: str, signer: TokenSigner | None) -> tuple[str, str] | None:
    """Return the address and topic of a token; None for everything that we did not sign, or have no keys for."""
    if signer is None or _TOKEN.fullmatch(token) is None:
        return None
    whom = signer.verify(token)
    return whom if whom is not None and len(whom[0]) <= MAX_ADDRESS_BYTES else None


def has_field(content_type: str, body: bytes, name: str, value: str) -> bool:
    """Say whether a body is a form with a field of this value alone, in either encoding of forms.

    Capitals, quotation marks and line ends around do not matter: the token says whose wish it is, and it is a wish.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _has_part(content_type, body, name, value)
    if kind not in ("application/x-www-form-urlencoded", ""):
        return False
    try:
        fields = parse_qsl(body.decode("ascii").lower(), max_num_fields=20)
    except (UnicodeDecodeError, ValueError):
        return False
    return {given.strip() for key, given in fields if key.strip() == name.lower()} == {value.lower()}


def _has_part(content_type: str, body: bytes, name: str, value: str) -> bool:
    boundary = read_content_type(content_type)[1].get("boundary", "")
    return any(_is_part(part, name, value) for part in split_multipart(body, boundary))


def _is_part(part: bytes, name: str, value: str) -> bool:
    try:
        fields, content = read_fields(part)
    except UnreadableMailError:
        return False
    given = read_content_type(unfold(fields.get("content-disposition", [""])[0]))[1].get("name", "")
    return given.lower() == name.lower() and content.strip().lower() == value.lower().encode()


def answer_event(
    event: Mapping[str, object], signer: TokenSigner, opt_outs: OptOuts, pages: UnsubscribePages
) -> dict[str, object]:
    """Answer an event of an API Gateway HTTP API (payload 2.0) or of a Lambda function URL.

    Source: AWS Lambda developer guide, "Function URL request and response payloads".

    Args:
        event: the event.
        signer: as in `answer`.
        opt_outs: as in `answer`.
        pages: as in `answer`.

    Returns:
        The response: `statusCode`, `headers`, `body`, `isBase64Encoded`.
    """
    return write_response(answer(read_event(event), signer, opt_outs, pages))


def write_response(reply: Answer) -> dict[str, object]:
    """Write an answer as such a function returns it."""
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
    body = text.encode("utf-8", "replace") if isinstance(text, str) else b""
    if event.get("isBase64Encoded"):
        try:
            body = base64.b64decode(body, validate=True)
        except binascii.Error:
            body = b""
    query = event.get("rawQueryString")
    target = f"{event.get('rawPath') or '/'}{f'?{query}' if query else ''}"
    return Request(str(method), target, known.get("content-type", ""), body, known.get("accept-language", ""))
