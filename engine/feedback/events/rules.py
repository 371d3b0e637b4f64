"""The rules, as data: what each event says of its recipient, and whether the address is suppressed for it."""

from dataclasses import dataclass
from enum import StrEnum

from engine.feedback.events.records import Kind
from engine.ledger.event_flags import Flag
from engine.ledger.suppressions import Reason


class Action(StrEnum):
    """What becomes of the address."""

    NOTHING = "nothing"
    SUPPRESS = "suppressed at once"
    COUNT = "suppressed after several"  # [suppression] soft_bounces in soft_days
    OPT_OUT = "suppressed for the topics, or for all mail"


@dataclass(frozen=True, slots=True)
class Rule:
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
    action: Action = Action.NOTHING
    reason: Reason | None = None
    note: str = ""


_P, _SOFT, _STRIKE = Flag.PROVEN, Flag.SOFT_BOUNCED, Flag.STRIKE
_OURS = "SES did not even try: its own list has the address"

RULES: tuple[Rule, ...] = (
    Rule(Kind.SEND, "", _P),
    Rule(Kind.DELIVERY, "", _P | Flag.DELIVERED),
    Rule(Kind.OPEN, "", _P | Flag.OPENED),
    Rule(Kind.CLICK, "", _P | Flag.CLICKED),
    Rule(Kind.DELIVERY_DELAY, "", _P | Flag.DELAYED, note="SES still tries"),
    Rule(Kind.REJECT, "", Flag.REJECTED, note="SES found a virus, and did not send it"),
    Rule(Kind.RENDERING_FAILURE, "", Flag.REJECTED, note="a template of SES's could not be filled in: not sent"),
    Rule(Kind.BOUNCE, "Permanent", _P | Flag.BOUNCED, Action.SUPPRESS, Reason.BOUNCE, "General, NoEmail, and new ones"),
    Rule(
        Kind.BOUNCE, "Permanent/Suppressed", _P | Flag.BOUNCED, Action.SUPPRESS, Reason.PROVIDER,
        "SES's global list; counts as a bounce of yours",
    ),
    Rule(
        Kind.BOUNCE, "Permanent/OnAccountSuppressionList", _P | Flag.PROVIDER_SUPPRESSED, Action.SUPPRESS,
        Reason.PROVIDER, _OURS,
    ),
    Rule(
        Kind.BOUNCE, "Permanent/OnTenantSuppressionList", _P | Flag.PROVIDER_SUPPRESSED, Action.SUPPRESS,
        Reason.PROVIDER, _OURS,
    ),
    Rule(
        Kind.BOUNCE, "Permanent/EmailValidationSuppressed", _P | Flag.PROVIDER_SUPPRESSED, Action.SUPPRESS,
        Reason.PROVIDER, "SES's validation holds that nobody is there",
    ),
    Rule(
        Kind.BOUNCE, "Permanent/UnsubscribedRecipient", _P | Flag.UNSUBSCRIBED, Action.OPT_OUT, Reason.UNSUBSCRIBE,
        "SES's contact list has the opt-out: no bounce; of the campaign's topic where it has one",
    ),
    Rule(Kind.BOUNCE, "Transient", _P | _SOFT | _STRIKE, Action.COUNT, Reason.SOFT_BOUNCES, "SES gave up trying"),
    Rule(Kind.BOUNCE, "Transient/OutOfOffice", _P, note="General without a word of the receiver's server"),
    Rule(Kind.BOUNCE, "Transient/MessageTooLarge", _P | _SOFT, note="is of the message, not of the address"),
    Rule(Kind.BOUNCE, "Transient/ContentRejected", _P | _SOFT, note="as MessageTooLarge"),
    Rule(Kind.BOUNCE, "Transient/AttachmentRejected", _P | _SOFT, note="as MessageTooLarge"),
    Rule(Kind.BOUNCE, "", _P | _SOFT | _STRIKE, Action.COUNT, Reason.SOFT_BOUNCES, "Undetermined, and new types"),
    Rule(Kind.COMPLAINT, "", _P | Flag.COMPLAINED, Action.SUPPRESS, Reason.COMPLAINT, "abuse, fraud, virus, other …"),
    Rule(Kind.COMPLAINT, "not-spam", _P, note="somebody took it out of the spam folder"),
    Rule(
        Kind.COMPLAINT, "OnAccountSuppressionList", _P | Flag.PROVIDER_SUPPRESSED, Action.SUPPRESS, Reason.PROVIDER,
        "no new complaint: SES's own list has an old one",
    ),
    Rule(
        Kind.COMPLAINT, "OnTenantSuppressionList", _P | Flag.PROVIDER_SUPPRESSED, Action.SUPPRESS, Reason.PROVIDER,
        "as OnAccountSuppressionList",
    ),
    Rule(
        Kind.SUBSCRIPTION, "OptOut", _P | Flag.UNSUBSCRIBED, Action.OPT_OUT, Reason.UNSUBSCRIBE,
        "of the topics that it names, or of all mail",
    ),
    Rule(Kind.SUBSCRIPTION, "OptIn", _P, note="nothing is lifted by an event: a person does that"),
    Rule("", "", _P, note="a type that is newer than this: SES took the message"),
)  # fmt: skip
_BY_NAME = {(rule.kind, rule.subtype): rule for rule in RULES}


def find_rule(kind: str, subtype: str) -> Rule:
    """Find the rule of an event: its subtype's; else a part's, the last first; else its type's; else that of any."""
    parts = subtype.split("/")
    for name in (subtype, *reversed(parts), ""):
        if rule := _BY_NAME.get((kind, name)):
            return rule
    return _BY_NAME["", ""]
