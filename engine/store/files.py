"""Durable files: written whole or not at all, readable by their owner alone.

A file is written under a temporary name, flushed to the disk, then renamed into place.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from engine.errors import ConfigurationError, MailrunError, PausedError
from engine.system.process_limits import find_os_error
from engine.transaction_guard import refuse_in_transaction

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def write_file(path: Path, data: bytes, *, make_folders: bool = True) -> None:
    """Write a file whole and durably, readable by its owner alone; an existing one is replaced.

    Args:
        path: the file.
        data: its new content.
        make_folders: make the folders around it that are missing; False fails where one is missing.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the folder may not be written.
    """
    with translate_os_errors(path):
        if make_folders:
            _make_folder(path.parent)
        with _written_aside(path, data) as aside:
            aside.rename(path)
        sync_folder(path.parent)


def create_file(path: Path, data: bytes) -> bool:
    """Write a file whole and durably unless one exists; False where one does. Raises as `write_file`."""
    with translate_os_errors(path):
        _make_folder(path.parent)
        with _written_aside(path, data) as aside:
            try:
                path.hardlink_to(aside)
            except FileExistsError:
                return False
            sync_folder(path.parent)
            return True


def delete_tree(folder: Path) -> None:
    """Remove a folder with everything in it, if it exists. Raises as `write_file`."""
    with translate_os_errors(folder):
        while folder.exists():
            with suppress(FileNotFoundError):  # another process removes it as well
                shutil.rmtree(folder)


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)


@contextmanager
def _written_aside(path: Path, data: bytes) -> Iterator[Path]:
    """Write a durable file beside another one; it is removed afterwards, unless it was renamed.

    It is locked while its writer lives, so that `remove_unfinished` can recognize what a crash left behind.
    """
    aside, file = _open_aside(path)
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            yield aside
    finally:
        aside.unlink(missing_ok=True)


def _open_aside(path: Path) -> tuple[Path, BinaryIO]:
    while True:
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        with suppress(OSError):  # some network file systems have no locks; nothing is removed there
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return aside, os.fdopen(descriptor, "wb")
        os.close(descriptor)  # it was removed as a leftover before it was locked


def lock(path: Path, flags: int = 0) -> int:
    """Lock a file or folder; returns the descriptor, which holds the lock until it is closed or the process ends.

    Args:
        path: what to lock.
        flags: `fcntl.LOCK_NB` raises BlockingIOError where another process holds it, instead of waiting.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; others who lock it wait."""
    descriptor = lock(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def digest_bytes(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return a file's SHA-256, in hex."""
    refuse_in_transaction(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make everything under a folder durable."""
    for parent, _, files in os.walk(folder):
        for name in files:
            sync_folder(Path(parent, name))  # fsync works alike on files and folders
        sync_folder(Path(parent))


@contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Translate the operating system's errors about the store to mailrun's own; the only place that does.

    Raises:
        ConfigurationError: a file cannot be copied.
        MailrunError: the type depends on the system's error; see `_translate`.
    """
    refuse_in_transaction(path)
    try:
        yield
    except shutil.Error as error:  # of a copied folder: a list of what failed
        source, _, reason = error.args[0][0]
        raise ConfigurationError(
            f"cannot be copied: {reason}", where=str(source), remedy="make it a readable file, or remove it"
        ) from error
    except OSError as error:  # without a number where Polars writes to an open file
        numbered = OSError(find_os_error(error), str(error)) if error.errno is None else error
        raise _translate(numbered, path) from error
    except MailrunError:
        raise
    except Exception as error:
        if (number := find_os_error(error)) not in _DISK_ERRORS:
            raise
        raise _translate(OSError(number, str(error)), path) from error


def _translate(error: OSError, path: Path) -> MailrunError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PausedError(
            "the disk with the store is full", where=str(path), remedy="free some space and run the same command again"
        )
    if error.errno == errno.EIO:
        return PausedError(
            "the disk with the store has I/O errors",
            where=str(path),
            remedy="repair the disk, then run the same command again",
        )
    return ConfigurationError(
        f"the store cannot be used: {error.strerror}",
        where=str(path),
        remedy="give this user write access to the folder, or choose another with --store",
    )
