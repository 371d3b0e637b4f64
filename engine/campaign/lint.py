"""What is wrong with a campaign's content although it can be rendered: before anything is rendered, and after."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from html import escape, unescape
from typing import Any

from engine.campaign.content.column_names import may_hide_column
from engine.campaign.content.html_text import has_preheader
from engine.campaign.content.names import NameUse
from engine.campaign.content.printing.html_states import DATA_IN_SCRIPT, SAFE_DATA, UNESCAPED_DATA, UNQUOTED_DATA
from engine.campaign.content.templates import CampaignContent, place_of
from engine.campaign.content.visible import LinkLook
from engine.campaign.files import resolve_file
from engine.campaign.message import Envelope, Message
from engine.campaign.render import SES_PLACEHOLDER
from engine.campaign.spec import Campaign
from engine.masking import mask_text
from engine.quantities import format_count

LONG_SUBJECT = 78  # characters; RFC 5322 2.1.1's line, and more than any list of messages shows
GMAIL_CLIPS_BYTES = 102 * 1024
LARGEST_MESSAGE = 40 * 1024 * 1024  # bytes: https://docs.aws.amazon.com/ses/latest/dg/quotas.html
SES_PLACEHOLDERS_MOST = 2  # https://docs.aws.amazon.com/ses/latest/dg/sending-email-subscription-management.html
_BASE64_GROWTH = 1.37  # with its line breaks
_MOST_KINDS = 100  # different findings that are told apart; links that are different for everybody are one
_MOST_TAGS = 10_000  # links and images that are known to be right
_TAG = re.compile(r"""<(?:a|area|img)\b(?:"[^"]*"|'[^']*'|[^>"'])*>""", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\s(href|src|alt)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?""", re.IGNORECASE)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LEFT_OVER = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\[\[\w+\]\]|\*\|\w+\|\*|%%\w+%%|%7[Bb]%7[Bb]")
_HARMLESS_SCHEMES = frozenset({"https", "mailto", "tel", "sms", "cid", "data"})


