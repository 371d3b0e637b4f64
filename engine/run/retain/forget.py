"""`mailrun forget`: erases one person from all stored data, while the accounts stay balanced.

A row keeps its place, without address, key, file, line and columns, so that it is counted as before. New files are
written under new names beside the old ones. Once run.json and the ledger name them, the old ones are removed. A crash
leaves either the old state or the new one; running the command again completes it.
"""

import io

import polars as pl
from msgspec import Struct, field

from engine.addresses.parse import judge_addresses
from engine.audience.planning.plan_files import read_lease
from engine.clock import Clock
from engine.errors import DataError, PausedError, UsageError
from engine.feedback.events.event_files import erase_from_events
from engine.feedback.events.matching import remove_indexes
from engine.ledger import lease_changes, runs, snapshots, workers
from engine.ledger.database import Ledger
from engine.ledger.decisions import Decision, find_user, record_decision
from engine.ledger.suppressed.forgotten import add_forgotten
from engine.ledger.suppressed.suppressions import remove_suppressions
from engine.report.figures.figures_file import remove_figures
from engine.report.run_report.report_place import remove_report
from engine.run.frozen import FrozenRun, open_run
from engine.run.manifest import FILE, Manifest, encode_manifest
from engine.run.outcomes import end_change, finish_changes, open_files, stage_data
from engine.run.ownership import find_other_owner
from engine.run.prepare.replan import SHELVES
from engine.run.retain.leftovers import remove_with_person
from engine.run.retain.prune import finish_pruning
from engine.store.day_folders import erase_key
from engine.store.files import delete_tree, digest_bytes, digest_file
from engine.store.history import HISTORY
from engine.store.insights import INSIGHTS
from engine.store.keys import read_forget_key
from engine.store.outcomes_files import PUBLISHED
from engine.store.port import Store

_KEPT = ("row", "reason")


class Forgotten(Struct, frozen=True):
    """What was erased.

    Attributes:
        runs: run -> rows erased.
        postponed: runs that workers are sending now, and plans that are being launched; forget again when they have
            ended.
        shelves: plans and previews of no run that were removed.
        events: events from which the person was erased.
        elsewhere: runs whose files belong to another store or ledger -> that one; forget there as well.
    """

    runs: dict[str, int]
    postponed: list[str]
    shelves: list[str]
    events: int
    elsewhere: dict[str, str] = field(default_factory=dict)


def forget_address(address: str, ledger: Ledger, store: Store, clock: Clock) -> Forgotten:
    """Erase an address from runs, history, events, plans and previews, and suppress it permanently as a keyed hash.

    The audience's own files are not changed.

    Raises:
        UsageError: it is not an address.
        DataError: a run's files are damaged.
    """
    key = judge_addresses(pl.Series([address], dtype=pl.String))["key"].item(0)
    if key is None:
        raise UsageError(
            "this is not an address that mail could be sent to", where="ADDRESS", remedy="check its spelling"
        )
    secret = read_forget_key(store)
    with ledger.write() as tx:
        remove_suppressions(tx, key)  # the hash suppresses the address now, for mail of every topic
        add_forgotten(tx, key, secret, clock.now())
    left = remove_with_person(store, ledger, key, clock.now())
    removed = _remove_shelves(store, key) + left.removed + finish_pruning(ledger, store)
    found = Forgotten({}, left.launching, removed, erase_from_events(store, key), left.elsewhere)
    for folder in (HISTORY, INSIGHTS):  # the address gets no more mail, so no cap and no check needs them
        erase_key(store, folder, key)
    with ledger.read() as tx:
        all_runs = [run for run in runs.list_runs(tx) if run.pruned_at is None]
        known = workers.list_worker_runs(tx)
    gone = workers.find_gone_workers(ledger, known.keys(), clock)
    with ledger.read() as tx:  # again, for workers that started since
        being_sent = {run for worker, run in workers.list_worker_runs(tx).items() if worker not in gone}
    for run in all_runs:
        other = find_other_owner(run, store, ledger)
        if other is not None:
            found.elsewhere[run.name] = other
        elif run.name in being_sent:
            found.postponed.append(run.name)
        elif rows := _forget_in_run(open_run(run, store), key, ledger):
            found.runs[run.name] = rows
    with ledger.write() as tx:
        detail = {"runs": found.runs, "postponed": found.postponed}
        record_decision(tx, Decision(None, clock.now(), find_user(), "forget", detail))
    return found


def _forget_in_run(frozen: FrozenRun, key: str, ledger: Ledger) -> int:
    erased, files = 0, dict[str, tuple[str, str]]()
    rows: list[int] = []
    finish_changes(ledger, frozen.run.name, frozen.store, frozen.run.folder)
    for half_written in (frozen.folder / "plan").glob(".*.parquet"):  # of one that was killed
        half_written.unlink(missing_ok=True)
    for name in frozen.manifest.plan_files:
        path = frozen.folder / "plan" / name
        hit = _rows_of(path, key)
        if hit and not files:  # before anything changes: after a crash, the person is still found here
            remove_figures(frozen.store, frozen.run.name)
            remove_report(frozen.store, frozen.run.name)
        if hit:
            files[name] = _erase_from_plan(frozen, name, hit)
            rows += hit if name.startswith("recipients-") else []
            erased += len(hit)
    for ordinal in _leases_with(frozen, rows):
        _erase_from_outcomes(frozen, ordinal, rows, ledger)
    if files:
        _switch(frozen, files, ledger)
        remove_figures(frozen.store, frozen.run.name)  # those that another command has written meanwhile
        remove_report(frozen.store, frozen.run.name)
        remove_indexes(frozen.store, frozen.run.name)
    for name in frozen.store.list_names(frozen.key("plan")) - _named(frozen, files):
        frozen.store.delete(frozen.key("plan", name))
    return erased


