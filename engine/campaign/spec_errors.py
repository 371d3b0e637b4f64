"""Error messages for a TOML file: each problem with its line, its key and what to do."""

import json
import re
import tomllib
from collections.abc import Mapping
from itertools import takewhile
from typing import Any, get_args

from msgspec import Struct
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.errors import ConfigurationError, nearest
from engine.toml_lines import KeyPath, locate_keys

_EXPECTED = {
    "string_type": "text in quotes",
    "int_type": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": 'a list such as ["…", "…"]',
    "dict_type": "a table",
    "model_type": "a table",
    "string_too_short": "text that is not empty",
    "string_pattern_mismatch": "text that matches {pattern}",
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than_equal": "a number of at most {le:g}",
}


class Problem(Struct, frozen=True):
    """One error of one key."""

    line: int | None
    key: str
    what: str
    remedy: str


def read_toml(source: str, *, file: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ConfigurationError: a syntax error, with its line.
    """
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message)
    line = (found and found[2]) or str(source.count("\n") + 1)
    column = f" at column {found[3]}" if found and found[3] else ""
    raise ConfigurationError(
        f"the TOML cannot be read: {found[1] if found else message}{column}",
        where=f"{file}:{line}",
        remedy="correct the line",
    )


def describe_problems(error: ValidationError, *, model: type[BaseModel], source: str) -> list[Problem]:
    """Describe pydantic's errors in words, in the order of the file.

    Args:
        error: pydantic's errors.
        model: the model of the whole document; its fields that are models are the tables.
        source: the document.
    """
    data, lines, tables = tomllib.loads(source), locate_keys(source), _tables(model)
    grouped: dict[tuple[KeyPath, str, str], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        path = _path_of(detail, lines)
        group = "type" if detail["type"] in _EXPECTED else str(detail["loc"])
        grouped.setdefault((path, _found(detail["input"]), group), []).append(detail)
    problems = [
        _problem(path, details, data=data, lines=lines, tables=tables) for (path, _, _), details in grouped.items()
    ]
    return sorted(problems, key=lambda problem: problem.line or 0)


def report_problems(problems: list[Problem], *, file: str) -> ConfigurationError:
    """Return one error that reports all the problems."""
    if len(problems) == 1:
        (one,) = problems
        place = file if one.line is None else f"{file}:{one.line}"
        return ConfigurationError(one.what, where=f"{place} {one.key}".rstrip(), remedy=one.remedy)
    bullets = (
        f"\n  - {f'line {one.line} ' if one.line else ''}{one.key}: {one.what}; {one.remedy}" for one in problems
    )
    return ConfigurationError(
        f"{len(problems)} problems:{''.join(bullets)}\n", where=file, remedy="correct each of them"
    )


def _problem(
    path: KeyPath,
    details: list[ErrorDetails],
    *,
    data: Mapping[str, Any],
    lines: Mapping[KeyPath, int],
    tables: Mapping[str, list[str]],
) -> Problem:
    detail = details[0]
    line = lines.get(path) or lines.get(path[:-1])
    key = _key_text(path, is_table=_is_table(path, data) or (len(path) == 1 and path[0] in tables))
    if detail["type"] == "extra_forbidden":
        return Problem(
            line, key, f"unknown {'table' if key.endswith(']') else 'key'} {path[-1]}", _suggest_fix(path, tables)
        )
    if detail["type"] == "missing":
        return Problem(line, key, f"{path[-1]} is missing", f"add it{_inside(path)}")
    if detail["type"] == "value_error":
        what, remedy = detail["ctx"]["error"].args
        given, shown = detail["input"], _found(detail["input"])
        is_shown = given is None or given == path[-1] or isinstance(given, dict) or shown in what
        found = "" if is_shown else f": {shown}"
        return Problem(line, key, f"{key if key.endswith(']') else path[-1]} {what}{found}", remedy)
    expected = " or ".join(dict.fromkeys(_expected(one) for one in details))
    return Problem(line, key, f"{path[-1]} is {_found(detail['input'])}", f"write {expected}")


def _expected(detail: ErrorDetails) -> str:
    if detail["type"] == "literal_error":
        values = detail["ctx"]["expected"].replace("'", '"')
        return values if " or " in values else f"{values}, the only value that this version accepts"
    return _EXPECTED.get(detail["type"], detail["msg"]).format_map(detail.get("ctx", {}))


def _path_of(detail: ErrorDetails, lines: Mapping[KeyPath, int]) -> KeyPath:
    """Return the key that has the error, without list indices and without pydantic's union members."""
    keys = tuple(takewhile(lambda part: isinstance(part, str), detail["loc"]))
    names = tuple(str(key) for key in keys)
    if detail["type"] == "missing" or not names:
        return names
    known = [names[:length] for length in range(len(names), 0, -1) if names[:length] in lines]
    return known[0] if known else names


def _found(value: object) -> str:
    """Return a value as TOML writes it, shortened if it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _is_table(path: KeyPath, data: Any) -> bool:
    for part in path:
        data = data.get(part) if isinstance(data, Mapping) else None
    return isinstance(data, Mapping)


def _key_text(path: KeyPath, *, is_table: bool) -> str:
    if is_table:
        return f"[{'.'.join(path)}]"
    return path[0] if len(path) == 1 else f"[{path[0]}] {'.'.join(path[1:])}"


def _inside(path: KeyPath) -> str:
    return f" to [{path[0]}]" if len(path) > 1 else ""


def _suggest_fix(path: KeyPath, tables: Mapping[str, list[str]]) -> str:
    """Return what to do about an unknown key: where it belongs, or which known key is similar."""
    table, key = ".".join(path[:-1]), path[-1]
    homes = [name for name, keys in tables.items() if key in keys and name != table]
    if not homes:
        return nearest(key, tables.get(table, []))
    if "" in homes:
        return "move it to the top of the file, before the first [table]" if key not in tables else f"write [{key}]"
    return f"move it to [{homes[0]}]"


def _tables(model: type[BaseModel]) -> dict[str, list[str]]:
    """Return each table's keys; the top of the file is the table ""."""
    tables = {"": [field.alias or name for name, field in model.model_fields.items()]}
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                tables[name] = list(kind.model_fields)
    return tables
