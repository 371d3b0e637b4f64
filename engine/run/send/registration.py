"""Registers a run: the ledger decides which frozen plan belongs to the run, and only that one is ever sent.

A launch seals its plan in the store under the digest of its run.json. Then one transaction inserts the run with that
digest. Of several launches one inserts it, and the others join it. A process that opens the run moves the sealed plan
to the run's folder if that was not done yet. A launch that is killed before the transaction leaves a sealed plan that
no run has, and the next launch of the key plans again.
"""

from datetime import datetime

from msgspec.structs import replace

from engine.ledger import runs, snapshots
from engine.ledger.database import Ledger
from engine.ledger.decisions import Decision, find_user, record_decision
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.logs import get_logger
from engine.run.facts import load_facts, read_facts
from engine.run.frozen import Begun, FrozenRun, claim, make_other_ledger_error, open_run, read_begun, take_over
from engine.run.manifest import FILE, Manifest, read_manifest
from engine.run.ownership import find_registrar
from engine.run.prepare.planning import StagedRun
from engine.store.files import digest_bytes, digest_file
from engine.store.identity import read_store_identity
from engine.store.port import Store
from engine.store.sealed import discard_sealed, list_sealed

log = get_logger()

ORPHANED = "orphaned"  # frozen folders that no ledger registered: orphaned/CAMPAIGN/KEY/DIGEST


def register_run(staged: StagedRun, store: Store, ledger: Ledger) -> FrozenRun:
    """Register a staged run, or join the run that another launch of the key has registered meanwhile.

    Raises:
        DataError: the store has this run from another ledger, or the run is in another store.
        MailrunError: ledger or store failed; the next launch plans again, or opens what was registered.
    """
    name = staged.manifest.run
    digest, facts = digest_file(staged.folder / FILE), load_facts(staged.folder, staged.manifest)
    store.seal(staged.folder, name, digest)
    planned = replace(_make_run(staged.manifest, digest, store), facts=facts)
    run, is_new = _insert(planned, staged.manifest, ledger)
    if not is_new:
        discard_sealed(store, name, digest)
        return open_run(run, store)
    store.place(name, digest)
    placed = store.read(f"{run.folder}/{FILE}")
    if placed is None or digest_bytes(placed) != digest:  # another ledger registered the key at the same moment
        discard_sealed(store, name, digest)
        with ledger.write() as tx:
            runs.remove_unstarted_run(tx, name, digest)
        raise make_other_ledger_error(name, store, ledger, _find_ledger(name, store, placed))
    for abandoned in list_sealed(store, name) - {digest}:
        discard_sealed(store, name, abandoned)
        log.warning(
            "launch.abandoned", run=name, note="removed the plan of a launch that was not registered in the ledger"
        )
    return open_run(run, store)


def _make_run(manifest: Manifest, digest: str, store: Store) -> Run:
    return Run(
        name=manifest.run,
        state=RunState.PLANNED,
        reason=None,
        sandbox=manifest.sandbox,
        folder=f"runs/{manifest.run}",
        manifest_digest=digest,
        rows_read=manifest.rows_read,
        accepted=manifest.accepted,
        excluded=manifest.excluded,
        created_at=manifest.created_at,
        started_at=None,
        finished_at=None,
        store=read_store_identity(store),
        store_place=store.address,
        limited=manifest.limit is not None,
    )


def _insert(run: Run, manifest: Manifest, ledger: Ledger) -> tuple[Run, bool]:
    with ledger.write() as tx:
        is_new = runs.insert_run(tx, run, lease_rows=[lease.rows for lease in manifest.leases])
        return runs.find_run(tx, run.name) or run, is_new


def clear_place(name: str, store: Store, ledger: Ledger, now: datetime) -> None:
    """Prepare planning a run that is not in the ledger: set aside files of a run of which nothing was sent.

    Raises:
        DataError: another ledger began the run, or this one did and was restored from a backup since.
    """
    if store.read(f"runs/{name}/{FILE}") is None:
        return
    if snapshots.find_run(ledger, name) is not None:
        return  # another launch has registered it just now
    data = store.read(f"runs/{name}/{FILE}")
    if data is None:
        return  # another launch has set it aside
    # A launch that has registered it and is about to start is refused then.
    if _has_traces(name, store) or not claim(name, store, ledger, now):
        raise make_other_ledger_error(name, store, ledger, _find_ledger(name, store, data))
    aside = f"{ORPHANED}/{name}/{digest_bytes(data)}"
    store.move_folder(f"runs/{name}", aside)
    log.warning(
        "launch.orphaned",
        run=name,
        path=store.describe(aside),
        note="set aside the files of a launch that ended before it was registered; nothing of them was sent;"
        " the audience is planned again",
    )


def _find_ledger(name: str, store: Store, run_file: bytes | None) -> Begun:
    """Find the ledger that began or registered the run of a folder; an empty one where that is not known."""
    begun = read_begun(name, store)
    if begun is not None or run_file is None:
        return begun or Begun()
    return find_registrar(run_file)


def _has_traces(name: str, store: Store) -> bool:
    """Return True if there are marks or outcomes, which show that something was sent."""
    return any(store.list_names(f"runs/{name}/{folder}") for folder in ("open", "outcomes"))


def adopt_run(name: str, store: Store, ledger: Ledger, now: datetime) -> None:
    """Register a run of the store that a lost ledger had.

    Raises:
        DataError: its run.json is damaged.
    """
    known = snapshots.find_run(ledger, name)
    if known is None:
        campaign, _, key = name.partition("/")
        if key not in store.list_folders(f"runs/{campaign}"):
            return  # the store does not have it either
        folder = store.fetch(f"runs/{name}", frozen_only=True)
        manifest = read_manifest(folder)
        found = _make_run(manifest, digest_file(folder / FILE), store)
        known, _ = _insert(replace(found, facts=read_facts(found, store)), manifest, ledger)
        with ledger.write() as tx:
            record_decision(tx, Decision(name, now, find_user(), "adopt", {"accepted": manifest.accepted}))
    take_over(known, store, ledger, now)
