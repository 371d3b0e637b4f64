"""What each event of SES means, from the table that decides it."""

from engine.feedback.events.rules import RULES, EventAction
from engine.ledger.event_flags import Flag
from tools.reference.markdown import make_table

_HEADS = ("event", "subtype", "counted as", "the address is", "reason", "note")
_HIDDEN = (Flag.PROVEN, Flag.STRIKE)


def describe_event_rules() -> str:
    """Return the table of rules."""
    rows = []
    for rule in RULES:
        shown = [f"`{str(flag.name).lower()}`" for flag in Flag if flag in rule.flags and flag not in _HIDDEN]
        subtype = f"`{rule.subtype}`" if rule.subtype else "any other"
        action = "—" if rule.action is EventAction.NOTHING else str(rule.action)
        reason = f"`{rule.reason}`" if rule.reason else "—"
        rows.append((rule.kind or "any other", subtype, ", ".join(shown) or "—", action, reason, rule.note))
    return make_table(_HEADS, rows)
