"""The desk of notifications: divides occurrences among targets, and hands over what is due."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from engine.clock import Clock
from engine.errors import MailrunError
from engine.ledger import runs
from engine.ledger.database import Ledger
from engine.ledger.notices import outbox
from engine.ledger.notices.outbox import Delivery, Occurrence
from engine.logs import get_logger
from engine.notify.channels import hand_over
from engine.notify.notice import make_notice
from engine.notify.stalls import record_stalls
from engine.notify.targets import RunTargets, find_targets
from engine.notify.webhook import POST_SECONDS, TargetAnswer
from engine.report.run_accounts import require_accounts
from engine.settings import Settings
from engine.store.port import Store

FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 600.0
LONGEST_ASKED_SECONDS = 3600.0  # by a receiver, in Retry-After
_SPREAD = 0.2
_NOT_CONFIGURED = "no target of this name is configured"

log = get_logger()


def find_wait(attempts: int, asked: float | None, jitter: float) -> float:
    """Return the seconds to the next attempt.

    Args:
        attempts: that have failed, at least one.
        asked: what the receiver asks for; None for nothing.
        jitter: 0 to 1.
    """
    wait = min(FIRST_WAIT_SECONDS * 2.0 ** min(attempts - 1, 20), LONGEST_WAIT_SECONDS) * (1.0 + _SPREAD * jitter)
    return max(wait, min(asked or 0.0, LONGEST_ASKED_SECONDS))


class NoticeDesk(Struct, frozen=True, kw_only=True):
    """Sends the notifications of a workspace.

    Attributes:
        settings: with the targets.
        ledger: has the outbox.
        store: names the folders of runs.
        clock: both of its times.
        jitter: draws a number from 0 to 1.
    """

    settings: Settings
    ledger: Ledger
    store: Store
    clock: Clock
    jitter: Callable[[], float]

    def find_targets(self, run: str) -> RunTargets:
        """Find the receivers of notifications about a run."""
        with self.ledger.read() as tx:
            found = runs.find_run(tx, run)
        facts = None if found is None else found.facts
        return find_targets(self.settings.notify, None if facts is None else facts.notify)

    def find_stalls(self) -> None:
        """Record the runs that have stalled."""
        for stall in record_stalls(self.ledger, lambda run: self.find_targets(run).stalled_seconds):
            log.warning("run.stalled", run=stall.run, note=stall.reason, do=f"see mailrun status {stall.run}")

    def divide(self) -> set[str]:
        """Divide new occurrences among their targets; return the targets that have something due."""
        with self.ledger.read() as tx:
            waiting = outbox.has_pending(tx, of_campaigns=False)
            new = outbox.list_occurrences(tx) if waiting else []
        if not waiting:
            return set()
        with self.ledger.write() as tx:
            outbox.give_up_old(tx)
        for occurrence in new:
            try:
                self._divide_one(occurrence)
            except MailrunError:
                raise
            except Exception as error:  # noqa: BLE001 - what one run has damaged must not silence the others
                note = f"a notification cannot be made: {type(error).__name__}: {error}"
                log.warning("notify.given_up", run=occurrence.run, note=note)
                with self.ledger.write() as tx:
                    outbox.divide(tx, occurrence, {})
        with self.ledger.read() as tx:
            return outbox.find_due(tx)

    def _divide_one(self, occurrence: Occurrence) -> None:
        with self.ledger.read() as tx:
            run = runs.find_run(tx, occurrence.run)
        notices = {}
        if run is not None and (not run.sandbox or self.settings.notify.sandbox):
            found = find_targets(self.settings.notify, None if run.facts is None else run.facts.notify)
            accounts = require_accounts(self.ledger, run.name, self.store, self.clock.now())
            notices = {
                name: make_notice(occurrence, accounts, name, found.link)
                for name, target in found.targets.items()
                if occurrence.event.value in target.on
            }
        with self.ledger.write() as tx:
            outbox.divide(tx, occurrence, notices)

    async def deliver(self, target: str) -> Counter[bool]:
        """Hand over all notifications of a target that are due, one after the other.

        Returns:
            How many were accepted (True), and how many were not.
        """
        counted = Counter[bool]()
        while True:
            claimed_at = self.clock.monotonic()
            with self.ledger.write() as tx:
                delivery = outbox.claim_next(tx, target, uuid.uuid4().hex)
            if delivery is None:
                return counted
            answer = await self._hand_over(delivery, claimed_at)
            if answer is not None:
                self._record(delivery, answer)
                counted[answer.accepted] += 1

    async def _hand_over(self, delivery: Delivery, claimed_at: float) -> TargetAnswer | None:
        found = self.find_targets(delivery.run).targets.get(delivery.target)
        if found is None:
            return TargetAnswer(accepted=False, text=_NOT_CONFIGURED)
        if self.clock.monotonic() - claimed_at > outbox.CLAIM_SECONDS - 2 * POST_SECONDS:
            return None  # the process was suspended: another one may have it now
        return await hand_over(delivery.target, found, delivery.notice, self.settings, self.clock)

    def _record(self, delivery: Delivery, answer: TargetAnswer) -> None:
        details = {"run": delivery.run, "target": delivery.target, "change": delivery.notice["event"]}
        if answer.accepted:
            with self.ledger.write() as tx:
                outbox.record_delivered(tx, delivery)
            log.info("notify.delivered", **details, attempts=delivery.attempts)
            return
        wait = find_wait(delivery.attempts, answer.retry_after, self.jitter())
        with self.ledger.write() as tx:
            goes_on = outbox.record_failed(tx, delivery, answer.text, wait=wait)
        note = f"the notification was not accepted: {answer.text}"
        if not goes_on:
            log.error("notify.given_up", **details, attempts=delivery.attempts, note=note)
        elif delivery.attempts == 1:
            log.warning("notify.failed", **details, note=note, do="check the target with: mailrun notify test")
        else:
            log.info("notify.failed", **details, attempts=delivery.attempts, note=note)

    async def send_now(self) -> Counter[bool]:
        """Record stalls, and hand over everything that is due; return how many were accepted, and how many not."""
        self.find_stalls()
        counts = await asyncio.gather(*(self.deliver(target) for target in sorted(self.divide())))
        return sum(counts, Counter[bool]())

    def find_seconds_to_next(self) -> float | None:
        """Return in how many seconds the next attempt is due; None where nothing waits."""
        with self.ledger.read() as tx:
            return outbox.find_seconds_to_next(tx)
