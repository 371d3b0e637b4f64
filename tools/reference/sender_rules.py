"""The rules of Gmail, Yahoo and Microsoft for senders, from the table that judges them."""

from engine.authentication.sender_rules import SENDER_RULES, Receiver, SenderRule
from tools.reference.markdown import make_table

_HEADS = ("rule", "what it asks for", "Gmail", "Yahoo", "Microsoft")


def describe_sender_rules() -> str:
    """Return the table of rules; each cell links to the page on which the receiver says so."""
    rows = [
        (f"`{rule.code}`", rule.about, *(_describe(rule, receiver) for receiver in Receiver))
        for rule in SENDER_RULES.values()
    ]
    return make_table(_HEADS, rows)


def _describe(rule: SenderRule, receiver: Receiver) -> str:
    demand = rule.demands.get(receiver)
    return "—" if demand is None else f"[{demand}]({rule.find_source(receiver)})"
