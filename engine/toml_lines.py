"""The line of every key in a TOML document."""

import tomllib
from collections.abc import Iterator, Mapping

KeyPath = tuple[str, ...]


def locate_keys(source: str) -> dict[KeyPath, int]:
    """Find the line of every key and table of a valid TOML document.

    A statement may span lines; it ends at the first line up to which TOML accepts it.
    """
    places: dict[KeyPath, int] = {}
    lines = source.split("\n")
    table, start = "", 0
    for end in range(1, len(lines) + 1):
        statement = "\n".join(lines[start:end])
        try:
            seen = tomllib.loads(f"{table}\n{statement}")
        except tomllib.TOMLDecodeError:
            continue
        for path in _paths(seen):
            places.setdefault(path, start + 1)
        if statement.lstrip().startswith("["):
            table = statement
        start = end
    return places


def _paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield (*path, key)
            yield from _paths(inner, (*path, key))
