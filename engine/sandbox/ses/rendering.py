"""Inline templates: flat `{{name}}` substitution and nothing else, without escaping.

Source: SES API v2 `EmailTemplateContent`; what SES refuses ("Template contains unsupported operations.") is known from
reports of its users: blocks, nested names, names with an underscore.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from engine.sandbox.http.replies import bad_request

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z][A-Za-z0-9]*)\s*\}\}")
_UNSUPPORTED = re.compile(r"\{\{(?!\s*[A-Za-z][A-Za-z0-9]*\s*\}\})")


class MissingVariable(Exception):  # noqa: N818 - it is a fact about the data, on which a message is still accepted
    """The data lack a variable of the template: SES accepts the message and reports a rendering failure later."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Attribute '{name}' is not present in the rendering data.")


def check_template(template: str) -> None:
    """Refuse what inline templates cannot do.

    Raises:
        ApiError: BadRequestException.
    """
    _parts_of(template)


def render(template: str, data: Mapping[str, Any]) -> str:
    """Return the template with its variables replaced.

    Args:
        template: text that `check_template` accepts.
        data: variable names to values; what is not a string appears as its JSON, null as nothing.

    Raises:
        MissingVariable: a variable is not in the data.

    >>> render("Dear {{name}}", {"name": "Ann & Bob"})
    'Dear Ann & Bob'
    """
    parts = _parts_of(template)
    out = list(parts)
    for place in range(1, len(parts), 2):
        name = parts[place]
        if name not in data:
            raise MissingVariable(name)
        out[place] = _text_of(data[name])
    return "".join(out)


@lru_cache(maxsize=64)
def _parts_of(template: str) -> tuple[str, ...]:
    """Return the literals of a template and, between them, the names of its variables."""
    if _UNSUPPORTED.search(template):
        raise bad_request("Template contains unsupported operations.")
    return tuple(_VARIABLE.split(template))


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value).decode()
