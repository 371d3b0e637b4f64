"""The rate and the quota: what all workers may send together, and the part of one of them. Pure.

This is the only place where a rate is computed: previews, forecasts, launches and workers all call find_rate.
"""

from msgspec import Struct, field

from engine.account.quota import AccountQuota
from engine.campaign.spec import CampaignSpec
from engine.campaign.spec_sections import DeliverySpec
from engine.delivery.pacing.other_senders import OtherSenders
from engine.delivery.pacing.pacer import FLOOR

# SentLast24Hours lags; AWS does not say how much. What went out since then may not be in it yet.
QUOTA_LAG_SECONDS = 120.0


def find_rate(max_send_rate: float, delivery: DeliverySpec, *, others: float = 0.0) -> float:
    """Return how many recipients a second all workers of the account may send to together.

    Args:
        max_send_rate: SES's MaxSendRate, or the limit of another server.
        delivery: the campaign's own limits, `rate_share` and `max_rate`.
        others: recipients a second of senders that are not mailrun; a small part of the account is always used.

    >>> find_rate(200.0, DeliverySpec(rate_share=0.5)), find_rate(200.0, DeliverySpec(max_rate=14), others=150.0)
    (100.0, 14.0)
    """
    shared = max_send_rate * delivery.rate_share
    left_by_others = max(max_send_rate - others, max_send_rate * FLOOR)
    return min(shared, left_by_others, delivery.max_rate or shared)


class RateShare(Struct):
    """The part of one worker.

    Attributes:
        quota: the account's, as read last.
        spec: the campaign's own bounds.
        now: monotonic time of that reading.
        workers: how many share the account, this one included.
        campaign_workers: how many share the campaign's own limits: those in all its regions.
        is_released: this worker leaves its part to the others, so its own count does not estimate theirs.
    """

    quota: AccountQuota
    spec: CampaignSpec
    now: float
    workers: int = 1
    campaign_workers: int = 1
    is_released: bool = False
    others: OtherSenders = field(default_factory=OtherSenders)
    _left: float | None = None
    _recent: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = self.quota.left_24_hours
        self.campaign_workers = max(self.workers, self.campaign_workers)
        self._recent.append((self.now, 0))
        self.others.observe(sent_24_hours=self.quota.sent_24_hours, own=0, now=self.now)

    @property
    def rate(self) -> float:
        """Recipients a second that all workers may send together."""
        return find_rate(self.quota.max_send_rate, self.spec.delivery, others=self.others.rate)

    @property
    def ceiling(self) -> float:
        """Recipients a second for this worker."""
        most = self.spec.delivery.max_rate
        part = self.rate / self.workers
        return part if most is None else min(part, self.divide(most))

    def divide(self, rate: float) -> float:
        """Return this worker's part of a limit of the campaign."""
        return rate / self.campaign_workers

    @property
    def left_24_hours(self) -> float | None:
        """Recipients that this worker may still send to now; None is unlimited."""
        return None if self._left is None else self._left / self.workers

    def share(self, workers: int, campaign_workers: int | None = None) -> None:
        """Divide among more or fewer workers.

        What all of them send is estimated as this worker's count times their number: true only while that is the same.

        Args:
            workers: on the account.
            campaign_workers: on all accounts of the campaign; None where it has one.
        """
        self.workers = workers
        self.campaign_workers = workers if campaign_workers is None else campaign_workers
        self.others.forget()

    def release(self) -> None:
        """Leave this worker's part to the others."""
        self.is_released = True
        self.others.forget()

    def claim(self) -> None:
        """Take this worker's part back."""
        self.is_released = False
        self.others.forget()

    def update(self, quota: AccountQuota, *, admitted: int, left: float | None, now: float) -> None:
        """Update the quota after it was read again.

        Args:
            quota: as SES reports it.
            admitted: recipients that this worker sent to since it began.
            left: what this worker's part of the quota still is by its own count.
            now: monotonic time.
        """
        self.quota = quota
        if not self.is_released:
            self.others.observe(sent_24_hours=quota.sent_24_hours, own=admitted * self.workers, now=now)
        self._recent.append((now, admitted))
        while len(self._recent) > 1 and self._recent[1][0] <= now - QUOTA_LAG_SECONDS:
            self._recent.pop(0)
        reported = quota.left_24_hours
        if reported is None:
            self._left = None
            return
        counted = reported if left is None else left * self.workers
        # Mail older than 24 hours is free again, but SES may not count our latest mail yet.
        surely_free = reported - (admitted - self._recent[0][1]) * self.workers
        self._left = max(0.0, min(reported, max(counted, surely_free)))
