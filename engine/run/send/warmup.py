"""Warm-up: how many recipients a new domain or IP address gets today.

Every run that sent today from the same domain and through the same configuration set counts, because a configuration
set stands for a dedicated IP address. Days are counted from the first of these runs whose campaign had `[warmup]`: a
new address under an old domain begins at day 1. Trials (the sandbox inside a launch, the outbox) count only for
themselves.
"""

from dataclasses import dataclass
from datetime import datetime, time

from sqlalchemy import Connection

from engine.addresses.mailbox import domain_of
from engine.campaign.spec import CampaignSpec
from engine.ledger.sender_use import WarmupSender, read_sender_use


@dataclass(frozen=True, slots=True)
class WarmupDay:
    """A day of the warm-up.

    Attributes:
        number: from 1; the day of the first run.
        cap: recipients; None when the warm-up is over.
        used: recipients that runs of the same sender have sent to today, or may have.
    """

    number: int
    cap: int | None
    used: int

    @property
    def left(self) -> float | None:
        """Recipients that may still be sent to today; None is unlimited."""
        return None if self.cap is None else max(0, self.cap - self.used)


def read_warmup(tx: Connection, spec: CampaignSpec, now: datetime, *, run: str) -> WarmupDay:
    """Read what the warm-up allows today, from the ledger alone.

    Args:
        tx: any transaction. Every run has its facts (`engine.run.facts.complete_facts`).
        spec: has `[warmup]`.
        now: in UTC; days begin at midnight in the window's time zone.
        run: the name of the run that asks.
    """
    assert spec.warmup is not None  # noqa: S101 - the caller looks
    sender = WarmupSender(domain_of(spec.sender_address), spec.delivery.configuration_set)
    zone = spec.window.zone
    today = now.astimezone(zone).date()
    use = read_sender_use(tx, sender, datetime.combine(today, time(), zone), run=run)
    first = today if use.warming_since is None else min(today, use.warming_since.astimezone(zone).date())
    number, caps = (today - first).days + 1, spec.warmup.caps
    cap = caps[number - 1] if number <= len(caps) else None
    return WarmupDay(number, cap, 0 if cap is None else use.recipients)
