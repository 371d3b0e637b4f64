"""The identity of a store, written in the store itself: one folder may be mounted at many paths."""

from engine.store.keys import read_key
from engine.store.port import Store

_FILE = "store.id"


def read_store_identity(store: Store) -> str:
    """Read the store's identity; creates it on first use.

    Raises:
        MailrunError: the store could not be read or written.
    """
    return read_key(store, _FILE)[0].decode()
