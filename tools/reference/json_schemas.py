"""campaign.toml and mailrun.toml as JSON Schema, by which editors complete and check them."""

import json
from typing import Any

from engine.campaign.spec import CampaignSpec
from engine.settings import Settings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# mailrun.toml is in the workspace, so it cannot name the workspace.
_NOT_IN_FILE = ("workspace",)


def make_campaign_schema() -> str:
    """Return the schema of campaign.toml as a JSON document."""
    return _write(CampaignSpec.model_json_schema(by_alias=True), "campaign.toml")


def make_settings_schema() -> str:
    """Return the schema of mailrun.toml as a JSON document."""
    schema = Settings.model_json_schema(by_alias=True)
    for name in _NOT_IN_FILE:
        del schema["properties"][name]
        schema["required"] = [one for one in schema.get("required", []) if one != name]
    if not schema["required"]:
        del schema["required"]
    return _write(schema, "mailrun.toml")


def _write(schema: dict[str, Any], title: str) -> str:
    document = {"$schema": _DIALECT, **schema, "title": title}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
