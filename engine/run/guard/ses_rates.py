"""The guard over the account's bounce and complaint rates as SES itself computes them.

SES reviews an account at 5 % bounces or 0.1 % complaints, and may pause it at 10 % and 0.5 %. Its rates count all
mail of the account, also that of other senders, over a volume that SES chooses.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from msgspec import Struct, field
from sqlalchemy import Connection

from engine.account.reputation.limits import NEAR, RateKind
from engine.campaign.spec_sections import GuardSpec
from engine.clock import Clock
from engine.errors import MailrunError
from engine.ledger import decisions
from engine.ledger.recorder import Recorder
from engine.logs import get_logger
from engine.run.guard.evidence import RECENT
from engine.run.guard.judge import GuardLevel
from engine.stopping.stop import Stop, StopCause, StopReason

EVERY_SECONDS = 300.0  # CloudWatch shows a change minutes later
FIRST_SECONDS = 5.0  # the first read precedes the first message, and delays it no longer than that
RISE = 1.1  # a rate that a person has acknowledged pauses again once it is a tenth higher

log = get_logger()


class SesRateFinding(Struct, frozen=True):
    """A rate that has reached its limit, or half of it; `region` is empty where the run names none."""

    kind: RateKind
    rate: float
    limit: float
    level: GuardLevel
    region: str = ""

    def describe(self) -> str:
        """Describe the finding, for the run's reason.

        >>> SesRateFinding(RateKind.BOUNCE, 0.061, 0.05, GuardLevel.PAUSE).describe()
        "the account's bounce rate as SES computes it is 6.10%, and [guard] max_ses_bounce_rate is 5.00%"
        """
        name = f"[guard] max_ses_{self.kind}_rate"
        whose = f"{self.region}: the account's" if self.region else "the account's"
        return f"{whose} {self.kind} rate as SES computes it is {self.rate:.2%}, and {name} is {self.limit:.2%}"

    @property
    def remedy(self) -> str:
        """What a person does about it."""
        there = f"AWS_DEFAULT_REGION={self.region} " if self.region else ""
        return (
            f"see {there}mailrun ses reputation, and find out which mail causes it; to resume anyway: mailrun resume"
            " RUN, then launch again"
        )


def name_rate(kind: RateKind, region: str) -> str:
    """Name a rate in the ledger's decisions: `bounce`, or `eu-west-1 bounce` where the run names the region."""
    return f"{region} {kind}" if region else str(kind)


def find_limits(spec: GuardSpec) -> dict[RateKind, float]:
    """Return the limits of a campaign; a limit of 1 switches a rate off."""
    limits = {RateKind.BOUNCE: spec.max_ses_bounce_rate, RateKind.COMPLAINT: spec.max_ses_complaint_rate}
    return {kind: limit for kind, limit in limits.items() if limit < 1.0}


def judge_ses_rates(
    rates: Mapping[RateKind, float],
    limits: Mapping[RateKind, float],
    acknowledged: Mapping[str, float],
    region: str = "",
) -> list[SesRateFinding]:
    """Compare rates with their limits; return the findings, those that pause first.

    Args:
        rates: as SES computes them, 0 to 1; a rate that is unknown is missing.
        limits: of the campaign.
        acknowledged: rates with which a person has resumed a run, by `name_rate`.
        region: of the account; empty where the run names none.
    """
    findings = []
    for kind, limit in limits.items():
        rate = rates.get(kind, 0.0)
        if rate < limit * NEAR:
            continue
        seen = acknowledged.get(name_rate(kind, region))
        pauses = rate >= limit and (seen is None or rate > seen * RISE)
        level = GuardLevel.PAUSE if pauses else GuardLevel.WARNING
        findings.append(SesRateFinding(kind, rate, limit, level, region))
    return sorted(findings, key=lambda finding: finding.level is not GuardLevel.PAUSE)


class SesRateGuard(Struct, kw_only=True):
    """Reads the account's rates before the first message and every EVERY_SECONDS, and pauses the run.

    Attributes:
        run: its name.
        limits: of `find_limits`.
        read: reads the rates; None where the run does not go to SES.
        recorder: writes to the ledger.
        clock: both of its times.
        stop: is requested where the run must pause.
        region: of the account, where the run names its regions; each has a guard of its own.
    """

    run: str
    limits: Mapping[RateKind, float]
    read: Callable[[], Awaitable[Mapping[RateKind, float]]] | None
    recorder: Recorder
    clock: Clock
    stop: Stop
    region: str = ""
    _warned: set[RateKind | None] = field(default_factory=set)  # None: that the rates could not be read

    async def check_first(self) -> None:
        """Check before the first message; rates that take longer than FIRST_SECONDS are read while the run sends."""
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                await self.check()
        except TimeoutError:
            self._warn_unread(f"CloudWatch has not answered within {FIRST_SECONDS:g} s", "check the network")

    async def watch(self) -> None:
        """Check every EVERY_SECONDS, until the run must stop."""
        while self.read is not None and self.limits and not self.stop.requested:
            await self.clock.sleep(EVERY_SECONDS)
            await self.check()

    async def check(self) -> None:
        """Read the rates, warn once for each, and pause the run; where they cannot be read, warn once."""
        if self.read is None or not self.limits:
            return
        try:
            rates = await self.read()
        except MailrunError as error:
            self._warn_unread(error.what, error.remedy)
            return
        except Exception as error:  # noqa: BLE001 - whatever CloudWatch answers, the run goes on
            self._warn_unread(f"CloudWatch's answer cannot be read: {error}", "check AWS_ENDPOINT_URL_CLOUDWATCH")
            return
        if not judge_ses_rates(rates, self.limits, {}):
            return
        now = self.clock.now()
        for finding in await self.recorder.transact(lambda tx: self._decide(tx, rates, now)):
            if finding.level is GuardLevel.PAUSE and not self.stop.requested:
                log.error("guard.pause", run=self.run, note=finding.describe(), do=finding.remedy)
                self.stop.request(StopReason(StopCause.GUARDED, finding.describe(), finding.remedy))
            elif finding.kind not in self._warned:
                self._warned.add(finding.kind)
                log.warning("guard.warning", run=self.run, note=finding.describe(), do=finding.remedy)

    def _decide(self, tx: Connection, rates: Mapping[RateKind, float], now: datetime) -> list[SesRateFinding]:
        """Judge with what people have acknowledged; record the rates that pause the run."""
        acknowledged = decisions.read_acknowledged_rates(tx, self.run, now - RECENT)
        findings = judge_ses_rates(rates, self.limits, acknowledged, self.region)
        pausing = {name_rate(one.kind, one.region): one.rate for one in findings if one.level is GuardLevel.PAUSE}
        if pausing and not self.stop.requested:
            decisions.record_rates_of_pause(tx, self.run, pausing, now)
        return findings

    def _warn_unread(self, what: str, remedy: str) -> None:
        if None not in self._warned:
            self._warned.add(None)
            where = f"{self.region}: " if self.region else ""
            note = f"{where}{what}; the run goes on without the account's rates as SES computes them"
            log.warning("guard.ses_rates_unread", run=self.run, note=note, do=remedy)
