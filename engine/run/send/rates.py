"""A worker's part of the account's rate and quota: kept up to date while it sends."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from engine.account.quota import AccountQuota, refuse_if_stopped
from engine.clock import Clock
from engine.delivery.pacing.admission import Admission
from engine.delivery.pacing.budgets import Allowance
from engine.delivery.pacing.interleaving import DomainCap
from engine.delivery.pacing.pacer import Pacer
from engine.delivery.pacing.rate_share import RateShare
from engine.errors import MailrunError, ServiceError
from engine.logs import get_logger
from engine.run.send.warmup import WarmupShare
from engine.stopping.stop import Stop, StopCause, StopReason

QUOTA_REFRESH_SECONDS = 30.0  # GetAccount is limited to one call a second for the whole account

log = get_logger()


@dataclass(slots=True, kw_only=True)
class Rates:
    """Reads the account's limits regularly, and sets this worker's part of them.

    Attributes:
        run: its name.
        read_quota: reads the account's limits.
        rate_share: this worker's part of them.
        pacer: has the rate.
        caps: domain -> its cap; this worker's part is kept in them.
        quota_left: this worker's part of the 24-hour quota.
        warmup: this worker's part of the warm-up's day.
        admission: what has passed the gate.
        clock: monotonic time.
        stop: is requested where SES stops the account, or puts it under review.
    """

    run: str
    read_quota: Callable[[], Awaitable[AccountQuota]]
    rate_share: RateShare
    pacer: Pacer
    caps: Mapping[str, DomainCap]
    quota_left: Allowance
    warmup: WarmupShare
    admission: Admission
    clock: Clock
    stop: Stop
    _whole_caps: Mapping[str, float] = field(init=False)
    _enforcement: str | None = None

    def __post_init__(self) -> None:
        self._whole_caps = {domain: cap.rate for domain, cap in self.caps.items()}
        self.quota_left.left = self.rate_share.left_24_hours
        self._check_enforcement(self.rate_share.quota.enforcement)

    async def refresh(self) -> None:
        """Read the account's limits and the warm-up every QUOTA_REFRESH_SECONDS, until cancelled."""
        while True:
            await self.clock.sleep(QUOTA_REFRESH_SECONDS)
            await self.reread_quota()
            await self.warmup.reread()

    async def reread_quota(self) -> None:
        """Read the account's limits; on failure, keep the last ones: sending reports what is wrong."""
        try:
            quota = await self.read_quota()
        except MailrunError as error:
            log.warning("quota.unread", what=error.what)
            return
        try:
            refuse_if_stopped(quota)
        except ServiceError as error:
            self.stop.request(StopReason(StopCause.PAUSED, error.what, error.remedy))
            return
        self._check_enforcement(quota.enforcement)
        share, known, left = self.rate_share, self.rate_share.rate, self.quota_left.left
        share.update(quota, admitted=self.admission.admitted, left=left, now=self.clock.monotonic())
        self.quota_left.left = share.left_24_hours
        self._set_ceiling()
        if share.rate != known:
            log.info("rate.changed", rate=round(share.rate, 2), others=round(share.others.rate, 2))

    def divide(self, workers: int, campaign_workers: int | None = None) -> None:
        """Divide rate, caps and the remaining quota among more or fewer workers; see RateShare.share."""
        before, campaign_before = self.rate_share.workers, self.rate_share.campaign_workers
        self.rate_share.share(workers, campaign_workers)
        self._set_ceiling()
        for domain, rate in self._whole_caps.items():
            self.caps[domain].rate = self.rate_share.divide(rate)
        self.quota_left.scale(before / workers)
        self.warmup.divide(before=campaign_before, workers=self.rate_share.campaign_workers)
        log.info("worker.shares", workers=workers, rate=round(self.rate_share.ceiling, 2))

    def release(self) -> None:
        """Lend this worker's part to the others while it has nothing to send."""
        self.rate_share.release()

    def claim(self) -> None:
        """Take this worker's part back."""
        self.rate_share.claim()
        self.warmup.claim()

    def _set_ceiling(self) -> None:
        self.pacer.set_ceiling(self.rate_share.ceiling, self.clock.monotonic())

    def _check_enforcement(self, status: str) -> None:
        """Stop where SES puts the account under review, which precedes a shutdown."""
        before, self._enforcement = self._enforcement, status
        if status != "PROBATION" or before == status:
            return
        text = "SES has put the account under review: its EnforcementStatus is PROBATION"
        remedy = "see the case in the AWS Support Center; to resume anyway: mailrun resume RUN, then launch again"
        if before is None:
            log.warning("account.review", run=self.run, note=text, do="see the case in the AWS Support Center")
            return
        self.stop.request(StopReason(StopCause.GUARDED, text, remedy))
