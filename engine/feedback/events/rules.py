"""The rules, as data: what each event says of its recipient, and whether the address is suppressed for it."""

from dataclasses import dataclass
from enum import StrEnum

from engine.feedback.events.records import EventKind
from engine.ledger.event_flags import Flag
from engine.ledger.suppressed.reasons import Reason


class EventAction(StrEnum):
    """What becomes of the address."""

    NOTHING = "nothing"
    SUPPRESS = "suppressed at once"
    COUNT = "suppressed after several"  # [suppression] soft_bounces in soft_days
    OPT_OUT = "suppressed for the topics, or for all mail"


@dataclass(frozen=True, slots=True)
class EventRule:
    """What an event means; the source is ses-facts' table of bounce types, from AWS's pages on notification contents.

    Attributes:
        kind: the event's type; empty for any other.
        subtype: `Type/Subtype` of a bounce, `FeedbackType/Subtype` of a complaint; a part alone is all of it.
        flags: set for the recipient's row.
        action: on the address.
        reason: of the suppression.
        note: why, for people.
    """

    kind: str
    subtype: str
    flags: Flag
    action: EventAction = EventAction.NOTHING
    reason: Reason | None = None
    note: str = ""


_P, _SOFT, _STRIKE = Flag.PROVEN, Flag.SOFT_BOUNCED, Flag.STRIKE
_OURS = "SES did not even try: its own list has the address"

RULES: tuple[EventRule, ...] = (
    EventRule(EventKind.SEND, "", _P),
    EventRule(EventKind.DELIVERY, "", _P | Flag.DELIVERED),
    EventRule(EventKind.OPEN, "", _P | Flag.OPENED),
    EventRule(EventKind.CLICK, "", _P | Flag.CLICKED),
    EventRule(EventKind.DELIVERY_DELAY, "", _P | Flag.DELAYED, note="SES still tries"),
    EventRule(EventKind.REJECT, "", Flag.REJECTED, note="SES found a virus, and did not send it"),
    EventRule(
        EventKind.RENDERING_FAILURE, "", Flag.REJECTED,
        note="a template of SES's could not be filled in: not sent",
    ),
    EventRule(
        EventKind.BOUNCE, "Permanent", _P | Flag.BOUNCED, EventAction.SUPPRESS, Reason.BOUNCE,
        "General, NoEmail, and new ones",
    ),
    EventRule(
        EventKind.BOUNCE, "Permanent/Suppressed", _P | Flag.BOUNCED, EventAction.SUPPRESS, Reason.PROVIDER,
        "SES's global list; counts as a bounce of yours",
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
        Reason.PROVIDER, "SES's validation says that the mailbox does not exist",
    ),
    EventRule(
        EventKind.BOUNCE, "Permanent/UnsubscribedRecipient", _P | Flag.UNSUBSCRIBED, EventAction.OPT_OUT,
        Reason.UNSUBSCRIBE,
        "SES's contact list has the opt-out: no bounce; of the campaign's topic where it has one",
    ),
    EventRule(
        EventKind.BOUNCE, "Transient", _P | _SOFT | _STRIKE, EventAction.COUNT, Reason.SOFT_BOUNCES,
        "SES gave up trying",
    ),
    EventRule(EventKind.BOUNCE, "Transient/OutOfOffice", _P, note="General without a word of the receiver's server"),
    EventRule(EventKind.BOUNCE, "Transient/MessageTooLarge", _P | _SOFT, note="is of the message, not of the address"),
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
        "no new complaint: SES's own list has an old one",
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
    EventRule("", "", _P, note="a type that is newer than this: SES took the message"),
)  # fmt: skip
_BY_NAME = {(rule.kind, rule.subtype): rule for rule in RULES}


def find_rule(kind: str, subtype: str) -> EventRule:
    """Find the rule of an event: its subtype's; else a part's, the last first; else its type's; else that of any."""
    parts = subtype.split("/")
    for name in (subtype, *reversed(parts), ""):
        if rule := _BY_NAME.get((kind, name)):
            return rule
    return _BY_NAME["", ""]
