"""Findings about rendered messages."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from html import escape, unescape

from engine.campaign.content.html_shapes import UNSUBSCRIBE_LINK, PartShapes, Shape, is_steady
from engine.campaign.content.html_text import has_preheader
from engine.campaign.content.visible import LinkVisibility
from engine.campaign.lint_findings import LintFinding, LintFindings, Severity
from engine.campaign.message import Envelope, Message
from engine.campaign.part_writers import PartWriter, make_utf8_writer
from engine.campaign.spec import Campaign
from engine.campaign.unsubscribe_links import SES_PLACEHOLDER

LONG_SUBJECT = 78  # characters; RFC 5322 2.1.1's line, and more than any list of messages shows
GMAIL_CLIPS_BYTES = 102 * 1024
LARGEST_MESSAGE = 40 * 1024 * 1024  # bytes: https://docs.aws.amazon.com/ses/latest/dg/quotas.html
SES_PLACEHOLDERS_MOST = 2  # https://docs.aws.amazon.com/ses/latest/dg/sending-email-subscription-management.html
_BASE64_GROWTH = 1.37  # with its line breaks
_MOST_TAGS = 10_000  # links and images that are known to be valid
_MOST_SHAPES = 1000
_TAG = re.compile(r"""<(?:a|area|img)\b(?:"[^"]*"|'[^']*'|[^>"'])*>""", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\s(href|src|alt)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?""", re.IGNORECASE)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LEFT_OVER = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\[\[\w+\]\]|\*\|\w+\|\*|%%\w+%%|%7[Bb]%7[Bb]")
_LEFT_OVER_BEGIN = re.compile(r"[{\[*%]")
_LEFT_OVER_MARKS = ("{{", "{%", "[[", "*|", "%%")  # faster than any pattern
_HARMLESS_SCHEMES = frozenset({"https", "mailto", "tel", "sms", "cid", "data"})
_MessageShape = tuple[str | None, Shape, Shape]  # a message's language, and the shapes of its HTML and its text


