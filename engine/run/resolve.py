"""`mailrun resolve`: what is in doubt, listed, and settled by a person.

Settling opens the lease again under its next epoch, journals the person's word beside all that is known, and settles
it anew: the same records that a worker writes, in the same order, so that a crash on the way is nothing special.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import polars as pl
from sqlalchemy import Connection

from engine.audience.plan import read_lease
from engine.clock import Clock
from engine.errors import DataError, PausedError, UsageError
from engine.ledger import leases, runs, workers
from engine.ledger.database import Ledger
from engine.ledger.decisions import Decision, record_decision, whoami
from engine.ledger.journal import Outcome, Result, encode_entries
from engine.ledger.leases import LeaseState
from engine.ledger.schema import RunState
from engine.run.frozen import FrozenRun
from engine.run.marks import find_ahead
from engine.run.open_lease import decode_outcomes, hold_open_intents
from engine.run.settling import clear_after, write_outcomes

DOUBT_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "row": pl.UInt64,
    "address": pl.String,
    "at": pl.Datetime("ms", "UTC"),
    "error": pl.String,
}
RESTORED_DETAIL = "the ledger was restored from a backup: it may have been handed over"


class Verdict(StrEnum):
    """What a person decides about a recipient in doubt."""

    SENT = "sent"  # it arrived
    RESEND = "resend"  # it is to be sent again, at the risk of a second copy
    SKIP = "skip"  # it counts as failed, and is never sent again


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is in doubt.

    Attributes:
        recipients: DOUBT_SCHEMA, in the plan's order, with whole addresses.
        in_flight: how many more a live worker still expects an answer for, or has not settled yet.
        leases: the leases that hold the recipients.
    """

    recipients: pl.DataFrame
    in_flight: int
    leases: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    state: LeaseState
    recipients: pl.DataFrame
    results: dict[int, Result]


def find_gone_owners(ledger: Ledger, run: str, clock: Clock) -> frozenset[str]:
    """Find the workers that own leases of a run and are gone; one that lives is seen to within a second or two."""
    with ledger.read() as tx:
        begun = leases.list_begun(tx, run).get(run, ())
    return workers.find_gone(ledger, {lease.worker for lease in begun if lease.worker is not None}, clock)


def list_doubt(ledger: Ledger, frozen: FrozenRun, gone: Collection[str], now: datetime) -> Doubt:
    """Find every recipient that is in doubt.

    Args:
        ledger: where.
        frozen: the run.
        gone: owners of leases that are certainly gone (`find_gone_owners`); any other may still get its answers.
        now: stands for the time of calls of which the ledger does not know it.
    """
    name = frozen.run.name
    frames, in_flight, ordinals = [pl.DataFrame(schema=DOUBT_SCHEMA)], 0, []
    with ledger.read() as tx:
        for state in leases.list_leases(tx, name):
            if state.settlement is None and state.epoch == 0:
                continue
            if state.settlement is not None and not state.settlement.counts[Outcome.IN_DOUBT]:
                continue
            known = _read_known(tx, frozen, state, now)
            doubtful = [r for r in known.results.values() if r.outcome is Outcome.IN_DOUBT]
            if not _is_left(state, gone):
                in_flight += len(doubtful)
            elif doubtful:
                ordinals.append(state.ordinal)
                frames.append(_describe(doubtful, known.recipients))
    return Doubt(pl.concat(frames), in_flight, tuple(ordinals))


def _is_left(state: LeaseState, gone: Collection[str]) -> bool:
    """Tell whether a lease is settled, given back, or of a worker that is gone."""
    return state.settlement is not None or state.worker is None or state.worker in gone


def _describe(doubtful: list[Result], recipients: pl.DataFrame) -> pl.DataFrame:
    found = {result.row: result for result in doubtful}
    rows = recipients.filter(pl.col("row").is_in(list(found))).select("row", "address")
    at = pl.Series("at", [int(found[row].at * 1000) for row in rows["row"]], dtype=pl.Int64)
    errors = pl.Series("error", [found[row].error for row in rows["row"]], dtype=pl.String)
    return rows.with_columns(at.cast(pl.Datetime("ms", "UTC")), errors).select(
        pl.col(name).cast(kind) for name, kind in DOUBT_SCHEMA.items()
    )


