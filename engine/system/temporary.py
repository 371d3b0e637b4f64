"""Temporary folders: in the system's folder for them, or inside the folder of the setting `scratch`.

The process that makes a temporary folder locks it. The kernel releases the lock when the process ends, for any reason.
So `mailrun prune` recognizes the folders of killed commands, and removes them.
"""

import fcntl
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import ConfigurationError

_PRIVATE_FOLDER = 0o700
_NAME = re.compile(r"\.mailrun\.[0-9a-f]{32}")
_REMEDY = "set MAILRUN_SCRATCH, or TMPDIR, to a folder on this machine that this user can write"


def use_scratch(scratch: Path) -> None:
    """Keep the temporary files of this process, and of processes that it starts, in a folder below `scratch`.

    SQLite has its own variable, and otherwise uses /var/tmp and /tmp.

    Raises:
        ConfigurationError: the folder cannot be made or written.
    """
    folder = scratch.absolute() / "tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"the scratch folder cannot be written: {error.strerror}",
            where=str(scratch),
            remedy="set MAILRUN_SCRATCH to a folder on this machine that this user can write",
        ) from error
    tempfile.tempdir = str(folder)
    os.environ |= {"TMPDIR": str(folder), "SQLITE_TMPDIR": str(folder)}


def find_temporary_folder() -> Path | None:
    """Find the folder for temporary files; None where none can be written."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return None


@contextmanager
def make_temporary_folder() -> Iterator[Path]:
    """Make a private folder that is removed afterwards.

    Raises:
        ConfigurationError: there is no folder for temporary files, or it cannot be written.
    """
    around = find_temporary_folder()
    if around is None:
        what = "there is no folder for temporary files: neither TMPDIR, nor /tmp, nor /var/tmp can be written"
        raise ConfigurationError(what, where="TMPDIR", remedy=_REMEDY)
    try:
        folder, lock = _make_locked(around)
    except OSError as error:
        what = f"temporary files cannot be written: {error.strerror}"
        raise ConfigurationError(what, where=str(around), remedy=_REMEDY) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make_locked(around: Path) -> tuple[Path, int]:
    while True:
        folder = around / f".mailrun.{uuid.uuid4().hex}"
        folder.mkdir(mode=_PRIVATE_FOLDER)
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue  # it was treated as a leftover before it was opened
        with suppress(OSError):  # some network file systems have no locks; nothing is removed there
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)  # it was treated as a leftover before it was locked


def remove_abandoned() -> int:
    """Remove this user's temporary folders whose processes were killed; returns how many."""
    around, removed = find_temporary_folder(), 0
    if around is None:
        return 0
    for folder in around.glob(".mailrun.*"):
        if _NAME.fullmatch(folder.name):
            removed += _remove_if_abandoned(folder)
    return removed


def _remove_if_abandoned(folder: Path) -> bool:
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False  # gone, another user's, or not a folder
    try:
        if os.fstat(lock).st_uid != os.geteuid():
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return False  # its process is alive
    finally:
        os.close(lock)
    return not folder.exists()
