"""A frozen run: the launched plan and campaign in its folder, and the mark of the ledger that began to send it."""

import json
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from engine.errors import DataError, UsageError
from engine.ledger.database import Ledger
from engine.ledger.decisions import find_user
from engine.ledger.identity import read_identity
from engine.ledger.runs import Run
from engine.run.manifest import FILE, Manifest, find_damage, read_manifest
from engine.store.files import digest_bytes
from engine.store.identity import read_store_identity
from engine.store.port import Store

BEGUN = "begun"


class FrozenRun(Struct, frozen=True):
    """A run whose plan, campaign and settings are frozen in its folder.

    Attributes:
        folder: a local folder with what is frozen; of a store in a bucket it is a copy.
        store: where outcomes are written.
    """

    run: Run
    manifest: Manifest
    folder: Path
    store: Store

    def key(self, *parts: str) -> str:
        """Return the store's key of something in the run's folder."""
        return "/".join((self.run.folder, *parts))


class Begun(Struct, frozen=True):
    """Which ledger began to send a run; everything is empty where an older version wrote the mark.

    Attributes:
        ledger: its identity.
        place: its URL, without a password.
        who: the person or service that launched, `user@host`.
    """

    ledger: str = ""
    place: str = ""
    who: str = ""


def open_run(run: Run, store: Store) -> FrozenRun:
    """Open a registered run, and check every frozen file against its digest.

    Raises:
        DataError: its folder is missing or damaged, or in another store.
        UsageError: its files were pruned.
    """
    folder = fetch_run(run, store, frozen_only=True)
    manifest = read_manifest(folder, run.manifest_digest, run.next_manifest_digest)
    damage = find_damage(folder / "campaign", manifest.campaign_files)
    damage += find_damage(folder / "plan", manifest.plan_files)
    if damage:
        raise DataError(
            "files that were frozen at launch are damaged: " + "; ".join(damage),
            where=str(folder),
            remedy="restore the run's folder from a backup, then run the same command again; nothing was sent",
        )
    return FrozenRun(run, manifest, folder, store)


def fetch_run(run: Run, store: Store, *, frozen_only: bool = False) -> Path:
    """Return a local folder with a run's files; complete the move of a launch that was killed.

    Raises:
        DataError: it belongs to another store, or its files are gone.
        UsageError: its files were pruned.
    """
    refuse_if_pruned(run)
    if is_in_other_store(run, store):
        raise _make_other_store_error(run, store)
    if store.read(f"{run.folder}/{FILE}") is None:
        store.place(run.name, run.manifest_digest)
        if store.read(f"{run.folder}/{FILE}") is None:
            raise _make_missing_error(run, store)
    return store.fetch(run.folder, frozen_only=frozen_only)


def refuse_if_pruned(run: Run) -> None:
    """Check that a run still has its files.

    Raises:
        UsageError: only its counts are left.
    """
    if run.pruned_at is not None:
        raise UsageError(
            f"the files of {run.name} were pruned at {run.pruned_at:%Y-%m-%d}: only its counts are left",
            where="RUN",
            remedy="see the counts with: mailrun status",
        )


def is_in_other_store(run: Run, store: Store) -> bool:
    """Return whether a run belongs to another store; for a run of an older version, the digest of run.json decides."""
    return run.store not in (None, read_store_identity(store))


def _make_other_store_error(run: Run, store: Store) -> DataError:
    return DataError(
        f"the run {run.name} belongs to another store: it was launched with {run.store_place}",
        where=f"store {store.address}",
        remedy="use that store (--store or MAILRUN_STORE): a bucket, or one folder that every machine mounts;"
        " or give this launch another --key",
    )


def _make_missing_error(run: Run, store: Store) -> DataError:
    """Make the error for a store that has the identity of the run's store, and not the run: such as a copy."""
    return DataError(
        f"the files of the run {run.name} cannot be read: this store does not have them, though it has the identity of"
        f" the store that the run was launched with ({run.store_place})",
        where=f"store {store.address}, {run.folder}",
        remedy="use the store with the run's files (--store or MAILRUN_STORE); two copies of a store are two stores:"
        " send with one of them alone. If the files are lost, restore the folder from a backup; nothing was started"
        " again",
    )


def mark_begun(frozen: FrozenRun, ledger: Ledger, now: datetime) -> None:
    """Write a mark into the run's folder before the first message: it names the only ledger that may send the run.

    Raises:
        DataError: another ledger was first.
    """
    name, store = frozen.run.name, frozen.store
    is_first = claim(name, store, ledger, now)
    if not is_first:
        refuse_other_ledger(name, store, ledger)
    placed = store.read(frozen.key(FILE))
    if placed is None or digest_bytes(placed) not in (frozen.run.manifest_digest, frozen.run.next_manifest_digest):
        if is_first:  # the folder belongs to another run now
            store.delete(frozen.key(BEGUN))
        raise make_other_ledger_error(name, store, ledger, Begun())


def claim(name: str, store: Store, ledger: Ledger, now: datetime) -> bool:
    """Record this ledger as the one that may send a run; False where a ledger is recorded already."""
    return store.create(f"runs/{name}/{BEGUN}", _encode_begun(ledger, now))


def _encode_begun(ledger: Ledger, now: datetime) -> bytes:
    fields = {"at": now.isoformat(), "ledger": read_identity(ledger), "place": ledger.url, "who": find_user()}
    return json.dumps(fields).encode()


def take_over(run: Run, store: Store, ledger: Ledger, now: datetime) -> None:
    """Let this ledger send a run that a lost ledger began."""
    begun = read_begun(run.name, store)
    if begun is not None and begun.ledger != read_identity(ledger):
        store.write(f"{run.folder}/{BEGUN}", _encode_begun(ledger, now))


def read_begun(name: str, store: Store) -> Begun | None:
    """Read the mark of a run that was begun; None where it was not."""
    data = store.read(f"runs/{name}/{BEGUN}")
    if data is None:
        return None
    try:
        fields = json.loads(data)
        return Begun(str(fields["ledger"]), str(fields["place"]), str(fields["who"]))
    except (ValueError, TypeError, KeyError):
        return Begun()  # written by an older version: only a time


def refuse_other_ledger(name: str, store: Store, ledger: Ledger) -> None:
    """Check that no other ledger began to send a run.

    Raises:
        DataError: one did.
    """
    begun = read_begun(name, store)
    if begun is not None and begun.ledger not in ("", read_identity(ledger)):
        raise make_other_ledger_error(name, store, ledger, begun)


def make_other_ledger_error(name: str, store: Store, ledger: Ledger, begun: Begun) -> DataError:
    """Describe a run that this ledger must not send."""
    of = f" ({begun.place}, by {begun.who})" if begun.ledger else ""
    other = "" if begun.ledger == read_identity(ledger) else f"is not the one that {name} was launched with{of}, or "
    return DataError(
        f"the ledger {other}is older than what was sent for {name}: nothing was sent now",
        where=f"ledger {ledger.url}; {store.describe(f'runs/{name}')}",
        remedy="use that ledger (--ledger or MAILRUN_LEDGER), or restore it from a backup. Only if it is lost:"
        f" mailrun resolve {name} --after-restore, which holds in doubt the recipients whose outcome was lost",
    )
