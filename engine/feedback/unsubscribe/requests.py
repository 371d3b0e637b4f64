"""Answers requests to unsubscribe links.

Source: RFC 8058 (one click): a POST with `List-Unsubscribe=One-Click`, form-encoded, without cookies or login,
unsubscribes at once; a GET must change nothing, because programs follow the links of every mail. Only the token
identifies the person, and no answer shows the address.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import Protocol, runtime_checkable
from urllib.parse import parse_qsl

from msgspec import Struct, field

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import MailrunError
from engine.feedback.inbound.header_fields import UnreadableMailError, read_content_type, read_fields, unfold
from engine.feedback.inbound.mail_parts import split_multipart
from engine.feedback.unsubscribe.pages import BY_PAGE, ONE_CLICK, UNDO, PageKind, UnsubscribePages
from engine.feedback.unsubscribe.tokens import FoundToken, find_token, is_probe
from engine.ledger.suppressed.opt_outs import OptOutMethod
from engine.logs import get_logger

MOST_BODY_BYTES = 8 * 1024
MOST_TARGET_CHARACTERS = 2048
RETRY_SECONDS = 30

log = get_logger()
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": ("default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


class LinkMeaning(StrEnum):
    """The kind of a request, for the log."""

    PAGE = "page"  # the page with the button
    UNSUBSCRIBED = "unsubscribed"
    PROBED = "probed"  # a test of the link by `mailrun check`: nothing is recorded
    UNDONE = "undone"
    TOO_LATE = "too_late"  # to undo
    NO_TOKEN = "no_token"  # noqa: S105 - not a secret
    NOT_ONE_CLICK = "not_one_click"
    WRONG_METHOD = "wrong_method"
    LATER = "later"  # the ledger cannot be reached
    TOO_LARGE = "too_large"


class LinkRequest(Struct, frozen=True):
    """A request to a link.

    Attributes:
        method: GET, POST …
        target: path and query, as the request line has them.
        content_type: of the body.
        body: at most `MOST_BODY_BYTES`.
        languages: Accept-Language.
    """

    method: str
    target: str
    content_type: str = ""
    body: bytes = b""
    languages: str = ""


class LinkAnswer(Struct, frozen=True):
    """An answer; `meaning` and `problem` (why the ledger could not be written) are for the log."""

    status: int
    meaning: LinkMeaning
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)
    problem: str = ""


class OptOuts(Protocol):
    """Records a person's request. Raises MailrunError where that fails now."""

    def opt_out(self, address: str, topic: str) -> None:
        """Suppress an address for a topic, durably; repeating it changes nothing."""

    def probe(self) -> None:
        """Check that an opt-out could be recorded now, without recording anything."""

    def undo(self, address: str, topic: str) -> bool:
        """Undo a recent opt-out by link; False where there is another reason, or it is too old."""


@runtime_checkable
class RunOptOuts(OptOuts, Protocol):
    """Records a person's request, and the row of the run whose message had the link."""

    def opt_out_of_run(self, found: FoundToken, method: OptOutMethod) -> None:
        """Suppress as `opt_out` does, and count the opt-out for the run, where the token names one."""


def answer_request(request: LinkRequest, signer: TokenSigner, opt_outs: OptOuts, pages: UnsubscribePages) -> LinkAnswer:
    """Answer a request to an unsubscribe link.

    Args:
        request: the request.
        signer: verifies tokens, with every key that ever signed a link.
        opt_outs: records the address and the topic of a valid token, before 200 is answered; one of `RunOptOuts` also
            gets the row of the run.
        pages: what a person sees.
    """
    headers = {**HEADERS, "Content-Security-Policy": pages.policy}
    render = partial(pages.render, accept=request.languages)
    if request.method not in ("GET", "HEAD", "POST"):
        headers["Allow"] = "GET, HEAD, POST"
        return LinkAnswer(405, LinkMeaning.WRONG_METHOD, render(PageKind.IMPOSSIBLE), headers)
    if len(request.body) > MOST_BODY_BYTES or len(request.target) > MOST_TARGET_CHARACTERS:
        return LinkAnswer(413, LinkMeaning.TOO_LARGE, render(PageKind.IMPOSSIBLE), headers)
    found = find_token(request.target, signer)
    if found is None:
        return LinkAnswer(404, LinkMeaning.NO_TOKEN, render(PageKind.CUT), headers)
    try:
        status, meaning, kind = _act(request, found, opt_outs)
    except MailrunError as error:  # unreachable, locked, read-only, full: a later try may succeed
        return answer_later(pages, problem=str(error), languages=request.languages)
    body = b"" if request.method == "HEAD" else render(kind, topic=found.topic, token=found.token)
    return LinkAnswer(status, meaning, body, headers)


def answer_later(pages: UnsubscribePages, *, problem: str, languages: str = "") -> LinkAnswer:
    """Answer 503: nothing was recorded, try again later.

    Args:
        pages: what a person sees.
        problem: the reason, for the log; the page does not have it.
        languages: Accept-Language.
    """
    headers = {**HEADERS, "Content-Security-Policy": pages.policy, "Retry-After": str(RETRY_SECONDS)}
    return LinkAnswer(503, LinkMeaning.LATER, pages.render(PageKind.LATER, accept=languages), headers, problem)


def _act(request: LinkRequest, found: FoundToken, opt_outs: OptOuts) -> tuple[int, LinkMeaning, PageKind]:
    """Process a request with a valid token; return status, meaning and kind of page."""
    if request.method != "POST":
        return 200, LinkMeaning.PAGE, PageKind.ASK
    if has_field(request.content_type, request.body, *ONE_CLICK):
        if is_probe(found):
            opt_outs.probe()
            return 200, LinkMeaning.PROBED, PageKind.DONE
        if isinstance(opt_outs, RunOptOuts):
            by_page = has_field(request.content_type, request.body, *BY_PAGE)
            opt_outs.opt_out_of_run(found, OptOutMethod.PAGE if by_page else OptOutMethod.ONE_CLICK)
        else:
            opt_outs.opt_out(found.address, found.topic)
        return 200, LinkMeaning.UNSUBSCRIBED, PageKind.DONE
    if has_field(request.content_type, request.body, *UNDO):
        if not is_probe(found) and opt_outs.undo(found.address, found.topic):
            return 200, LinkMeaning.UNDONE, PageKind.UNDONE
        return 409, LinkMeaning.TOO_LATE, PageKind.LATE
    return 400, LinkMeaning.NOT_ONE_CLICK, PageKind.ASK


def has_field(content_type: str, body: bytes, name: str, value: str) -> bool:
    """Return whether a body is a form with a field of this value only, in either encoding of forms.

    Case, and white space around it, do not matter: the token alone decides whose request it is.
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


def answer_bug(error: Exception, pages: UnsubscribePages, languages: str = "") -> LinkAnswer:
    """Log an error that should not happen, with its traceback, and answer 503: the person can try again."""
    note = "a request could not be answered: this is a bug in mailrun; report it with the traceback"
    log.error("unsubscribe.failed", kind=type(error).__name__, note=note, exc_info=error)
    return answer_later(pages, problem="", languages=languages)


def log_answer(method: str, reply: LinkAnswer) -> None:
    """Log a request's kind and its answer, but never its path, which has the token."""
    known = method if method in ("GET", "HEAD", "POST") else "other"
    log.info("unsubscribe.request", method=known, status=reply.status, meaning=str(reply.meaning))
    if reply.problem:
        note = f"answered 503, to try again later: {reply.problem}"
        log.warning("unsubscribe.refused", what=reply.problem, note=note)
