"""`mailrun resolve`: lists recipients in doubt, and settles them as a person decides."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from enum import StrEnum

import polars as pl
from msgspec import Struct

from engine.audience.planning.plan_files import read_lease
from engine.clock import Clock
from engine.errors import DataError, PausedError, UsageError
from engine.ledger import lease_changes, snapshots, workers
from engine.ledger.database import Ledger
from engine.ledger.decisions import Decision, find_user
from engine.ledger.journal import Outcome, Result
from engine.ledger.leases import Lease, LeaseState
from engine.ledger.schema import RunState
from engine.ledger.snapshots import LeaseSnapshot
from engine.run.frozen import FrozenRun
from engine.run.history import write_lease_history
from engine.run.outcomes import decode_outcomes, end_change, hold_open_intents, open_files, stage_outcomes
from engine.run.restored import find_ahead

IN_DOUBT_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "row": pl.UInt64,
    "address": pl.String,
    "at": pl.Datetime("ms", "UTC"),
    "error": pl.String,
}
RESTORED_DETAIL = "the ledger was restored from a backup: it may have been handed over"


class OperatorVerdict(StrEnum):
    """A person's decision about a recipient in doubt."""

    SENT = "sent"  # it arrived
    RESEND = "resend"  # send it again, at the risk of a second copy
    SKIP = "skip"  # it counts as failed, and is never sent again


class InDoubtList(Struct, frozen=True):
    """The recipients in doubt.

    Attributes:
        recipients: IN_DOUBT_SCHEMA, in the plan's order, with whole addresses.
        in_flight: further recipients for which a live worker expects an answer, or that it has not settled yet.
        leases: the leases that hold the recipients.
    """

    recipients: pl.DataFrame
    in_flight: int
    leases: tuple[int, ...]


class LeaseResults(Struct, frozen=True):
    """The results of a lease: row -> result; in doubt where an intent has no answer."""

    state: LeaseState
    recipients: pl.DataFrame
    results: dict[int, Result]


def find_gone_owners(ledger: Ledger, run: str, clock: Clock) -> frozenset[str]:
    """Find the workers that own leases of a run and are gone; a live worker is recognized within a second or two."""
    open_leases = snapshots.list_open_leases(ledger, run)
    owners = {state.worker for state in open_leases if state.worker is not None}
    return workers.find_gone_workers(ledger, owners, clock)


def list_in_doubt(ledger: Ledger, frozen: FrozenRun, gone: Collection[str], now: datetime) -> InDoubtList:
    """Find every recipient that is in doubt.

    Args:
        ledger: has the run.
        frozen: the run.
        gone: owners of leases that are certainly gone (`find_gone_owners`); any other may still get its answers.
        now: used as the time of calls without a time in the ledger.
    """
    frames, in_flight, ordinals = [pl.DataFrame(schema=IN_DOUBT_SCHEMA)], 0, []
    states = snapshots.list_leases(ledger, frozen.run.name)
    for ordinal in [state.ordinal for state in states.values() if _may_have_in_doubt(state)]:
        snapshot = snapshots.read_lease(ledger, frozen.run.name, ordinal)
        if not _may_have_in_doubt(snapshot.state):
            continue  # it was settled meanwhile
        known = _load(frozen, snapshot, now)
        doubtful = [r for r in known.results.values() if r.outcome is Outcome.IN_DOUBT]
        if not _is_left(snapshot.state, gone):
            in_flight += len(doubtful)
        elif doubtful:
            ordinals.append(ordinal)
            frames.append(_describe(doubtful, known.recipients))
    return InDoubtList(pl.concat(frames), in_flight, tuple(ordinals))


def _may_have_in_doubt(state: LeaseState) -> bool:
    if state.settlement is None:
        return state.epoch > 0
    return state.settlement.counts[Outcome.IN_DOUBT] > 0


def _is_left(state: LeaseState, gone: Collection[str]) -> bool:
    """Return True if a lease is settled, given back, or owned by a worker that is gone."""
    return state.settlement is not None or state.worker is None or state.worker in gone