def settle_doubt(  # noqa: PLR0913 - whom, how, by what is known of their owners, when
    ledger: Ledger,
    frozen: FrozenRun,
    verdict: Verdict,
    *,
    chosen: pl.DataFrame | None,
    gone: Collection[str],
    clock: Clock,
) -> int:
    """Settle recipients in doubt.

    Args:
        ledger: where.
        frozen: the run.
        verdict: the decision.
        chosen: a receiver's list (see receiver_lists) that names them by row or address; None takes all.
        gone: owners of leases that are certainly gone.
        clock: when.

    Returns:
        How many were settled.

    Raises:
        UsageError: they were to be sent again, and the run is cancelled.
        DataError: the list names nobody by row or address.
        PausedError: somebody else changed a lease at the same moment.
    """
    if verdict is Verdict.RESEND and frozen.run.state is RunState.CANCELLED:
        raise UsageError(
            f"the run {frozen.run.name} is cancelled: nobody is sent to again",
            where="--resend",
            remedy="settle them with --sent or --skip",
        )
    doubt = list_doubt(ledger, frozen, gone, clock.now())
    rows = _choose(doubt.recipients, chosen)
    known_ids = None if chosen is None else chosen.drop_nulls(["row", "message_id"]).select("row", "message_id")
    ids = {} if known_ids is None else dict(known_ids.iter_rows())
    who, settled = whoami(), 0
    note = f"settled as {verdict} by {who}"

    def decide(known: _Known) -> list[Result]:
        doubtful = [r for r in known.results.values() if r.outcome is Outcome.IN_DOUBT and r.row in rows]
        return [_rule(result, verdict, note, ids.get(result.row)) for result in doubtful]

    for ordinal in doubt.leases:
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
            "the list has neither rows nor addresses: recipients in doubt have no message id to be known by",
            where="--file",
            remedy="give a column row or address, or SES events with our tags",
        )
    return set(by_row["row"]) | set(by_address["row"])


def _rule(result: Result, verdict: Verdict, note: str, message_id: str | None) -> Result:
    match verdict:
        case Verdict.SENT:
            return result._replace(outcome=Outcome.SENT, message_id=message_id, error=note)
        case Verdict.RESEND:
            return result._replace(outcome=Outcome.UNSENT, error=note)
        case Verdict.SKIP:
            return result._replace(outcome=Outcome.FAILED, error=f"{note}; it was in doubt: {result.error}")


def hold_what_was_lost(ledger: Ledger, frozen: FrozenRun, *, gone: Collection[str], clock: Clock) -> int:
    """After a restore: learn from the store what the ledger does not know, and hold in doubt what nobody knows.

    Of a lease whose outcomes the store has, they are taken over. Of any other that was worked on after the backup,
    every recipient without an outcome is in doubt: the lost journal alone knew who had been handed over.

    Returns:
        How many recipients are in doubt for it.
    """
    held = 0

    def decide(known: _Known) -> list[Result]:
        nonlocal held
        now = clock.now().timestamp()
        written = _newest_outcomes(frozen, known.state.ordinal, known.recipients)
        if written is not None:
            return list(written.values())
        unknown = [row for row in known.recipients["row"] if row not in known.results]
        held += len(unknown)
        return [Result(row, Outcome.IN_DOUBT, None, RESTORED_DETAIL, now, 1) for row in unknown]

    what = "resolve --after-restore"
    for ordinal, epoch in sorted(find_ahead(ledger, frozen.run, frozen.store).items()):
        rewrite_lease(ledger, frozen, ordinal, decide, what=what, gone=gone, clock=clock, above=epoch)
    with ledger.write() as tx:
        runs.clear_suspicion(tx, frozen.run.name)
    return held


