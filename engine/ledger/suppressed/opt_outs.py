"""Opt-outs by the unsubscribe links of runs: who opted out because of which message, when and how.

A recipient counts once: the first opt-out is kept, and with it the row has the flag `UNSUBSCRIBED`, as after an opt-out
that SES reports. Neither is ever removed, also where the person removes the suppression later: both are what happened.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Connection, delete, func, insert, select

from engine.ledger.database import insert_if_absent
from engine.ledger.event_flags import Flag, set_flags, sum_feedback
from engine.ledger.schema import lease_table, opt_out_table, run_table
from engine.logs import get_logger

log = get_logger()


class OptOutMethod(StrEnum):
    """How a recipient used the unsubscribe link."""

    ONE_CLICK = "one_click"  # the mail program did, RFC 8058
    PAGE = "page"  # the button of the page
    MAILTO = "mailto"  # a mail


class OptOut(Struct, frozen=True):
    """An opt-out of a recipient of a run.

    Attributes:
        run: CAMPAIGN/KEY.
        lease: ordinal of the row's lease.
        index: the row's place in its lease, in the plan's order, from 0.
        at: when.
        method: how.
    """

    run: str
    lease: int
    index: int
    at: datetime
    method: OptOutMethod


class UnsubscribeCounts(Struct, frozen=True):
    """Recipients of a run that opted out, each counted once.

    Attributes:
        total: all of them; the others add up to it.
        ses: SES reported it, and no link of mailrun's was used.
        one_click: the mail program used the link.
        page: the button of the page.
        mailto: a mail.
    """

    total: int
    ses: int
    one_click: int
    page: int
    mailto: int


def find_opt_out(tx: Connection, run: str, lease: int, index: int) -> OptOut | None:
    """Find the opt-out of one row; None where its recipient did not use the link."""
    table = opt_out_table.c
    mine = (table.run == run, table.lease == lease, table.index == index, table.recipients == 1)
    found = tx.execute(select(table.at, table.method).where(*mine)).one_or_none()
    return None if found is None else OptOut(run, lease, index, found.at, OptOutMethod(found.method))


def record_opt_outs(tx: Connection, opt_outs: Iterable[OptOut]) -> int:
    """Record opt-outs, and set the flag of their rows; repeating it changes nothing.

    Skips those that belong to no row: of a run that is not in the ledger or is pruned, or beyond its plan.

    Args:
        tx: a write transaction, which has not locked suppressions yet: events lock flags first, and then these.
        opt_outs: in any order; of two of one row, the first is kept.

    Returns:
        How many rows had none before.
    """
    added = 0
    for run, of_run in groupby(sorted(opt_outs, key=attrgetter("run", "lease")), key=attrgetter("run")):
        found = list(of_run)
        rows = _read_leases(tx, run, {one.lease for one in found})
        known = [one for one in found if 0 <= one.index < rows.get(one.lease, 0)]
        of_leases = groupby(known, key=attrgetter("lease"))
        set_flags(tx, run, {lease: [(one.index, Flag.UNSUBSCRIBED) for one in some] for lease, some in of_leases}, rows)
        for one in known:
            added += tx.execute(insert_if_absent(tx, opt_out_table).values(_to_row(one))).rowcount
    return added


def try_to_record_opt_outs(tx: Connection, opt_outs: Sequence[OptOut]) -> None:
    """Record opt-outs in the transaction that suppresses, before it writes suppressions.

    Where that fails, nothing of it is recorded, and the transaction goes on.
    """
    if not opt_outs:
        return
    try:
        with tx.begin_nested():
            record_opt_outs(tx, opt_outs)
    except Exception as error:  # noqa: BLE001 - logged; the suppression is what matters
        kind = type(error).__name__
        log.warning("unsubscribe.uncounted", kind=kind, note="the opt-out is not counted for its run")


def _read_leases(tx: Connection, run: str, ordinals: Iterable[int]) -> dict[int, int]:
    """Return the rows of leases of a run that is not pruned.

    Nothing is locked, so that no worker waits: a prune of this moment at worst does not count the opt-out.
    """
    table = lease_table.c
    wanted = select(table.ordinal, table.rows).join(run_table, run_table.c.name == table.run)
    mine = (table.run == run, table.ordinal.in_(sorted(ordinals)), run_table.c.pruned_at.is_(None))
    return {row.ordinal: row.rows for row in tx.execute(wanted.where(*mine))}


def _is_pruned(tx: Connection, run: str) -> bool:
    return tx.execute(select(run_table.c.pruned_at).where(run_table.c.name == run)).scalar_one() is not None


def count_opt_outs(tx: Connection, run: str) -> Mapping[OptOutMethod, int]:
    """Count the recipients of a run that used its unsubscribe links, by the method they used first."""
    table = opt_out_table.c
    sums = select(table.method, func.sum(table.recipients)).where(table.run == run).group_by(table.method)
    found = {method: int(count) for method, count in tx.execute(sums)}
    return {method: found.get(method, 0) for method in OptOutMethod}


def list_opt_outs(tx: Connection, run: str) -> list[OptOut]:
    """Read the opt-outs of a run by its links, by lease and index; none of a run whose files are pruned."""
    table = opt_out_table.c
    mine = select(table.run, table.lease, table["index"], table.at, table.method).where(table.run == run)
    if _is_pruned(tx, run):
        return []
    return [
        OptOut(name, lease, index, at, OptOutMethod(method))
        for name, lease, index, at, method in tx.execute(mine.order_by(table.lease, table["index"]))
    ]


def count_unsubscribes(tx: Connection, run: str) -> UnsubscribeCounts:
    """Count the recipients of a run that opted out, by SES or by its links."""
    by_link, total = count_opt_outs(tx, run), sum_feedback(tx, run).get(Flag.UNSUBSCRIBED, 0)
    return UnsubscribeCounts(
        total=total,
        ses=total - sum(by_link.values()),
        one_click=by_link[OptOutMethod.ONE_CLICK],
        page=by_link[OptOutMethod.PAGE],
        mailto=by_link[OptOutMethod.MAILTO],
    )


def collapse_opt_outs(tx: Connection, run: str) -> None:
    """Replace the opt-outs of a run by one row for each method, for a run whose files are pruned."""
    table = opt_out_table.c
    sums = select(table.method, func.sum(table.recipients), func.max(table.at)).where(table.run == run)
    found = tx.execute(sums.group_by(table.method).order_by(table.method)).all()
    tx.execute(delete(opt_out_table).where(table.run == run))
    for place, (method, count, at) in enumerate(found):
        item = OptOut(run, 0, place, at, OptOutMethod(method))
        tx.execute(insert(opt_out_table).values(_to_row(item, int(count))))


def _to_row(item: OptOut, recipients: int = 1) -> dict[str, object]:
    return {**asdict(item), "method": str(item.method), "recipients": recipients}
