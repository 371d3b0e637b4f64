"""Leftovers of killed processes: temporary files, and plans that no ledger registered."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import polars as pl
from msgspec import Struct, field

from engine.ledger import snapshots
from engine.ledger.database import Ledger
from engine.ledger.identity import read_identity
from engine.run.frozen import Begun
from engine.run.manifest import FILE
from engine.run.outcomes import finish_changes
from engine.run.ownership import find_registrar, has_files
from engine.run.send.registration import ORPHANED
from engine.store.outcomes_files import STAGED, OutcomesFiles
from engine.store.port import Store
from engine.store.sealed import SEALED
from engine.system.temporary import remove_abandoned

LAUNCHING = timedelta(hours=1)  # a launch registers what it has sealed within seconds


def list_unregistered(store: Store, ledger: Ledger) -> Iterator[str]:
    """List the folders of plans that no run of the ledger has: sealed by launches that were killed, or orphaned."""
    for shelf in (SEALED, ORPHANED):
        for campaign in sorted(store.list_folders(shelf)):
            for key in sorted(store.list_folders(f"{shelf}/{campaign}")):
                own = _find_registered(ledger, f"{campaign}/{key}") if shelf == SEALED else None
                for digest in sorted(store.list_folders(f"{shelf}/{campaign}/{key}") - {own}):
                    yield f"{shelf}/{campaign}/{key}/{digest}"


def _find_registered(ledger: Ledger, name: str) -> str | None:
    """Return the digest of the plan that the ledger registered for a run."""
    run = snapshots.find_run(ledger, name)
    return None if run is None else run.manifest_digest


def is_older(store: Store, folder: str, before: datetime) -> bool:
    """Return True if everything in the folder of a plan was written before a time."""
    parts = (f"{folder}/campaign", f"{folder}/plan")
    older = [store.list_names(part) <= store.list_older(part, before) for part in parts]
    return all(older) and any(store.list_names(part) for part in parts)


def holds_person(store: Store, folder: str, key: str) -> bool:
    """Return True if a plan has rows of a person, by the normalised address, or is damaged."""
    plan = store.fetch(folder) / "plan"
    try:
        for path in sorted(plan.glob("*.parquet")):
            frame = pl.scan_parquet(path, glob=False)
            column = pl.col("key") if "key" in frame.collect_schema().names() else pl.col("address").str.to_lowercase()
            if frame.filter(column == key).select(pl.len()).collect().item():
                return True
    except pl.exceptions.PolarsError:
        return True
    return False


class Leftovers(Struct, frozen=True):
    """The result of removing unregistered plans that have a person.

    Attributes:
        removed: the removed plans' places.
        launching: those that a launch may be about to register: they must be checked again later.
        elsewhere: the runs of those that were sealed for another ledger -> that ledger; they are left alone.
    """

    removed: list[str] = field(default_factory=list)
    launching: list[str] = field(default_factory=list)
    elsewhere: dict[str, str] = field(default_factory=dict)


def find_sealer(store: Store, ledger: Ledger, folder: str) -> str | None:
    """Find the other ledger that a plan was sealed for, which may have it; an orphaned plan is never sent."""
    data = store.read(f"{folder}/{FILE}") if folder.startswith(f"{SEALED}/") else None
    registrar = Begun() if data is None else find_registrar(data)
    return None if registrar.ledger in ("", read_identity(ledger)) else registrar.place


def remove_with_person(store: Store, ledger: Ledger, key: str, now: datetime) -> Leftovers:
    """Remove temporary files, and unregistered plans that hold a person.

    Args:
        store: where.
        ledger: which runs there are.
        key: the normalised address.
        now: when.
    """
    store.remove_unfinished()
    remove_abandoned()
    found = Leftovers()
    for folder in list(list_unregistered(store, ledger)):
        if not holds_person(store, folder, key):
            continue
        if folder.startswith(f"{SEALED}/") and not is_older(store, folder, now - LAUNCHING):
            found.launching.append(folder)
            continue
        sealer = find_sealer(store, ledger, folder)
        if sealer is not None:
            found.elsewhere[folder.removeprefix(f"{SEALED}/").rpartition("/")[0]] = sealer
            continue
        store.delete_folder(folder)
        found.removed.append(store.describe(folder))
    return found


def remove_old(store: Store, ledger: Ledger, before: datetime, now: datetime) -> list[str]:
    """Remove unregistered plans: those whose launch was killed, and those that were written before a time.

    Returns:
        Where they were.
    """
    limit = min(before, now - LAUNCHING)
    old = [
        folder
        for folder in list_unregistered(store, ledger)
        if find_sealer(store, ledger, folder) is None
        and (is_of_killed_launch(store, ledger, folder) or is_older(store, folder, limit))
    ]
    for folder in old:
        store.delete_folder(folder)
    return [store.describe(folder) for folder in old]


def is_of_killed_launch(store: Store, ledger: Ledger, folder: str) -> bool:
    """Return True if a plan was sealed by a launch that has certainly ended without registering it."""
    if not folder.startswith(f"{SEALED}/") or not store.is_abandoned(folder):
        return False
    name, _, digest = folder.removeprefix(f"{SEALED}/").rpartition("/")
    return _find_registered(ledger, name) != digest  # read after the lock: no launch registers it any more


def finish_or_remove_staged(store: Store, ledger: Ledger, now: datetime) -> int:
    """Move recorded outcomes of all runs into place, and remove those that cannot be recorded; return how many."""
    here = [run for run in snapshots.list_runs(ledger) if run.pruned_at is None]
    done = 0
    for run in here:
        files = OutcomesFiles(store, run.folder)
        if store.list_names(f"{run.folder}/{STAGED}") and has_files(run, store, ledger):
            done += finish_changes(ledger, run.name, store, run.folder) + files.remove_unfinished(now - LAUNCHING)
    return done
