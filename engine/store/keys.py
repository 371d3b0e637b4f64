"""The store's own secrets, made on first use."""

import secrets

from engine.store.port import Store

UNSUBSCRIBE_KEY = "unsubscribe.key"
FORGET_KEY = "forget.key"  # of the hashes under which forgotten addresses stay suppressed


def read_forget_key(store: Store) -> bytes:
    """Read the key of the hashes of forgotten addresses; it is created on first use."""
    return read_key(store, FORGET_KEY)[0]


def read_key(store: Store, name: str) -> tuple[bytes, bool]:
    """Read one of the store's keys, made on first use.

    Two processes may make it at once: it is created whole or not at all, and both then use the first.

    Returns:
        The key, and whether it was made just now.
    """
    known = store.read(name)
    made = known is None and store.create(name, secrets.token_urlsafe(32).encode() + b"\n")
    return (known if known is not None else store.read(name) or b"").strip(), made
