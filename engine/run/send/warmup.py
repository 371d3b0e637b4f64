"""Warm-up: how many recipients a new domain or IP address gets today.

Every run that sent today from the same domain and through the same configuration set counts, because a configuration
set stands for a dedicated IP address. Days are counted from the first of these runs whose campaign had `[warmup]`: a
new address under an old domain begins at day 1. Trials (the sandbox inside a launch, the outbox) count only for
themselves.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, time

from msgspec import Struct
from sqlalchemy import Connection

from engine.addresses.mailbox import domain_of
from engine.campaign.spec import CampaignSpec
from engine.clock import Clock
from engine.delivery.pacing.admission import Admission
from engine.delivery.pacing.budgets import Allowance
from engine.delivery.pacing.rate_share import RateShare
from engine.ledger.database import Ledger
from engine.ledger.recorder import Recorder
from engine.ledger.sender_use import WarmupSender, read_sender_use
from engine.run.facts import complete_facts
from engine.stopping.abandonable import run_in_daemon_thread, wait_unless_stopped
from engine.stopping.stop import Stop, StopCause, StopReason
from engine.store.port import Store

RECORDED_SECONDS = 1.0  # by then, messages that passed the gate have their intents in the recorder


class WarmupDay(Struct, frozen=True):
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
        run: the name of the run.
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


async def complete_facts_unless_stopped(ledger: Ledger, store: Store, stop: Stop) -> None:
    """Complete the facts of earlier runs, which may take minutes where there are thousands of them in a bucket.

    Raises:
        MailrunError: ledger or store cannot be reached; PausedError if the stop was requested first.
    """
    work = run_in_daemon_thread(lambda: complete_facts(ledger, store), name="facts")
    await wait_unless_stopped(work, stop, doing="the facts of earlier runs were read")


def make_warmup_reader(
    ledger: Ledger, store: Store, spec: CampaignSpec, run: str, clock: Clock
) -> Callable[[], WarmupDay] | None:
    """Make a function that reads what the warm-up allows today; None where the campaign has no `[warmup]`.

    A process of an earlier version may register a run at any time during an upgrade: its facts are completed first.
    """
    if spec.warmup is None:
        return None

    def read() -> WarmupDay:
        complete_facts(ledger, store)
        with ledger.read() as tx:
            return read_warmup(tx, spec, clock.now(), run=run)

    return read


class WarmupShare(Struct, kw_only=True):
    """Sets how many recipients this worker may still send to today.

    Attributes:
        read: reads what the warm-up allows today; None where the campaign has none.
        allowance: this worker's part; 0 until the first reading.
        rate_share: how many workers share the day.
        admission: what has passed the gate.
        recorder: is flushed before a reading, so that the ledger has this worker's own messages.
        clock: waits.
    """

    read: Callable[[], WarmupDay] | None
    allowance: Allowance
    rate_share: RateShare
    admission: Admission
    recorder: Recorder
    clock: Clock
    _day: WarmupDay | None = None
    _is_due: bool = True  # this worker's part is computed from the ledger, not from its own count

    def __post_init__(self) -> None:
        self.allowance.left = None if self.read is None else 0.0  # so it is read before the first message

    def divide(self, *, before: int, workers: int) -> None:
        """Divide the day among more or fewer workers.

        A worker that ended may have used its part, so only a worker that is alone may use the whole rest of the day.
        """
        self._is_due |= workers == 1
        self.allowance.scale(min(1.0, before / workers))

    def claim(self) -> None:
        """Take the part back after the others used it: it is read before the next message."""
        if self.allowance.left is not None:
            self._is_due, self.allowance.left = True, 0.0

    async def reread(self) -> None:
        """Read what the warm-up still allows today.

        This worker's own count is exact, and the ledger's lags. So within a day, a reading never increases the part,
        unless the day is divided again: then messages that pass the gate meanwhile are subtracted.
        """
        if self.read is None:
            return
        is_due = self._is_due
        if is_due and self.admission.admitted:
            self.admission.hold(2 * RECORDED_SECONDS)
            await self.clock.sleep(RECORDED_SECONDS)
        passed, known = self.admission.admitted, self._day
        await self.recorder.flush()
        day = self._day = await asyncio.to_thread(self.read)
        if not is_due and known is not None and known.number != day.number:
            self._is_due = True
            await self.reread()
            return
        self.allowance.left = self._find_part(day, is_due=is_due, since=max(0, self.admission.admitted - passed))
        self._is_due &= not is_due  # a division that became due meanwhile is still pending

    def _find_part(self, day: WarmupDay, *, is_due: bool, since: int) -> float | None:
        own = self.allowance.left
        if day.left is None:
            return None
        part = self.rate_share.divide(day.left)
        return part - since if is_due or own is None else min(own, part)

    def describe(self) -> StopReason:
        """Return the reason why the warm-up ends this run for today."""
        day = self._day
        if day is not None and day.left is not None and day.left >= self.rate_share.campaign_workers:
            text = (
                f"a worker has used its part of day {day.number} of the warm-up: {day.left:,} of {day.cap:,} are left"
            )
            return StopReason(StopCause.PAUSED, text, "launch again for what is left of it")
        text = "" if day is None else f"day {day.number} of the warm-up has its {day.cap:,} recipients"
        return StopReason(StopCause.PAUSED, text, "launch again tomorrow for the rest")
