"""The limits of one worker: its part of what the account, the campaign and the other senders leave. Pure."""

from dataclasses import dataclass, field

from engine.account.quota import AccountQuota
from engine.campaign.spec import CampaignSpec
from engine.delivery.pacing.other_senders import OtherSenders
from engine.delivery.pacing.pacer import FLOOR

# SentLast24Hours lags, nobody says how much. What went out since then may not be in it yet.
QUOTA_LAG_SECONDS = 120.0


@dataclass(slots=True)
class RateShare:
    """The rate and the quota of one worker.

    Attributes:
        quota: the account's, as read last.
        spec: the campaign's own bounds.
        now: monotonic time of that reading.
        workers: how many share the account, this one included.
        resting: this worker leaves its part to the others, so its own count says nothing of theirs.
    """

    quota: AccountQuota
    spec: CampaignSpec
    now: float
    workers: int = 1
    resting: bool = False
    others: OtherSenders = field(default_factory=OtherSenders)
    _left: float | None = None
    _recent: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = self.quota.left_24_hours
        self._recent.append((self.now, 0))
        self.others.observe(sent_24_hours=self.quota.sent_24_hours, own=0, now=self.now)

    @property
    def rate(self) -> float:
        """Recipients a second that all workers may send together."""
        delivery, most = self.spec.delivery, self.quota.max_send_rate
        shared = most * delivery.rate_share
        left_by_others = max(most - self.others.rate, most * FLOOR)
        return min(shared, left_by_others, delivery.max_rate or shared)

    @property
    def ceiling(self) -> float:
        """Recipients a second for this worker."""
        return self.rate / self.workers

    @property
    def left_24_hours(self) -> float | None:
        """Recipients that this worker may still send to now; None is unlimited."""
        return None if self._left is None else self._left / self.workers

    def share(self, workers: int) -> None:
        """Divide among more or fewer workers.

        What all of them send is this one's count times their number, which holds only while that number does.
        """
        self.workers = workers
        self.others.begin_anew()

    def rest(self, *, resting: bool) -> None:
        """Leave this worker's part to the others, or claim it again."""
        self.resting = resting
        self.others.begin_anew()

    def take_over(self, quota: AccountQuota, *, admitted: int, left: float | None, now: float) -> None:
        """Take over the quota as read again.

        Args:
            quota: as SES tells.
            admitted: recipients that this worker sent to since it began.
            left: what this worker's part of the quota still is by its own count.
            now: monotonic time.
        """
        self.quota = quota
        if not self.resting:
            self.others.observe(sent_24_hours=quota.sent_24_hours, own=admitted * self.workers, now=now)
        self._recent.append((now, admitted))
        while len(self._recent) > 1 and self._recent[1][0] <= now - QUOTA_LAG_SECONDS:
            self._recent.pop(0)
        told = quota.left_24_hours
        if told is None:
            self._left = None
            return
        counted = told if left is None else left * self.workers
        # What rolled out of the day is free again, but our latest may not be counted yet.
        surely_free = told - (admitted - self._recent[0][1]) * self.workers
        self._left = max(0.0, min(told, max(counted, surely_free)))
