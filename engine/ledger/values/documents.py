"""Values of the ledger that are read strictly: JSON documents, and names; a damaged one is reported, not guessed."""

from typing import Any

import orjson

from engine.errors import DataError


def read_document(text: str | bytes, what: str) -> dict[str, Any]:
    """Read a JSON object that a column has.

    Args:
        text: of the column.
        what: it is, and of which run, for people.

    Raises:
        DataError: it is not a JSON object.
    """
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, dict):
        return found
    raise make_damage(what)


def make_damage(what: str) -> DataError:
    """Return the error for a damaged value."""
    remedy = "restore the ledger from a backup, or correct the value"
    return DataError(f"the ledger has a damaged value: {what}", where="ledger", remedy=remedy)
