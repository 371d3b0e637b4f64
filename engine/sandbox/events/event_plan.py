"""What happens to an accepted message: its events to come, from its line in the record and a behaviour."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from engine.sandbox.events.behaviour import Behaviour, Fate
from engine.sandbox.events.readers import choose_links, find_reader
from engine.sandbox.events.tracking import list_tracked

AUTOMATIC_REPLY = Fate(bounce=("Transient", "General"))


class SandboxEvent(NamedTuple):
    """An event to come.

    Attributes:
        kind: the event type.
        after: seconds between acceptance and event.
        recipients: that it reports.
        fate: what happened to their message.
        link: of a click: which tracked link, from 0.
    """

    kind: str
    after: float
    recipients: list[str]
    fate: Fate
    link: int = 0


def plan_events(message: Mapping[str, Any], behaviour: Behaviour) -> list[SandboxEvent]:
    """Return the events of a message, in the order of what happens to each recipient.

    Recipients of the same message with the same fate and delay share their events, as SES combines them.

    Args:
        message: its line in the record.
        behaviour: what happens to mail.
    """
    if message["fate"] == "rendering_failure":
        seconds = behaviour.default.after.get("Rendering Failure", 0.0)
        return [SandboxEvent("Rendering Failure", seconds, message["to"], Fate())]
    events: list[SandboxEvent] = []
    places: dict[tuple[str, float, Fate, int], int] = {}
    on_list: Mapping[str, str] = message.get("on_suppression_list") or {}
    for address in message["to"]:
        fate = behaviour.fate_of(address, suppressed=on_list.get(address))
        after = behaviour.rule_of(address).after
        tracking: Mapping[str, bool] = message.get("tracking") or {}
        for kind, cause in _kinds_of(fate):
            if not tracking.get(kind.lower(), True):
                continue
            seconds = after.get(kind, 0.0)
            links = choose_links(address, len(list_tracked(message["html"] or ""))) if kind == "Click" else (0,)
            for link in links:
                key = kind, seconds, Fate() if kind == "Send" else cause, link
                if key in places:
                    events[places[key]].recipients.append(address)
                else:
                    places[key] = len(events)
                    events.append(SandboxEvent(kind, seconds, [address], cause, link))
    return events


def _kinds_of(fate: Fate) -> Iterator[tuple[str, Fate]]:
    if "reject" in fate.others:
        yield "Reject", fate
        return
    yield "Send", fate
    if "delay" in fate.others:
        yield "DeliveryDelay", fate
    if fate.bounce is not None:
        yield "Bounce", fate
        return
    if fate.complaint_subtype is None:
        yield "Delivery", fate
    if "out_of_office" in fate.others:
        yield "Bounce", AUTOMATIC_REPLY
    if "open" in fate.others:
        yield "Open", fate
    if "click" in fate.others:
        yield "Click", fate
    if fate.complaint is not None:
        yield "Complaint", fate
    if "unsubscribe" in fate.others:
        yield "Subscription", fate


def tell_time(message: Mapping[str, Any], event: SandboxEvent) -> datetime:
    """Return the time that an event has.

    A person's click is later than the message's acceptance and a scanner's at once, whenever the event itself comes.
    """
    seconds = event.after
    if event.kind == "Click":
        reader = find_reader(event.recipients[0])
        seconds = reader.click_seconds if reader.clicks_all else seconds or reader.click_seconds
    return datetime.fromisoformat(message["at"]) + timedelta(seconds=seconds)