def _describe(doubtful: list[Result], recipients: pl.DataFrame) -> pl.DataFrame:
    found = {result.row: result for result in doubtful}
    rows = recipients.filter(pl.col("row").is_in(list(found))).select("row", "address")
    at = pl.Series("at", [int(found[row].at * 1000) for row in rows["row"]], dtype=pl.Int64)
    errors = pl.Series("error", [found[row].error for row in rows["row"]], dtype=pl.String)
    return rows.with_columns(at.cast(pl.Datetime("ms", "UTC")), errors).select(
        pl.col(name).cast(kind) for name, kind in IN_DOUBT_SCHEMA.items()
    )


def settle_in_doubt(  # noqa: PLR0913 - recipients, decision, owners, time
    ledger: Ledger,
    frozen: FrozenRun,
    verdict: OperatorVerdict,
    *,
    chosen: pl.DataFrame | None,
    gone: Collection[str],
    clock: Clock,
) -> int:
    """Settle recipients in doubt.

    Args:
        ledger: has the run.
        frozen: the run.
        verdict: the decision.
        chosen: a receiver's list (see receiver_lists) that names them by row or address; None takes all.
        gone: owners of leases that are certainly gone.
        clock: when.

    Returns:
        How many were settled.

    Raises:
        UsageError: they were to be sent again, and the run is cancelled.
        DataError: the list names no recipient by row or address.
        PausedError: another process changed a lease at the same moment.
    """
    if verdict is OperatorVerdict.RESEND and frozen.run.state is RunState.CANCELLED:
        raise UsageError(
            f"the run {frozen.run.name} is cancelled: nothing is sent again",
            where="--resend",
            remedy="settle them with --sent or --skip",
        )
    in_doubt = list_in_doubt(ledger, frozen, gone, clock.now())
    rows = _choose(in_doubt.recipients, chosen)
    known_ids = None if chosen is None else chosen.drop_nulls(["row", "message_id"]).select("row", "message_id")
    ids = {} if known_ids is None else dict(known_ids.iter_rows())
    who, settled = find_user(), 0
    note = f"settled as {verdict} by {who}"

    def decide(known: LeaseResults) -> list[Result]:
        doubtful = [r for r in known.results.values() if r.outcome is Outcome.IN_DOUBT and r.row in rows]
        return [_rule(result, verdict, note, ids.get(result.row)) for result in doubtful]

    for ordinal in in_doubt.leases:
        settled += rewrite_lease(ledger, frozen, ordinal, decide, what=f"resolve --{verdict}", gone=gone, clock=clock)
    return settled


def _choose(recipients: pl.DataFrame, chosen: pl.DataFrame | None) -> set[int]:
    if chosen is None:
        return set(recipients["row"])
    by_row = recipients.filter(pl.col("row").is_in(chosen["row"].drop_nulls().implode()))
    addresses = chosen["address"].drop_nulls().str.to_lowercase()
    by_address = recipients.filter(pl.col("address").str.to_lowercase().is_in(addresses.implode()))
    if chosen.height and not chosen["row"].count() and not chosen["address"].count():
        raise DataError(
            "the list has neither rows nor addresses, and recipients in doubt have no message id",
            where="--file",
            remedy="give a column row or address, or SES events with mailrun's tags",
        )
    return set(by_row["row"]) | set(by_address["row"])


def _rule(result: Result, verdict: OperatorVerdict, note: str, message_id: str | None) -> Result:
    match verdict:
        case OperatorVerdict.SENT:
            return result._replace(outcome=Outcome.SENT, message_id=message_id, error=note)
        case OperatorVerdict.RESEND:
            return result._replace(outcome=Outcome.UNSENT, error=note)
        case OperatorVerdict.SKIP:
            return result._replace(outcome=Outcome.FAILED, error=f"{note}; it was in doubt: {result.error}")


