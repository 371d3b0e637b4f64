"""What is checked of a sending domain, from the table of its rules."""

from engine.authentication.domains.rules import DOMAIN_RULES
from tools.reference.markdown import make_table

_HEADS = ("code", "rule", "who rejects or filters mail", "source")


def describe_domain_rules() -> str:
    """Return the table of rules."""
    rows = [
        (f"`{rule.code}`", rule.about, ", ".join(rule.receivers) or "nobody: advice", _write_source(rule.source))
        for rule in DOMAIN_RULES.values()
    ]
    return make_table(_HEADS, rows)


def _write_source(source: str) -> str:
    if source.startswith("https://"):
        return f"<{source}>"
    number, _, section = source.removeprefix("RFC ").partition(" ")
    anchor = f"#section-{section}" if section else ""
    return f"[{source}](https://www.rfc-editor.org/rfc/rfc{number}{anchor})"
