"""Warm-up: how many recipients a new domain or IP address gets today.

The days are counted from the first run that sent from the same domain; what every such run sent today counts.
"""

import tomllib
from dataclasses import dataclass
from datetime import datetime, time

from sqlalchemy import Connection

from engine.campaign.mailbox import parse_mailbox
from engine.campaign.spec import CampaignSpec
from engine.delivery.interleaving import domain_of
from engine.ledger import leases, runs
from engine.ledger.journal import Outcome
from engine.ledger.runs import Run
from engine.store.folder import Store


@dataclass(frozen=True, slots=True)
class WarmupDay:
    """A day of the warm-up.

    Attributes:
        number: from 1; the day of the first run.
        cap: recipients; None when the warm-up is over.
        used: recipients that runs from the same domain were sent to today, or may have been.
    """

    number: int
    cap: int | None
    used: int

    @property
    def left(self) -> float | None:
        """Recipients that may still be sent to today; None is unlimited."""
        return None if self.cap is None else max(0, self.cap - self.used)


def read_warmup(tx: Connection, store: Store, spec: CampaignSpec, now: datetime) -> WarmupDay:
    """Read what the warm-up allows today.

    Args:
        tx: any transaction.
        store: with the runs' folders.
        spec: has `[warmup]`.
        now: in UTC; days begin at midnight in the window's time zone.
    """
    assert spec.warmup is not None  # noqa: S101 - the caller looks
    domain = domain_of(parse_mailbox(spec.sender).address)
    local = now.astimezone(spec.window.zone)
    midnight = datetime.combine(local.date(), time(), spec.window.zone)
    same = [run for run in runs.list_runs(tx) if run.started_at and _read_domain(run, store) == domain]
    first = min((run.started_at.astimezone(spec.window.zone) for run in same if run.started_at), default=local)
    number = (local.date() - first.date()).days + 1
    caps = spec.warmup.caps
    cap = caps[number - 1] if number <= len(caps) else None
    used = 0 if cap is None else sum(_count_since(tx, run, midnight) for run in same)
    return WarmupDay(number, cap, used)


def _read_domain(run: Run, store: Store) -> str:
    """Read whose domain a run sent from; a run that cannot be read counts for no domain."""
    try:
        data = store.read(f"{run.folder}/campaign/campaign.toml") or b""
        document = tomllib.loads(data.decode("utf-8-sig"))
        return domain_of(parse_mailbox(document["from"]).address)
    except (OSError, ValueError, KeyError, AttributeError):
        return ""


def _count_since(tx: Connection, run: Run, midnight: datetime) -> int:
    """Count recipients that were sent to since midnight; a settled lease counts whole, which can only be too many."""
    used = 0
    for lease in leases.list_leases(tx, run.name):
        if lease.settlement is not None:
            counts = lease.settlement.counts
            recent = lease.settled_at is None or lease.settled_at >= midnight
            used += (counts[Outcome.SENT] + counts[Outcome.IN_DOUBT]) if recent else 0
        elif lease.epoch:
            history = leases.replay_lease(tx, run.name, lease.ordinal)
            accepted = (Outcome.SENT, Outcome.IN_DOUBT)
            recent_results = (r for r in history.results.values() if r.at >= midnight.timestamp())
            used += sum(r.outcome in accepted for r in recent_results) + len(history.open_intents)
    return used
