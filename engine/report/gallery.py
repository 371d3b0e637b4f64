"""The gallery: rendered messages on one page that loads nothing, runs nothing of theirs, and needs no server."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from engine.campaign.message import Envelope, Message
from engine.store.folder import write_file

_PAGES = Path(__file__).parent / "pages"
# The frames inherit this policy. Their messages need inline styles; scripts but the page's own have no hash here, and
# the frames' sandbox runs none at all.
_POLICY = (
    "default-src 'none'; script-src '{script}'; style-src 'unsafe-inline'; img-src data:; frame-src 'none'; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class Card:
    """A message to look at, and why it was chosen."""

    message: Message
    reasons: list[str]


def write_gallery(path: Path, cards: Sequence[Card], envelope: Envelope, *, title: str) -> Path:
    """Write the page, readable by its owner alone; returns its path.

    Args:
        path: of the HTML file.
        cards: what to show, at least one.
        envelope: what is the same in all messages.
        title: of the page: the run's name.
    """
    write_file(path, render_gallery(cards, envelope, title=title).encode())
    return path


def render_gallery(cards: Sequence[Card], envelope: Envelope, *, title: str) -> str:
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
        "language": message.language,
        "reasons": card.reasons,
        "html": message.html,
        "text": message.text,
        "headers": headers,
        "htmlBytes": len((message.html or "").encode()),
    }


def _encode_images(envelope: Envelope) -> dict[str, str]:
    inline = [one for one in envelope.attachments if one.content_id]
    return {
        str(one.content_id): f"data:{one.content_type};base64,{b64encode(one.content).decode('ascii')}"
        for one in inline
    }


def _encode(data: Any) -> str:
    """Write JSON that can stand in a <script> element: nothing in it ends the element or begins a comment."""
    text = json.dumps(data, ensure_ascii=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text
