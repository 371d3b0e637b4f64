"""The account's rates as SES computes them now, for the guard of a run."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from engine.account.reputation.limits import RateKind
from engine.account.reputation.rates import read_rates
from engine.account.services import AwsServices, open_services
from engine.clock import Clock

DAYS = 1.0  # an older rate says nothing about the mail of a run that sends now


class CurrentRates:
    """Reads them; its client is made at the first read.

    Args:
        clock: for the time, and for waits.
        region: of the account; empty for the one that botocore resolves.
    """

    def __init__(self, clock: Clock, region: str = "") -> None:
        self._clock = clock
        self._region = region or None
        self._stack = AsyncExitStack()
        self._services: AwsServices | None = None

    async def read(self) -> Mapping[RateKind, float]:
        """Read the last rates of the last day; one that SES has not published is missing.

        Raises:
            ServiceError: CloudWatch cannot be reached, or refuses.
            ConfigurationError: there are no credentials or no region.
        """
        if self._services is None:
            self._services = await self._stack.enter_async_context(open_services(clock=self._clock))
        client = await self._services.open("cloudwatch", self._region)
        series = await read_rates(client, [], now=self._clock.now(), days=DAYS)
        return {one.kind: one.latest.value for one in series if one.latest is not None}

    async def close(self) -> None:
        """Close the client."""
        await self._stack.aclose()
