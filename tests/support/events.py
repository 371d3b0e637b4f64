"""SES events as event publishing writes them, of messages that the sandbox accepted."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

AT = "2026-11-24T09:00:05.000Z"
OBJECTS = {
    "Send": "send",
    "Delivery": "delivery",
    "Bounce": "bounce",
    "Complaint": "complaint",
    "Open": "open",
    "Click": "click",
    "DeliveryDelay": "deliveryDelay",
    "Subscription": "subscription",
    "Reject": "reject",
    "Rendering Failure": "failure",
}


def make_mail(
    message_id: str, address: str, tags: dict[str, str] | None = None, at: str = "2026-11-24T09:00:00.000Z"
) -> dict[str, Any]:
    mail: dict[str, Any] = {
        "timestamp": at,
        "messageId": message_id,
        "source": "n@acme.example",
        "destination": [address],
    }
    return mail | ({} if tags is None else {"tags": {name: [value] for name, value in tags.items()}})


def make_event(kind: str, mail: dict[str, Any], **details: Any) -> dict[str, Any]:
    """Make an event record; values that are not given are those of AWS's examples."""
    to = [{"emailAddress": address} for address in mail["destination"]]
    usual: dict[str, dict[str, Any]] = {
        "Send": {},
        "Delivery": {"timestamp": AT, "recipients": mail["destination"], "smtpResponse": "250 ok"},
        "Bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [{**one, "status": "5.1.1", "diagnosticCode": "smtp; 550 user unknown"} for one in to],
            "timestamp": AT,
            "feedbackId": f"feedback-{mail['messageId']}",
        },
        "Complaint": {"complainedRecipients": to, "timestamp": AT, "feedbackId": f"complaint-{mail['messageId']}"},
        "Open": {"ipAddress": "192.0.2.1", "timestamp": AT, "userAgent": "Mail"},
        "Click": {"ipAddress": "192.0.2.1", "timestamp": AT, "link": "https://acme.example/", "linkTags": None},
        "DeliveryDelay": {"timestamp": AT, "delayType": "MailboxFull", "delayedRecipients": to},
        "Subscription": {
            "timestamp": AT,
            "source": "UnsubscribeHeader",
            "newTopicPreferences": {"unsubscribeAll": True, "topicSubscriptionStatus": []},
        },
        "Reject": {"reason": "Bad content"},
        "Rendering Failure": {"errorMessage": "Attribute 'x' is not present", "templateName": "T"},
    }
    return {"eventType": kind, "mail": mail, OBJECTS[kind]: usual[kind] | details}


def make_event_of(accepted: dict[str, Any], kind: str, **details: Any) -> dict[str, Any]:
    """Make an event of an entry of the sandbox's record, at the time of its acceptance."""
    mail = make_mail(accepted["message_id"], accepted["to"][0], accepted["tags"], at=accepted["at"])
    event = make_event(kind, mail, **details)
    if event[OBJECTS[kind]].get("timestamp") == AT:
        after = timedelta(minutes=1 if kind in ("Open", "Click") else 0)  # no person is as fast as a scanner
        event[OBJECTS[kind]]["timestamp"] = (datetime.fromisoformat(accepted["at"]) + after).isoformat()
    return event


def write_events(path: Path, events: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return path