def hold_what_was_lost(ledger: Ledger, frozen: FrozenRun, *, gone: Collection[str], clock: Clock) -> int:
    """After a restore: read newer outcomes from the store, and hold the other recipients in doubt.

    If the store has the outcomes of a lease, they are used. In any other lease that was open after the backup, every
    recipient without an outcome is in doubt: only the lost journal had the rows that were handed over.

    Returns:
        How many recipients are in doubt for it.
    """
    held = 0

    def decide(known: LeaseResults) -> list[Result]:
        nonlocal held
        now = clock.now().timestamp()
        written = _read_written(frozen, known)
        unknown = [row for row in known.recipients["row"] if row not in known.results and row not in written]
        held += len(unknown)
        return [*written.values(), *(Result(row, Outcome.IN_DOUBT, None, RESTORED_DETAIL, now, 1) for row in unknown)]

    what = "resolve --after-restore"
    for ordinal, epoch in sorted(find_ahead(ledger, frozen.run, frozen.store).items()):
        rewrite_lease(ledger, frozen, ordinal, decide, what=what, gone=gone, clock=clock, above=epoch)
    lease_changes.finish_restore(ledger, frozen.run.name, f"{what}: launch again to resume")
    return held


def _read_written(frozen: FrozenRun, known: LeaseResults) -> dict[int, Result]:
    """Read the newest readable outcomes file of a lease, where the ledger has no certain result."""
    for data in open_files(frozen).read_newest(known.state.ordinal):
        try:
            frame = pl.read_parquet(data)
        except pl.exceptions.PolarsError:
            continue  # damaged: only the journal is left
        if frame["row"].sort().equals(known.recipients["row"].sort()):
            return {
                row: result
                for row, result in decode_outcomes(frame).items()
                if result.outcome is not Outcome.IN_DOUBT or row not in known.results
            }
    return {}


def rewrite_lease(  # noqa: PLR0913 - one lease, the decision, its author, the time
    ledger: Ledger,
    frozen: FrozenRun,
    ordinal: int,
    decide: Callable[[LeaseResults], list[Result]],
    *,
    what: str,
    gone: Collection[str],
    clock: Clock,
    above: int = 0,
) -> int:
    """Record decisions in a lease, in addition to its results.

    The results are read first, and the decision is written if the lease has not changed since. In an open lease it is
    journaled, in one transaction. The same happens in a settled lease with rows to send again, which is opened again.
    For any other settled lease the new file is staged, recorded, and then replaces the old one in one step. A crash
    leaves either the old or the new state.

    Args:
        ledger: has the run.
        frozen: the run.
        ordinal: the lease.
        decide: returns new results of rows; other rows keep theirs.
        what: the command, for the record.
        gone: owners of leases that are certainly gone.
        clock: when.
        above: an epoch that the new one must be greater than.

    Returns:
        How many rows were decided.

    Raises:
        PausedError: another process changed the lease at the same moment, or works on it; nothing was recorded.
    """
    snapshot = snapshots.read_lease(ledger, frozen.run.name, ordinal)
    state = snapshot.state
    known = _load(frozen, snapshot, clock.now(), is_restored=above > 0)
    decided = decide(known)
    if not decided and not above:
        return 0
    if not _is_left(state, gone):
        raise _changed(state, frozen)
    change = _Change(ledger, frozen, what, clock.now(), max(state.epoch, above) + 1)
    final = known.results | {result.row: result for result in decided}
    is_complete = all(
        row in final and final[row].outcome is not Outcome.UNSENT for row in known.recipients["row"].to_list()
    )
    if state.settlement is not None and is_complete:
        change.replace(state, known.recipients, final, decided)
    elif state.settlement is not None:
        change.reopen(state, list(final.values()), decided)
    else:
        entries = list(final.values()) if is_complete else decided
        lease = change.reopen(state, entries, decided, sequences=snapshot.sequences)
        if is_complete:
            change.settle(lease, known.recipients, final)
    return len(decided)


