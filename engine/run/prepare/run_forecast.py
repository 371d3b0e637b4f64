"""How long a run would take, and how much of the 24-hour quota."""

import asyncio
from typing import Any

from msgspec import Struct

from engine.account.client import Endpoint
from engine.account.quota import AccountQuota
from engine.campaign.spec_sections import DeliverySpec
from engine.delivery.outbound import Outbound, open_outbounds
from engine.delivery.pacing.rate_share import find_rate
from engine.errors import MailrunError
from engine.run.prepare.planning import PlanRequest
from engine.run.prepare.routes import add_quotas
from engine.settings import Settings


class RunForecast(Struct, frozen=True):
    """Duration and quota use of sending to a number of recipients.

    Attributes:
        rate: recipients a second at most; None where it is unknown.
        seconds: at that rate.
        left_24_hours: what the 24-hour quota still allows; None is unlimited or unknown.
        quota_share: of the whole 24-hour quota; None as above.
        unknown: why the account could not be read; empty where it was.
    """

    rate: float | None
    seconds: float | None
    left_24_hours: float | None
    quota_share: float | None
    unknown: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `forecast` in --json."""
        return {
            "rate": self.rate,
            "seconds": self.seconds,
            "left_24_hours": self.left_24_hours,
            "quota_share": self.quota_share,
            "unknown": self.unknown or None,
        }


async def read_account_limits(
    request: PlanRequest, settings: Settings, endpoint: Endpoint | None
) -> AccountQuota | MailrunError:
    """Read the limits of the account that the campaign would use, of all its regions together.

    Returns:
        The limits, without regions of which they cannot be read; the error where they are unknown.
    """
    try:
        async with open_outbounds(request.campaign.spec, settings, endpoint, request.name) as outbounds:
            read = await asyncio.gather(*(_read_limits(outbound) for outbound in outbounds))
    except MailrunError as error:
        return error
    known = [answer for answer in read if isinstance(answer, AccountQuota)]
    return add_quotas(known) if known else read[0]


async def _read_limits(outbound: Outbound) -> AccountQuota | MailrunError:
    try:
        return await outbound.read_quota()
    except MailrunError as error:
        return error


def forecast_run(recipients: int, delivery: DeliverySpec, answer: AccountQuota | MailrunError) -> RunForecast:
    """Work out duration and share of the quota.

    Args:
        recipients: how many.
        delivery: the campaign's own limits.
        answer: the account's, or why there is none.
    """
    if isinstance(answer, MailrunError):
        rate = delivery.max_rate
        return RunForecast(rate, rate and recipients / rate, None, None, unknown=answer.what)
    rate = find_rate(answer.max_send_rate, delivery)
    share = None if answer.max_24_hours is None else recipients / max(answer.max_24_hours, 1.0)
    return RunForecast(rate, recipients / rate if rate else None, answer.left_24_hours, share)
