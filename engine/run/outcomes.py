"""Outcomes of a lease as Parquet: staged, recorded in the ledger, then moved into place in one step."""

import io
from collections import Counter
from collections.abc import Mapping

import polars as pl

from engine.ledger import snapshots
from engine.ledger.database import Ledger
from engine.ledger.journal import Outcome, Replay, Result
from engine.ledger.leases import Lease, Settlement
from engine.run.frozen import FrozenRun
from engine.store.outcomes_files import OutcomesFiles, name_lease
from engine.store.port import Store

PROVED = "an event proves it"
CRASH_DETAIL = "handed over, and the worker ended before an answer was recorded"

OUTCOME_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "row": pl.UInt64,
    "address": pl.String,
    "outcome": pl.String,
    "message_id": pl.String,
    "error": pl.String,
    "at": pl.Datetime("ms", "UTC"),
    "attempts": pl.UInt32,
}

_KINDS = {**OUTCOME_SCHEMA, "at": pl.Float64}  # as a result has it


def open_files(frozen: FrozenRun) -> OutcomesFiles:
    """Open a run's outcomes files."""
    return OutcomesFiles(frozen.store, frozen.run.folder)


def stage_outcomes(
    frozen: FrozenRun, lease: Lease, recipients: pl.DataFrame, results: Mapping[int, Result]
) -> Settlement:
    """Stage a lease's outcomes durably; return the settlement to record in the ledger."""
    counts = Counter(result.outcome for result in results.values())
    return stage_data(frozen, lease, encode_outcomes(recipients, results), counts)


def stage_data(frozen: FrozenRun, lease: Lease, data: bytes, counts: Mapping[Outcome, int]) -> Settlement:
    """As stage_outcomes, for a file that is made already."""
    files = open_files(frozen)
    own = f"{name_lease(lease.ordinal, lease.epoch)}.parquet"
    file = own if lease.epoch == 1 else files.find_file(lease.ordinal) or own
    digest = files.stage(lease.ordinal, lease.epoch, data)
    return Settlement(dict(counts), file, digest)


def end_change(frozen: FrozenRun, lease: Lease, settlement: Settlement, *, recorded: bool) -> None:
    """Move recorded outcomes into place; remove those not recorded because the lease has a newer owner."""
    files = open_files(frozen)
    if recorded:
        files.publish(lease.ordinal, lease.epoch, settlement.outcomes_file)
    else:
        files.discard(lease.ordinal, lease.epoch)


def finish_changes(ledger: Ledger, name: str, store: Store, folder: str) -> int:
    """Move outcomes into place that an interrupted command recorded; remove those that can no longer be recorded.

    Args:
        ledger: where the run is.
        name: the run's.
        store: where its files are.
        folder: its folder in the store.

    Returns:
        How many files are not staged any more.
    """
    files = OutcomesFiles(store, folder)
    staged = files.list_staged()
    if not staged:
        return 0
    states = snapshots.list_leases(ledger, name)
    for ordinal, epoch in sorted(staged):
        state = states.get(ordinal)
        if state is None or epoch > state.epoch:
            continue  # the ledger is older than the store: see marks.py
        if epoch < state.epoch:
            files.discard(ordinal, epoch)
        elif state.settlement is not None and files.is_staged(ordinal, epoch, state.settlement.outcomes_digest):
            files.publish(ordinal, epoch, state.settlement.outcomes_file)
    return len(staged - files.list_staged())


def hold_open_intents(history: Replay, now: float) -> dict[int, Result]:
    """Make results in doubt for intents that will get no answer, with the time when the call began.

    Args:
        history: of the lease.
        now: used where the journal has no time.
    """
    return {
        row: Result(row, Outcome.IN_DOUBT, None, CRASH_DETAIL, history.begun.get(row, now), history.attempts[row])
        for row in history.open_intents
    }


def encode_outcomes(recipients: pl.DataFrame, results: Mapping[int, Result]) -> bytes:
    """Write a lease's outcomes as Parquet, in the plan's order, with OUTCOME_SCHEMA.

    Column by column: a row at a time in Python holds the interpreter's lock six times as long, and the loop waits.
    """
    columns = zip(*map(results.__getitem__, recipients["row"].to_list()), strict=True)
    known = pl.DataFrame(
        [pl.Series(name, values, _KINDS[name]) for name, values in zip(Result._fields, columns, strict=True)]
    )
    microseconds = (pl.col("at") * 1_000_000).round().cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
    frame = known.with_columns(recipients["address"], microseconds.cast(OUTCOME_SCHEMA["at"]))
    buffer = io.BytesIO()
    frame.select(*OUTCOME_SCHEMA).write_parquet(buffer)
    return buffer.getvalue()


def decode_outcomes(frame: pl.DataFrame) -> dict[int, Result]:
    """Read a lease's outcomes back: row -> result."""
    columns = frame.select("row", "outcome", "message_id", "error", "at", "attempts").iter_rows()
    return {
        row: Result(row, Outcome(outcome), message_id, error, at.timestamp(), attempts)
        for row, outcome, message_id, error, at, attempts in columns
    }
