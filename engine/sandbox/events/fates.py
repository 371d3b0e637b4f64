"""What happened to a message, in one word, from its events."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from engine.sandbox.events.event_plan import SandboxEvent

# The name of a fate, which is its CSS class, to the words on a page.
FATES: Mapping[str, str] = MappingProxyType(
    {
        "rendering_failure": "Not rendered",
        "rejected": "Rejected",
        "suppressed": "Suppressed",
        "bounced": "Bounced",
        "soft_bounced": "Soft bounce",
        "complained": "Complaint",
        "unsubscribed": "Unsubscribed",
        "out_of_office": "Out of office",
        "delayed": "Delayed",
        "clicked": "Clicked",
        "opened": "Opened",
        "delivered": "Delivered",
    }
)
_SUPPRESSED = frozenset(
    {"Suppressed", "OnAccountSuppressionList", "OnTenantSuppressionList", "EmailValidationSuppressed"}
)
_BY_KIND = MappingProxyType(
    {
        "Rendering Failure": "rendering_failure",
        "Reject": "rejected",
        "Complaint": "complained",
        "Subscription": "unsubscribed",
        "DeliveryDelay": "delayed",
        "Click": "clicked",
        "Open": "opened",
        "Delivery": "delivered",
        "Send": "delivered",
    }
)


def name_fate(events: Sequence[SandboxEvent]) -> str:
    """Return the fate of a message: the first of `FATES` that its events report.

    Args:
        events: of one message, at least one.
    """
    delivered = any(event.kind == "Delivery" for event in events)
    named = {_name_event(event, delivered=delivered) for event in events}
    return next(name for name in FATES if name in named)


def _name_event(event: SandboxEvent, *, delivered: bool) -> str:
    if event.kind == "Complaint" and event.fate.complaint_subtype is not None:
        return "suppressed"
    if event.kind == "DeliveryDelay" and delivered:
        return "delivered"
    if event.kind != "Bounce":
        return _BY_KIND[event.kind]
    kind, subtype = event.fate.bounce or ("Undetermined", "Undetermined")
    if subtype in _SUPPRESSED:
        return "suppressed"
    if kind == "Permanent":
        return "bounced"
    return "out_of_office" if delivered and subtype == "General" else "soft_bounced"


def describe_event(event: SandboxEvent) -> str:
    """Return the details of an event in a few words, empty where its type is enough."""
    if event.kind == "Bounce" and event.fate.bounce is not None:
        return "/".join(event.fate.bounce)
    if event.kind == "Complaint":
        return event.fate.complaint_subtype or event.fate.complaint or ""
    return ""
