"""campaign.toml, from the models that check it."""

from collections.abc import Iterator

from pydantic import BaseModel

from engine.campaign.spec import CampaignSpec
from tools.reference.markdown import escape, make_table
from tools.reference.schemas import describe_default, describe_types, list_models

_EXAMPLES = {"domains": '"gmail.com"', "notify.targets": "NAME"}  # a name in a table of tables
_HEADS = ("key", "type", "default", "meaning")


def describe_campaign_toml() -> str:
    """Return a table for the top of the file, and one for each of its sections."""
    return "\n\n".join(f"{heading}\n\n{table}" for heading, table in _describe("", CampaignSpec))


def walk_sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield every section of campaign.toml with its name; the top of the file has an empty one."""
    yield from _walk("", CampaignSpec)


def _walk(name: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield name, model
    for key, field in model.model_fields.items():
        for inner in list_models(field):
            place = f"{name}.{key}" if name else key
            is_map = field.annotation is not inner and "dict" in str(field)
            yield from _walk(f"{place}.{_EXAMPLES[place]}" if is_map else place, inner)


def _describe(name: str, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for section, found in _walk(name, model):
        types = describe_types(found)
        rows = [
            (f"`{key}`", types[key], describe_default(field), escape(field.description or ""))
            for key, field in ((field.alias or key, field) for key, field in found.model_fields.items())
            if not any(list_models(field))
        ]
        heading = f"## `[{section}]`" if section else "## Top of the file"
        yield heading, make_table(_HEADS, rows)
