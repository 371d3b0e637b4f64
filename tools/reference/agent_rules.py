"""Which programs open and click, from the table that decides it."""

from engine.feedback.events.agents import AGENT_RULES, Match
from tools.reference.markdown import make_table

_HEADS = ("agent", "events", "recognised by", "counts as", "certain", "source, and what it cannot see")


def describe_agent_rules() -> str:
    """Return the table of rules."""
    rows = []
    for rule in AGENT_RULES:
        values = ", ".join(value if rule.match is Match.SOONER else f"`{value}`" for value in rule.values)
        counts = "a person" if rule.is_person else "a machine"
        certain = "yes" if rule.is_certain else "no"
        rows.append((rule.agent, ", ".join(rule.events), f"{rule.match} {values}", counts, certain, rule.source))
    return make_table(_HEADS, rows)
