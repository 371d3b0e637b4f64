"""Events of an accepted message, in the shapes in which SES publishes them.

Source: SES developer guide, "Contents of event data that Amazon SES publishes to Amazon SNS", "Examples of event data"
and the same of Firehose. An event is made from the message's line in the record alone, so it is the same each time.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from engine.sandbox.dedicated.addresses import SHARED_ADDRESS
from engine.sandbox.events.event_plan import AUTOMATIC_REPLY, SandboxEvent, tell_time
from engine.sandbox.events.readers import find_reader
from engine.sandbox.events.tracking import list_tracked

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
MOST_HEADER_BYTES = 10 * 1024  # of all headers; SES leaves out the rest and sets headersTruncated
_REPORTING = "a8-70.smtp-out.amazonses.com"
_REPLIES = {
    "Permanent/General": ("5.1.1", "smtp; 550 5.1.1 user unknown"),
    "Permanent/NoEmail": ("5.1.1", "smtp; 550 5.1.1 no such mailbox"),
    "Permanent/Suppressed": (
        "5.1.1",
        "Amazon SES has suppressed sending to this address because it has a recent history of bouncing.",
    ),
    "Permanent/OnAccountSuppressionList": (
        "5.1.1",
        "Amazon SES did not send the message to this address because it is on the suppression list for your account.",
    ),
    "Transient/MailboxFull": ("4.2.2", "smtp; 452 4.2.2 mailbox full"),
    "Transient/MessageTooLarge": ("5.3.4", "smtp; 552 5.3.4 message too large"),
    "Transient/ContentRejected": ("5.6.1", "smtp; 554 5.6.1 content rejected"),
    "Transient/AttachmentRejected": ("5.7.0", "smtp; 552 5.7.0 attachment rejected"),
}
_TRANSIENT = ("4.4.7", "smtp; 421 4.4.7 message expired")
_DATES = "%Y-%m-%dT%H:%M:%S."


def make_record(message: Mapping[str, Any], event: SandboxEvent) -> dict[str, Any]:
    """Return the document of an event."""
    accepted = datetime.fromisoformat(message["at"])
    at = write_time(tell_time(message, event))
    member, content = _CONTENTS[event.kind](message, event, at)
    return {"eventType": event.kind, "mail": _make_mail(message, event, accepted), member: content}


def write_time(moment: datetime) -> str:
    """Write a time as SES does: UTC, with milliseconds."""
    return f"{moment.strftime(_DATES)}{moment.microsecond // 1000:03d}Z"


def identify(*parts: str) -> str:
    """Return 32 hexadecimal digits that identify some texts."""
    return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _make_mail(message: Mapping[str, Any], event: SandboxEvent, accepted: datetime) -> dict[str, Any]:
    sender = message["from"]
    domain = sender.rpartition("@")[2].rstrip("> ").lower()
    mail: dict[str, Any] = {
        "timestamp": write_time(accepted),
        "source": sender,
        "sourceArn": f"arn:aws:ses:{REGION}:{ACCOUNT_ID}:identity/{domain}",
        "sendingAccountId": ACCOUNT_ID,
        "messageId": message["message_id"],
        "destination": message["to"],
        "headersTruncated": False,
    }
    if event.kind not in ("Rendering Failure", "DeliveryDelay"):
        mail["headers"], mail["headersTruncated"] = _list_headers(message)
        mail["commonHeaders"] = {
            "from": [sender],
            "to": message["to"],
            "messageId": message["message_id"],
            "subject": message["subject"] or "",
        }
    mail["tags"] = _list_tags(message, event, domain)
    return mail


def _list_headers(message: Mapping[str, Any]) -> tuple[list[dict[str, str]], bool]:
    """Return the headers of a message, and whether some were left out."""
    own = [("From", message["from"]), ("To", ", ".join(message["to"])), ("Subject", message["subject"] or "")]
    if message["reply_to"]:
        own.append(("Reply-To", ", ".join(message["reply_to"])))
    own.append(("MIME-Version", "1.0"))
    headers = [*([] if message["raw"] else own), *((header["name"], header["value"]) for header in message["headers"])]
    size = 0
    kept: list[dict[str, str]] = []
    for name, value in headers:
        size += len(name) + len(value)
        if size > MOST_HEADER_BYTES:
            return kept, True
        kept.append({"name": name, "value": value})
    return kept, False


def _list_tags(message: Mapping[str, Any], event: SandboxEvent, domain: str) -> dict[str, list[str]]:
    tags: dict[str, list[str]] = defaultdict(list)
    tags["ses:operation"] = [message["operation"]]
    if message["configuration_set"]:
        tags["ses:configuration-set"] = [message["configuration_set"]]
    tags["ses:source-ip"] = ["192.0.2.1"]
    tags["ses:from-domain"] = [domain]
    tags["ses:caller-identity"] = ["sandbox"]
    if event.kind in ("Delivery", "Complaint") or (event.kind == "Bounce" and _was_attempted(event)):
        tags["ses:outgoing-ip"] = [message.get("outgoing_ip") or SHARED_ADDRESS]
    tags["ses:source-tls-version"] = ["TLSv1.3"]
    for name, value in message["tags"].items():
        tags[name] = [value]
    return tags


def _was_attempted(event: SandboxEvent) -> bool:
    """Return whether a bounced message left: not where a suppression list stopped it."""
    return "Suppress" not in (event.fate.bounce or ("", ""))[1]


def _feedback_id(message: Mapping[str, Any], event: SandboxEvent) -> str:
    digits = identify(message["message_id"], event.kind, *event.recipients)
    return (
        f"{message['message_id'][:16]}-{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}-000000"
    )


def _send(*_: Any) -> tuple[str, dict[str, Any]]:
    return "send", {}


def _delivery(_: Any, event: SandboxEvent, at: str) -> tuple[str, dict[str, Any]]:
    return "delivery", {
        "timestamp": at,
        "processingTimeMillis": max(546, int(event.after * 1000)),
        "recipients": event.recipients,
        "smtpResponse": "250 2.6.0 Message received",
        "reportingMTA": _REPORTING,
        "remoteMtaIp": "203.0.113.9",
    }


def _bounce(message: Mapping[str, Any], event: SandboxEvent, at: str) -> tuple[str, dict[str, Any]]:
    kind, subtype = event.fate.bounce or ("Undetermined", "Undetermined")
    status, reply = _REPLIES.get(
        f"{kind}/{subtype}", _TRANSIENT if kind == "Transient" else ("5.0.0", "smtp; 554 failed")
    )
    if event.fate is AUTOMATIC_REPLY:  # no server refused anything
        bounced = [{"emailAddress": address} for address in event.recipients]
    else:
        bounced = [
            {"emailAddress": address, "action": "failed", "status": status, "diagnosticCode": reply}
            for address in event.recipients
        ]
    return "bounce", {
        "feedbackId": _feedback_id(message, event),
        "bounceType": kind,
        "bounceSubType": subtype,
        "bouncedRecipients": bounced,
        "timestamp": at,
        "reportingMTA": f"dsn; {_REPORTING}",
    }


def _complaint(message: Mapping[str, Any], event: SandboxEvent, at: str) -> tuple[str, dict[str, Any]]:
    return "complaint", {
        "feedbackId": _feedback_id(message, event),
        "complaintSubType": event.fate.complaint_subtype,
        "complainedRecipients": [{"emailAddress": address} for address in event.recipients],
        "timestamp": at,
        "userAgent": "Amazon SES Mailbox Simulator",
        "complaintFeedbackType": event.fate.complaint,
        "arrivalDate": at,
    }


def _reject(*_: Any) -> tuple[str, dict[str, Any]]:
    return "reject", {"reason": "Bad content"}


def _open(_: Any, event: SandboxEvent, at: str) -> tuple[str, dict[str, Any]]:
    return "open", {"ipAddress": "192.0.2.44", "timestamp": at, "userAgent": find_reader(event.recipients[0]).opens}


def _click(message: Mapping[str, Any], event: SandboxEvent, at: str) -> tuple[str, dict[str, Any]]:
    link = list_tracked(message["html"] or "")[event.link]
    return "click", {
        "ipAddress": "192.0.2.44",
        "link": link.url,
        "linkTags": link.tags,
        "timestamp": at,
        "userAgent": find_reader(event.recipients[0]).clicks,
    }


def _delay(_: Any, event: SandboxEvent, at: str) -> tuple[str, dict[str, Any]]:
    delayed = [
        {
            "emailAddress": address,
            "status": "4.4.1",
            "diagnosticCode": "smtp; 421 4.4.1 Unable to connect to remote host",
        }
        for address in event.recipients
    ]
    expiration = write_time(datetime.fromisoformat(at) + timedelta(hours=14))
    return "deliveryDelay", {
        "timestamp": at,
        "delayType": "TransientCommunicationFailure",
        "expirationTime": expiration,
        "reportingMTA": _REPORTING,
        "delayedRecipients": delayed,
    }


def _subscription(_: Any, __: SandboxEvent, at: str) -> tuple[str, dict[str, Any]]:
    topics = [{"topicName": "newsletter", "subscriptionStatus": "OptOut"}]
    before = [{"topicName": "newsletter", "subscriptionStatus": "OptIn"}]
    return "subscription", {
        "contactList": "contacts",
        "timestamp": at,
        "source": "UnsubscribeHeader",
        "newTopicPreferences": {"unsubscribeAll": True, "topicSubscriptionStatus": topics},
        "oldTopicPreferences": {"unsubscribeAll": False, "topicSubscriptionStatus": before},
    }


def _failure(message: Mapping[str, Any], *_: Any) -> tuple[str, dict[str, Any]]:
    return "failure", {"errorMessage": message["detail"], "templateName": "inline"}


_CONTENTS = {
    "Send": _send,
    "Delivery": _delivery,
    "Bounce": _bounce,
    "Complaint": _complaint,
    "Reject": _reject,
    "Open": _open,
    "Click": _click,
    "DeliveryDelay": _delay,
    "Subscription": _subscription,
    "Rendering Failure": _failure,
}
