"""Which addresses got a message: written to the store's history for frequency caps, and looked up."""

from collections.abc import Collection, Mapping
from datetime import date

import polars as pl

from engine.audience.planning.plan_files import read_lease
from engine.errors import DataError
from engine.ledger import leases, runs, snapshots
from engine.ledger.database import Ledger
from engine.ledger.journal import Outcome, Result
from engine.logs import get_logger
from engine.run.frozen import FrozenRun, fetch_run
from engine.run.manifest import read_manifest
from engine.store.history import HISTORY, write_history
from engine.store.port import Store

log = get_logger()

_COUNTED = (Outcome.SENT, Outcome.IN_DOUBT)


def write_lease_history(
    frozen: FrozenRun, ordinal: int, recipients: pl.DataFrame, results: Mapping[int, Result], day: date
) -> None:
    """Record the messages of a lease whose rows all have their outcome; messages in doubt may have arrived, and count.

    Args:
        frozen: the run.
        ordinal: the lease.
        recipients: its rows of the plan.
        results: row -> outcome, of all of them.
        day: today, in UTC.
    """
    in_order = (results[row] for row in recipients["row"].to_list())
    times = pl.Series("at", [one.at if one.outcome in _COUNTED else None for one in in_order], dtype=pl.Float64)
    milliseconds = (times * 1000).cast(pl.Int64).cast(pl.Datetime("ms", "UTC"))
    messages = recipients.select("key", milliseconds).drop_nulls()
    write_history(frozen.store, frozen.run.name, ordinal, messages, day)


def find_mailed(ledger: Ledger, store: Store, keys: Collection[str]) -> set[str]:
    """Find the addresses that a run has sent a message to, or may have: in settled and in open leases.

    A run to the embedded sandbox counts: people who answer its mail are test recipients, and the history has no such
    runs.

    Args:
        ledger: which leases are open, and their journals.
        store: the history, and the plans of runs under way.
        keys: normalised addresses.

    Raises:
        DataError: a journal is damaged.
    """
    if not keys:
        return set()
    # First the open ones: a lease that is settled meanwhile is in the history then.
    mailed = _find_in_open_leases(ledger, store, keys)
    folder = store.fetch(HISTORY)
    if any(folder.glob("day=*/*.parquet")):
        rows = pl.scan_parquet(folder / "day=*" / "*.parquet").filter(pl.col("key").is_in(sorted(keys)))
        mailed |= set(rows.select("key").collect().get_column("key"))
    return mailed | _find_in_sandbox_runs(ledger, store, set(keys) - mailed)


def _find_in_sandbox_runs(ledger: Ledger, store: Store, keys: Collection[str]) -> set[str]:
    mailed: set[str] = set()
    with ledger.read() as tx:
        folders = [run.folder for run in runs.list_runs(tx) if run.sandbox and run.pruned_at is None] if keys else []
    for folder in folders:
        for name in store.list_names(f"{folder}/outcomes"):
            data = store.read(f"{folder}/outcomes/{name}") if name.endswith(".parquet") else None
            if data is not None:
                outcomes = pl.read_parquet(data, columns=["address", "outcome"])
                handed_over = outcomes.filter(pl.col("outcome").is_in([str(outcome) for outcome in _COUNTED]))
                mailed |= set(handed_over.get_column("address").str.to_lowercase()) & set(keys)
    return mailed


def _find_in_open_leases(ledger: Ledger, store: Store, keys: Collection[str]) -> set[str]:
    mailed: set[str] = set()
    with ledger.read() as tx:
        begun = leases.list_open_leases(tx)
        known = [run for name in begun if (run := runs.find_run(tx, name)) is not None and run.pruned_at is None]
    for run in known:
        try:
            folder = fetch_run(run, store, frozen_only=True)
            manifest = read_manifest(folder, run.manifest_digest, run.next_manifest_digest)
        except DataError as error:  # of one run; requests about other runs are processed
            log.warning("inbound.run_damaged", run=run.name, what=error.what, where=error.where, remedy=error.remedy)
            continue
        for lease in begun[run.name]:
            planned = read_lease(folder / "plan", manifest.leases[lease.ordinal]).select("row", "key")
            theirs = planned.filter(pl.col("key").is_in(sorted(keys)))
            if theirs.is_empty():
                continue
            replay = snapshots.read_lease(ledger, run.name, lease.ordinal).replay
            handed_over = {row for row, result in replay.results.items() if result.outcome in _COUNTED}
            mailed |= {key for row, key in theirs.iter_rows() if row in handed_over | replay.open_intents}
    return mailed
