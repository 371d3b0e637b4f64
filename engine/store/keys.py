"""The store's own secret: the key that signs unsubscribe tokens where none is configured."""

import os
import secrets
from pathlib import Path

from engine.store.folder import PRIVATE_FILE, sync_folder, translate_os_errors


def read_unsubscribe_key(root: Path) -> tuple[bytes, bool]:
    """Read the store's key, made on first use.

    Returns:
        The key, and whether it was made just now.
    """
    path = root / "unsubscribe.key"
    with translate_os_errors(path):
        made = not path.exists()
        if made:
            _create(path)
        return path.read_bytes().strip(), made


def _create(path: Path) -> None:
    """Create the file whole or not at all: two launches may do so at once, and both must use the same key."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(aside)
    except FileExistsError:
        pass  # another launch was first; its key is the one to read
    finally:
        aside.unlink()
    sync_folder(path.parent)  # links in mail are verified with it for ever
