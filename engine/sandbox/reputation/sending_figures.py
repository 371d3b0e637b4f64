"""Counts of what happened to the mail of a sandbox, by hour: what SES's metrics are computed from.

They are made from the events of the record when a metric is asked for, so sending costs nothing more.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from engine.sandbox.ses.simulator import is_simulator

HOUR = 3600
MOST_EVENTS = 200_000  # that one request counts; those that are left follow with the next, as metrics of AWS lag too
_PROVIDERS = {
    "gmail": "Gmail", "googlemail": "Gmail", "yahoo": "Yahoo", "ymail": "Yahoo", "hotmail": "Hotmail",
    "outlook": "Hotmail", "live": "Hotmail", "msn": "Hotmail", "aol": "AOL", "icloud": "iCloud", "me": "iCloud",
}  # fmt: skip
OTHER = "Other"


class FigureKey(NamedTuple):
    """What one count is of.

    Attributes:
        hour: its start, in seconds since 1970.
        metric: SEND, DELIVERY, PERMANENT_BOUNCE, TRANSIENT_BOUNCE, COMPLAINT, OPEN or CLICK.
        isp: the mailbox provider.
        identity: the sender's domain.
        configuration_set: its name; empty for none.
        alone: the message has one recipient.
    """

    hour: int
    metric: str
    isp: str
    identity: str
    configuration_set: str
    alone: bool


class SendingFigures:
    """Counts of recipients, without those of the mailbox simulator and those that were suppressed.

    Args:
        take: the next events that have happened, at most so many.
    """

    def __init__(self, take: Callable[[int], Sequence[Mapping[str, Any]]]) -> None:
        self._take = take
        self._counts = Counter[FigureKey]()

    def refresh(self) -> None:
        """Count the events since the last time."""
        for record in self._take(MOST_EVENTS):
            for key in _read_event(record):
                self._counts[key] += 1

    def count(
        self, metric: str, matches: Callable[[FigureKey], bool] = lambda _: True, *, seconds: int
    ) -> dict[int, int]:
        """Add up the counts of a metric.

        Args:
            metric: its name.
            matches: which counts.
            seconds: length of a period.

        Returns:
            Start of each period with a count, in seconds since 1970, in order, to the number of recipients.
        """
        found = Counter[int]()
        for key, number in self._counts.items():
            if key.metric == metric and matches(key):
                found[key.hour // seconds * seconds] += number
        return dict(sorted(found.items()))


def _read_event(record: Mapping[str, Any]) -> Iterator[FigureKey]:
    mail, metric = record["mail"], _name_metric(record)
    if metric is None:
        return
    at = datetime.fromisoformat(_content_of(record).get("timestamp") or mail["timestamp"]).astimezone(UTC)
    hour = int(at.timestamp()) // HOUR * HOUR
    sets = mail["tags"].get("ses:configuration-set", [""])
    for address in _recipients_of(record):
        if not is_simulator(address):
            domain = mail["tags"]["ses:from-domain"][0]
            yield FigureKey(hour, metric, name_provider(address), domain, sets[0], len(mail["destination"]) == 1)


def _name_metric(record: Mapping[str, Any]) -> str | None:
    content = _content_of(record)
    match record["eventType"]:
        case "Bounce" if content["bounceType"] == "Permanent":
            return "PERMANENT_BOUNCE" if "Suppress" not in content["bounceSubType"] else None
        case "Bounce":
            return "TRANSIENT_BOUNCE"
        case "Complaint":
            return "COMPLAINT" if content["complaintSubType"] is None else None
        case "Send" | "Delivery" | "Open" | "Click" as kind:
            return str(kind).upper()
        case _:
            return None


def _content_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    content: Mapping[str, Any] = record.get(record["eventType"].lower()) or {}
    return content


def _recipients_of(record: Mapping[str, Any]) -> list[str]:
    content = _content_of(record)
    for member in ("bouncedRecipients", "complainedRecipients"):
        if member in content:
            return [each["emailAddress"] for each in content[member]]
    named: list[str] = content.get("recipients") or record["mail"]["destination"]
    return named


def name_provider(address: str) -> str:
    """Name the mailbox provider of an address, as the sandbox's ISP dimension has it.

    >>> name_provider("a@googlemail.com"), name_provider("a@outlook.de"), name_provider("a@acme.example")
    ('Gmail', 'Hotmail', 'Other')
    """
    return _PROVIDERS.get(address.rpartition("@")[2].lower().partition(".")[0], OTHER)
