"""Warm-up: how many recipients a new domain or IP address gets today.

What every run sent today from the same domain and through the same configuration set counts, for a configuration set
stands for a dedicated IP address. The days are counted from the first of these runs whose campaign had `[warmup]`: a
new address under an old domain begins at day 1. Trials (the sandbox inside a launch, the outbox) count for themselves
alone.
"""

import tomllib
from dataclasses import dataclass
from datetime import datetime, time

import orjson
from sqlalchemy import Connection

from engine.addresses.mailbox import parse_mailbox
from engine.campaign.spec import CampaignSpec
from engine.delivery.pacing.interleaving import domain_of
from engine.ledger import leases, runs
from engine.ledger.journal import Outcome
from engine.ledger.runs import Run
from engine.run import manifest
from engine.store.port import Store


@dataclass(frozen=True, slots=True)
class WarmupDay:
    """A day of the warm-up.

    Attributes:
        number: from 1; the day of the first run.
        cap: recipients; None when the warm-up is over.
        used: recipients that runs of the same sender were sent to today, or may have been.
    """

    number: int
    cap: int | None
    used: int

    @property
    def left(self) -> float | None:
        """Recipients that may still be sent to today; None is unlimited."""
        return None if self.cap is None else max(0, self.cap - self.used)


@dataclass(frozen=True, slots=True)
class _Sender:
    """Whom a run sends as.

    Attributes:
        configuration_set: through which it goes.
        warms_up: its campaign has `[warmup]`.
        is_trial: SES never sees what it sends.
    """

    configuration_set: str | None
    warms_up: bool
    is_trial: bool


def read_warmup(tx: Connection, store: Store, spec: CampaignSpec, now: datetime, *, run: str) -> WarmupDay:
    """Read what the warm-up allows today.

    Args:
        tx: any transaction.
        store: with the runs' folders.
        spec: has `[warmup]`.
        now: in UTC; days begin at midnight in the window's time zone.
        run: the name of the run that asks.
    """
    assert spec.warmup is not None  # noqa: S101 - the caller looks
    domain, through = domain_of(parse_mailbox(spec.sender).address), spec.delivery.configuration_set
    local = now.astimezone(spec.window.zone)
    midnight = datetime.combine(local.date(), time(), spec.window.zone)
    same: list[Run] = []
    begun = [local.date()]
    for other in runs.list_runs(tx):
        sender = _read_sender(other, store, domain) if other.started_at else None
        if sender is None or other.started_at is None or (sender.is_trial and other.name != run):
            continue
        if sender.configuration_set == through:
            same.append(other)
            begun += [other.started_at.astimezone(spec.window.zone).date()] if sender.warms_up else []
    number = (local.date() - min(begun)).days + 1
    caps = spec.warmup.caps
    cap = caps[number - 1] if number <= len(caps) else None
    used = 0 if cap is None else sum(_count_since(tx, other, midnight) for other in same)
    return WarmupDay(number, cap, used)


def _read_sender(run: Run, store: Store, domain: str) -> _Sender | None:
    """Read how a run sends from a domain; None from another, or where it cannot be read."""
    try:
        data = store.read(f"{run.folder}/campaign/campaign.toml") or b""
        document = tomllib.loads(data.decode("utf-8-sig"))
        if domain_of(parse_mailbox(document["from"]).address) != domain:
            return None
        frozen = orjson.loads(store.read(f"{run.folder}/{manifest.FILE}") or b"{}")
        delivery = document.get("delivery", {})
        return _Sender(
            configuration_set=delivery.get("configuration_set"),
            warms_up="warmup" in document,
            is_trial=run.sandbox or (frozen.get("transport") or delivery.get("transport")) == "outbox",
        )
    except (OSError, ValueError, KeyError, AttributeError):
        return None


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
