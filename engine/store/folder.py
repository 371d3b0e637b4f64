"""The store in a local folder: durable writes, digests, and where things are.

A file is there whole or not at all: written aside, flushed to the disk, then renamed into place. `S3Store` (s3.py) is
the same store in a bucket; a key is a path inside the store, with slashes.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from engine.errors import ConfigurationError, MailrunError, PausedError
from engine.system.process_limits import find_os_error

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
SEALED = "staging"  # whole runs of which the ledger has not decided yet: staging/CAMPAIGN/KEY/DIGEST
_TEMPORARY = re.compile(r"\..+[.-][0-9a-f]{32}")  # files that are being written, staged runs, probes
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
            probe.unlink(missing_ok=True)  # a prune at the same moment removes it as well

    def run_folder(self, name: str) -> Path:
        """Return where a run `CAMPAIGN/KEY` lives."""
        return self.root / "runs" / name

    def describe(self, key: str) -> str:
        """Return where something is, for people."""
        return str(self.root / key)

    @property
    def address(self) -> str:
        """Where the store is, as it is understood on another machine: `HOST:FOLDER`, or a URL."""
        return f"{socket.gethostname()}:{self.root}"

    def write(self, key: str, data: bytes) -> None:
        """Write a file whole and durably; one that was there is replaced."""
        write_file(self.root / key, data)

    def create(self, key: str, data: bytes) -> bool:
        """Write a file whole and durably unless it is there; False where it was."""
        path = self.root / key
        with translate_os_errors(path), _written_aside(path, data) as aside:
            try:
                path.hardlink_to(aside)
            except FileExistsError:
                return False
            sync_folder(path.parent)
            return True

    def read(self, key: str) -> bytes | None:
        """Read a file; None where there is none."""
        with translate_os_errors(self.root / key):
            try:
                return (self.root / key).read_bytes()
            except FileNotFoundError:
                return None

    def list_names(self, folder: str, prefix: str = "") -> set[str]:
        """List the files of a folder whose names begin with a prefix, without those that are being written."""
        with translate_os_errors(self.root / folder):
            try:
                names = {path.name for path in (self.root / folder).iterdir()}
            except FileNotFoundError:
                return set()
            return {name for name in names if name.startswith(prefix) and not name.startswith(".")}

    def list_older(self, folder: str, before: datetime) -> set[str]:
        """List the files of a folder that were last written before a time."""
        with translate_os_errors(self.root / folder):
            path, limit = self.root / folder, before.timestamp()
            return {n for n in self.list_names(folder) if (path / n).is_file() and (path / n).stat().st_mtime < limit}

    def list_folders(self, folder: str) -> set[str]:
        """List the folders directly under a folder."""
        with translate_os_errors(self.root / folder):
            try:
                return {p.name for p in (self.root / folder).iterdir() if p.is_dir() and not p.name.startswith(".")}
            except FileNotFoundError:
                return set()

    def delete(self, key: str) -> None:
        """Remove a file, if it is there."""
        with translate_os_errors(self.root / key):
            (self.root / key).unlink(missing_ok=True)

    def move(self, key: str, target: str) -> bool:
        """Move a durable file to another place in one step; one that was there is replaced. False where it is gone."""
        path, end = self.root / key, self.root / target
        with translate_os_errors(end):
            end.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            try:
                path.rename(end)
            except FileNotFoundError:
                return False
            sync_folder(end.parent)
            return True

    def set_aside(self, key: str) -> str:
        """Move a damaged file out of the way without losing it; returns where it is now."""
        path = self.root / key
        aside = path.parent.parent / "damaged" / path.name
        with translate_os_errors(path):
            aside.parent.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
            path.rename(aside)
        return str(aside)

    def delete_folder(self, folder: str) -> None:
        """Remove a folder with all that is in it, if it is there."""
        with translate_os_errors(self.root / folder):
            while (self.root / folder).exists():
                with suppress(FileNotFoundError):  # another process removes it as well
                    shutil.rmtree(self.root / folder)

    def move_folder(self, folder: str, target: str) -> None:
        """Move a folder with all that is in it to a place where nothing is."""
        source, aim = self.root / folder, self.root / target
        with translate_os_errors(source), suppress(FileNotFoundError):  # another process has moved it
            aim.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            source.rename(aim)
            sync_folder(source.parent)
            sync_folder(aim.parent)

    def remove_temporary(self) -> int:
        """Remove what processes that were killed left half-written on this machine; returns how many files and folders.

        What a process writes now is locked by it, and stays.
        """
        removed = 0
        with translate_os_errors(self.root):
            for parent, folders, files in os.walk(self.root):
                for name in [name for name in folders if _TEMPORARY.fullmatch(name)]:
                    folders.remove(name)
                    # A new folder is locked, or not yet made: see `stage`. Another prune may remove all of it.
                    with suppress(FileNotFoundError), locked(Path(parent)):
                        removed += _remove_if_abandoned(Path(parent, name))
                removed += sum(_remove_leftover(Path(parent, name)) for name in files if _TEMPORARY.fullmatch(name))
        return removed

    def is_abandoned(self, folder: str) -> bool | None:
        """Tell whether the process that staged or sealed a folder has ended; None where nobody can know.

        Its lock goes with the folder when that is sealed, and ends with the process.
        """
        try:
            lock = _lock(self.root / folder, fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):
            return False
        except OSError:
            return None  # some network file systems have no locks
        os.close(lock)
        return True

    def fetch(self, folder: str, *, frozen_only: bool = False) -> Path:  # noqa: ARG002 - a bucket's copies cost time
        """Return a local folder that holds what the store's folder holds now.

        Args:
            folder: a run's.
            frozen_only: run.json, campaign/ and plan/ are enough.
        """
        return self.root / folder

    def open_mark(self, key: str) -> "Mark":
        """Make the mark of a lease that is being worked on."""
        return FileMark(self.root / key)

    def read_mark(self, key: str) -> int | None:
        """Read how far a mark says that the journal was durable; None where this machine cannot know."""
        return int(self.read(key) or 0)

    @contextmanager
    def stage(self, name: str) -> Iterator[Path]:
        """Make an empty folder beside a run's, to be filled and then sealed; what is not sealed is removed.

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

    def seal(self, staging: Path, name: str, digest: str) -> None:
        """Keep a staged folder, whole and durable, until the ledger has decided which one is the run's.

        Args:
            staging: the folder, with run.json.
            name: the run's.
            digest: the SHA-256 of run.json, under which `place` finds it.
        """
        sealed = self.root / SEALED / name / digest
        with translate_os_errors(sealed):
            sync_tree(staging)
            sealed.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            staging.rename(sealed)
            for parent in (sealed.parent, sealed.parent.parent, self.root / SEALED, self.root):
                sync_folder(parent)

    def place(self, name: str, digest: str) -> None:
        """Move what was sealed under a digest to the run's place; nothing where something is there, or all is done.

        Any number of processes may do it at once, and a crash on the way leaves it to the next.
        """
        sealed, final = self.root / SEALED / name / digest, self.run_folder(name)
        with translate_os_errors(final):
            if final.exists() or not sealed.exists():
                return
            final.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            try:
                sealed.rename(final)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise
            sync_folder(final.parent)
            sync_folder(final.parent.parent)

    def list_sealed(self, name: str) -> set[str]:
        """List the digests of what is sealed for a run."""
        folder = f"{SEALED}/{name}"
        return {d for d in self.list_folders(folder) if self.list_names(f"{folder}/{d}")}  # buckets list empty ones

    def discard(self, name: str, digest: str) -> None:
        """Remove what is sealed under a digest, if it is there."""
        self.delete_folder(f"{SEALED}/{name}/{digest}")


