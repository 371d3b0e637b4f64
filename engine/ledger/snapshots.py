"""Snapshots of runs, as values: each function is one short read transaction."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection

from engine.ledger import event_flags, leases, runs, workers
from engine.ledger.database import Ledger
from engine.ledger.journal import Outcome, Replay
from engine.ledger.leases import LeaseState
from engine.ledger.runs import Run, RunFilter
from engine.ledger.schema import RunState


class RunTotals(Struct, frozen=True):
    """The counts of a run.

    Attributes:
        run: its row.
        outcomes: outcome -> recipients, without `unsent`; an intent without a result is in doubt.
        in_flight: of those in doubt, how many a live worker still expects an answer for.
        workers: number of workers that seem to be alive.
        feedback: flag -> recipients.
    """

    run: Run
    outcomes: Mapping[Outcome, int]
    in_flight: int
    workers: int
    feedback: event_flags.Counts


class RunPage(Struct, frozen=True):
    """A page of the list of runs.

    Attributes:
        totals: of its runs, the newest first.
        matching: how many runs the filter lets through, on all pages.
        states: state -> runs with it, in the whole ledger.
    """

    totals: Sequence[RunTotals]
    matching: int
    states: Mapping[RunState, int]


class RunSnapshot(Struct, frozen=True):
    """A run with all its leases.

    Attributes:
        run: its row.
        leases: by ordinal.
        replays: ordinal of an open lease -> its replayed journal.
        sequences: ordinal and epoch of an open lease -> the last sequence of its journal.
        feedback: flag -> recipients.
    """

    run: Run
    leases: Mapping[int, LeaseState]
    replays: Mapping[int, Replay]
    sequences: Mapping[tuple[int, int], int]
    feedback: event_flags.Counts

    @property
    def open_leases(self) -> list[LeaseState]:
        """The leases that a worker has taken and that are not settled, by ordinal."""
        return [self.leases[ordinal] for ordinal in sorted(self.replays)]


class LeaseSnapshot(Struct, frozen=True):
    """One lease.

    Attributes:
        state: its row.
        replay: its replayed journal; empty where it is settled.
        sequences: epoch -> the last sequence of its journal.
    """

    state: LeaseState
    replay: Replay
    sequences: Mapping[int, int]


def find_run(ledger: Ledger, name: str) -> Run | None:
    """Read one run; None where it is not in the ledger."""
    with ledger.read() as tx:
        return runs.find_run(tx, name)


def list_runs(ledger: Ledger) -> list[Run]:
    """Read all runs, the newest first."""
    with ledger.read() as tx:
        return runs.list_runs(tx)


def list_leases(ledger: Ledger, run: str) -> dict[int, LeaseState]:
    """Read the leases of a run, by ordinal."""
    with ledger.read() as tx:
        return {state.ordinal: state for state in leases.list_leases(tx, run)}


def list_open_leases(ledger: Ledger, run: str) -> list[LeaseState]:
    """Read the open leases of a run, by ordinal."""
    with ledger.read() as tx:
        return leases.list_open_leases(tx, [run]).get(run, [])


def read_run(ledger: Ledger, name: str) -> RunSnapshot | None:
    """Read a run with all its leases; None where it is not in the ledger.

    Raises:
        DataError: the journal of a lease is damaged.
    """
    with ledger.read() as tx:
        run = runs.find_run(tx, name)
        if run is None:
            return None
        states = {state.ordinal: state for state in leases.list_leases(tx, name)}
        open_leases = [state.ordinal for state in states.values() if state.settlement is None and state.epoch]
        return RunSnapshot(
            run=run,
            leases=states,
            replays={ordinal: leases.replay_lease(tx, name, ordinal) for ordinal in open_leases},
            sequences=leases.list_last_sequences(tx, name),
            feedback=event_flags.sum_feedback(tx, name),
        )


def read_lease(ledger: Ledger, run: str, ordinal: int) -> LeaseSnapshot:
    """Read one lease of a run.

    Raises:
        DataError: its journal is damaged.
    """
    with ledger.read() as tx:
        last = leases.list_last_sequences(tx, run, ordinal=ordinal)
        return LeaseSnapshot(
            state=leases.find_lease(tx, run, ordinal),
            replay=leases.replay_lease(tx, run, ordinal),
            sequences={epoch: sequence for (_, epoch), sequence in last.items()},
        )


def read_totals(ledger: Ledger, name: str, now: datetime) -> RunTotals | None:
    """Read the counts of a run; None where it is not in the ledger.

    Args:
        ledger: has the run.
        name: the run's.
        now: the time against which heartbeats are compared.

    Raises:
        DataError: the journal of a lease is damaged.
    """
    with ledger.read() as tx:
        run = runs.find_run(tx, name)
        if run is None:
            return None
        return _add_up(
            tx,
            run,
            settled=leases.sum_settled(tx, name),
            open_leases=leases.list_open_leases(tx, [name]).get(name, ()),
            live=workers.list_live_workers(tx, name, now),
            feedback=event_flags.sum_feedback(tx, name),
        )


def read_page(ledger: Ledger, which: RunFilter, now: datetime, *, offset: int, limit: int) -> RunPage:
    """Read the counts of some runs, in as many statements for many runs and events as for few.

    Args:
        ledger: has the runs.
        which: chooses runs.
        now: the time against which heartbeats are compared.
        offset: number of runs to leave out, of the newest.
        limit: number of runs.

    Raises:
        DataError: the journal of a lease is damaged.
    """
    with ledger.read() as tx:
        found, matching = runs.list_some_runs(tx, which, offset=offset, limit=limit)
        return RunPage(_read_totals(tx, found, now), matching, runs.count_by_state(tx))


def read_all_totals(ledger: Ledger, now: datetime) -> list[RunTotals]:
    """Read the counts of all runs, the newest first; arguments and errors as `read_totals`."""
    with ledger.read() as tx:
        return _read_totals(tx, runs.list_runs(tx), now, is_all=True)


def _read_totals(tx: Connection, found: Sequence[Run], now: datetime, *, is_all: bool = False) -> list[RunTotals]:
    of = None if is_all else [run.name for run in found]
    settled, open_leases = leases.sum_all_settled(tx, of), leases.list_open_leases(tx, of)
    live, feedback = workers.list_all_live_workers(tx, now), event_flags.sum_all_feedback(tx, of)
    return [
        _add_up(
            tx,
            run,
            settled=settled.get(run.name, {}),
            open_leases=open_leases.get(run.name, ()),
            live=live.get(run.name, ()),
            feedback=feedback.get(run.name, {}),
        )
        for run in found
    ]


def _add_up(  # noqa: PLR0913 - what was read for one run, or for all at once
    tx: Connection,
    run: Run,
    *,
    settled: Mapping[Outcome, int],
    open_leases: Sequence[LeaseState],
    live: Collection[str],
    feedback: event_flags.Counts,
) -> RunTotals:
    outcomes, in_flight = Counter(settled), 0
    for lease in open_leases:
        history = leases.replay_lease(tx, run.name, lease.ordinal)
        outcomes.update(result.outcome for result in history.results.values())
        outcomes[Outcome.IN_DOUBT] += len(history.open_intents)
        in_flight += len(history.open_intents) if lease.worker in live else 0
    return RunTotals(run, outcomes, in_flight, len(live), feedback)
