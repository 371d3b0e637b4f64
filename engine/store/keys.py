"""The store's own secrets, created on first use."""

import secrets

from engine.store.port import Store

UNSUBSCRIBE_KEY = "unsubscribe.key"
FORGET_KEY = "forget.key"  # keys the hashes under which forgotten addresses stay suppressed


def read_forget_key(store: Store) -> bytes:
    """Read the key of the hashes of forgotten addresses; it is created on first use."""
    return read_key(store, FORGET_KEY)[0]


def read_key(store: Store, name: str) -> tuple[bytes, bool]:
    """Read one of the store's keys; creates it on first use.

    Where two processes create it at once, both use the one that was created first.

    Returns:
        The key, and whether this call created it.
    """
    known = store.read(name)
    made = known is None and store.create(name, secrets.token_urlsafe(32).encode() + b"\n")
    return (known if known is not None else store.read(name) or b"").strip(), made
