"""Types, defaults and bounds of a pydantic model's fields, in words."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_NAMES = {"string": "text", "number": "number", "integer": "integer", "boolean": "boolean", "object": "table"}


def list_models(field: FieldInfo) -> Iterator[type[BaseModel]]:
    """Yield the models in a field's annotation: a section, or the sections of a table of sections."""
    for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind


def describe_types(model: type[BaseModel]) -> dict[str, str]:
    """Return the type of each field, by the name that a file has for it: `"single"` or `"bulk"`, integer ≥ 1."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    return {name: _describe(found, definitions) for name, found in schema["properties"].items()}


def describe_default(field: FieldInfo) -> str:
    """Return the default as TOML has it, `required`, or `none`."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True) if field.default is PydanticUndefined else field.default
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    value = value.value if isinstance(value, Enum) else value
    if value is None or value in ("", ()):
        return "none" if value != () else "`[]`"
    return f"`{json.dumps(str(value) if isinstance(value, Path) else value)}`"


def _describe(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _describe(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        kinds = [_describe(kind, definitions) for kind in schema["anyOf"] if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_describe(schema.get('items', {'type': 'string'}), definitions)}"
    return _NAMES.get(schema.get("type", ""), "value") + _describe_bounds(schema)


def _describe_bounds(schema: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[name]:,g}" for name, sign in signs.items() if name in schema]
    return f" {' and '.join(bounds)}" if bounds else ""
