"""The store in a local folder.

A key is a path below the folder. Changes are durable when a call returns: files and their folders are flushed.
"""

import errno
import socket
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path

from engine.store.files import (
    PRIVATE_FOLDER,
    create_file,
    delete_tree,
    sync_folder,
    sync_tree,
    translate_os_errors,
    write_file,
)
from engine.store.marks import FileMark, Mark
from engine.store.sealed import name_sealed
from engine.store.unfinished import is_unlocked, prepare_root, remove_unfinished, stage_folder
from engine.transaction_guard import refuse_in_transaction


class FolderStore:
    """A folder that holds runs and what belongs to them.

    Args:
        root: the folder; created where missing, readable by its owner alone.

    Raises:
        ConfigurationError: it cannot be made or written.
    """

    def __init__(self, root: Path) -> None:
        prepare_root(root)
        self.local_folder = root

    def run_folder(self, name: str) -> Path:
        """Return the folder of a run `CAMPAIGN/KEY`."""
        return self._path(f"runs/{name}")

    def _path(self, key: str) -> Path:
        return self.local_folder / key

    def describe(self, key: str) -> str:
        """Return the place of a key, for messages."""
        return str(self._path(key))

    @property
    def address(self) -> str:
        """The store's address, valid on other machines: `HOST:FOLDER`."""
        return f"{socket.gethostname()}:{self.local_folder}"

    def write(self, key: str, data: bytes) -> None:
        """Write a file whole and durably; an existing one is replaced."""
        write_file(self._path(key), data)

    def create(self, key: str, data: bytes) -> bool:
        """Write a file whole and durably unless one exists; False where one does."""
        return create_file(self._path(key), data)

    def read(self, key: str) -> bytes | None:
        """Read a file; None where there is none."""
        with translate_os_errors(self._path(key)):
            try:
                return self._path(key).read_bytes()
            except FileNotFoundError:
                return None

    def list_names(self, folder: str, prefix: str = "") -> set[str]:
        """List the files of a folder whose names begin with a prefix, without those that are being written."""
        with translate_os_errors(self._path(folder)):
            try:
                names = {path.name for path in self._path(folder).iterdir()}
            except FileNotFoundError:
                return set()
            return {name for name in names if name.startswith(prefix) and not name.startswith(".")}

    def list_older(self, folder: str, before: datetime) -> set[str]:
        """List the files of a folder that were last written before a time."""
        with translate_os_errors(self._path(folder)):
            path, limit = self._path(folder), before.timestamp()
            return {n for n in self.list_names(folder) if (path / n).is_file() and (path / n).stat().st_mtime < limit}

    def list_folders(self, folder: str) -> set[str]:
        """List the folders directly under a folder."""
        with translate_os_errors(self._path(folder)):
            try:
                return {p.name for p in self._path(folder).iterdir() if p.is_dir() and not p.name.startswith(".")}
            except FileNotFoundError:
                return set()

    def delete(self, key: str) -> None:
        """Remove a file, if it is there."""
        with translate_os_errors(self._path(key)):
            self._path(key).unlink(missing_ok=True)

    def move(self, key: str, target: str) -> bool:
        """Move a durable file in one step; an existing target is replaced. False where the file is gone."""
        path, end = self._path(key), self._path(target)
        with translate_os_errors(end):
            end.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            try:
                path.rename(end)
            except FileNotFoundError:
                return False
            sync_folder(end.parent)
            return True

    def set_aside(self, key: str) -> str:
        """Move a damaged file to `damaged/` beside its folder; returns where it is now."""
        path = self._path(key)
        aside = path.parent.parent / "damaged" / path.name
        with translate_os_errors(path):
            aside.parent.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
            path.rename(aside)
        return str(aside)

    def delete_folder(self, folder: str) -> None:
        """Remove a folder with everything in it, if it is there."""
        delete_tree(self._path(folder))

    def move_folder(self, folder: str, target: str) -> None:
        """Move a folder with everything in it to a place where nothing is; does nothing where it is gone."""
        source, aim = self._path(folder), self._path(target)
        with translate_os_errors(source), suppress(FileNotFoundError):  # another process has moved it
            aim.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            source.rename(aim)
            sync_folder(source.parent)
            sync_folder(aim.parent)

    def remove_unfinished(self) -> int:
        """Remove what killed processes left half-written; returns how many files and folders."""
        return remove_unfinished(self.local_folder)

    def is_abandoned(self, folder: str) -> bool | None:
        """Return whether the process that staged or sealed a folder has ended; None where that is unknown."""
        return is_unlocked(self._path(folder))

    def fetch(self, folder: str, *, frozen_only: bool = False) -> Path:  # noqa: ARG002 - used by the store in a bucket
        """Return the folder itself."""
        refuse_in_transaction(folder)  # a bucket copies here
        return self._path(folder)

    def open_mark(self, key: str) -> Mark:
        """Make the mark of a lease that is being worked on."""
        return FileMark(self._path(key))

    def read_mark(self, key: str) -> int | None:
        """Read up to where a mark says that the journal was durable."""
        return int(self.read(key) or 0)

    def stage(self, name: str) -> AbstractContextManager[Path]:
        """Make an empty folder beside a run's, to be filled and then sealed; removed afterwards."""
        return stage_folder(self.run_folder(name))

    def seal(self, staging: Path, name: str, digest: str) -> None:
        """Make a staged folder durable and move it to its place among the sealed ones."""
        sealed = self._path(name_sealed(name, digest))
        with translate_os_errors(sealed):
            sync_tree(staging)
            sealed.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            staging.rename(sealed)
            for parent in list(sealed.parents)[:4]:  # up to the store's own folder
                sync_folder(parent)

    def place(self, name: str, digest: str) -> None:
        """Rename the sealed folder to the run's; does nothing where the run has files, or the rename is done."""
        sealed, final = self._path(name_sealed(name, digest)), self.run_folder(name)
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
