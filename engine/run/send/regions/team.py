"""Sends a run through several regions at once: each has a worker of its own in this process.

A region has its own account: its own rate, quota and pauses. Its worker takes leases like any other worker, so the
regions share the recipients as their rates allow, and nothing is sent twice: a lease has one owner. A region that
cannot send any more leaves: its worker gives its leases back, and the others take them. Meanwhile the process checks
from time to time whether the region can send again. The run is paused where no region is left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from msgspec import Struct, field
from msgspec.structs import replace

from engine.delivery.outbound import Outbound
from engine.errors import MailrunError
from engine.logs import get_logger
from engine.run.prepare.routes import Route
from engine.run.send.context import SendContext
from engine.run.send.regions.region import CommonBegin, RegionPart, RegionStop
from engine.stopping.stop import StopCause, StopReason

LOOK_AGAIN_SECONDS = 60.0  # whether a region that has left can send again; then twice as long each time
LONGEST_LOOK_SECONDS = 900.0
ROOM_SECONDS = 60.0  # of its rate: what a region's 24-hour quota must have left, so that joining is worth while

log = get_logger()

SendThrough = Callable[[SendContext, Route, RegionPart], Awaitable[None]]
"""Sends through one region until the run is finished, or the region's stop is requested."""


class RegionTeam(Struct, frozen=True, kw_only=True):
    """The regions of one process.

    Attributes:
        context: the process's.
        routes: one for each region; those that are not ready join later.
        check: checks whether a region can send now.
        send: sends through one of them.
    """

    context: SendContext
    routes: Sequence[Route]
    check: Callable[[Outbound], Awaitable[Route]]
    send: SendThrough
    _stops: dict[str, RegionStop] = field(default_factory=dict)  # of the regions that send
    _away: dict[str, str] = field(default_factory=dict)  # region -> why it does not
    _begin: CommonBegin = field(default_factory=CommonBegin)
    _none_sends: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Send until the run is finished, no region can send any more, or the process must stop.

        Raises:
            MailrunError: ledger or store failed in one region; the others were stopped in order.
        """
        for route in self.routes:
            if route.quota is None:
                self._away[route.outbound.region] = route.problem
            else:
                self._open(route.outbound.region)
                self._begin.expect(route.outbound.region)
        following = asyncio.create_task(self._follow_process(), name="stop of the regions")
        tasks = [asyncio.create_task(self._attend(each), name=each.outbound.region) for each in self.routes]
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:  # a second signal
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
        for task in tasks:
            task.result()

    async def _follow_process(self) -> None:
        stop = self.context.stop
        await stop.wait()
        for each in list(self._stops.values()):
            if stop.reason is not None:
                each.request(stop.reason)

    async def _attend(self, route: Route) -> None:
        """Send through one region; again when it can, after it had to leave."""
        region, whole = route.outbound.region, self.context.stop
        if route.quota is None:
            found = await self._wait_until_ready(route)
            if found is None:
                return
            route = found
        while True:
            stop = self._stops[region]
            try:
                await self.send(replace(self.context, stop=stop), route, self._describe(region))
            except Exception as error:
                whole.request(StopReason(StopCause.ERROR, str(error), error=error))
                raise
            finally:
                self._close(region)
            reason = stop.reason
            if whole.requested or reason is None or reason.cause is not StopCause.PAUSED:
                return
            self._away[region] = reason.text
            if not self._none_sends.is_set():
                note = f"{reason.text}; the other regions continue, and it joins them again as soon as it can"
                log.warning("region.left", region=region, note=note)
            found = await self._wait_until_ready(route)
            if found is None:
                return
            route = found

    async def _wait_until_ready(self, route: Route) -> Route | None:
        """Check a region from time to time until it can send; None once no other region sends any more."""
        region, seconds = route.outbound.region, LOOK_AGAIN_SECONDS
        while not await self._has_ended(seconds):
            seconds = min(2 * seconds, LONGEST_LOOK_SECONDS)
            try:
                found = await self.check(route.outbound)
            except MailrunError as error:
                found = Route(route.outbound, None, error.what)
            if found.quota is None:
                self._away[region] = found.problem
                continue
            left = found.quota.left_24_hours
            if left is not None and left < found.quota.max_send_rate * ROOM_SECONDS:
                continue
            if self._none_sends.is_set() or self.context.stop.requested:
                return None
            del self._away[region]
            self._open(region)
            log.info("region.joined", region=region, note=f"{region} can send again")
            return found
        return None

    async def _has_ended(self, seconds: float) -> bool:
        """Wait for some seconds; True as soon as no region sends any more, or the process must stop."""
        waiting = [asyncio.create_task(self._none_sends.wait()), asyncio.create_task(self.context.stop.wait())]
        done, pending = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return bool(done)

    def _open(self, region: str) -> None:
        self._stops[region] = RegionStop(region, self.context.stop)
        self._none_sends.clear()

    def _close(self, region: str) -> None:
        del self._stops[region]
        self._begin.give_up(region)
        if not self._stops:
            self._none_sends.set()

    def _describe(self, region: str) -> RegionPart:
        return RegionPart(
            name=region,
            regions=len(self.routes),
            accounts=frozenset(route.outbound.account for route in self.routes),
            explain_pause=lambda: self._explain_pause(region),
            is_last=lambda: all(other == region or stop.requested for other, stop in self._stops.items()),
            list_away=lambda: dict(self._away),
            begin=lambda: self._begin.wait(region),
        )

    def _explain_pause(self, region: str) -> str:
        """Join the reasons of all regions, as the reason of the run's pause."""
        reasons = {**self._away, **{name: stop.reason.text for name, stop in self._stops.items() if stop.reason}}
        own = self._stops[region].reason
        text = "; ".join(dict.fromkeys(reasons[name] for name in sorted(reasons)))
        return StopReason(StopCause.PAUSED, text, own.remedy if own else "launch again to resume").to_sentences()
