"""Proof by events: settles recipients in doubt that SES accepted, or dropped, without a person."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

import polars as pl

from engine.audience.planning.plan_files import read_lease
from engine.campaign.spec import load_campaign
from engine.clock import Clock
from engine.errors import ConfigurationError, DataError, PausedError, UsageError
from engine.feedback.events.event_files import EVENTS, find_message_ids, list_days
from engine.feedback.events.matching import OpenPlan
from engine.feedback.events.row_index import FrozenPlan
from engine.ledger import event_flags, leases, runs, workers
from engine.ledger.database import Ledger
from engine.ledger.event_flags import Flag
from engine.ledger.journal import Outcome, Result
from engine.ledger.runs import Run
from engine.logs import get_logger
from engine.run.frozen import FrozenRun, fetch_run, open_run
from engine.run.manifest import read_manifest
from engine.run.outcomes import PROVED
from engine.run.ownership import find_other_owner
from engine.run.settle.resolve import (
    LeaseResults,
    OperatorVerdict,
    find_gone_owners,
    list_in_doubt,
    rewrite_lease,
    settle_in_doubt,
)
from engine.store.port import Store

log = get_logger()

TAKEN_BACK = "SES accepted it and did not send it: a Reject or Rendering Failure event"
_PROOF = Flag.PROVEN | Flag.REJECTED


def make_open_plan(store: Store) -> OpenPlan:
    """Make the function that opens the plan of a run for matching."""

    def open_plan(run: Run) -> FrozenPlan:
        folder = fetch_run(run, store, frozen_only=True)
        manifest = read_manifest(folder, run.manifest_digest, run.next_manifest_digest)
        try:
            spec = load_campaign(folder / "campaign").spec
        except (UsageError, ConfigurationError) as error:
            remedy = "restore the run's folder from a backup"
            raise DataError(f"the run's campaign is damaged: {error.what}", where=error.where, remedy=remedy) from error
        return FrozenPlan(
            run=run.name,
            version=run.manifest_digest,
            folder=folder / "plan",
            leases=manifest.leases,
            rows_read=manifest.rows_read,
            topic=spec.suppression.topic or "",
            ses_topic=(spec.unsubscribe and spec.unsubscribe.ses_topic) or "",
        )

    return open_plan


def settle_proven(ledger: Ledger, frozen: FrozenRun, *, gone: Collection[str], clock: Clock) -> int:
    """Settle the recipients in doubt with an event; a live worker settles those in its own leases.

    Args:
        ledger: has the run.
        frozen: the run.
        gone: owners of leases that are certainly gone.
        clock: now.

    Returns:
        How many were settled.

    Raises:
        PausedError: another process changed a lease at the same moment; run it again for the rest.
    """
    in_doubt = list_in_doubt(ledger, frozen, gone, clock.now())
    doubtful, settled = set(in_doubt.recipients["row"]), 0
    for ordinal in in_doubt.leases:
        proofs = read_proofs(ledger, frozen, ordinal, doubtful)
        if not proofs:
            continue
        ids = find_message_ids(frozen.store, frozen.run.name, proofs, frozen.run.created_at)

        def decide(known: LeaseResults, proofs: dict[int, Flag] = proofs, ids: dict[int, str] = ids) -> list[Result]:
            held = [r for r in known.results.values() if r.outcome is Outcome.IN_DOUBT and r.row in proofs]
            return [make_proven(result, proofs[result.row], ids.get(result.row)) for result in held]

        settled += rewrite_lease(ledger, frozen, ordinal, decide, what="resolve --from-events", gone=gone, clock=clock)
    return settled


def read_proofs(ledger: Ledger, frozen: FrozenRun, ordinal: int, rows: Iterable[int]) -> dict[int, Flag]:
    """Read which of some rows of a lease events prove."""
    with ledger.read() as tx:
        flags = event_flags.read_flags(tx, frozen.run.name, ordinal)
    if not any(bits & _PROOF for bits in flags):
        return {}
    planned = read_lease(frozen.folder / "plan", frozen.manifest.leases[ordinal])["row"]
    wanted = set(rows)
    return {row: Flag(bits) for row, bits in zip(planned, flags, strict=True) if row in wanted and bits & _PROOF}


def make_proven(result: Result, flags: Flag, message_id: str | None) -> Result:
    """Return the result that an event proves for a recipient."""
    if Flag.PROVEN in flags:
        return result._replace(outcome=Outcome.SENT, message_id=message_id, error=PROVED)
    return result._replace(outcome=Outcome.REFUSED, message_id=None, error=TAKEN_BACK)


def settle_all_proven(ledger: Ledger, store: Store, names: Iterable[str], *, clock: Clock) -> int:
    """As settle_proven, for all runs with recipients in doubt; skip a run with an error, and log the error."""
    settled = 0
    for name in sorted(names):
        run = _find_doubtful(ledger, store, name, clock)
        try:
            if run is not None:
                gone = find_gone_owners(ledger, name, clock)
                settled += settle_proven(ledger, open_run(run, store), gone=gone, clock=clock)
        except PausedError as error:
            log.warning(
                "in_doubt.unsettled", run=name, what=error.what, note="the next events, or mailrun resolve, settle it"
            )
    return settled


def _find_doubtful(ledger: Ledger, store: Store, name: str, clock: Clock) -> Run | None:
    """Return a run that may have recipients to settle; cheap, because it is called often.

    It does not watch workers: the wall clock only selects the workers to watch.
    """
    with ledger.read() as tx:
        run = runs.find_run(tx, name)
        live = workers.list_live_workers(tx, name, clock.now())
        begun = leases.list_open_leases(tx, [name]).get(name, ())
        silent = {str(lease.worker) for lease in begun} - live
        doubtful = leases.sum_settled(tx, name)[Outcome.IN_DOUBT] or silent
    if run is None or run.pruned_at is not None or not doubtful:
        return None
    if find_other_owner(run, store, ledger) is not None:
        log.warning(
            "in_doubt.unsettled", run=name, what="its files belong to another ledger", note="that ledger settles it"
        )
        return None
    folder = fetch_run(run, store, frozen_only=True)
    frozen = FrozenRun(run, read_manifest(folder, run.manifest_digest, run.next_manifest_digest), folder, store)
    in_doubt = list_in_doubt(ledger, frozen, silent, clock.now())
    rows = set(in_doubt.recipients["row"])
    return run if any(read_proofs(ledger, frozen, ordinal, rows) for ordinal in in_doubt.leases) else None


def settle_silent(ledger: Ledger, frozen: FrozenRun, *, after: timedelta, gone: Collection[str], clock: Clock) -> int:
    """Apply the campaign's `in_doubt` to recipients in doubt without events: hold them, or send to them again.

    Missing events are significant only if events of a younger message have arrived, which SES accepted after the call.

    Args:
        ledger: has the run.
        frozen: the run.
        after: how long to wait for events after the call.
        gone: owners of leases that are certainly gone.
        clock: now.

    Returns:
        How many will be sent to again.

    Raises:
        UsageError: there is no such event.
    """
    spec = load_campaign(frozen.folder / "campaign").spec
    in_doubt = list_in_doubt(ledger, frozen, gone, clock.now())
    silent = in_doubt.recipients.filter(pl.col("at") <= clock.now() - after)
    if spec.delivery.in_doubt != "resend" or silent.is_empty():
        return 0
    heard = _find_last_taken(frozen.store, frozen.run.name, frozen.run.created_at)
    certain = silent.clear() if heard is None else silent.filter(pl.col("at") < heard)
    if certain.is_empty():
        raise UsageError(
            f"no event of {frozen.run.name} is younger than the calls of the {silent.height:,} in doubt:"
            " missing events do not show that a message was lost",
            where="--from-events",
            remedy="pull its events first (mailrun events pull), or decide yourself with --resend or --skip",
        )
    chosen = certain.select(
        "row", pl.lit(None, dtype=pl.String).alias("message_id"), pl.lit(None, dtype=pl.String).alias("address")
    )
    return settle_in_doubt(ledger, frozen, OperatorVerdict.RESEND, chosen=chosen, gone=gone, clock=clock)


def _find_last_taken(store: Store, run: str, since: datetime) -> datetime | None:
    """Find when SES accepted the youngest message of a run that has an event.

    An event is never older than its message: days are read backwards until earlier days cannot have a younger message.
    """
    last: datetime | None = None
    for day in reversed([day for day in list_days(store) if day >= since.astimezone(UTC).date()]):
        files = sorted(store.fetch(f"{EVENTS}/day={day.isoformat()}").glob("*.parquet"))
        for file in files:  # a file at a time: memory stays flat
            mine = pl.scan_parquet(file, glob=False, hive_partitioning=False).filter(pl.col("run") == run)
            found: datetime | None = mine.select(pl.col("sent_at").max()).collect().item()
            last = max(filter(None, (last, found)), default=None)
        if last is not None and last.date() >= day:
            break
    return last
