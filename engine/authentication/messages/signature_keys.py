"""The public keys of a message's signatures, asked for before anything is verified: verifying then needs no network.

Sources: RFC 6376 3.6.1 (the record of a key), 6.1.2 (how it is found).
"""

import asyncio
from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from engine.authentication.domains.dkim_key import KeyFault, parse_key
from engine.authentication.resolver import Absent, Records, Resolver, Unknown

MOST_KEYS = 64  # that are asked for


class KeyState(StrEnum):
    """What DNS says about a key."""

    USABLE = "usable"
    UNUSABLE = "unusable"  # certainly: there is none, it is revoked, or it cannot be read
    UNKNOWN = "unknown"  # DNS did not answer


class SignatureKey(Struct, frozen=True):
    """The key of a signature.

    Attributes:
        state: what DNS says.
        record: the text; empty unless it is usable.
        is_testing: t=y, receivers may ignore its signatures.
        problem: why it is not usable.
    """

    state: KeyState
    record: str = ""
    is_testing: bool = False
    problem: str = ""


async def ask_for_keys(names: Iterable[str], resolver: Resolver) -> dict[str, SignatureKey]:
    """Ask for keys, all at once.

    Args:
        names: `SELECTOR._domainkey.DOMAIN`; of more than `MOST_KEYS` the rest is not asked for, and unknown.
        resolver: asks DNS.
    """
    wanted = list(dict.fromkeys(name for name in names if name))
    keys = await asyncio.gather(*(_ask(name, resolver) for name in wanted[:MOST_KEYS]))
    too_many = SignatureKey(KeyState.UNKNOWN, problem=f"the message names more than {MOST_KEYS} keys")
    return dict.fromkeys(wanted[MOST_KEYS:], too_many) | dict(zip(wanted, keys, strict=False))


async def _ask(name: str, resolver: Resolver) -> SignatureKey:
    match await resolver.query(name, "TXT"):
        case Unknown(reason=reason):
            return SignatureKey(KeyState.UNKNOWN, problem=f"DNS gave no answer about its key: {reason}")
        case Absent():
            return SignatureKey(KeyState.UNUSABLE, problem=f"DNS has no key at {name}")
        case Records(values=values):
            return _read(name, values)


def _read(name: str, values: tuple[str, ...]) -> SignatureKey:
    if len(values) != 1:
        return SignatureKey(KeyState.UNUSABLE, problem=f"DNS has {len(values)} records at {name}, and one counts")
    key = parse_key(values[0])
    if isinstance(key, KeyFault):
        return SignatureKey(KeyState.UNUSABLE, problem=f"{key.what}, at {name}")
    return SignatureKey(KeyState.USABLE, values[0], key.is_testing)


class KeyLookup:
    """Answers dkimpy from the keys that were asked for; remembers where one is unknown."""

    def __init__(self, keys: Mapping[str, SignatureKey]) -> None:
        self._keys = keys
        self.has_unknown = False

    def __call__(self, name: bytes, timeout: float = 0) -> bytes | None:
        """Return a key's record; None where there is none."""
        del timeout
        key = self._keys.get(name.decode("ascii", "replace").rstrip(".").lower())
        if key is None or key.state is KeyState.UNKNOWN:
            self.has_unknown = True
            return None
        return key.record.encode("utf-8") or None
