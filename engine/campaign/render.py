"""One recipient's data and the content make one message."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any
from urllib.parse import quote

from babel import Locale
from jinja2 import Template, TemplateError, TemplateNotFound
from jinja2.runtime import Context

from engine.addresses.mailbox import parse_mailbox
from engine.campaign.content import bounds as limits
from engine.campaign.content.environment import TemplateEnvironment
from engine.campaign.content.html_text import derive_text, tidy_text
from engine.campaign.content.localisation import UnreadableTextError, is_right_to_left
from engine.campaign.content.printing.links import RefusedValueError
from engine.campaign.content.printing.printed_values import NullValueError, UnprintableError
from engine.campaign.content.templates import SUBJECT, CampaignContent, Variant
from engine.campaign.content.watchdog import TimeUpError, Watchdog
from engine.campaign.headers import LONGEST_HEADER, LONGEST_VALUE, NOT_IN_HEADERS, encode_header
from engine.campaign.locales import choose_language, parse_locale, read_locales
from engine.campaign.message import Message
from engine.campaign.spec import TOKEN_PLACEHOLDER, Campaign, UnsubscribeSpec, check_key
from engine.campaign.time_zones import find_zone
from engine.campaign.unsubscribe import TokenSigner
from engine.errors import ConfigurationError
from engine.masking import mask_text

LARGEST_PART = 10_000_000  # characters; SES slows down messages above 10 MB, and no template means to make one
LONGEST_SUBJECT = 998  # characters; RFC 5322 2.1.1
LONGEST_LINK = min(LONGEST_VALUE, LONGEST_HEADER - len("List-Unsubscribe"))
LARGEST_MEMORY = 512 * 1024**2  # bytes that one message may take where a child process makes it
LONGEST_SECONDS = 2.0  # of processor time that one message may take; a usual one takes some 30 µs
SES_PLACEHOLDER = "{{amazonSESUnsubscribeUrl}}"
_MOST_CHOICES = 1000  # locales whose variant is remembered; there are some 800
_PIECES = 4096  # pieces of output between two looks at the size
_ONE_CLICK = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")  # RFC 8058


class RenderError(Exception):
    """One recipient's message cannot be made.

    Attributes:
        template: the template's file in the campaign folder, or "subject".
        line: the line in it, where one is to blame.
        reason: what is wrong, without a full stop.
    """

    def __init__(self, template: str, line: int | None, reason: str) -> None:
        reason = mask_text(reason)  # it quotes values, and reports count it
        super().__init__(template, line, reason)
        self.template = template
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.template}{f':{self.line}' if self.line else ''}: {self.reason}"


class _Campaign:
    """What templates see as `campaign`: its name and kind, and the language that this message is written in."""

    __slots__ = ("dir", "kind", "language", "name")

    def __init__(self, campaign: Campaign, language: str | None) -> None:
        self.name = campaign.name
        self.kind = campaign.spec.kind
        self.language = language or campaign.spec.content.default_locale
        self.dir = "rtl" if is_right_to_left(self.language) else "ltr"


@dataclass(frozen=True, slots=True)
class _Run:
    """What templates see as `run`."""

    name: str
    key: str


class _Recipient:
    """What templates see as `recipient`: its columns, by attribute or item, and its address."""

    __slots__ = ("__address", "__columns")  # names that no column has

    def __init__(self, columns: Mapping[str, Any], address: str) -> None:
        self.__columns = columns
        self.__address = address

    def __getitem__(self, name: str) -> Any:
        return self.__address if name == "address" else self.__columns[name]

    __iter__ = None  # else Python would try the items 0, 1, 2…


class Renderer:
    """Makes the messages of one run.

    Args:
        content: the campaign's compiled templates.
        campaign: the campaign.
        run_key: the run's key.
        signer: signs the unsubscribe links; a marketing campaign needs one.
        seconds: of processor time that one message may take; None for the usual ones.

    Raises:
        ConfigurationError: the campaign has unsubscribe links, and there is no signer.
    """

    def __init__(
        self,
        content: CampaignContent,
        campaign: Campaign,
        *,
        run_key: str,
        signer: TokenSigner | None,
        seconds: float | None = None,
    ) -> None:
        check_key(run_key)
        self.seconds = LONGEST_SECONDS if seconds is None else seconds
        self._formats = content.formats
        self._locale_column = campaign.spec.content.locale
        self._zone_column = campaign.spec.window.column
        self._default_locale = campaign.spec.content.default_locale
        self._variants = {language: _Parts(variant) for language, variant in content.variants.items()}
        self._choices: dict[Any, tuple[_Parts, Locale]] = {}
        self._watchdog = Watchdog(self.seconds)
        self._ways_out = _make_ways_out(campaign, signer)
        self._tags = (("mailrun-campaign", campaign.name), ("mailrun-key", run_key))
        self._own_tags = campaign.spec.delivery.message_tags
        self._headers = _Headers(content)
        self._languages = {language: _Campaign(campaign, language) for language in content.variants}
        self._shared = {
            **content.variants[None].subject.globals,
            "run": _Run(f"{campaign.name}/{run_key}", run_key),
        }

    def render(self, recipient: Mapping[str, Any], row: int, address: str, *, reader: str | None = None) -> Message:
        """Make the message to one recipient.

        Args:
            recipient: the recipient's columns, by name; a null is None.
            row: the recipient's row in the plan.
            address: where the message goes.
            reader: whose way out it carries, where a proof of it goes to somebody else.

        Raises:
            RenderError: it cannot be made.
        """
        parts, self._formats.locale = self._choose(recipient)
        self._formats.columns = recipient
        limits.begin_message()
        try:
            with self._watchdog:
                return self._make(parts, recipient, row=row, address=address, reader=reader or address)
        except TimeUpError as error:
            raise parts.locate(error, self.seconds) from error

    def list_unsubscribe(self, address: str) -> str | None:
        """Return the List-Unsubscribe header of the message to an address; None where the campaign makes none."""
        headers = () if self._ways_out is None else self._ways_out.offer(address)[1]
        return next((value for name, value in headers if name == "List-Unsubscribe"), None)

    def locate(self, template: str, line: int) -> tuple[str, int]:
        """Return the file and line that an author knows, for a line of a compiled template."""
        parts = [part for parts in self._variants.values() for part in parts.list_parts()]
        for part in sorted(parts, key=lambda part: part.name != template):  # it, or else what may include it
            environment = part.template.environment
            with suppress(TemplateError):
                compiled = part.template if part.name == template else environment.get_template(template)
                if isinstance(environment, TemplateEnvironment):
                    return environment.locate(template, compiled.get_corresponding_lineno(line))
        return template, line

    def _choose(self, recipient: Mapping[str, Any]) -> "tuple[_Parts, Locale]":
        """Choose the variant and the locale of a recipient."""
        wanted = recipient.get(self._locale_column) if self._locale_column else None
        choice = self._choices.get(wanted)
        if choice is None:
            preferences = read_locales(str(wanted)) if wanted is not None else ()
            languages = [one for one in self._variants if one is not None]
            language = choose_language(preferences, languages, self._default_locale)
            locale = parse_locale(str(preferences[0])) if preferences else None
            choice = self._variants[language], locale or self._formats.default
            if len(self._choices) < _MOST_CHOICES:
                self._choices[wanted] = choice
        return choice

    def _make(self, parts: "_Parts", recipient: Mapping[str, Any], *, row: int, address: str, reader: str) -> Message:
        if NOT_IN_HEADERS.search(address):
            raise RenderError("address", None, "the address has control characters")
        if self._zone_column is not None:
            _refuse_unknown_zone(self._zone_column, recipient.get(self._zone_column))
        language = parts.language
        context = {
            **recipient,
            **self._shared,
            "campaign": self._languages[language],
            "recipient": _Recipient(recipient, address),
        }
        headers: tuple[tuple[str, str], ...] = ()
        if self._ways_out is not None:
            context["unsubscribe_url"], headers = self._ways_out.offer(reader)
        else:
            context.pop("unsubscribe_url", None)  # a column cannot pose as the way out
        subject = _checked_subject(parts.subject.render(context))
        html = parts.html.render(context) if parts.html else None
        headers += self._headers.render(context)
        tags = (*self._tags, ("mailrun-row", str(row)), *self._own_tags)
        return Message(row, address, subject, html, parts.render_text(context, html), headers, tags, language)


class _Part:
    """A compiled template and its short way to text, past the conveniences of Template.render."""

    __slots__ = ("_blocks", "_environment", "_root", "name", "template")

    def __init__(self, template: Template) -> None:
        self.template = template
        self.name = template.name or ""
        self._root: Callable[[Context], Iterator[str]] = template.root_render_func
        self._environment, self._blocks = template.environment, template.blocks

    def render(self, context: dict[str, Any], *, may_be_blank: bool = False) -> str:
        """Return the part; raise RenderError where it fails, is blank or passes all bounds."""
        try:
            # As Template.new_context, without the globals, which the context has already.
            pieces = self._root(Context(self._environment, context, self.name, self._blocks))
            begun = list(islice(pieces, _PIECES))
            size = sum(map(len, begun))
            if len(begun) == _PIECES and size <= LARGEST_PART:
                size = _take_all(begun, size, pieces)
            text = "".join(begun) if size <= LARGEST_PART else ""
        except Exception as error:  # a template may raise anything, and it fails this one recipient
            raise locate_error(error, self.template) from error
        if size > LARGEST_PART:
            raise RenderError(self.name, None, f"it is longer than {LARGEST_PART:,} characters")
        if not may_be_blank and (not text or text.isspace()):
            raise RenderError(self.name, None, "there is nothing in it")
        if not text.isascii() and not _is_encodable(text):
            raise RenderError(self.name, None, "it has half a character (a lone surrogate)")
        return text


def _take_all(begun: list[str], size: int, pieces: Iterator[str]) -> int:
    """Take the rest of a part of many pieces, such as one with a long loop, until it grows beyond all bounds.

    Returns:
        The characters of all pieces, or of so many that they are too many.
    """
    while size <= LARGEST_PART and (chunk := list(islice(pieces, _PIECES))):
        size += sum(map(len, chunk))
        begun += chunk
    return size


class _Headers:
    """Makes the campaign's own headers: those that are the same in all messages once."""

    def __init__(self, content: CampaignContent) -> None:
        given = content.campaign.spec.headers.items()
        self._parts = {name: _Part(template) for name, template in content.headers.items()}
        self._fixed = tuple((name, encode_header(name, text)) for name, text in given if name not in self._parts)

    def render(self, context: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        """Return names and values; a header whose value comes out blank is left out."""
        if not self._parts:
            return self._fixed
        made = []
        for name, part in self._parts.items():
            text = part.render(context, may_be_blank=True)
            try:
                value = encode_header(name, text)
            except ValueError as error:
                raise RenderError(part.name, None, f"it has {error.args[0]}") from None
            if value:
                made.append((name, value))
        return (*self._fixed, *made)


class _Parts:
    """What makes a message in one language."""

    __slots__ = ("_derived", "_text", "html", "language", "subject")

    def __init__(self, variant: Variant) -> None:
        self.language = variant.language
        self.subject = _Part(variant.subject)
        self.html = _Part(variant.html) if variant.html else None
        self._text = _Part(variant.text) if variant.text else None
        self._derived = _Part(variant.derived) if variant.derived else None

    def render_text(self, context: dict[str, Any], html: str | None) -> str | None:
        """Return the text part: from its own template, else derived from the HTML's, else from the message's HTML."""
        if self._text is not None:
            return self._text.render(context)
        if self._derived is not None:
            return tidy_text(self._derived.render(context, may_be_blank=True))
        return None if html is None else derive_text(html)

    def locate(self, error: TimeUpError, seconds: float) -> RenderError:
        """Say where the time was spent."""
        part = self.html or self._text or self.subject
        found = locate_error(error, part.template)
        return RenderError(found.template, found.line, f"it does not end within {seconds:g} seconds")

    def list_parts(self) -> "list[_Part]":
        """List the parts that have a template."""
        return [part for part in (self.html, self._text, self._derived, self.subject) if part is not None]


def _make_ways_out(campaign: Campaign, signer: TokenSigner | None) -> "_WaysOut | _SesWaysOut | None":
    spec = campaign.spec.unsubscribe
    if spec is None:
        return None
    topic = campaign.spec.suppression.topic or campaign.name
    domain = parse_mailbox(campaign.spec.sender).address.rpartition("@")[2]
    label = re.sub(r"[^A-Za-z0-9-]+", "-", topic).strip("-")[:64] or campaign.name
    list_id = ("List-Id", f"<{label}.{domain}>")  # RFC 2919
    if spec.ses_contact_list is not None:
        return _SesWaysOut(list_id)
    if signer is None:
        raise ConfigurationError(
            f"the unsubscribe links of {campaign.name} need a signing key, and there is none",
            where=str(campaign.folder / "campaign.toml"),
            remedy="set an unsubscribe key in the settings",
        )
    return _WaysOut(spec, topic, signer, list_id)


class _SesWaysOut:
    """SES puts its own link and headers into every message."""

    def __init__(self, list_id: tuple[str, str]) -> None:
        self._offer = (SES_PLACEHOLDER, (list_id,))

    def offer(self, address: str) -> tuple[str, tuple[tuple[str, str], ...]]:  # noqa: ARG002 - as _WaysOut.offer
        """Return the placeholder that SES replaces, and the headers."""
        return self._offer


class _WaysOut:
    """Makes the unsubscribe link and the List-Unsubscribe headers (RFC 2369, RFC 8058)."""

    def __init__(self, spec: UnsubscribeSpec, topic: str, signer: TokenSigner, list_id: tuple[str, str]) -> None:
        self._topic = topic
        self._signer = signer
        self._list_id = list_id
        self._url = TOKEN_PLACEHOLDER.split(spec.url) if spec.url else None
        self._mailto = f"mailto:{quote(spec.mailto, safe='@')}?subject=" if spec.mailto else ""

    def offer(self, address: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return the link for one recipient, and the headers."""
        token = self._signer.sign(address, self._topic)
        if self._url is None:
            url = f"{self._mailto}{token}"
            return url, (self._list_id, ("List-Unsubscribe", _fit(f"<{url}>")))
        url = token.join(self._url)
        value = f"<{url}>, <{self._mailto}{token}>" if self._mailto else f"<{url}>"
        if len(value) > LONGEST_LINK:
            value = f"<{url}>"  # the link alone is a way out; both do not fit for addresses of some 200 characters
        return url, (self._list_id, ("List-Unsubscribe", _fit(value)), _ONE_CLICK)


def _fit(value: str) -> str:
    if len(value) > LONGEST_LINK:
        raise RenderError(
            "[unsubscribe] url", None, f"the link is longer than the {LONGEST_LINK} characters that SES accepts"
        )
    return value


def _refuse_unknown_zone(column: str, name: Any) -> None:
    if find_zone(name) is None:
        found = f"{column} is empty" if name is None else f'{column} is "{name}", which is not a time zone'
        raise RenderError("[window] timezone", None, f"{found}; write an IANA name such as Europe/Berlin")


def _checked_subject(subject: str) -> str:
    if found := NOT_IN_HEADERS.search(subject):
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


def locate_error(error: BaseException, template: Template) -> RenderError:
    """Say which line of which template raised: the innermost one, as its author knows it."""
    name, line = template.name or "", None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        inner = trace.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(inner, Template):
            environment, number = inner.environment, inner.get_corresponding_lineno(trace.tb_lineno)
            name, line = inner.name or name, number
            if isinstance(environment, TemplateEnvironment):
                name, line = environment.locate(name, number)
        trace = trace.tb_next
    return RenderError(name, line, _reason(error))


def _reason(error: BaseException) -> str:
    if isinstance(error, TemplateNotFound):
        return f"the template {error} is missing"
    if isinstance(error, MemoryError):
        return f"it takes more than {LARGEST_MEMORY // 1024**2} MB of memory"
    known = isinstance(
        error, TemplateError | NullValueError | UnprintableError | UnreadableTextError | RefusedValueError
    )
    return (str(error) if known else f"{type(error).__name__}: {error}").rstrip(".: ")