def _newest_outcomes(frozen: FrozenRun, ordinal: int, recipients: pl.DataFrame) -> dict[int, Result] | None:
    names = frozen.store.list_names(frozen.key("outcomes"))
    mine = [name for name in names if name.startswith(f"lease-{ordinal:05d}-")]
    for name in sorted(mine, key=lambda name: int(name.rpartition("-")[2].partition(".")[0]), reverse=True):
        try:
            frame = pl.read_parquet(frozen.store.read(frozen.key("outcomes", name)) or b"")
        except pl.exceptions.PolarsError:
            continue  # cut by the crash: the journal is all there is
        if frame["row"].sort().equals(recipients["row"].sort()):
            return decode_outcomes(frame)
    return None


def rewrite_lease(  # noqa: PLR0913 - one lease, by whose word, when
    ledger: Ledger,
    frozen: FrozenRun,
    ordinal: int,
    decide: Callable[[_Known], list[Result]],
    *,
    what: str,
    gone: Collection[str],
    clock: Clock,
    above: int = 0,
) -> int:
    """Open a lease again, record decisions beside what is known of it, and settle it where it is complete.

    Args:
        ledger: where.
        frozen: the run.
        ordinal: the lease.
        decide: says what becomes of rows; others keep what they have.
        what: the command, for the record.
        gone: owners of leases that are certainly gone.
        clock: when.
        above: an epoch that the new one must be greater than.

    Returns:
        How many rows were decided.

    Raises:
        PausedError: somebody else changed the lease at the same moment, or works on it; nothing was recorded.
    """
    name, now = frozen.run.name, clock.now()
    with ledger.write() as tx:
        state = next(state for state in leases.list_leases(tx, name) if state.ordinal == ordinal)
        known = _read_known(tx, frozen, state, now)
        decided = decide(known)
        if not decided and not above:
            return 0
        left = _is_left(state, gone)  # a worker may have taken it since
        lease = leases.reopen_lease(tx, name, state, epoch=max(state.epoch, above) + 1) if left else None
        if lease is None:
            raise PausedError(f"lease {ordinal} of {name} changed at this moment", remedy="try again")
        kept = known.results.values() if state.settlement is not None else ()
        leases.append_journal(tx, lease, sequence=1, entries=encode_entries([*kept, *decided]))
        rows = [result.row for result in decided]
        record_decision(tx, Decision(name, now, whoami(), what, {"lease": ordinal, "rows": rows}))
        runs.reopen_run(tx, name, f"{what}: launch again to go on")
    results = known.results | {r.row: r for r in decided}
    complete = {row: result for row, result in results.items() if result.outcome is not Outcome.UNSENT}
    if len(complete) == known.recipients.height:
        settlement = write_outcomes(frozen, lease, known.recipients, complete)
        with ledger.write() as tx:
            settled = leases.settle_lease(tx, lease, settlement, now)
            if frozen.run.state is RunState.FINISHED:
                runs.finish_run(tx, name, now, states=(RunState.PAUSED,))
        clear_after(frozen, lease, settled=settled)
    else:
        _drop_stale(frozen, lease.ordinal)
    return len(decided)


def _drop_stale(frozen: FrozenRun, ordinal: int) -> None:
    """An open lease has no outcomes: its file of before would be counted by whoever reads the folder."""
    for name in frozen.store.list_names(frozen.key("outcomes")):
        if name.startswith(f"lease-{ordinal:05d}-"):
            frozen.store.delete(frozen.key("outcomes", name))


def _read_known(tx: Connection, frozen: FrozenRun, state: LeaseState, now: datetime) -> _Known:
    recipients = read_lease(frozen.folder / "plan", frozen.manifest.leases[state.ordinal])
    if state.settlement is not None:
        key = frozen.key("outcomes", state.settlement.outcomes_file)
        data = frozen.store.read(key)
        try:
            frame = pl.read_parquet(data or b"")
        except pl.exceptions.PolarsError:
            raise DataError(
                "is missing or damaged", where=frozen.store.describe(key), remedy="run mailrun audit, restore the file"
            ) from None
        return _Known(state, recipients, decode_outcomes(frame))
    history = leases.replay_lease(tx, frozen.run.name, state.ordinal)
    held: Mapping[int, Result] = hold_open_intents(history, now.timestamp())
    return _Known(state, recipients, {**history.results, **held})
