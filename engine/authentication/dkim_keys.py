"""The public keys of signatures, asked for before anything is verified: verifying then needs no network.

Sources: RFC 6376 3.6.1 (the record of a key), 6.1.2 (how it is found).
"""

import asyncio
from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from engine.authentication.dkim_signatures import read_tags
from engine.authentication.resolver import Absent, Records, Resolver, Unknown

MOST_KEYS = 64  # that are asked for


class KeyState(StrEnum):
    """What DNS says about a key."""

    FOUND = "found"
    MISSING = "missing"  # certainly
    REVOKED = "revoked"  # p= is empty
    AMBIGUOUS = "ambiguous"  # more than one record
    UNKNOWN = "unknown"  # DNS did not answer


class DkimKey(Struct, frozen=True):
    """The record of a key.

    Attributes:
        state: what DNS says.
        record: its text; empty where there is none.
        is_test: `t=y`: receivers treat the mail as if it were not signed (RFC 6376 3.6.1).
        problem: why DNS did not answer.
    """

    state: KeyState
    record: str = ""
    is_test: bool = False
    problem: str = ""


async def ask_for_keys(names: Iterable[str], resolver: Resolver) -> dict[str, DkimKey]:
    """Ask for keys, all at once.

    Args:
        names: `SELECTOR._domainkey.DOMAIN`; of more than `MOST_KEYS` the rest is not asked for, and unknown.
        resolver: asks DNS.
    """
    wanted = list(dict.fromkeys(name for name in names if name))
    keys = await asyncio.gather(*(_ask(name, resolver) for name in wanted[:MOST_KEYS]))
    too_many = DkimKey(KeyState.UNKNOWN, problem=f"the message names more than {MOST_KEYS} keys")
    return dict.fromkeys(wanted[MOST_KEYS:], too_many) | dict(zip(wanted, keys, strict=False))


async def _ask(name: str, resolver: Resolver) -> DkimKey:
    match await resolver.query(name, "TXT"):
        case Unknown(reason=reason):
            return DkimKey(KeyState.UNKNOWN, problem=str(reason))
        case Absent():
            return DkimKey(KeyState.MISSING)
        case Records(values=values):
            return _read(values)


def _read(values: tuple[str, ...]) -> DkimKey:
    if len(values) != 1:
        return DkimKey(KeyState.AMBIGUOUS if values else KeyState.MISSING)
    tags = read_tags(values[0]) or {}
    state = KeyState.REVOKED if tags.get("p") == "" else KeyState.FOUND
    return DkimKey(state, values[0], is_test="y" in tags.get("t", "").replace(" ", "").split(":"))


class KeyLookup:
    """Answers dkimpy from the keys that were asked for; remembers where one is unknown."""

    def __init__(self, keys: Mapping[str, DkimKey]) -> None:
        self._keys = keys
        self.has_unknown = False

    def __call__(self, name: bytes, timeout: float = 0) -> bytes | None:
        """Return a key's record; None where there is none."""
        del timeout
        key = self._keys.get(name.decode("ascii", "replace").rstrip(".").lower())
        if key is None or key.state is KeyState.UNKNOWN:
            self.has_unknown = True
            return None
        return key.record.encode("utf-8") if key.state is KeyState.FOUND else None
