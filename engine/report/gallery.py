"""The gallery: rendered messages on one page that loads nothing, runs no script of theirs and needs no server."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from email.header import decode_header, make_header
from email.utils import parseaddr
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from msgspec import Struct

from engine.campaign.lint_findings import LintFindings, Severity
from engine.campaign.message import Envelope, Message
from engine.report.snippet import make_snippet
from engine.store.files import write_file

_PAGES = Path(__file__).parent / "pages"
# The frames inherit this policy. Their messages need inline styles. Only the page's own script has its hash here, and
# the frames' sandbox blocks all scripts.
_POLICY = (
    "default-src 'none'; script-src '{script}'; style-src 'unsafe-inline'; img-src data:; frame-src 'none'; "
    "base-uri 'none'; form-action 'none'"
)


class Card(Struct, frozen=True):
    """A message to look at, and why it was chosen."""

    message: Message
    reasons: list[str]


class Summary(Struct, frozen=True):
    """The summary of all messages.

    Attributes:
        rows_read: rows of the audience.
        accepted: recipients of the plan.
        excluded: reason to rows.
        rendered: messages that can be made.
        failures: reason -> messages that cannot be made.
        failed_rows: some of these rows, and the reason.
        findings: what is wrong with the content, or worth knowing.
    """

    rows_read: int
    accepted: int
    excluded: Mapping[str, int]
    rendered: int
    failures: Mapping[str, int]
    failed_rows: Sequence[tuple[int, str]]
    findings: LintFindings


def write_gallery(path: Path, cards: Sequence[Card], envelope: Envelope, summary: Summary, *, title: str) -> Path:
    """Write the page, readable by its owner alone; returns its path.

    Args:
        path: of the HTML file.
        cards: the messages to show; none where none can be made.
        envelope: what is the same in all messages.
        summary: of all messages.
        title: of the page: the run's name.
    """
    write_file(path, render_gallery(cards, envelope, summary, title=title).encode())
    return path


def render_gallery(cards: Sequence[Card], envelope: Envelope, summary: Summary, *, title: str) -> str:
    """Return the page."""
    script = (_PAGES / "gallery.js").read_text(encoding="utf-8")
    pages = Environment(loader=FileSystemLoader(_PAGES), autoescape=True, undefined=StrictUndefined)
    digest = "sha256-" + b64encode(sha256(script.encode()).digest()).decode("ascii")
    return pages.get_template("gallery.html").render(
        title=title,
        policy=_POLICY.format(script=digest),
        style=(_PAGES / "gallery.css").read_text(encoding="utf-8"),
        script=script,
        count=len(cards),
        summary=summary,
        findings=summary.findings.to_json(),
        problems=not cards or bool(summary.failures) or bool(summary.findings.of(Severity.ERROR)),
        failed=sum(summary.failures.values()),
        data=_encode({"cards": [_describe(card, envelope) for card in cards], "images": _encode_images(envelope)}),
    )


def _describe(card: Card, envelope: Envelope) -> dict[str, Any]:
    message = card.message
    headers = [("From", envelope.sender), ("To", message.address)]
    headers += [("Reply-To", ", ".join(envelope.reply_to))] if envelope.reply_to else []
    headers += [("Subject", message.subject), *message.headers]
    headers += [(f"SES tag {name}", value) for name, value in message.tags]
    attached = [one for one in envelope.attachments if not one.content_id]
    headers += [("Attachment", f"{one.name}, {one.content_type}, {len(one.content):,} bytes") for one in attached]
    return {
        "row": message.row,
        "address": message.address,
        "subject": message.subject,
        "sender": _name_sender(envelope.sender),
        "snippet": make_snippet(message.html, message.text),
        "language": message.language,
        "reasons": card.reasons,
        "html": message.html,
        "text": message.text,
        "headers": headers,
        "htmlBytes": len((message.html or "").encode()),
    }


def _name_sender(mailbox: str) -> str:
    """Return the sender as a list of messages shows it: its display name, decoded, or else its address."""
    name, address = parseaddr(mailbox)
    return str(make_header(decode_header(name))) if name else address


def _encode_images(envelope: Envelope) -> dict[str, str]:
    inline = [one for one in envelope.attachments if one.content_id]
    return {
        str(one.content_id): f"data:{one.content_type};base64,{b64encode(one.content).decode('ascii')}"
        for one in inline
    }


def _encode(data: Any) -> str:
    """Write JSON that is safe in a <script> element: nothing in it ends the element or begins a comment."""
    text = json.dumps(data, ensure_ascii=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text
