"""What became of one recipient of a run: its outcome, and which events the ledger has of it."""

from datetime import UTC, datetime

import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from engine.audience.planning.lease_range import LeaseRange
from engine.errors import DataError
from engine.ledger import event_flags, snapshots
from engine.ledger.database import Ledger
from engine.ledger.event_flags import SHOWN, Flag
from engine.ledger.journal import Outcome
from engine.ledger.runs import Run
from engine.ledger.suppressed.opt_outs import OptOut, find_opt_out
from engine.run.frozen import fetch_run
from engine.run.lookup.plan_search import PlannedRow
from engine.run.manifest import read_manifest
from engine.run.outcomes import CRASH_DETAIL
from engine.store.outcomes_files import OutcomesFiles
from engine.store.port import Store


class RecipientOutcome(Struct, frozen=True):
    """What became of one recipient.

    Attributes:
        outcome: its outcome; `unsent` before it is handed over.
        message_id: SES's; None where none is known.
        error: why it was refused or failed, or is in doubt.
        at: time of the answer; None where there is none.
        attempts: calls that were made.
        events: kinds of event that the ledger has of it, under the names of `event_flags.SHOWN`.
        opt_out: that its person made with the link of the message; None where there is none.
    """

    outcome: Outcome
    message_id: str | None = None
    error: str | None = None
    at: datetime | None = None
    attempts: int = 0
    events: tuple[str, ...] = ()
    opt_out: OptOut | None = None


def read_outcome(ledger: Ledger, store: Store, run: Run, row: PlannedRow) -> RecipientOutcome:
    """Read the outcome of a recipient, its events and its opt-out.

    Args:
        ledger: has the lease, its journal and its events.
        store: has the files.
        run: with files.
        row: a recipient, as plan_search found it.

    Raises:
        DataError: the run's files or its journal are damaged.
    """
    folder = fetch_run(run, store, frozen_only=True)
    manifest = read_manifest(folder, run.manifest_digest, run.next_manifest_digest)
    lease = _find_lease(manifest.leases, row)
    if lease is None:
        what = "the plan has no lease with this row"
        raise DataError(what, where=run.name, remedy=f"check the run with: mailrun audit {run.name}")
    index = row.place - lease.first_row
    with ledger.read() as tx:
        flags = event_flags.read_flags(tx, run.name, lease.ordinal)
        opt_out = find_opt_out(tx, run.name, lease.ordinal, index)
    events = _name_flags(flags[index]) if index < len(flags) else ()
    return replace(_read_result(ledger, store, run, lease, row.row), events=events, opt_out=opt_out)


def _read_result(ledger: Ledger, store: Store, run: Run, lease: LeaseRange, row: int) -> RecipientOutcome:
    """Read the outcome of a row from the journal of an open lease, or from the file of a settled one."""
    state = snapshots.read_lease(ledger, run.name, lease.ordinal)
    settlement = state.state.settlement
    if settlement is None:
        result = state.replay.results.get(row)
        if result is not None:
            moment = datetime.fromtimestamp(result.at, UTC)
            return RecipientOutcome(result.outcome, result.message_id, result.error, moment, result.attempts)
        if row in state.replay.open_intents:
            return RecipientOutcome(Outcome.IN_DOUBT, error=CRASH_DETAIL)
        return RecipientOutcome(Outcome.UNSENT)
    files = OutcomesFiles(store, run.folder)
    data = files.read(lease.ordinal, state.state.epoch, settlement.outcomes_file, settlement.outcomes_digest)
    if data is None:
        where = files.describe(settlement.outcomes_file)
        raise DataError("the file is missing or damaged", where=where, remedy=f"run: mailrun audit {run.name}")
    found = pl.read_parquet(data).filter(pl.col("row") == row)
    if found.is_empty():
        return RecipientOutcome(Outcome.UNSENT)
    values = found.row(0, named=True)
    return RecipientOutcome(
        Outcome(values["outcome"]),
        values["message_id"],
        values["error"],
        values["at"],
        values["attempts"],
    )


def _find_lease(leases: tuple[LeaseRange, ...], row: PlannedRow) -> LeaseRange | None:
    return next(
        (one for one in leases if one.file == row.part and one.first_row <= row.place < one.first_row + one.rows), None
    )


def _name_flags(flags: int) -> tuple[str, ...]:
    return tuple(name for name in SHOWN if flags & Flag[name.upper()])
