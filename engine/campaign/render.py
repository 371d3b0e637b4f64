"""One recipient's data and the content make one message."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any
from urllib.parse import quote

from jinja2 import Template, TemplateError, TemplateNotFound
from jinja2.runtime import Context

from engine.campaign.html_text import derive_text
from engine.campaign.message import Message
from engine.campaign.sandbox import NullValueError
from engine.campaign.spec import TOKEN_PLACEHOLDER, Campaign, UnsubscribeSpec, check_key
from engine.campaign.templates import SUBJECT, Content
from engine.campaign.unsubscribe import TokenSigner
from engine.errors import ConfigurationError

LARGEST_PART = 10_000_000  # characters; SES slows down messages above 10 MB, and no template means to make one
LONGEST_SUBJECT = 998  # characters; RFC 5322 2.1.1
_LONGEST_VALUE = 995  # SESv2 MessageHeader.Value
_LONGEST_HEADER = 996  # SESv2: name and value together
_PIECES = 4096  # pieces of output between two looks at the size
# Control characters, line and paragraph separators, marks that override the direction of what follows, lone surrogates.
_NOT_IN_HEADERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ONE_CLICK = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")  # RFC 8058


class RenderError(Exception):
    """One recipient's message cannot be made.

    Attributes:
        template: the template's file in the campaign folder, or "subject".
        line: the line in it, where one is to blame.
        reason: what is wrong, without a full stop.
    """

    def __init__(self, template: str, line: int | None, reason: str) -> None:
        super().__init__(template, line, reason)
        self.template = template
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.template}{f':{self.line}' if self.line else ''}: {self.reason}"


@dataclass(frozen=True, slots=True)
class _Campaign:
    """What templates see as `campaign`."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Run:
    """What templates see as `run`."""

    name: str
    key: str


class _Recipient:
    """What templates see as `recipient`: its columns, by attribute or item, and its address."""

    __slots__ = ("_address", "_columns")

    def __init__(self, columns: Mapping[str, Any], address: str) -> None:
        self._columns = columns
        self._address = address

    def __getitem__(self, name: str) -> Any:
        return self._address if name == "address" else self._columns[name]

    __iter__ = None  # else Python would try the items 0, 1, 2…


class Renderer:
    """Makes the messages of one run.

    Args:
        content: the campaign's compiled templates.
        campaign: the campaign.
        run_key: the run's key.
        signer: signs the unsubscribe links; a marketing campaign needs one.

    Raises:
        ConfigurationError: the campaign has unsubscribe links, and there is no signer.
    """

    def __init__(self, content: Content, campaign: Campaign, *, run_key: str, signer: TokenSigner | None) -> None:
        if campaign.spec.unsubscribe is not None and signer is None:
            raise ConfigurationError(
                f"the unsubscribe links of {campaign.name} need a signing key, and there is none",
                where=str(campaign.folder / "campaign.toml"),
                remedy="set an unsubscribe key in the settings",
            )
        check_key(run_key)
        self._subject = _Part(content.subject, SUBJECT)
        self._html = _Part(content.html, campaign.spec.content.html or "") if content.html else None
        self._text = _Part(content.text, campaign.spec.content.text or "") if content.text else None
        self._ways_out = None
        if signer is not None and campaign.spec.unsubscribe is not None:
            topic = campaign.spec.suppression.topic or campaign.name
            self._ways_out = _WaysOut(campaign.spec.unsubscribe, topic, signer)
        self._tags = (("mailrun-campaign", campaign.name), ("mailrun-key", run_key))
        self._shared = {
            **content.subject.globals,
            "campaign": _Campaign(campaign.name, campaign.spec.kind),
            "run": _Run(f"{campaign.name}/{run_key}", run_key),
        }

    def render(self, recipient: Mapping[str, Any], row: int, address: str) -> Message:
        """Make the message to one recipient.

        Args:
            recipient: the recipient's columns, by name; a null is None.
            row: the recipient's row in the plan.
            address: where the message goes.

        Raises:
            RenderError: it cannot be made.
        """
        if _NOT_IN_HEADERS.search(address):
            raise RenderError("address", None, "the address has control characters")
        context = {**recipient, **self._shared, "recipient": _Recipient(recipient, address)}
        headers: tuple[tuple[str, str], ...] = ()
        if self._ways_out is not None:
            context["unsubscribe_url"], headers = self._ways_out.offer(address)
        else:
            context.pop("unsubscribe_url", None)  # a column cannot pose as the way out
        subject = _checked_subject(self._subject.render(context))
        html = self._html.render(context) if self._html else None
        text = self._text.render(context) if self._text else None
        if text is None and html is not None:
            text = derive_text(html)
        return Message(row, address, subject, html, text, headers, (*self._tags, ("mailrun-row", str(row))))


