"""The store: where plans, outcomes, events and reports are. `FolderStore` and `S3Store` implement it.

A key is a path inside the store, with slashes. A file is there whole or not at all, and durable when the call returns.
Every method raises:

- PausedError: the disk is full or failing, or the bucket cannot be reached for now (`UnreachableError`).
- ConfigurationError: the folder or bucket may not be used.
"""

from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from engine.store.marks import Mark


class Store(Protocol):
    """What every store guarantees; tests/contract/test_store_contract.py checks each implementation."""

    @property
    def local_folder(self) -> Path:
        """A folder on this machine, for what only this machine needs: plans, previews, caches, indexes.

        A folder store has it inside the store; a bucket has a folder of its own on each machine.
        """

    @property
    def address(self) -> str:
        """The store's address, valid on other machines: `HOST:FOLDER`, or a URL."""

    def describe(self, key: str) -> str:
        """Return the place of a key, for messages."""

    # -- files

    def read(self, key: str) -> bytes | None:
        """Read a file; None where there is none."""

    def write(self, key: str, data: bytes) -> None:
        """Write a file; an existing one is replaced."""

    def create(self, key: str, data: bytes) -> bool:
        """Write a file unless one exists; False where one does. Of several at once, exactly one succeeds."""

    def delete(self, key: str) -> None:
        """Remove a file, if it is there."""

    def move(self, key: str, target: str) -> bool:
        """Move a file, for its readers in one step; an existing target is replaced. False where the file is gone."""

    def set_aside(self, key: str) -> str:
        """Move a damaged file to `damaged/` beside its folder; returns its new place, for messages."""

    # -- folders

    def list_names(self, folder: str, prefix: str = "") -> set[str]:
        """List the names directly under a folder that begin with a prefix, without files that are being written."""

    def list_older(self, folder: str, before: datetime) -> set[str]:
        """List the files directly under a folder that were last written before a time."""

    def list_folders(self, folder: str) -> set[str]:
        """List the folders directly under a folder."""

    def delete_folder(self, folder: str) -> None:
        """Remove a folder with everything in it, if it is there."""

    def move_folder(self, folder: str, target: str) -> None:
        """Move a folder with everything in it to a place where nothing is; does nothing where it is gone."""

    def fetch(self, folder: str, *, frozen_only: bool = False) -> Path:
        """Return a local folder that holds what the store's folder holds now.

        Args:
            folder: a run's.
            frozen_only: run.json, campaign/ and plan/ are enough.
        """

    # -- runs

    def stage(self, name: str) -> AbstractContextManager[Path]:
        """Make an empty local folder for a run `CAMPAIGN/KEY`, to be filled and then sealed; removed afterwards."""

    def seal(self, staging: Path, name: str, digest: str) -> None:
        """Keep a staged folder, whole and durable, until the ledger has decided which one is the run's.

        Args:
            staging: the folder, with run.json.
            name: the run's.
            digest: the SHA-256 of run.json, under which `place` finds it.
        """

    def place(self, name: str, digest: str) -> None:
        """Move the folder sealed under a digest to the run's place; does nothing where the run has files already.

        Any number of processes may do it at once; after a crash the next one finishes it.
        """

    def is_abandoned(self, folder: str) -> bool | None:
        """Return whether the process that staged or sealed a folder has ended; None where that is unknown."""

    def remove_unfinished(self) -> int:
        """Remove what killed processes left half-written on this machine; returns how many files and folders."""

    # -- marks of open leases

    def open_mark(self, key: str) -> Mark:
        """Make the mark of a lease that is being worked on."""

    def read_mark(self, key: str) -> int | None:
        """Read up to where a mark says that the journal was durable; None where that is unknown on this machine."""
