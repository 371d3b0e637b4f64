"""The forms of a notice: Slack's blocks, Teams' Adaptive Card, and plain text. Pure.

The limits are those of the services: Slack 150 characters in a header and 3,000 in a text of a section
(docs.slack.dev/reference/block-kit/blocks), Teams 28 KB in a message (learn.microsoft.com, "Limits and specifications
for Microsoft Teams"), SNS 256 KB in a message and 100 ASCII characters in a subject (docs.aws.amazon.com/sns,
"Publish").
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from engine.notify.notice import Notice, list_facts, shorten

SLACK_HEADER = 150
SLACK_TEXT = 3000
TEAMS_BYTES = 28 * 1024
SNS_SUBJECT = 100
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def make_slack(notice: Notice) -> dict[str, Any]:
    """Make the message of a Slack webhook; what people wrote is plain text, without mentions, links or emphasis."""
    title = _escape_slack(notice["title"], SLACK_HEADER)
    fields = [_plain(f"{name}: {count}", 200) for name, count in list_facts(notice)]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}},
        {"type": "section", "fields": fields},
    ]
    blocks[1:1] = [{"type": "section", "text": _plain(text, SLACK_TEXT)} for text in _list_texts(notice)]
    if notice["link"]:
        link = {"type": "mrkdwn", "text": f"<{_escape_slack(notice['link'], 2000)}|Open {notice['run']}>"}
        blocks.append({"type": "section", "text": link})
    blocks.append({"type": "context", "elements": [_plain(f"{notice['run']} · {notice['at']} · {notice['id']}", 500)]})
    return {"text": title, "blocks": blocks}


def _plain(text: str, length: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _escape_slack(text, length), "emoji": False}


def _escape_slack(text: str, length: int) -> str:
    """Escape a text for Slack; the escaped text has at most `length` characters, and no part of an entity."""
    written = [_ENTITIES.get(character, character) for character in text]
    if sum(map(len, written)) <= length:
        return "".join(written)
    kept, left = list[str](), length - 1  # one for the ellipsis
    for each in written:
        if len(each) > left:
            break
        kept.append(each)
        left -= len(each)
    return "".join(kept) + "…"


def make_teams(notice: Notice) -> dict[str, Any]:
    """Make the message of a Teams webhook of Workflows: an Adaptive Card.

    A TextRun of a RichTextBlock is not read as Markdown, so it holds what people wrote.
    """
    body: list[dict[str, Any]] = [_rich(notice["title"], weight="Bolder", size="Large")]
    body += [_rich(text) for text in _list_texts(notice)]
    body.append({"type": "FactSet", "facts": [{"title": name, "value": count} for name, count in list_facts(notice)]})
    body.append(_rich(f"{notice['run']} · {notice['at']} · {notice['id']}", isSubtle=True, size="Small"))
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "msteams": {"width": "Full"},
    }
    if notice["link"]:
        card["actions"] = [{"type": "Action.OpenUrl", "title": f"Open {notice['run']}", "url": notice["link"]}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _rich(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}


def _list_texts(notice: Notice) -> Iterator[str]:
    yield from (text for text in (notice["reason"], notice["do"]) if text)


def make_text(notice: Notice) -> str:
    """Make the text of an e-mail."""
    lines = [notice["title"], "", *_list_texts(notice), ""]
    lines += [f"{name + ':':<12}{count:>14}" for name, count in list_facts(notice)]
    lines += ["", f"run:   {notice['run']}", f"state: {notice['state']}", f"at:    {notice['at']}"]
    lines += [f"link:  {notice['link']}"] if notice["link"] else []
    return "\n".join([*lines, f"id:    {notice['id']}", ""])


def make_subject(notice: Notice) -> str:
    """Make the subject of an e-mail, one line."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", f"[mailrun] {notice['title']}")


def make_sns(notice: Notice) -> dict[str, Any]:
    """Make the parameters of SNS's Publish, without the topic: JSON for programs, text for e-mail, a line for SMS."""
    message = {"default": to_json(notice).decode(), "email": make_text(notice), "sms": notice["title"]}
    subject = re.sub(r"[^ -~]+", "?", make_subject(notice))
    return {
        "Subject": shorten(subject, SNS_SUBJECT).replace("…", "."),
        "Message": orjson.dumps(message).decode(),
        "MessageStructure": "json",
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": notice[name]} for name in ("id", "event", "run")
        },
    }


def to_json(notice: Notice) -> bytes:
    """Return the body of a JSON webhook."""
    return orjson.dumps(notice)
