"""Pages with generated blocks: text between `<!-- generated: NAME -->` and `<!-- end generated -->`."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.reference.campaign_toml import describe_campaign_toml
from tools.reference.commands import describe_commands
from tools.reference.event_rules import describe_event_rules
from tools.reference.ledger_tables import describe_ledger
from tools.reference.settings_keys import describe_settings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
BLOCKS: Mapping[str, Callable[[], str]] = {
    "campaign.toml": describe_campaign_toml,
    "commands": describe_commands,
    "event rules": describe_event_rules,
    "ledger": describe_ledger,
    "settings": describe_settings,
}
_BLOCK = re.compile(r"(<!-- generated: ([a-z. ]+) -->\n).*?(<!-- end generated -->)", flags=re.DOTALL)


def update_pages() -> list[Path]:
    """Write every generated block; returns the pages that changed."""
    changed = list_stale()
    for page in changed:
        page.write_text(fill_blocks(page.read_text(encoding="utf-8")), encoding="utf-8")
    return changed


def list_stale() -> list[Path]:
    """Return the pages whose generated blocks differ from the code."""
    texts = {page: page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md"))}
    return [page for page, text in texts.items() if fill_blocks(text) != text]


def fill_blocks(text: str) -> str:
    """Return the text of a page with every block generated.

    Raises:
        KeyError: a block has a name that no generator has.
    """
    return _BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]().strip()}\n\n{found[3]}", text)
