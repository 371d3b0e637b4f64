"""Pages with generated blocks: text between `<!-- generated: NAME -->` and `<!-- end generated -->`."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.reference.agent_rules import describe_agent_rules
from tools.reference.campaign_toml import describe_campaign_toml
from tools.reference.commands import describe_commands
from tools.reference.domain_rules import describe_domain_rules
from tools.reference.event_rules import describe_event_rules
from tools.reference.json_schemas import make_campaign_schema, make_settings_schema
from tools.reference.ledger_tables import describe_ledger
from tools.reference.metrics_table import describe_metrics
from tools.reference.sender_rules import describe_sender_rules
from tools.reference.ses_setup import describe_ses_setup
from tools.reference.settings_keys import describe_settings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SCHEMAS: Mapping[str, Callable[[], str]] = {
    "campaign.schema.json": make_campaign_schema,
    "mailrun.schema.json": make_settings_schema,
}
BLOCKS: Mapping[str, Callable[[], str]] = {
    "campaign.toml": describe_campaign_toml,
    "commands": describe_commands,
    "domain rules": describe_domain_rules,
    "agent rules": describe_agent_rules,
    "event rules": describe_event_rules,
    "ledger": describe_ledger,
    "metrics": describe_metrics,
    "sender rules": describe_sender_rules,
    "ses setup": describe_ses_setup,
    "settings": describe_settings,
}
_BLOCK = re.compile(r"(<!-- generated: ([a-z. ]+) -->\n).*?(<!-- end generated -->)", flags=re.DOTALL)


def update_pages() -> list[Path]:
    """Write every page with a generated block, and the schemas; returns the files that changed."""
    changed = find_stale()
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")
    return list(changed)


def find_stale() -> dict[Path, str]:
    """Return the text that each stale file should have."""
    wanted = {page: fill_blocks(page.read_text(encoding="utf-8")) for page in sorted(REFERENCE.glob("*.md"))}
    wanted |= {REFERENCE / name: make() for name, make in SCHEMAS.items()}
    return {path: text for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text}


def fill_blocks(text: str) -> str:
    """Return the text of a page with every block generated.

    Raises:
        KeyError: a block has a name that no generator has.
    """
    return _BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]().strip()}\n\n{found[3]}", text)
