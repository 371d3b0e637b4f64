"""The outcomes files of a run: written elsewhere first, then moved into place in one step.

`outcomes/` has at most one file for a lease, and the file is replaced whole, so that a reader of `outcomes/*.parquet`
counts each recipient once at any moment. A change is written to `staged/` under the epoch of its worker, recorded in
the ledger, and then moved into place. A crash before the record leaves the old state. A crash after it leaves the new
state, and the next command moves the file.
"""

import re
from datetime import datetime

from msgspec import Struct

from engine.store.files import digest_bytes
from engine.store.port import Store

PUBLISHED, STAGED, MARKS, DAMAGED = "outcomes", "staged", "open", "damaged"
_AGAIN = "again-"  # prefix of a file that replaces another one in place
_NAME = re.compile(r"lease-(\d+)-(\d+)(?:\.parquet)?")


def name_lease(ordinal: int, epoch: int) -> str:
    """Name the mark of a lease under an epoch, and with `.parquet` its outcomes file.

    >>> name_lease(7, 2)
    'lease-00007-2'
    """
    return f"lease-{ordinal:05d}-{epoch}"


def parse_name(name: str) -> tuple[int, int] | None:
    """Read ordinal and epoch from a name; None where it is not such a name.

    >>> parse_name("lease-00007-2.parquet"), parse_name("notes.txt")
    ((7, 2), None)
    """
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