class MessageLint:
    """Checks rendered messages; parts that many messages share are checked once.

    Args:
        campaign: whose messages they are.
        envelope: the same parts of all these messages.
        writer: with which the messages' parts are written, in UTF-8; None where they are not.
    """

    def __init__(self, campaign: Campaign, envelope: Envelope, writer: PartWriter | None = None) -> None:
        self._writer = make_utf8_writer() if writer is None else writer
        self._shapes = PartShapes()
        self._right_shapes: set[_MessageShape] = set()  # of messages without findings
        self.findings = LintFindings()
        self._has_unsubscribe_link = campaign.spec.unsubscribe is not None
        self._inline = frozenset(one.content_id for one in envelope.attachments if one.content_id)
        self._attached_bytes = int(sum(len(one.content) for one in envelope.attachments) * _BASE64_GROWTH)
        self._right: set[str] = set()  # tags without findings
        self._seen: set[str | None] = set()  # languages
        self._visibility = LinkVisibility()
        self.cids: set[str] = set()

    def check(self, message: Message) -> bool:
        """Check a message; return whether it has an error."""
        shape = self._describe(message)
        if shape in self._right_shapes:
            return False
        found = [*self._check_texts(message), *self._check_html(message.html), *self._check_unsubscribe_link(message)]
        for one in found:
            self.findings.add(one, message.row)
        if message.language not in self._seen:  # what is the same in all messages of a language
            self._seen.add(message.language)
            if message.html is not None and not has_preheader(message.html):
                self.findings.add(_NO_PREHEADER)
        if shape is not None and not found:
            self._remember(shape, message)
        return any(one.severity is Severity.ERROR for one in found)

    def _remember(self, shape: _MessageShape, message: Message) -> None:
        """Remember the shape of a message without findings, if these cannot depend on its values."""
        html, text = message.html_part, message.text_part
        if html is None or text is None or len(self._right_shapes) >= _MOST_SHAPES:
            return
        if self._has_unsubscribe_link and not all(UNSUBSCRIBE_LINK in described for described in shape[1:]):
            return
        if (
            not _may_have_left_over(html.text)
            and not _may_have_left_over(text.text)
            and is_steady(html.pieces, shape[1])
        ):
            self._right_shapes.add(shape)

    def _describe(self, message: Message) -> _MessageShape | None:
        """Describe what decides about the findings of a message; None if that is all of it."""
        subject, html, text = message.subject, message.html_part, message.text_part
        if html is None or text is None or len(subject) > LONG_SUBJECT or _may_have_left_over(subject):
            return None
        html_bytes = len(html.write(self._writer))
        size = self._attached_bytes + 4 * (html_bytes + len(text.write(self._writer)))
        if html_bytes > GMAIL_CLIPS_BYTES or size > LARGEST_MESSAGE:
            return None
        links = _list_forms(_find_unsubscribe_link(message.headers)) if self._has_unsubscribe_link else ()
        html_shape, text_shape = self._shapes.describe((html.pieces, text.pieces), links)
        return message.language, html_shape, text_shape

    def _check_texts(self, message: Message) -> Iterator[LintFinding]:
        if len(message.subject) > LONG_SUBJECT:
            yield _LONG_SUBJECT
        if message.text is None or message.text.isspace():
            yield _NO_TEXT
        size = self._attached_bytes + 4 * (len(message.html or "") + len(message.text or ""))
        if size > LARGEST_MESSAGE:
            yield _TOO_LARGE
        for part, text in (("subject", message.subject), ("html", message.html), ("text", message.text)):
            if text is not None and _may_have_left_over(text):
                yield from _find_left_over(part, text)

    def _check_html(self, html: str | None) -> Iterator[LintFinding]:
        if html is None:
            return
        if len(html) > GMAIL_CLIPS_BYTES // 4 and len(html.encode()) > GMAIL_CLIPS_BYTES:
            yield _CLIPPED
        for tag in _TAG.findall(html):
            if tag not in self._right:
                yield from self._check_tag(tag)

    def _check_tag(self, tag: str) -> Iterator[LintFinding]:
        found: dict[str, str] = {}
        for name, *values in _ATTRIBUTE.findall(tag):
            found.setdefault(name.lower(), unescape("".join(values)).strip())
        faults = []
        if tag[:4].lower() == "<img":
            faults = list(self._check_image(found))
        elif "href" in found:
            faults = list(_check_address("link", found["href"]))
        if not faults and len(self._right) < _MOST_TAGS:
            self._right.add(tag)
        yield from faults

    def _check_image(self, found: Mapping[str, str]) -> Iterator[LintFinding]:
        source = found.get("src", "")
        if "alt" not in found:
            what = f"the image {_shorten(source)} has no alt text"
            yield LintFinding(Severity.WARNING, "no_alt", what, 'add alt="…", or alt="" for a decorative image', "html")
        yield from _check_address("image", source)
        if source.lower().startswith("cid:"):
            self.cids.add(source[4:])
            if source[4:] not in self._inline:
                what = f"the image {_shorten(source)} is not among [content] inline"
                yield LintFinding(
                    Severity.ERROR, "unknown_cid", what, "add the file to inline, or correct the name", "html"
                )

    def _check_unsubscribe_link(self, message: Message) -> Iterator[LintFinding]:
        if not self._has_unsubscribe_link:
            return
        link = _find_unsubscribe_link(message.headers)
        in_text = link in (message.text or "")
        if not (in_text if message.html is None else link in message.html or escape(link) in message.html):
            yield _NO_LINK
        elif message.html is not None and not self._visibility.is_visible(message.html, link):
            yield _HIDDEN_LINK
        elif message.text is not None and not in_text:
            yield _NO_LINK_IN_TEXT
        if link == SES_PLACEHOLDER:
            most = max(part.count(link) for part in (message.html or "", message.text or ""))
            if most > SES_PLACEHOLDERS_MOST:
                yield _TOO_MANY_PLACEHOLDERS


def find_unused_inline(envelope: Envelope, cids: Collection[str]) -> LintFindings:
    """Report the inline images that no message shows.

    Args:
        envelope: the same parts of all messages.
        cids: the content ids that the images of all messages use.
    """
    findings = LintFindings()
    for name in sorted({one.content_id for one in envelope.attachments if one.content_id} - set(cids)):
        what = f"the inline image {name} is not used in any message that was checked"
        remedy = f'use it as src="cid:{name}", or remove it'
        findings.add(LintFinding(Severity.WARNING, "unused_inline", what, remedy))
    return findings