def _remove_tree(folder: Path) -> None:
    """Remove a folder that an abandoned thread may still be writing into; without the folder its next file fails."""
    for _ in range(REMOVAL_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


class Mark:
    """The mark of an open lease."""

    def advance(self, sequence: int) -> None:
        """Say up to where the journal is durable."""

    def finish(self) -> None:
        """Say that nothing more is sent under it."""

    def close(self) -> None:
        """Let go of it; it stays where it is."""


class FileMark(Mark):
    """The mark of an open lease, beside the outcomes: how far the ledger's journal has been.

    It survives the ledger, so that a ledger restored from a backup is known to be older than what was sent. It is not
    flushed to the disk: if the machine fails it may lag behind the ledger, never be ahead of it.
    """

    def __init__(self, path: Path) -> None:
        with translate_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
            if not os.pread(self._file, 1, 0):  # its place on the disk is taken now: a full disk cannot fail it later
                os.pwrite(self._file, b"%012d" % 0, 0)
            sync_folder(path.parent)
        self._path = path

    def advance(self, sequence: int) -> None:
        """Write the sequence in place: one write of a few bytes."""
        with translate_os_errors(self._path):
            os.pwrite(self._file, b"%012d" % sequence, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


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


def _remove_if_abandoned(staging: Path) -> bool:
    try:
        lock = _lock(staging, fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False  # its maker lives, or has just sealed it
    shutil.rmtree(staging, ignore_errors=True)
    os.close(lock)
    return True


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole and durably, readable by its owner alone.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the folder may not be written.
    """
    with translate_os_errors(path):
        with _written_aside(path, data) as aside:
            aside.rename(path)
        sync_folder(path.parent)


@contextmanager
def _written_aside(path: Path, data: bytes) -> Iterator[Path]:
    """Write a durable file beside another one; it is removed afterwards, unless it was renamed.

    It is locked for as long as its writer lives: by that, what a crash left behind is known (`remove_temporary`).
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
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
        os.close(descriptor)  # it was taken for a leftover before it was locked


def _remove_leftover(path: Path) -> bool:
    """Remove a temporary file whose writer has ended."""
    try:
        descriptor = _lock(path, fcntl.LOCK_NB)
    except OSError:
        return False  # its writer lives, or has just renamed it
    try:
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return True


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
    except MailrunError:
        raise
    except Exception as error:
        if (number := find_os_error(error)) not in _OF_THE_DISK:
            raise
        raise _translate(OSError(number, str(error)), path) from error


_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def _translate(error: OSError, path: Path) -> MailrunError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PausedError(
            "the disk with the store is full", where=str(path), remedy="free some space and run the same command again"
        )
    if error.errno == errno.EIO:
        return PausedError(
            "the disk with the store fails",
            where=str(path),
            remedy="repair the disk, then run the same command again",
        )
    return ConfigurationError(
        f"the store cannot be used: {error.strerror}",
        where=str(path),
        remedy="give this user write access to the folder, or choose another with --store",
    )
