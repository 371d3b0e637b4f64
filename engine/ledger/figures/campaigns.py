"""Figures of the newest run of each campaign, as values, for monitoring: one short read transaction."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import Connection, and_, func, or_, select

from engine.ledger import event_flags, leases, runs, workers
from engine.ledger.database import Ledger
from engine.ledger.journal import Outcome
from engine.ledger.schema import RunState, feedback_domain_table, journal_table, lease_table, run_table

MOST_CAMPAIGNS = 100  # those with the newest runs
RECENT = timedelta(days=7)  # of sending: whose receivers count
RECEIVER_EVENTS = ("delivered", "bounced", "soft_bounced", "complained")


class CampaignFigures(Struct, frozen=True, kw_only=True):
    """The newest run of a campaign.

    Attributes:
        campaign: its name.
        sandbox: whether the run goes to the embedded sandbox.
        state: of the run.
        is_paused_by_guard: whether the guard paused it.
        outcomes: outcome -> recipients; an intent without a result is in doubt, unless it is in flight.
        unsent: recipients without an outcome.
        in_flight: recipients whose call a live worker still expects an answer for.
        leases: `settled`, `open` or `free` -> row groups of the plan.
        workers: number of workers that seem to be alive.
        events: kind of event -> recipients.
        started_at: when a launch began to send the run, or to wait for its window.
        last_commit_at: when a worker recorded something last; None before the first record.
        last_wait_at: the last heartbeat of its workers if all of them wait, such as for the window; else None.
        oldest_open_at: the first record of the oldest open lease; None where no lease is open.
        last_success_at: when a run of the campaign finished last; None where none did.
    """

    campaign: str
    sandbox: bool
    state: RunState
    is_paused_by_guard: bool
    outcomes: Mapping[Outcome, int]
    unsent: int
    in_flight: int
    leases: Mapping[str, int]
    workers: int
    events: Mapping[str, int]
    started_at: datetime | None
    last_commit_at: datetime | None
    last_wait_at: datetime | None
    oldest_open_at: datetime | None
    last_success_at: datetime | None


class LedgerFigures(Struct, frozen=True):
    """All figures that monitoring reads.

    Attributes:
        campaigns: the newest runs, the newest first.
        receivers: whether to the sandbox, and domain (empty for all smaller ones) -> name in RECEIVER_EVENTS ->
            recipients, of the runs that were sent in the last RECENT.
    """

    campaigns: list[CampaignFigures]
    receivers: Mapping[tuple[bool, str], Mapping[str, int]]


def read_figures(ledger: Ledger, now: datetime) -> LedgerFigures:
    """Read the figures of all campaigns.

    Args:
        ledger: has the runs.
        now: the time against which heartbeats are compared.

    Raises:
        MailrunError: the ledger cannot be read.
    """
    with ledger.read() as tx:
        newest, success = _find_newest(tx)
        of = list(newest.values())
        settled, feedback = leases.sum_all_settled(tx, of), event_flags.sum_all_feedback(tx, of)
        begun, live = leases.list_open_leases(tx, of), workers.list_all_live_workers(tx, now)
        waits = workers.find_waiting(tx, live)
        states = _count_leases(tx, of)
        commits, journals = _read_commits(tx, of), _read_open_since(tx, of)
        found = []
        for key, name in newest.items():
            run = runs.find_run(tx, name)
            if run is None:
                continue
            outcomes, in_flight = Counter(settled.get(name, {})), 0
            for lease in begun.get(name, ()):
                history = leases.replay_lease(tx, name, lease.ordinal)
                outcomes.update(result.outcome for result in history.results.values())
                if lease.worker in live.get(name, ()):
                    in_flight += len(history.open_intents)
                else:
                    outcomes[Outcome.IN_DOUBT] += len(history.open_intents)
            first = [at for at in (journals.get((name, lease.ordinal)) for lease in begun.get(name, ())) if at]
            figures = CampaignFigures(
                campaign=key[0],
                sandbox=key[1],
                state=run.state,
                is_paused_by_guard=run.state is RunState.PAUSED and run.paused_by == runs.GUARD,
                outcomes=outcomes,
                unsent=max(0, run.accepted - sum(outcomes.values()) - in_flight),
                in_flight=in_flight,
                leases=states.get(name, {}),
                workers=len(live.get(name, ())),
                events={str(flag.name).lower(): count for flag, count in feedback.get(name, {}).items()},
                started_at=run.started_at,
                last_commit_at=commits.get(name),
                last_wait_at=waits.get(name),
                oldest_open_at=min(first, default=None),
                last_success_at=success.get(key),
            )
            found.append(figures)
        return LedgerFigures(found, _sum_receivers(tx, now - RECENT))


def _find_newest(tx: Connection) -> tuple[dict[tuple[str, bool], str], dict[tuple[str, bool], datetime]]:
    """Return the newest run of each campaign, to the sandbox and not, and when a run of it finished last."""
    table = run_table.c
    rows = select(table.name, table.sandbox, table.state, table.finished_at).order_by(table.created_at.desc())
    newest: dict[tuple[str, bool], str] = {}
    success: dict[tuple[str, bool], datetime] = {}
    for row in tx.execute(rows):
        key = row.name.partition("/")[0], row.sandbox
        if len(newest) < MOST_CAMPAIGNS:
            newest.setdefault(key, row.name)
        if row.state == RunState.FINISHED and row.finished_at is not None:
            success[key] = max(row.finished_at, success.get(key, row.finished_at))
    return newest, success


def _count_leases(tx: Connection, of: list[str]) -> dict[str, dict[str, int]]:
    table, found = lease_table.c, dict[str, dict[str, int]]()
    is_settled, is_begun = table.settled_at.is_not(None), table.epoch > 0
    counted = select(table.run, is_settled, is_begun, func.count()).where(table.run.in_(of))
    for run, settled, begun, count in tx.execute(counted.group_by(table.run, is_settled, is_begun)):
        state = "settled" if settled else "open" if begun else "free"
        known = found.setdefault(run, dict.fromkeys(("settled", "open", "free"), 0))
        known[state] += count
    return found


def _read_commits(tx: Connection, of: list[str]) -> dict[str, datetime]:
    """Read when the workers of each run recorded something last: in a journal, or by settling a lease."""
    found: dict[str, datetime] = {}
    for run, at in (
        (journal_table.c.run, func.max(journal_table.c.at)),
        (lease_table.c.run, func.max(lease_table.c.settled_at)),
    ):
        for name, last in tx.execute(select(run, at).where(run.in_(of)).group_by(run)):
            if last is not None:
                found[name] = max(last, found.get(name, last))
    return found


def _read_open_since(tx: Connection, of: list[str]) -> dict[tuple[str, int], datetime]:
    table = journal_table.c
    first = select(table.run, table.lease, func.min(table.at)).where(table.run.in_(of), table.at.is_not(None))
    return {(run, lease): at for run, lease, at in tx.execute(first.group_by(table.run, table.lease))}


def _sum_receivers(tx: Connection, since: datetime) -> dict[tuple[bool, str], dict[str, int]]:
    table, run = feedback_domain_table.c, run_table.c
    sums = select(run.sandbox, table.domain, *(func.sum(table[name]) for name in RECEIVER_EVENTS))
    is_recent = or_(run.started_at >= since, run.finished_at >= since, and_(run.state == RunState.SENDING))
    rows = tx.execute(sums.join(run_table, run.name == table.run).where(is_recent).group_by(run.sandbox, table.domain))
    return {(to, domain): dict(zip(RECEIVER_EVENTS, map(int, counts), strict=True)) for to, domain, *counts in rows}