def _list_forms(link: str) -> tuple[str, ...]:
    """List the forms in which a link may be printed."""
    return (link, escape(link)) if "&" in link or "'" in link else (link,)  # RFC 3986: no other needs escaping


def _find_unsubscribe_link(headers: Iterable[tuple[str, str]]) -> str:
    for name, value in headers:
        if name == "List-Unsubscribe":
            return value[1 : value.index(">")]
    return SES_PLACEHOLDER


def _check_address(kind: str, address: str) -> Iterator[LintFinding]:
    """Check the address of a link or an image."""
    if address == SES_PLACEHOLDER or address.startswith("#"):
        return
    it = f"the {kind} {_shorten(address)}"
    scheme = found[1].lower() if (found := _SCHEME.match(address)) else ""
    if not address:
        yield LintFinding(Severity.WARNING, "no_address", f"a {kind} has no address", "set its href or src", "html")
    elif _LEFT_OVER.search(address):
        what = f"{it} has a placeholder that is not filled in"
        yield LintFinding(Severity.ERROR, "placeholder_in_link", what, "write {{ name }} in the template", "html")
    elif scheme == "http":
        yield LintFinding(Severity.WARNING, "unencrypted", f"{it} is not encrypted", "write https://", "html")
    elif not scheme:
        what = f"{it} is relative, and a message has no base address"
        yield LintFinding(Severity.ERROR, "relative", what, "write the full address, starting with https://", "html")
    elif scheme not in _HARMLESS_SCHEMES:
        what = f"{it} has a scheme that mail programs do not open"
        yield LintFinding(Severity.ERROR, "scheme", what, "use https:, mailto: or tel:", "html")


def _may_have_left_over(text: str) -> bool:
    return _LEFT_OVER_BEGIN.search(text) is not None and any(mark in text for mark in _LEFT_OVER_MARKS)


def _find_left_over(part: str, text: str) -> Iterator[LintFinding]:
    for found in dict.fromkeys(_LEFT_OVER.findall(text)):
        if found != SES_PLACEHOLDER:
            what = f"{_shorten(found)} is left in the {part}"
            remedy = "if it is another tool's placeholder, write {{ name }}; if it is a recipient's data, ignore this"
            yield LintFinding(Severity.WARNING, "left_over", what, remedy, part)


def _shorten(text: str) -> str:
    text = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return text if len(text) <= 80 else f"{text[:79]}…"


_LONG_SUBJECT = LintFinding(
    Severity.WARNING, "long_subject", f"the subject has more than {LONG_SUBJECT} characters", "shorten it", "subject"
)
_NO_TEXT = LintFinding(
    Severity.WARNING, "no_text", "the text part is missing or blank", "write one in [content] text", "text"
)
_TOO_LARGE = LintFinding(
    Severity.ERROR, "too_large", "the message may be larger than the 40 MB that SES accepts", "link to large files", ""
)
_CLIPPED = LintFinding(
    Severity.WARNING, "clipped", "the HTML is larger than 102 KB: Gmail clips it", "shorten the message", "html"
)
_NO_LINK = LintFinding(
    Severity.ERROR,
    "no_unsubscribe_link",
    "there is no visible unsubscribe link in a marketing message",
    'write <a href="{{ unsubscribe_url }}">Unsubscribe</a>',
    "html",
)
_HIDDEN_LINK = LintFinding(
    Severity.ERROR,
    "no_unsubscribe_link",
    "there is no visible unsubscribe link: it is in a comment, hidden, empty, without size, or has the colour of its"
    " background",
    'show <a href="{{ unsubscribe_url }}">Unsubscribe</a> to every recipient',
    "html",
)
_NO_LINK_IN_TEXT = LintFinding(
    Severity.WARNING,
    "no_unsubscribe_link_in_text",
    "the text part has no unsubscribe link",
    "add {{ unsubscribe_url }} to the text template",
    "text",
)
_TOO_MANY_PLACEHOLDERS = LintFinding(
    Severity.ERROR,
    "too_many_ses_links",
    "SES fills in at most two unsubscribe links per part",
    "remove the others",
    "",
)
_NO_PREHEADER = LintFinding(
    Severity.WARNING,
    "no_preheader",
    "there is no preheader: the list of messages shows the first words of the body",
    'set preheader = "…" in [content]',
    "html",
)