class _Change(Struct, frozen=True):
    """One change of a lease.

    Attributes:
        what: the command, for the record.
        now: when.
        epoch: under which it is made.
    """

    ledger: Ledger
    frozen: FrozenRun
    what: str
    now: datetime
    epoch: int

    def reopen(
        self,
        state: LeaseState,
        entries: list[Result],
        decided: list[Result],
        *,
        sequences: Mapping[int, int] | None = None,
    ) -> Lease:
        """Journal results under the new epoch, of a lease that is open then.

        Args:
            state: the lease as it was read.
            entries: added to the journal; the whole journal where the lease was settled.
            decided: the entries that this command decided.
            sequences: the last sequences of its journal when it was read; None where it was settled.
        """
        lease = lease_changes.reopen_lease(
            self.ledger,
            self.frozen.run.name,
            state,
            epoch=self.epoch,
            entries=entries,
            sequences=sequences,
            decision=self._make_decision(state, decided),
            reason=f"{self.what}: launch again to resume",
        )
        if lease is None:
            raise _changed(state, self.frozen)
        return lease

    def settle(self, lease: Lease, recipients: pl.DataFrame, results: Mapping[int, Result]) -> None:
        """Settle an open lease that is complete, as its worker would have."""
        settlement = stage_outcomes(self.frozen, lease, recipients, results)
        if not self.frozen.run.sandbox:
            write_lease_history(self.frozen, lease.ordinal, recipients, results, self.now.date())
        settled = lease_changes.settle_lease(self.ledger, lease, settlement, self.now)
        end_change(self.frozen, lease, settlement, recorded=settled)

    def replace(
        self, state: LeaseState, recipients: pl.DataFrame, results: Mapping[int, Result], decided: list[Result]
    ) -> None:
        """Replace the outcomes of a settled lease."""
        lease = lease_changes.reserve_epoch(self.ledger, self.frozen.run.name, state, epoch=self.epoch)
        if lease is None:
            raise _changed(state, self.frozen)
        settlement = stage_outcomes(self.frozen, lease, recipients, results)
        decision = self._make_decision(state, decided)
        recorded = lease_changes.replace_settlement(self.ledger, lease, settlement, self.now, decision=decision)
        end_change(self.frozen, lease, settlement, recorded=recorded)
        if not recorded:
            raise _changed(state, self.frozen)

    def _make_decision(self, state: LeaseState, decided: list[Result]) -> Decision:
        detail = {"lease": state.ordinal, "rows": [result.row for result in decided]}
        return Decision(self.frozen.run.name, self.now, find_user(), self.what, detail)


def _changed(state: LeaseState, frozen: FrozenRun) -> PausedError:
    return PausedError(
        f"lease {state.ordinal} of {frozen.run.name} changed at this moment", remedy="run the same command again"
    )


def _load(frozen: FrozenRun, snapshot: LeaseSnapshot, now: datetime, *, is_restored: bool = False) -> LeaseResults:
    """Read the results of a lease, from its file or from its journal.

    Args:
        frozen: the run.
        snapshot: the lease.
        now: used where the journal has no time.
        is_restored: the file may differ from the one in this ledger.

    Raises:
        DataError: the file is missing or damaged.
    """
    state = snapshot.state
    recipients = read_lease(frozen.folder / "plan", frozen.manifest.leases[state.ordinal])
    if state.settlement is None:
        held: Mapping[int, Result] = hold_open_intents(snapshot.replay, now.timestamp())
        return LeaseResults(state, recipients, {**snapshot.replay.results, **held})
    file, digest = state.settlement.outcomes_file, state.settlement.outcomes_digest
    data = open_files(frozen).read(state.ordinal, state.epoch, file, digest)
    if data is None and is_restored:
        return LeaseResults(state, recipients, {})
    if data is None:
        raise DataError(
            "is missing or damaged",
            where=open_files(frozen).describe(file),
            remedy="run mailrun audit, and restore the file from a backup",
        )
    return LeaseResults(state, recipients, decode_outcomes(pl.read_parquet(data)))
