"""Column names that are not valid names in a template: how to write them, and what else they may mean."""

import re
from collections.abc import Collection, Iterator
from keyword import iskeyword

from engine.campaign.content.names import ENGINE_FIELDS, NameUse

_TAG = re.compile(r"\{\{[-+]?(?P<output>.*?)[-+]?\}\}|\{%[-+]?\s*(?:if|elif)\s(?P<test>.*?)[-+]?%\}", re.DOTALL)
_END_OF_NAME = re.compile(r"[|=<>!]|\b(?:is|in|not|and|or|if|else)\b")
_RESERVED = frozenset({"true", "false", "none", "recursive", "loop", "self"})  # in addition to Python's own
_MARKUP = frozenset("\"'()[]{}~*%\\")


def is_plain_name(column: str) -> bool:
    """Return whether a column's name can be written in a template as it is."""
    return column.isidentifier() and not iskeyword(column) and column not in _RESERVED


def write_column(column: str) -> str:
    """Return how a template reads a column of any name.

    >>> [write_column(column) for column in ("city", "First name")]
    ['city', 'recipient["First name"]']
    """
    quote = "'" if '"' in column else '"'
    return column if is_plain_name(column) else f"recipient[{quote}{column}{quote}]"


def suggest_column(source: str, line: int, columns: Collection[str] = ()) -> str | None:
    """Return the remedy for a tag that uses a column name which is not a valid name in a template.

    Args:
        source: the template as its author wrote it.
        line: of the error.
        columns: of the audience; if empty, every text that looks like such a name counts.
    """
    for text in _tags_on(source, line):
        name = _find_name(text, columns)
        if name is not None:
            return f"write {write_column(name)} for the column {name}, or rename the column in [audience.columns]"
    return None


def _find_name(text: str, columns: Collection[str]) -> str | None:
    if columns:
        odd = [column for column in columns if not is_plain_name(column) and _same(column) in _same(text)]
        return max(odd, key=len, default=None)
    name = " ".join(_END_OF_NAME.split(text)[0].split())
    is_odd = name and not is_plain_name(name) and not _MARKUP & set(name) and re.search(r"\w", name)
    return name if is_odd and not name.replace(".", "").isdecimal() else None


def _tags_on(source: str, line: int) -> Iterator[str]:
    for found in _TAG.finditer(source):
        first = source.count("\n", 0, found.start()) + 1
        if first <= line <= first + found[0].count("\n"):
            yield found["output"] or found["test"] or ""


def _same(text: str) -> str:
    return " ".join(text.split()).casefold()


def find_near_column(name: str, columns: Collection[str]) -> str | None:
    """Return the column that has a name in other letters, such as `First name` for `first_name`."""
    wanted = _folded(name)
    return next((column for column in columns if wanted and _folded(column) == wanted), None)


def _folded(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def hides_column(use: NameUse, columns: Collection[str]) -> bool:
    """Return whether a template certainly means a column, but gets mailrun's own value."""
    if use.is_column or use.name not in columns or use.name == "unsubscribe_url":
        return False
    return use.field is None if use.name == "recipient" else use.field not in ENGINE_FIELDS[use.name]


def may_hide_column(use: NameUse, columns: Collection[str], address: str) -> str | None:
    """Return the column that an author may expect, when a name of mailrun's is used as documented."""
    if use.is_column:
        return None
    if use.name == "recipient":
        return "address" if use.field == "address" and "address" in columns and address != "address" else None
    return use.name if use.name in columns else None
