"""One of several regions that a process sends through: its own stop, and what it needs to know of the others."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from engine.run.send.processes import WorkerProcesses
from engine.stopping.stop import Stop, StopCause, StopReason


class RegionStop(Stop):
    """The stop of one region: a pause ends the sending through this region alone, any other reason ends the process's.

    Args:
        region: its name.
        whole: the stop of the process.
    """

    def __init__(self, region: str, whole: Stop) -> None:
        self._region = region
        self._whole = whole
        self._is_urgent = False
        super().__init__()

    @property
    def is_urgent(self) -> bool:
        """Return whether this stop or that of the process is urgent."""
        return self._is_urgent or self._whole.is_urgent

    @is_urgent.setter
    def is_urgent(self, value: bool) -> None:
        self._is_urgent = value

    def request(self, reason: StopReason) -> None:
        """Request it; see Stop.request."""
        if reason.cause is StopCause.PAUSED and self._region not in reason.text:
            reason = replace(reason, text=f"{self._region}: {reason.text}")
        elif reason.cause is not StopCause.PAUSED:
            self._whole.request(reason)
        super().request(reason)


class CommonBegin:
    """Lets the regions of a process begin together, so that no mail leaves before each account was looked at."""

    def __init__(self) -> None:
        self._missing = set[str]()
        self._all_ready = asyncio.Event()

    def expect(self, region: str) -> None:
        """Wait for a region, too."""
        self._missing.add(region)

    def give_up(self, region: str) -> None:
        """Wait no longer for a region: it is ready, or it has ended."""
        self._missing.discard(region)
        if not self._missing:
            self._all_ready.set()

    async def wait(self, region: str) -> None:
        """Wait until all regions are ready, this one included; one that joins later waits for none."""
        self.give_up(region)
        await self._all_ready.wait()


class RegionPart(Struct, frozen=True, kw_only=True):
    """A region's part in a run that is sent through several.

    Attributes:
        name: the region's.
        regions: number of regions that this process sends through at most.
        accounts: names the accounts of all regions.
        explain_pause: returns why the run is paused, if this region was the last one that could send.
        is_last: returns whether no other region of this process sends now.
        list_away: returns the regions that cannot send now: name -> why.
        begin: waits until all regions that send from the start may send their first message.
    """

    name: str
    regions: int
    accounts: Collection[str]
    explain_pause: Callable[[], str]
    is_last: Callable[[], bool]
    list_away: Callable[[], Mapping[str, str]]
    begin: Callable[[], Awaitable[None]]


class RegionProcesses(Struct, frozen=True):
    """The further processes of a launch, of which each sends through all regions: they follow the load of all regions.

    Attributes:
        processes: those.
        loads: region -> recipients that it has sent to, and its rate; shared by all regions.
        name: of this region.
    """

    processes: WorkerProcesses
    loads: dict[str, tuple[int, float]] = field(default_factory=dict)
    name: str = ""

    def add_if_needed(self, *, admitted: int, rate: float, work_left: bool) -> None:
        """Start another process if this one is not fast enough; see WorkerProcesses."""
        self.loads[self.name] = admitted, rate
        self.processes.add_if_needed(
            admitted=sum(sent for sent, _ in self.loads.values()),
            rate=sum(limit for _, limit in self.loads.values()),
            work_left=work_left,
        )