def _rows_of(path: object, key: str) -> list[int]:
    frame = pl.scan_parquet(str(path), glob=False)
    if "key" in frame.collect_schema().names():
        return frame.filter(pl.col("key") == key).select("row").collect()["row"].to_list()
    raw = frame.select("row", "address").collect()
    return raw.filter(judge_addresses(raw["address"])["key"] == key)["row"].to_list()


def _new_name(name: str) -> str:
    """Name a file's successor: recipients-0000.parquet, recipients-0000-1.parquet, recipients-0000-2.parquet.

    >>> _new_name("recipients-0000.parquet"), _new_name("recipients-0000-1.parquet")
    ('recipients-0000-1.parquet', 'recipients-0000-2.parquet')
    """
    kind, number, *version = name.removesuffix(".parquet").split("-")
    return f"{kind}-{number}-{int(version[0]) + 1 if version else 1}.parquet"


def _erase_from_plan(frozen: FrozenRun, name: str, rows: list[int]) -> tuple[str, str]:
    """Write a plan file again without a person; return its name and digest."""
    path, new = frozen.folder / "plan" / name, _new_name(name)
    target = frozen.folder / "plan" / f".{new}"
    frame = pl.scan_parquet(path, glob=False)
    columns = [column for column in frame.collect_schema().names() if column not in _KEPT]
    theirs = pl.col("row").is_in(rows)
    blanked = frame.with_columns(pl.when(~theirs).then(pl.col(column)).alias(column) for column in columns)
    group = max((lease.rows for lease in frozen.manifest.leases), default=1)
    blanked.sink_parquet(target, compression="zstd", row_group_size=group)
    digest = digest_file(target)
    frozen.store.write(frozen.key("plan", new), target.read_bytes())
    target.unlink()
    return new, digest


def _leases_with(frozen: FrozenRun, rows: list[int]) -> list[int]:
    if not rows:
        return []
    wanted = set(rows)
    return [
        lease.ordinal
        for lease in frozen.manifest.leases
        if not wanted.isdisjoint(read_lease(frozen.folder / "plan", lease)["row"])
    ]


def _erase_from_outcomes(frozen: FrozenRun, ordinal: int, rows: list[int], ledger: Ledger) -> None:
    """Erase rows from the outcomes files of a lease.

    Raises:
        PausedError: another process changed the lease at this moment; run it again for the rest.
    """
    name, files = frozen.run.name, open_files(frozen)
    state = snapshots.read_lease(ledger, name, ordinal).state
    # After this, a worker or a command that has staged a file for the lease cannot record it.
    lease = lease_changes.reserve_epoch(ledger, name, state, epoch=state.epoch + 1) if state.epoch else None
    if lease is None and state.epoch:
        raise PausedError(f"lease {ordinal} of {name} changed at this moment", remedy="run mailrun forget again")
    settlement = state.settlement
    if lease is not None and settlement is not None:
        file, digest = settlement.outcomes_file, settlement.outcomes_digest
        data = files.read(ordinal, state.epoch, file, digest)
        if data is None:
            raise DataError("is missing or damaged", where=files.describe(file), remedy="run mailrun audit")
        erased = stage_data(frozen, lease, _blank(data, rows), settlement.counts)
        recorded = lease_changes.replace_settlement(ledger, lease, erased)
        end_change(frozen, lease, erased, recorded=recorded)
        if not recorded:
            raise PausedError(f"lease {ordinal} of {name} changed at this moment", remedy="run mailrun forget again")
    elif (old := files.find_file(ordinal)) is not None:  # of before the lease was opened again
        files.replace(old, _blank(frozen.store.read(frozen.key(PUBLISHED, old)) or b"", rows))
    files.erase(ordinal)


def _blank(data: bytes, rows: list[int]) -> bytes:
    frame, theirs = pl.read_parquet(data), pl.col("row").is_in(rows)
    blank = (pl.when(~theirs).then(pl.col(column)).alias(column) for column in ("address", "error"))
    buffer = io.BytesIO()
    frame.with_columns(*blank).write_parquet(buffer)
    return buffer.getvalue()


def _switch(frozen: FrozenRun, files: dict[str, tuple[str, str]], ledger: Ledger) -> None:
    """Name the new files in run.json, and run.json's new digest in the ledger."""
    old = frozen.manifest
    plan_files = {files[n][0] if n in files else n: files[n][1] if n in files else d for n, d in old.plan_files.items()}
    named = {name: new for name, (new, _) in files.items()}
    new = old.model_copy(
        update={
            "plan_files": plan_files,
            "leases": tuple(
                type(lease)(lease.ordinal, named.get(lease.file, lease.file), lease.first_row, lease.rows)
                for lease in old.leases
            ),
        }
    )
    data, name = encode_manifest(Manifest.model_validate(new.model_dump())), frozen.run.name
    with ledger.write() as tx:
        runs.set_next_manifest(tx, name, digest_bytes(data))
    frozen.store.write(frozen.key(FILE), data)
    with ledger.write() as tx:
        runs.set_manifest(tx, name, digest_bytes(data))


def _named(frozen: FrozenRun, files: dict[str, tuple[str, str]]) -> set[str]:
    return {files[name][0] if name in files else name for name in frozen.manifest.plan_files}


def _remove_shelves(store: Store, key: str) -> list[str]:
    """Remove whole plans and previews that have the person: they can be made again."""
    removed = []
    for shelf in SHELVES:
        for folder in sorted((store.local_folder / shelf).glob("*")):
            plan = folder / "plan"
            if any(_rows_of(path, key) for path in sorted(plan.glob("*.parquet"))):
                delete_tree(folder)
                removed.append(str(folder))
    return removed
