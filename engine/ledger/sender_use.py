"""What a sender has sent today, for the warm-up: two statements, however many runs there are."""

from datetime import datetime
from itertools import groupby

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, exists, false, func, or_, select

from engine.ledger.journal import Outcome
from engine.ledger.leases import replay_entries
from engine.ledger.schema import journal_table, lease_table, run_table

_ACCEPTED = (Outcome.SENT, Outcome.IN_DOUBT)


class WarmupSender(Struct, frozen=True):
    """A sender of runs: a domain with a configuration set, which represents an IP address.

    Attributes:
        domain: of `from`, in lower case.
        configuration_set: of SES; None where the campaign names none.
    """

    domain: str
    configuration_set: str | None


class SenderUse(Struct, frozen=True):
    """The use of a sender.

    Attributes:
        warming_since: start of its first run whose campaign has `[warmup]`; None before that.
        recipients: that it has sent to since midnight, or may have.
    """

    warming_since: datetime | None
    recipients: int


def read_sender_use(tx: Connection, sender: WarmupSender, midnight: datetime, *, run: str) -> SenderUse:
    """Read what a sender has sent since midnight; raises DataError where a journal is damaged.

    A lease that was settled since midnight counts completely, so the result is never too low.

    Args:
        tx: any transaction.
        sender: whose runs count. Trials do not.
        midnight: when the day began.
        run: counts although it is a trial.
    """
    own = _is_of(sender, run)
    since = select(func.min(run_table.c.started_at)).where(own, run_table.c.warmup.is_not(None))
    settled = (
        select(func.coalesce(func.sum(lease_table.c.sent + lease_table.c.in_doubt), 0))
        .join(run_table, run_table.c.name == lease_table.c.run)
        .where(own, lease_table.c.settled_at >= midnight, _has_own_leases(midnight))
    )
    warming_since, counted = tx.execute(select(since.scalar_subquery(), settled.scalar_subquery())).one()
    return SenderUse(warming_since, int(counted) + _count_open(tx, own, midnight))


def _is_of(sender: WarmupSender, run: str) -> ColumnElement[bool]:
    table = run_table.c
    return and_(
        table.sender_domain == sender.domain,
        table.configuration_set.is_(None)
        if sender.configuration_set is None
        else table.configuration_set == sender.configuration_set,
        table.started_at.is_not(None),
        or_(table.trial == false(), table.name == run),
    )


def _has_own_leases(midnight: datetime) -> ColumnElement[bool]:
    """Select leases that were not pruned: pruning replaces a run's leases by one with the time of the pruning."""
    return or_(run_table.c.pruned_at.is_(None), run_table.c.finished_at >= midnight)


def _count_open(tx: Connection, own: ColumnElement[bool], midnight: datetime) -> int:
    """Count the rows of open leases that were handed over since midnight."""
    journal, later = journal_table.c, journal_table.alias()
    is_recent = exists().where(
        later.c.run == journal.run, later.c.lease == journal.lease, or_(later.c.at.is_(None), later.c.at >= midnight)
    )
    rows = (
        select(journal.run, journal.lease, journal.entries, journal.at)
        .join(run_table, run_table.c.name == journal.run)
        .where(own, is_recent)
        .order_by(journal.run, journal.lease, journal.epoch, journal.sequence)
    )
    used = 0
    for (name, ordinal), recorded in groupby(tx.execute(rows), key=lambda row: (row.run, row.lease)):
        history = replay_entries([(row.entries, row.at) for row in recorded], name, ordinal)
        recent = (result for result in history.results.values() if result.at >= midnight.timestamp())
        used += sum(result.outcome in _ACCEPTED for result in recent) + len(history.open_intents)
    return used
