"""Looks up a few addresses in the suppression list; plain ones, where nobody was forgotten, without Polars."""

from collections.abc import Collection

from engine.addresses.plain import is_plain
from engine.ledger.suppressed.suppressions import Suppression, find_suppressions, is_anyone_forgotten
from engine.on_demand import OnDemand
from engine.workspace import Workspace

_read_unusual = OnDemand("engine.suppression.lists:read_one_entry")  # Polars is slow to import
_find_among_forgotten = OnDemand("engine.suppression.editing:find_forgotten")


def read_entry(text: str) -> tuple[str, str | None]:
    """Return the key and the address (None for a domain) of one address or domain that a person typed.

    Raises:
        DataError: it is not one address or one domain.
    """
    if is_plain(text):
        return text.lower(), text
    read: tuple[str, str | None] = _read_unusual(text)
    return read


def find_entries(workspace: Workspace, keys: Collection[str], topic: str | None = None) -> list[Suppression]:
    """Find the entries of some keys, of one topic or (None) of any."""
    with workspace.ledger.read() as tx:
        found = find_suppressions(tx, keys)
    return [one for one in found if topic is None or one.topic == topic]


def find_forgotten(workspace: Workspace, keys: Collection[str]) -> set[str]:
    """Find which keys belong to addresses that were erased with `mailrun forget`."""
    with workspace.ledger.read() as tx:
        if not is_anyone_forgotten(tx):
            return set()
    found: set[str] = _find_among_forgotten(workspace, keys)
    return found
