"""The rules, as data: the flags that each event sets, and whether it suppresses the address."""

from enum import StrEnum

from msgspec import Struct

from engine.feedback.events.records import EventKind
from engine.ledger.event_flags import Flag
from engine.ledger.suppressed.reasons import Reason


class EventAction(StrEnum):
    """The effect on the address."""

    NOTHING = "nothing"
    SUPPRESS = "suppressed at once"
    COUNT = "suppressed after several"  # [suppression] soft_bounces in soft_days
    OPT_OUT = "suppressed for the topics, or for all mail"


class EventRule(Struct, frozen=True):
    """The effects of an event; the source is AWS's documentation of notification contents.

    Attributes:
        kind: the event's type; empty for any other.
        subtype: `Type/Subtype` of a bounce, `FeedbackType/Subtype` of a complaint; a part alone is all of it.
        flags: set for the recipient's row.
        action: on the address.
        reason: of the suppression.
        note: the reason, for the documentation.
    """

    kind: str
    subtype: str
    flags: Flag
    action: EventAction = EventAction.NOTHING
    reason: Reason | None = None
    note: str = ""


_P, _SOFT, _STRIKE = Flag.PROVEN, Flag.SOFT_BOUNCED, Flag.STRIKE
_OURS = "SES did not try: its own list has the address"

RULES: tuple[EventRule, ...] = (
    EventRule(EventKind.SEND, "", _P),
    EventRule(EventKind.DELIVERY, "", _P | Flag.DELIVERED),
    EventRule(
        EventKind.OPEN, "", _P | Flag.OPENED | Flag.OPENED_BY_PEOPLE, note="a machine's is `opened` only: see agents"
    ),
    EventRule(
        EventKind.CLICK, "", _P | Flag.CLICKED | Flag.CLICKED_BY_PEOPLE,
        note="a machine's is `clicked` only: see agents",
    ),
    EventRule(EventKind.DELIVERY_DELAY, "", _P | Flag.DELAYED, note="SES still tries"),
    EventRule(EventKind.REJECT, "", Flag.REJECTED, note="SES found a virus, and did not send it"),
    EventRule(
        EventKind.RENDERING_FAILURE, "", Flag.REJECTED,
        note="SES could not render a template: not sent",
    ),
    EventRule(
        EventKind.BOUNCE, "Permanent", _P | Flag.BOUNCED, EventAction.SUPPRESS, Reason.BOUNCE,
        "General, NoEmail, and new ones",
    ),
    EventRule(
        EventKind.BOUNCE, "Permanent/Suppressed", _P | Flag.BOUNCED, EventAction.SUPPRESS, Reason.PROVIDER,
        "SES's global list; counts in your bounce rate",
    ),
    EventRule(
        EventKind.BOUNCE, "Permanent/OnAccountSuppressionList", _P | Flag.PROVIDER_SUPPRESSED, EventAction.SUPPRESS,
        Reason.PROVIDER, _OURS,
    ),
    EventRule(
        EventKind.BOUNCE, "Permanent/OnTenantSuppressionList", _P | Flag.PROVIDER_SUPPRESSED, EventAction.SUPPRESS,
        Reason.PROVIDER, _OURS,
    ),
    EventRule(
        EventKind.BOUNCE, "Permanent/EmailValidationSuppressed", _P | Flag.PROVIDER_SUPPRESSED, EventAction.SUPPRESS,
        Reason.PROVIDER, "according to SES's validation, the mailbox does not exist",
    ),
    EventRule(
        EventKind.BOUNCE, "Permanent/UnsubscribedRecipient", _P | Flag.UNSUBSCRIBED, EventAction.OPT_OUT,
        Reason.UNSUBSCRIBE,
        "SES's contact list has the opt-out: not a bounce; for the campaign's topic if it has one",
    ),
    EventRule(
        EventKind.BOUNCE, "Transient", _P | _SOFT | _STRIKE, EventAction.COUNT, Reason.SOFT_BOUNCES,
        "SES stopped retrying",
    ),
    EventRule(EventKind.BOUNCE, "Transient/OutOfOffice", _P, note="without a diagnostic of the receiver's server"),
    EventRule(EventKind.BOUNCE, "Transient/MessageTooLarge", _P | _SOFT, note="about the message, not the address"),
    EventRule(EventKind.BOUNCE, "Transient/ContentRejected", _P | _SOFT, note="as MessageTooLarge"),
    EventRule(EventKind.BOUNCE, "Transient/AttachmentRejected", _P | _SOFT, note="as MessageTooLarge"),
    EventRule(
        EventKind.BOUNCE, "", _P | _SOFT | _STRIKE, EventAction.COUNT, Reason.SOFT_BOUNCES,
        "Undetermined, and new types",
    ),
    EventRule(
        EventKind.COMPLAINT, "", _P | Flag.COMPLAINED, EventAction.SUPPRESS, Reason.COMPLAINT,
        "abuse, fraud, virus, other …",
    ),
    EventRule(EventKind.COMPLAINT, "not-spam", _P, note="the recipient took it out of the spam folder"),
    EventRule(
        EventKind.COMPLAINT, "OnAccountSuppressionList", _P | Flag.PROVIDER_SUPPRESSED, EventAction.SUPPRESS,
        Reason.PROVIDER,
        "not a new complaint: SES's own list has an old one",
    ),
    EventRule(
        EventKind.COMPLAINT, "OnTenantSuppressionList", _P | Flag.PROVIDER_SUPPRESSED, EventAction.SUPPRESS,
        Reason.PROVIDER,
        "as OnAccountSuppressionList",
    ),
    EventRule(
        EventKind.SUBSCRIPTION, "OptOut", _P | Flag.UNSUBSCRIBED, EventAction.OPT_OUT, Reason.UNSUBSCRIBE,
        "of the topics that it names, or of all mail",
    ),
    EventRule(EventKind.SUBSCRIPTION, "OptIn", _P, note="an event never removes a suppression; a person does"),
    EventRule("", "", _P, note="a type that is newer than this version: SES accepted the message"),
)  # fmt: skip
_BY_NAME = {(rule.kind, rule.subtype): rule for rule in RULES}


def find_rule(kind: str, subtype: str) -> EventRule:
    """Find the rule of an event: its subtype's; else a part's, the last first; else its type's; else that of any."""
    parts = subtype.split("/")
    for name in (subtype, *reversed(parts), ""):
        if rule := _BY_NAME.get((kind, name)):
            return rule
    return _BY_NAME["", ""]
