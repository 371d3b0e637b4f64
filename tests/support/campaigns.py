"""A campaign in a folder, for tests of content."""

from pathlib import Path
from typing import Any

import pytest

from engine.campaign.content.templates import compile_content
from engine.campaign.message import Message
from engine.campaign.render import Renderer
from engine.campaign.spec import Campaign, CampaignSpec, load_campaign, parse_spec
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import ConfigurationError

SIGNER = TokenSigner([b"a key that only tests use"])
TOML = """\
from = "Acme <news@acme.example>"
subject = "Hi"
kind = "transactional"
audience.source = "a.csv"

[content]
"""
# Of a world: marketing, with both ways to unsubscribe.
CAMPAIGN_WITH_LINKS = """\
from = "Acme <news@acme.example>"
subject = "Hello {{ first_name }}"

[audience]
source = "audiences/people.csv"

[content]
html = "body.html.j2"

[unsubscribe]
url = "https://acme.example/u/{{ token }}"
mailto = "unsubscribe@acme.example"
"""


def write_campaign(folder: Path, files: dict[str, str], content: str, *, toml: str = TOML) -> Campaign:
    """Write `campaigns/welcome` into a folder: files by their path below `campaigns/`, and lines of [content]."""
    for name, text in files.items():
        path = folder / "campaigns" / (name if name.startswith("_shared/") else f"welcome/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    campaign = folder / "campaigns" / "welcome"
    campaign.mkdir(parents=True, exist_ok=True)
    (campaign / "campaign.toml").write_text(f"{toml}{content}\n", encoding="utf-8")
    return load_campaign(campaign)


def make_renderer(campaign: Campaign) -> Renderer:
    return Renderer(compile_content(campaign), campaign, run_key="k", signer=SIGNER)


def render(campaign: Campaign, row: dict[str, Any] | None = None) -> Message:
    return make_renderer(campaign).render(row or {}, 1, "ann@example.com")


def parse_toml(text: str, base: str = TOML + 'text = "b"\n') -> CampaignSpec:
    """Parse a campaign.toml: a minimal campaign, then some lines."""
    return parse_spec(base + text, file="campaign.toml")


def refuse_toml(text: str, base: str = TOML + 'text = "b"\n') -> str:
    """Return the error for a campaign.toml that is refused."""
    with pytest.raises(ConfigurationError) as caught:
        parse_toml(text, base)
    return f"{caught.value.where} | {caught.value.what} | {caught.value.remedy}"
