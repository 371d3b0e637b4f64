"""Files and folders that are being written on this machine, and those that a killed process left behind.

The writing process holds a lock, which the kernel releases when the process ends. So an unlocked file is abandoned.
"""

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.store.files import PRIVATE_FILE, PRIVATE_FOLDER, lock, locked, translate_os_errors

REMOVAL_ATTEMPTS = 100  # each takes milliseconds; the abandoned thread fails at its next file
_TEMPORARY = re.compile(r"\..+[.-][0-9a-f]{32}")  # files that are being written, staged runs, probes


def prepare_root(root: Path) -> None:
    """Make the store's folder on this machine, readable by its owner alone, and check that it can be written.

    Raises:
        ConfigurationError: it cannot be made or written.
    """
    with translate_os_errors(root):
        root.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        ignore = root / ".gitignore"  # the store has personal data and keys, which must not be committed
        if not ignore.exists():
            ignore.write_text("*\n", encoding="ascii")
        probe = root / f".probe-{uuid.uuid4().hex}"
        probe.touch(mode=PRIVATE_FILE)
        probe.unlink(missing_ok=True)  # a prune at the same moment removes it as well


@contextmanager
def stage_folder(final: Path) -> Iterator[Path]:
    """Make an empty, locked folder beside a place; it is removed afterwards, unless it was moved.

    Also removes earlier staging folders that a crash left behind.
    """
    staging = final.parent / f".{final.name}.{uuid.uuid4().hex}"
    with translate_os_errors(staging):
        final.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        with locked(final.parent):  # no process may see the new folder before it is locked
            for abandoned in final.parent.glob(f".{final.name}.*"):
                _remove_if_abandoned(abandoned)
            staging.mkdir(mode=PRIVATE_FOLDER)
            descriptor = lock(staging)
    try:
        yield staging
    finally:
        os.close(descriptor)
        _remove_tree(staging)


def remove_unfinished(root: Path) -> int:
    """Remove the half-written files and folders of killed processes below a folder; returns how many."""
    removed = 0
    with translate_os_errors(root):
        for parent, folders, files in os.walk(root):
            for name in [name for name in folders if _TEMPORARY.fullmatch(name)]:
                folders.remove(name)
                # A new folder is locked, or not yet made: see `stage_folder`. Another prune may remove all of it.
                with suppress(FileNotFoundError), locked(Path(parent)):
                    removed += _remove_if_abandoned(Path(parent, name))
            removed += sum(_remove_leftover(Path(parent, name)) for name in files if _TEMPORARY.fullmatch(name))
    return removed


def is_unlocked(folder: Path) -> bool | None:
    """Return whether the process that made a folder has ended; None where the file system has no locks."""
    try:
        descriptor = lock(folder, fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        return None  # some network file systems have no locks
    os.close(descriptor)
    return True


def _remove_if_abandoned(staging: Path) -> bool:
    try:
        descriptor = lock(staging, fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False  # its process is alive, or has just moved it
    shutil.rmtree(staging, ignore_errors=True)
    os.close(descriptor)
    return True


def _remove_leftover(path: Path) -> bool:
    """Remove a temporary file whose writer has ended."""
    try:
        descriptor = lock(path, fcntl.LOCK_NB)
    except OSError:
        return False  # its writer is alive, or has just renamed it
    try:
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return True


def _remove_tree(folder: Path) -> None:
    """Remove a folder that an abandoned thread may still be writing into.

    It is renamed first, so that the thread's next file cannot be created.
    """
    renamed = folder.with_name(f"{folder.name[:-32]}{uuid.uuid4().hex}")
    with suppress(OSError):
        folder.rename(renamed)
    for _ in range(REMOVAL_ATTEMPTS):  # a file may have been created at the moment of the renaming
        shutil.rmtree(renamed, ignore_errors=True)
        if not renamed.exists():
            return