class Severity(StrEnum):
    """What a finding means for a launch."""

    ERROR = "error"  # stops it
    WARNING = "warning"  # is shown
    NOTE = "note"  # is worth knowing


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        severity: what it means for a launch.
        code: its kind, for programs.
        what: what is wrong, without a full stop.
        remedy: what to do.
        where: file and line, or the part of the message.
    """

    severity: Severity
    code: str
    what: str
    remedy: str
    where: str = ""


@dataclass(slots=True)
class LintFindings:
    """Findings, how many messages each is in, and the row of the first of them.

    `count` is 0 where a finding is about the campaign itself.
    """

    counts: dict[LintFinding, int] = field(default_factory=dict)
    rows: dict[LintFinding, int] = field(default_factory=dict)

    def add(self, finding: LintFinding, row: int | None = None, times: int = 1) -> None:
        """Count a finding."""
        if finding not in self.counts and len(self.counts) >= _MOST_KINDS:
            finding = LintFinding(finding.severity, finding.code, f"more of the kind {finding.code}", finding.remedy)
        self.counts[finding] = self.counts.get(finding, 0) + (times if row is not None else 0)
        if row is not None:
            self.rows.setdefault(finding, row)

    def extend(self, findings: Iterable[LintFinding]) -> None:
        """Add findings about the campaign itself."""
        for finding in findings:
            self.add(finding)

    def merge(self, other: "LintFindings") -> None:
        """Take over what was found elsewhere."""
        for finding, count in other.counts.items():
            self.add(finding, other.rows.get(finding), times=count)

    def of(self, severity: Severity) -> list[LintFinding]:
        """List the findings of a severity, the most frequent first."""
        return sorted((f for f in self.counts if f.severity is severity), key=lambda f: -self.counts[f])

    def to_json(self) -> list[dict[str, Any]]:
        """Return the entries of `findings` in --json, errors first."""
        return [
            {
                "severity": one.severity,
                "code": one.code,
                "what": mask_text(one.what),
                "where": mask_text(one.where),
                "remedy": mask_text(one.remedy),
                "messages": self.counts[one],
                "first_row": self.rows.get(one),
            }
            for one in self
        ]

    def __iter__(self) -> Iterator[LintFinding]:
        return iter([finding for severity in Severity for finding in self.of(severity)])


def lint_templates(content: CampaignContent, columns: Collection[str], nulls: Mapping[str, int]) -> LintFindings:
    """Hold the templates' names against the plan's columns, before anything is rendered.

    Names that are not there at all are errors of `check_names`.

    Args:
        content: the compiled templates.
        columns: of the audience.
        nulls: column -> recipients for whom it is null, defaults filled in.
    """
    findings = LintFindings()
    used = content.columns_used()
    for found in (
        *_unused(content, columns, used),
        *_hidden(content, columns),
        *_nulls(content, nulls),
        *_languages(content),
        *_ways_out(content),
        *_empty_files(content.campaign),
        *_data_uses(content),
    ):
        findings.add(found)
    return findings


def _unused(content: CampaignContent, columns: Collection[str], used: frozenset[str] | None) -> Iterator[LintFinding]:
    if used is None:
        return
    spec = content.campaign.spec.audience
    for key, names in (("defaults", spec.defaults), ("required", spec.required)):
        for name in names:
            if name not in used and name in columns:
                what = f"[audience] {key} names {name}, which no template reads"
                yield LintFinding(
                    Severity.WARNING, "unused_name", what, "use it, or remove it", _toml(content.campaign)
                )
    known = used | {spec.address, content.campaign.spec.window.column, *spec.required, *spec.defaults}
    if rest := [name for name in columns if name not in known]:
        yield LintFinding(
            Severity.NOTE, "unused_columns", f"no template reads {', '.join(rest)}", "nothing needs to be done"
        )


def _hidden(content: CampaignContent, columns: Collection[str]) -> Iterator[LintFinding]:
    """Name the columns that have a name of mailrun's: templates get mailrun's value, and may mean the column."""
    address = content.campaign.spec.audience.address
    for use in content.uses:
        column = may_hide_column(use, columns, address)
        if column is not None:
            written = f"{use.name}.{use.field}" if use.field else use.name
            what = f"{written} is mailrun's own value here, and not the column {column}"
            remedy = f"write {column} for the column" if use.field == column else f'write recipient["{column}"] for it'
            yield LintFinding(Severity.WARNING, "hidden_column", what, remedy, place_of(content.campaign, use))


def _nulls(content: CampaignContent, nulls: Mapping[str, int]) -> Iterator[LintFinding]:
    for use in content.uses:
        rows = nulls.get(use.name, 0)
        if rows and not use.guarded and use.is_column:
            what = f"{use.name} is null for {format_count(rows, 'recipient')}, and a template uses it without a test"
            remedy = f"give it a value in [audience] defaults, or write {{% if {use.name} %}} around it"
            yield LintFinding(Severity.WARNING, "nullable", what, remedy, place_of(content.campaign, use))


def _languages(content: CampaignContent) -> Iterator[LintFinding]:
    for language, parts in content.missing.items():
        what = f"the language {language} has no {' and no '.join(parts)} of its own: the default's is sent"
        yield LintFinding(
            Severity.WARNING, "untranslated", what, "add the missing templates", str(content.campaign.folder)
        )
    if content.never_chosen:
        what = f"{', '.join(content.never_chosen)} are never chosen: no column says the recipient's language"
        yield LintFinding(
            Severity.WARNING, "no_locale", what, 'set locale = "COLUMN" in [content]', _toml(content.campaign)
        )


def _ways_out(content: CampaignContent) -> Iterator[LintFinding]:
    spec = content.campaign.spec.unsubscribe
    if spec is not None and spec.url is None and spec.ses_contact_list is None:
        what = (
            "mailto: is the only unsubscribe link; Gmail and Yahoo require one-click links of bulk senders (RFC 8058)"
        )
        remedy = 'add url = "https://…/{{ token }}" to [unsubscribe]'
        yield LintFinding(Severity.WARNING, "no_one_click", what, remedy, _toml(content.campaign))


def _empty_files(campaign: Campaign) -> Iterator[LintFinding]:
    content = campaign.spec.content
    for key, paths in (("attachments", content.attachments), ("inline", content.inline)):
        for path in paths:
            file = resolve_file(campaign.folder, path)
            if file is not None and not file.stat().st_size:
                what, remedy = f"the file {path} is empty", f"replace it, or remove it from {key}"
                yield LintFinding(Severity.WARNING, "empty_attachment", what, remedy, str(file))


def _data_uses(content: CampaignContent) -> Iterator[LintFinding]:
    """Name what stands where escaping does not hold data: the values are judged for every recipient all the same."""
    for use in content.data_uses():
        if use.code:
            severity, what, remedy = _DATA_USES[use.code]
            where = place_of(content.campaign, NameUse("", use.template, use.line))
            yield LintFinding(severity, use.code, f"{use.label} {what}", remedy, where)


def _toml(campaign: Campaign) -> str:
    return str(campaign.folder / "campaign.toml")


class MessageLint:
    """Looks at rendered messages, as many as there are: what is the same in many of them is looked at once.

    Args:
        campaign: whose messages they are.
        envelope: what goes with each of them.
    """

    def __init__(self, campaign: Campaign, envelope: Envelope) -> None:
        self.findings = LintFindings()
        self._has_way_out = campaign.spec.unsubscribe is not None
        self._inline = frozenset(one.content_id for one in envelope.attachments if one.content_id)
        self._attached_bytes = int(sum(len(one.content) for one in envelope.attachments) * _BASE64_GROWTH)
        self._right: set[str] = set()  # tags without fault
        self._seen: set[str | None] = set()  # languages
        self._look = LinkLook()
        self.cids: set[str] = set()

    def check(self, message: Message) -> bool:
        """Look at a message; return whether it has an error."""
        found = [*self._check_texts(message), *self._check_html(message.html), *self._check_way_out(message)]
        for one in found:
            self.findings.add(one, message.row)
        if message.language not in self._seen:  # what is the same in all messages of a language
            self._seen.add(message.language)
            if message.html is not None and not has_preheader(message.html):
                self.findings.add(_NO_PREHEADER)
        return any(one.severity is Severity.ERROR for one in found)

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
            yield LintFinding(Severity.WARNING, "no_alt", what, 'add alt="…", or alt="" where it says nothing', "html")
        yield from _check_address("image", source)
        if source.lower().startswith("cid:"):
            self.cids.add(source[4:])
            if source[4:] not in self._inline:
                what = f"the image {_shorten(source)} is not among [content] inline"
                yield LintFinding(
                    Severity.ERROR, "unknown_cid", what, "add its file to inline, or correct the name", "html"
                )

    def _check_way_out(self, message: Message) -> Iterator[LintFinding]:
        if not self._has_way_out:
            return
        link = _way_out_of(message)
        in_text = link in (message.text or "")
        if not (in_text if message.html is None else link in message.html or escape(link) in message.html):
            yield _NO_WAY_OUT
        elif message.html is not None and not self._look.is_seen(message.html, link):
            yield _HIDDEN_WAY_OUT
        elif message.text is not None and not in_text:
            yield _NO_WAY_OUT_IN_TEXT
        if link == SES_PLACEHOLDER:
            most = max(part.count(link) for part in (message.html or "", message.text or ""))
            if most > SES_PLACEHOLDERS_MOST:
                yield _TOO_MANY_PLACEHOLDERS


def find_unused_inline(envelope: Envelope, cids: Collection[str]) -> LintFindings:
    """Name the inline images that no message shows.

    Args:
        envelope: what goes with each message.
        cids: what the images of all messages link to.
    """
    findings = LintFindings()
    for name in sorted({one.content_id for one in envelope.attachments if one.content_id} - set(cids)):
        what = f"the inline image {name} is in no message that was looked at"
        remedy = f'use it as src="cid:{name}", or remove it'
        findings.add(LintFinding(Severity.WARNING, "unused_inline", what, remedy))
    return findings


def _way_out_of(message: Message) -> str:
    for name, value in message.headers:
        if name == "List-Unsubscribe":
            return value[1 : value.index(">")]
    return SES_PLACEHOLDER


def _check_address(kind: str, address: str) -> Iterator[LintFinding]:
    """Check where a link leads, or an image comes from."""
    if address == SES_PLACEHOLDER or address.startswith("#"):
        return
    it = f"the {kind} {_shorten(address)}"
    scheme = found[1].lower() if (found := _SCHEME.match(address)) else ""
    if not address:
        yield LintFinding(Severity.WARNING, "no_address", f"a {kind} without address", "give it one", "html")
    elif _LEFT_OVER.search(address):
        what = f"{it} has a placeholder that is not filled in"
        yield LintFinding(Severity.ERROR, "placeholder_in_link", what, "write {{ name }} in the template", "html")
    elif scheme == "http":
        yield LintFinding(Severity.WARNING, "unencrypted", f"{it} is not encrypted", "write https://", "html")
    elif not scheme:
        what = f"{it} is relative, and a message has no address of its own"
        yield LintFinding(Severity.ERROR, "relative", what, "write it whole, from https:// on", "html")
    elif scheme not in _HARMLESS_SCHEMES:
        what = f"{it} is one that mail programs do not follow"
        yield LintFinding(Severity.ERROR, "scheme", what, "use https:, mailto: or tel:", "html")


def _may_have_left_over(text: str) -> bool:
    return "{{" in text or "{%" in text or "[[" in text or "*|" in text or "%%" in text  # faster than any pattern


def _find_left_over(part: str, text: str) -> Iterator[LintFinding]:
    for found in dict.fromkeys(_LEFT_OVER.findall(text)):
        if found != SES_PLACEHOLDER:
            what = f"{_shorten(found)} is left in the {part}"
            remedy = "is it a name in another tool's writing? Write {{ name }}; in a recipient's data it does no harm"
            yield LintFinding(Severity.WARNING, "left_over", what, remedy, part)


def _shorten(text: str) -> str:
    text = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return text if len(text) <= 80 else f"{text[:79]}…"


_LONG_SUBJECT = LintFinding(
    Severity.WARNING, "long_subject", f"the subject has more than {LONG_SUBJECT} characters", "shorten it", "subject"
)
# Code of a DataUse -> what its finding says.
_DATA_USES = {
    DATA_IN_SCRIPT: (
        Severity.ERROR,
        "stands in a script, where escaping does not hold it",
        "remove it; these messages fail",
    ),
    UNQUOTED_DATA: (
        Severity.WARNING,
        "stands in a tag without quotes around it: recipients fail whose value has a space or a quote",
        'write quotes around it: href="{{ … }}"',
    ),
    UNESCAPED_DATA: (
        Severity.WARNING,
        "is not escaped ({% autoescape false %}): what it holds becomes part of the HTML",
        "remove the autoescape block, unless the value is HTML that you wrote yourself",
    ),
    SAFE_DATA: (
        Severity.WARNING,
        "is not escaped (|safe): what it holds becomes part of the HTML",
        "remove |safe, unless the value is HTML that you wrote yourself",
    ),
}
_NO_TEXT = LintFinding(
    Severity.WARNING, "no_text", "the text part is missing or blank", "write one in [content] text", "text"
)
_TOO_LARGE = LintFinding(
    Severity.ERROR, "too_large", "the message may be larger than the 40 MB that SES takes", "link to large files", ""
)
_CLIPPED = LintFinding(
    Severity.WARNING, "clipped", "the HTML is larger than 102 KB: Gmail clips it", "shorten the message", "html"
)
_NO_WAY_OUT = LintFinding(
    Severity.ERROR,
    "no_unsubscribe_link",
    "there is no visible unsubscribe link in a marketing message",
    'write <a href="{{ unsubscribe_url }}">Unsubscribe</a>',
    "html",
)
_HIDDEN_WAY_OUT = LintFinding(
    Severity.ERROR,
    "no_unsubscribe_link",
    "there is no visible unsubscribe link: it is in a comment, hidden, empty, without size, or of the colour behind it",
    'show <a href="{{ unsubscribe_url }}">Unsubscribe</a> to every recipient',
    "html",
)
_NO_WAY_OUT_IN_TEXT = LintFinding(
    Severity.WARNING,
    "no_unsubscribe_link_in_text",
    "the text part has no unsubscribe link",
    "add {{ unsubscribe_url }}",
    "text",
)
_TOO_MANY_PLACEHOLDERS = LintFinding(
    Severity.ERROR,
    "too_many_ses_links",
    "SES fills in two unsubscribe links at most in a part",
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
