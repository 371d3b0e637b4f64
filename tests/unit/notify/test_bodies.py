"""The forms of a notice stay within the limits of the services, and what people wrote stays text."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from engine.ledger.journal import Outcome
from engine.ledger.notices.occurrences import NoticeEvent
from engine.ledger.notices.outbox import Occurrence
from engine.notify.bodies import (
    SLACK_HEADER,
    SLACK_TEXT,
    SNS_SUBJECT,
    TEAMS_BYTES,
    make_slack,
    make_sns,
    make_subject,
    make_teams,
    make_text,
)
from engine.notify.notice import make_notice, make_test_notice
from engine.report.accounts import Accounts

AT = datetime(2026, 11, 24, 3, 7, tzinfo=UTC)
HOSTILE = "<!channel> & <https://evil.example|bank> *bold* [x](https://evil.example) ann.lee@people.example "


def notice(
    reason: str = "", event: NoticeEvent = NoticeEvent.GUARD, state: str = "paused", **more: Any
) -> dict[str, Any]:
    accounts = Accounts(
        run="hello/test",
        state="paused",
        reason=reason,
        rows_read=1200,
        accepted=1000,
        excluded={"duplicate": 150, "suppressed": 50},
        outcomes={Outcome.SENT: 800, Outcome.REFUSED: 3, Outcome.IN_DOUBT: 1},
        store="/store",
    )
    occurrence = Occurrence(id="0" * 32, run="hello/test", event=event, state=state, reason=reason, created_at=AT)
    return make_notice(occurrence, accounts, "ops", more.get("link", "https://dash.acme.example/runs/{run}"))


def list_texts(document: Any) -> list[str]:
    """List every text of a body that people read."""
    if isinstance(document, dict):
        own = [document["text"]] if isinstance(document.get("text"), str) else []
        return own + [text for value in document.values() for text in list_texts(value)]
    return [text for value in document for text in list_texts(value)] if isinstance(document, list) else []


@pytest.mark.parametrize(
    ("event", "state", "title"),
    [
        (NoticeEvent.STARTED, "sending", "hello/test has started: 1,000 recipients"),
        (NoticeEvent.RESUMED, "sending", "hello/test sends again: 800 of 1,000 recipients sent"),
        (NoticeEvent.PAUSED, "paused", "hello/test is paused: 800 of 1,000 recipients sent"),
        (NoticeEvent.GUARD, "paused", "hello/test was paused by the guard: 800 of 1,000 recipients sent"),
        (NoticeEvent.STALLED, "sending", "hello/test has stalled: 800 of 1,000 recipients sent"),
        (
            NoticeEvent.FINISHED,
            "finished",
            "hello/test has finished: 800 of 1,000 recipients sent, 3 refused, 1 in doubt",
        ),
        (NoticeEvent.FINISHED, "cancelled", "hello/test was cancelled: 800 of 1,000 recipients sent"),
    ],
)
def test_notice_has_a_title_for_each_event(event: NoticeEvent, state: str, title: str):
    assert notice(event=event, state=state)["title"] == title


def test_notice_has_the_accounts_and_link_and_masks_addresses():
    made = notice(HOSTILE)
    assert made["accounts"]["sent"] == 800
    assert made["accounts"]["unsent"] == 196
    assert (made["id"], made["link"]) == ("0" * 32 + "-ops", "https://dash.acme.example/runs/hello/test")
    assert "ann.lee@" not in json.dumps(make_sns(made)) + json.dumps(made) + json.dumps(make_slack(made))
    assert notice(link="")["link"] is None


def test_slack_message_has_a_header_texts_and_accounts():
    made = make_slack(notice("too many bounces"))
    title = "hello/test was paused by the guard: 800 of 1,000 recipients sent"
    kinds = [block["type"] for block in made["blocks"]]
    assert kinds == ["header", "section", "section", "section", "section", "context"]
    assert made["text"] == made["blocks"][0]["text"]["text"] == title
    assert made["blocks"][1]["text"] == {"type": "plain_text", "text": "too many bounces", "emoji": False}
    assert "sent: 800" in [field["text"] for field in made["blocks"][3]["fields"]]
    assert len(made["blocks"][3]["fields"]) <= 10
    link = "<https://dash.acme.example/runs/hello/test|Open hello/test>"
    assert made["blocks"][4]["text"] == {"type": "mrkdwn", "text": link}


def test_slack_escapes_what_people_wrote():
    made = make_slack(notice(HOSTILE))
    assert made["blocks"][1]["text"]["text"].startswith("&lt;!channel&gt; &amp; &lt;https://")


@pytest.mark.parametrize("text", ["x" * 9000, "&" * 9000, "<" * 2999, "\U0001f600" * 9000, HOSTILE * 100])
def test_bodies_stay_within_the_limits_of_the_services(text: str):
    made = notice(text)
    made["title"] = text[:3000]  # longer than a notice ever has
    slack = make_slack(made)
    assert len(slack["blocks"][0]["text"]["text"]) <= SLACK_HEADER
    assert max(map(len, list_texts(slack))) <= SLACK_TEXT
    assert not any(part.endswith(("&am…", "&…", "&l…")) for part in list_texts(slack))
    made = notice(text)
    assert len(orjson.dumps(make_teams(made))) <= TEAMS_BYTES
    sns = make_sns(made)
    assert len(sns["Message"].encode()) + len(sns["Subject"]) < 256 * 1024
    assert len(sns["Subject"]) <= SNS_SUBJECT
    assert sns["Subject"].isascii()
    assert sns["Subject"].isprintable()


def test_teams_message_is_an_adaptive_card_without_markdown():
    made = make_teams(notice(HOSTILE))
    (attachment,) = made["attachments"]
    assert (made["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"RichTextBlock", "FactSet"}  # neither a TextBlock
    assert card["body"][1]["inlines"][0]["text"].startswith("<!channel> & <https://evil.example|bank> *bold* [x]")
    assert {"title": "sent", "value": "800"} in card["body"][3]["facts"]
    assert card["actions"][0]["url"] == "https://dash.acme.example/runs/hello/test"


def test_email_and_sns_have_text_and_one_line_subjects():
    made = notice("first line\r\nBcc: x@y.example", link="")
    text = make_text(made)
    assert "sent:                  800" in text
    assert f"id:    {made['id']}" in text
    made["title"] = "one\r\nBcc: other"
    assert "\n" not in make_subject(made) + make_sns(made)["Subject"]
    message = json.loads(make_sns(made)["Message"])
    assert json.loads(message["default"])["accounts"]["sent"] == 800
    assert message["email"].startswith("one")
    assert make_sns(made)["MessageAttributes"]["event"]["StringValue"] == "guard"


def test_notice_of_a_test_says_so():
    made = make_test_notice("ops", AT, "", "1" * 32)
    assert (made["event"], made["id"]) == ("test", "1" * 32 + "-ops")
    assert "test" in make_slack(made)["text"]
