"""The store in a local folder: durable writes, digests, and where things are.

A file is there whole or not at all: written aside, flushed to the disk, then renamed into place.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ConfigurationError, MailrunError, PausedError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
REMOVAL_ATTEMPTS = 100  # each takes milliseconds, and the thread fails with its next file


class Store:
    """A folder that holds runs and what belongs to them.

    Args:
        root: the folder; made where missing, readable by its owner alone.

    Raises:
        ConfigurationError: it cannot be made or written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        with translate_os_errors(root):
            root.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            ignore = root / ".gitignore"  # it holds personal data and a key: never to be committed
            if not ignore.exists():
                ignore.write_text("*\n", encoding="ascii")
            probe = root / f".probe-{uuid.uuid4().hex}"
            probe.touch(mode=PRIVATE_FILE)
            probe.unlink()

    def run_folder(self, name: str) -> Path:
        """Return where a run `CAMPAIGN/KEY` lives."""
        return self.root / "runs" / name

    @contextmanager
    def stage(self, name: str) -> Iterator[Path]:
        """Make an empty folder beside a run's, to be filled and then published; what is not published is removed.

        Its maker holds a lock on it, which the kernel gives up when the process dies: folders that a crash left
        behind are known by that and removed here.
        """
        final = self.run_folder(name)
        staging = final.parent / f".{final.name}.{uuid.uuid4().hex}"
        with translate_os_errors(staging):
            final.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            with locked(final.parent):  # nobody may see the new folder before it is locked
                for abandoned in final.parent.glob(f".{final.name}.*"):
                    _remove_if_abandoned(abandoned)
                staging.mkdir(mode=PRIVATE_FOLDER)
                lock = _lock(staging)
        try:
            yield staging
        finally:
            os.close(lock)
            _remove_tree(staging)

    def publish(self, staging: Path, name: str) -> bool:
        """Move a staged folder to its place, whole and durable; False where another was there first."""
        final = self.run_folder(name)
        with translate_os_errors(final):
            sync_tree(staging)
            try:
                staging.rename(final)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                return False
            sync_folder(final.parent)
            sync_folder(final.parent.parent)
            return True


def _remove_tree(folder: Path) -> None:
    """Remove a folder that an abandoned thread may still be writing into; without the folder its next file fails."""
    for _ in range(REMOVAL_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def _lock(folder: Path, flags: int = 0) -> int:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against others who lock it."""
    lock = _lock(folder)
    try:
        yield
    finally:
        os.close(lock)


def _remove_if_abandoned(staging: Path) -> None:
    try:
        lock = _lock(staging, fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return  # its maker lives, or has just published it
    shutil.rmtree(staging, ignore_errors=True)
    os.close(lock)


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole and durably, readable by its owner alone.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the folder may not be written.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(path.parent)


def digest_bytes(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return a file's SHA-256, in hex."""
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
    """Turn the operating system's errors about the store into mailrun's own: the one border for them."""
    try:
        yield
    except shutil.Error as error:  # of a copied folder: a list of what failed
        source, _, said = error.args[0][0]
        raise ConfigurationError(
            f"cannot be copied: {said}", where=str(source), remedy="make it a readable file, or remove it"
        ) from error
    except OSError as error:
        raise _translate(error, path) from error


def _translate(error: OSError, path: Path) -> MailrunError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PausedError(
            "the disk with the store is full", where=str(path), remedy="free some space and launch again to go on"
        )
    if error.errno == errno.EIO:
        return PausedError(
            "the disk with the store fails", where=str(path), remedy="look after the disk, then launch again to go on"
        )
    return ConfigurationError(
        f"the store cannot be used: {error.strerror}",
        where=str(path),
        remedy="give this user write access to the folder, or choose another with --store",
    )