class OutcomesFiles(Struct, frozen=True):
    """The outcomes files of one run.

    Attributes:
        store: where.
        run_folder: the run's, within the store.
    """

    store: Store
    run_folder: str

    def describe(self, file: str) -> str:
        """Return where a file is, for people."""
        return self.store.describe(self._key(PUBLISHED, file))

    def stage(self, ordinal: int, epoch: int, data: bytes) -> str:
        """Write a lease's outcomes to `staged/`, durably; returns their digest."""
        self.store.write(self._key(STAGED, f"{name_lease(ordinal, epoch)}.parquet"), data)
        return digest_bytes(data)

    def discard(self, ordinal: int, epoch: int) -> None:
        """Remove what was staged under an epoch and not recorded."""
        self.store.delete(self._key(STAGED, f"{name_lease(ordinal, epoch)}.parquet"))

    def find_file(self, ordinal: int) -> str | None:
        """Find the file of a lease in `outcomes/`; the newest one where an earlier version left several."""
        return max(self._list(PUBLISHED, ordinal), key=_epoch_of, default=None)

    def is_staged(self, ordinal: int, epoch: int, digest: str) -> bool:
        """Return whether the file that was staged under an epoch has a digest."""
        data = self.store.read(self._key(STAGED, f"{name_lease(ordinal, epoch)}.parquet"))
        return data is not None and digest_bytes(data) == digest

    def publish(self, ordinal: int, epoch: int, file: str) -> None:
        """Move the staged and recorded file of an epoch into place; does nothing where it is there already.

        The store keeps a mark of the epoch until the file is replaced again, unless the file's name has the epoch.
        These marks show if a restored ledger is older than the change.
        """
        own = name_lease(ordinal, epoch)
        carries_epoch = file == f"{own}.parquet"
        if epoch > 1:
            for name in self._list(STAGED, ordinal):
                if _epoch_of(name) < epoch:
                    self.store.delete(self._key(STAGED, name))
            if not carries_epoch and own not in self.store.list_names(self._key(MARKS)):
                self.store.open_mark(self._key(MARKS, own)).close()
        self.store.move(self._key(STAGED, f"{own}.parquet"), self._key(PUBLISHED, file))
        if epoch == 1:  # no earlier epoch left anything
            self.store.delete(self._key(MARKS, own))
            return
        for name in self._list(PUBLISHED, ordinal):
            if name != file and _epoch_of(name) <= epoch:
                self.store.delete(self._key(PUBLISHED, name))
        for name in self._list(MARKS, ordinal):
            if _epoch_of(name) < epoch or (carries_epoch and name == own):
                self.store.delete(self._key(MARKS, name))

    def read(self, ordinal: int, epoch: int, file: str, digest: str) -> bytes | None:
        """Read the outcomes that the ledger has recorded for a lease.

        Args:
            ordinal: the lease.
            epoch: under which they were recorded.
            file: their name.
            digest: of their bytes.

        Returns:
            None where the file is missing, damaged, or has been replaced since the ledger was read.
        """
        staged = self._key(STAGED, f"{name_lease(ordinal, epoch)}.parquet")
        for key in (
            self._key(PUBLISHED, file),
            staged,
            self._key(PUBLISHED, file),
        ):  # it may be moved meanwhile
            data = self.store.read(key)
            if data is not None and digest_bytes(data) == digest:
                return data
        return None

    def read_newest(self, ordinal: int) -> list[bytes]:
        """Read every file of a lease in the store, newest first, without the ledger."""
        staged = [(_epoch_of(name), self._key(STAGED, name)) for name in self._list(STAGED, ordinal)]
        placed = [(_epoch_of(name), self._key(PUBLISHED, name)) for name in self._list(PUBLISHED, ordinal)]
        return [data for _, key in sorted(staged + placed, reverse=True) if (data := self.store.read(key)) is not None]

    def list_staged(self) -> set[tuple[int, int]]:
        """List what is staged and not in place yet: ordinal and epoch."""
        return self._parse(STAGED)

    def remove_unfinished(self, before: datetime) -> int:
        """Remove the files that a killed `replace` left before a time; returns how many."""
        folder = self._key(STAGED)
        old = {name for name in self.store.list_older(folder, before) if name.startswith(_AGAIN)}
        for name in old:
            self.store.delete(f"{folder}/{name}")
        return len(old)

    def list_published(self) -> set[tuple[int, int]]:
        """List what is in place: ordinal and the epoch under which the lease was settled first."""
        return self._parse(PUBLISHED)

    def list_marks(self) -> set[tuple[int, int]]:
        """List the marks of leases: ordinal and epoch."""
        return self._parse(MARKS)

    def read_mark(self, ordinal: int, epoch: int) -> int | None:
        """Read up to where a mark says that the journal was durable; None where that is unknown on this machine."""
        return self.store.read_mark(self._key(MARKS, name_lease(ordinal, epoch)))

    def erase(self, ordinal: int) -> None:
        """Remove the damaged files of a lease that an audit moved, and what is staged for it."""
        for folder in (DAMAGED, STAGED):
            for name in self._list(folder, ordinal):
                self.store.delete(self._key(folder, name))

    def replace(self, file: str, data: bytes) -> None:
        """Replace a file in place that no record names, because its lease was opened again."""
        self.store.write(self._key(STAGED, f"{_AGAIN}{file}"), data)
        self.store.move(self._key(STAGED, f"{_AGAIN}{file}"), self._key(PUBLISHED, file))

    def set_aside(self, file: str) -> str:
        """Move a damaged file to `damaged/`; returns where it is now."""
        return self.store.set_aside(self._key(PUBLISHED, file))

    def exists(self, file: str) -> bool:
        """Return whether a file is in place, whatever its content."""
        return self.store.read(self._key(PUBLISHED, file)) is not None

    def _key(self, *parts: str) -> str:
        return "/".join((self.run_folder, *parts))

    def _list(self, folder: str, ordinal: int) -> list[str]:
        names = self.store.list_names(self._key(folder), f"lease-{ordinal:05d}-")
        return sorted(name for name in names if (found := parse_name(name)) is not None and found[0] == ordinal)

    def _parse(self, folder: str) -> set[tuple[int, int]]:
        names = self.store.list_names(self._key(folder))
        return {found for name in names if (found := parse_name(name)) is not None}


def _epoch_of(name: str) -> int:
    found = parse_name(name)
    assert found is not None  # noqa: S101 - of listed names
    return found[1]