class _Part:
    """A compiled template and its short way to text, past the conveniences of Template.render."""

    __slots__ = ("_name", "_new_context", "_root")

    def __init__(self, template: Template, name: str) -> None:
        self._name = name
        self._root: Callable[[Context], Iterator[str]] = template.root_render_func
        self._new_context = template.new_context

    def render(self, context: dict[str, Any]) -> str:
        """Return the part; raise RenderError where it fails, is blank or passes all bounds."""
        try:
            pieces = self._root(self._new_context(context, shared=True))
            text = "".join(islice(pieces, _PIECES))
            if piece := next(pieces, None):
                text = self._join_all([text, piece], pieces)
        except Exception as error:  # a template may raise anything, and it fails this one recipient
            raise _located(error, self._name) from error
        if not text or text.isspace():
            raise RenderError(self._name, None, "there is nothing in it")
        if len(text) > LARGEST_PART:
            raise RenderError(self._name, None, f"it is longer than {LARGEST_PART:,} characters")
        if not text.isascii() and not _is_encodable(text):
            raise RenderError(self._name, None, "it has half a character (a lone surrogate)")
        return text

    def _join_all(self, begun: list[str], pieces: Iterator[str]) -> str:
        """Go on with a part of many pieces, such as one with a long loop; stop where it grows beyond all bounds."""
        size = sum(map(len, begun))
        while chunk := list(islice(pieces, _PIECES)):
            begun += chunk
            size += sum(map(len, chunk))
            if size > LARGEST_PART:
                break  # render names the fault
        return "".join(begun)


class _WaysOut:
    """Makes the unsubscribe link and the List-Unsubscribe headers (RFC 2369, RFC 8058)."""

    def __init__(self, spec: UnsubscribeSpec, topic: str, signer: TokenSigner) -> None:
        self._topic = topic
        self._signer = signer
        self._url = TOKEN_PLACEHOLDER.split(spec.url)
        self._mailto = f"mailto:{quote(spec.mailto, safe='@')}?subject=" if spec.mailto else ""

    def offer(self, address: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return the link for one recipient, and the headers."""
        token = self._signer.sign(address, self._topic)
        url = token.join(self._url)
        value = f"<{url}>, <{self._mailto}{token}>" if self._mailto else f"<{url}>"
        room = min(_LONGEST_VALUE, _LONGEST_HEADER - len("List-Unsubscribe"))
        if len(value) > room:
            value = f"<{url}>"  # the link alone is a way out; both do not fit for addresses of some 200 characters
        if len(value) > room:
            raise RenderError("[unsubscribe] url", None, f"the link is longer than the {room} characters SES takes")
        return url, (("List-Unsubscribe", value), _ONE_CLICK)


def _checked_subject(subject: str) -> str:
    if found := _NOT_IN_HEADERS.search(subject):
        raise RenderError(SUBJECT, None, f"it has a line break or control character (U+{ord(found[0]):04X})")
    if len(subject) > LONGEST_SUBJECT:
        raise RenderError(SUBJECT, None, f"it is longer than {LONGEST_SUBJECT} characters")
    return subject


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _located(error: Exception, name: str) -> RenderError:
    """Say which line of which template raised: the innermost one."""
    line = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            name, line = template.name or name, template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return RenderError(name, line, _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, TemplateNotFound):
        return f"the template {error} is missing"
    known = isinstance(error, TemplateError | NullValueError)
    return (str(error) if known else f"{type(error).__name__}: {error}").rstrip(".: ")
