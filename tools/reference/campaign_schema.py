"""campaign.toml as JSON Schema, by which editors complete and check it."""

import json

from engine.campaign.spec import CampaignSpec


def make_campaign_schema() -> str:
    """Return the schema as a JSON document."""
    schema = CampaignSpec.model_json_schema(by_alias=True)
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "campaign.toml"}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
