"""A deterministic simulation of workers over one ledger: clock, network, ledger latency and faults from one seed.

The real worker, dispatcher, gate, recorder, leases and journal run on an event loop whose time is virtual. Everything
outside of the process is simulated: the receiving side, the time that commits and calls take, and faults. A process is
killed or stopped for a while; a call is refused or throttled, or its answer is lost; the ledger is unreachable, and the
answer to a commit is lost. A dead process does nothing more, but what it began outside may still happen.
"""

import asyncio
import heapq
import logging
import random
import selectors
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from engine import logs
from engine.account.quota import AccountQuota
from engine.audience.planning.lease_range import LeaseRange
from engine.audience.planning.plan_files import RecipientsFile, divide, recipients_file
from engine.campaign.message import Message
from engine.campaign.part_writers import PartWriter, make_utf8_writer
from engine.campaign.spec import CampaignSpec
from engine.delivery.replies import ReplyMeaning, SendReply
from engine.delivery.transport import CallGroup, Item, TakeReplies
from engine.errors import UnreachableError
from engine.ledger import leases, runs
from engine.ledger.connect import _begin_sqlite
from engine.ledger.database import Ledger
from engine.ledger.journal import Outcome, replay
from engine.ledger.runs import Run
from engine.ledger.schema import RunState, metadata
from engine.notify.background import Notifications
from engine.run.frozen import FrozenRun
from engine.run.manifest import Manifest
from engine.run.restored import find_ahead
from engine.run.send.context import SendContext
from engine.run.send.processes import WorkerProcesses
from engine.run.send.wiring import SendJob, send_run
from engine.stopping.stop import Stop
from engine.store.folder import FolderStore
from support.messages import make_message
from support.recorded import read_journal

NAME = "sim/1"
RECIPIENTS = 24
ROWS_PER_LEASE = 6
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LONGEST_SECONDS = 4 * 3600.0


class _InstantSelector(selectors.DefaultSelector):
    """Never waits: time jumps to the next event."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits forever")
        self._loop.seconds += max(timeout, 1e-6)  # computing takes time as well
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with its own clock; blocking work runs in it, after its simulated duration."""

    def __init__(self, dice: random.Random) -> None:
        self.seconds = 1000.0
        self.dice = dice
        self.kept: list[asyncio.Future[Any]] = []
        super().__init__(_InstantSelector(self))

    def time(self) -> float:
        return self.seconds

    def run_in_executor(self, _executor: Any, work: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":  # type: ignore[override]
        done: asyncio.Future[Any] = self.create_future()
        self.kept.append(done)  # a caller that waits for a dead process's work waits to the end
        process = PROCESS.get()

        def finish() -> None:
            if process is not None and process.delay(finish):
                return
            if done.cancelled():
                return
            try:
                value = work(*arguments)
            except BaseException as error:  # noqa: BLE001 - handed to the caller that waits
                done.set_exception(error)
            else:
                done.set_result(value)

        self.call_later(self.dice.expovariate(1 / 0.004), finish)
        return done


@dataclass
class Process:
    """One worker process: it may be killed, or stopped for a while."""

    loop: VirtualLoop
    dead: bool = False
    asleep_until: float = 0.0

    def delay(self, again: Callable[[], None]) -> bool:
        """Return whether the process does nothing now; a process that only sleeps continues later."""
        if self.dead:
            return True
        if self.asleep_until > self.loop.seconds:
            self.loop.call_later(self.asleep_until - self.loop.seconds, again)
            return True
        return False


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class SimClock:
    """The loop's clock; the wall clock jumps now and then."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.jump = timedelta()

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.seconds - 1000.0) + self.jump

    def monotonic(self) -> float:
        return self._loop.seconds

    async def sleep(self, seconds: float) -> None:
        process = PROCESS.get()
        await asyncio.sleep(seconds)
        if process is not None and process.asleep_until > self._loop.seconds:
            await asyncio.sleep(process.asleep_until - self._loop.seconds)


_GROUPS = (CallGroup(0), CallGroup(100), CallGroup(200))


@dataclass
class Receiver:
    """The receiving side: what it accepted, and how it answers."""

    dice: random.Random
    loop: VirtualLoop
    faults: float
    accepted: Counter[int] = field(default_factory=Counter)
    ids: int = 0
    begun: set[asyncio.Task[None]] = field(default_factory=set)
    unheard: list[TakeReplies] = field(default_factory=list)  # of dead processes, which wait for them to the end

    most_items: int = 1
    most_bytes: int = 1_000
    most_calls: int = 8
    writer: PartWriter = field(default_factory=make_utf8_writer)

    def prepare(self, message: Message) -> Item:
        return Item(message.row, message, b"x", _GROUPS[message.row % 3] if self.most_items > 1 else None)

    def begin(self, items: Sequence[Item], take: TakeReplies) -> bool:
        """Answer every second call without a task of the worker's."""
        if self.dice.random() < 0.5:
            return False

        async def answer() -> None:
            replies, process = await self.send(items), PROCESS.get()
            if process is None or not process.dead:
                take(replies)
            else:
                self.unheard.append(take)

        self.begun.add(self.loop.create_task(answer()))
        return True

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        fate, process = self.dice.random(), PROCESS.get()
        await asyncio.sleep(self.dice.expovariate(1 / 0.05))
        if fate < self.faults * 0.2:
            return [SendReply(ReplyMeaning.UNREACHABLE, detail="connect refused")] * len(items)
        if fate < self.faults * 0.4:
            return [SendReply(ReplyMeaning.SLOW_DOWN, detail="Maximum sending rate exceeded.")] * len(items)
        if fate < self.faults * 0.45 and len(items) > 1:
            return [SendReply(ReplyMeaning.SPLIT, detail="BadRequestException")] * len(items)
        replies = [self._accept(item) for item in items]
        await asyncio.sleep(self.dice.expovariate(1 / 0.05))
        if process is not None and process.asleep_until > self.loop.seconds:
            await asyncio.sleep(process.asleep_until - self.loop.seconds)
        if fate > 1.0 - self.faults * 0.2:
            return [SendReply(ReplyMeaning.IN_DOUBT, detail="502 Bad Gateway")] * len(items)
        return replies

    def _accept(self, item: Item) -> SendReply:
        fate = self.dice.random()
        if fate < self.faults * 0.1:
            return SendReply(ReplyMeaning.REFUSED, detail="MessageRejected")
        if fate < self.faults * 0.2:
            return SendReply(ReplyMeaning.RETRY, detail="InternalFailure")
        self.accepted[item.row] += 1
        self.ids += 1
        return SendReply(ReplyMeaning.SENT, message_id=f"id-{self.ids}")


class FlakyLedger(Ledger):
    """A ledger in memory whose server is sometimes unreachable, and whose answers get lost."""

    def __init__(self, engine: Any, dice: random.Random, loop: VirtualLoop) -> None:
        super().__init__(engine)
        self._dice, self._loop = dice, loop
        self.away_until, self.loses = 0.0, 0.0

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if self.away_until > self._loop.seconds:
            raise UnreachableError("away", remedy="wait")
        with super().write() as tx:
            yield tx
        if self._dice.random() < self.loses:
            raise UnreachableError("the answer was lost", remedy="wait")


class _Renderer:
    def render(self, _content: object, row: int, address: str, *, place: object) -> Message:  # noqa: ARG002 - as Renderer
        return make_message(row, address, "s", None, "t", (), ())


QUOTA = AccountQuota(100.0, None, 0.0, production=True, sending_enabled=True, enforcement="HEALTHY")


async def _read_quota() -> AccountQuota:
    return QUOTA


@dataclass(frozen=True)
class SeedReport:
    """The result of a simulated run."""

    seed: int
    kills: int
    stops: int
    outcomes: Counter[Outcome]
    seconds: float
    trace: str  # of every recipient's outcome

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"seed {self.seed}: {self.kills} kills, {self.stops} stops, {counts}, {self.seconds:.6f} s, {self.trace}"


class Stage:
    """The plan that all simulated runs share, and where their outcomes go."""

    def __init__(self, folder: Path, columns: Mapping[str, str]) -> None:
        self.store = FolderStore(folder)
        self.engine = _make_engine()  # one for all runs: statements are compiled once
        self.folder = folder / "runs" / NAME
        (self.folder / "plan").mkdir(parents=True)
        rows = list(range(1, RECIPIENTS + 1))
        frame = pl.DataFrame(
            {
                "row": rows,
                "file": "f",
                "line": rows,
                "address": [f"p{i}@x.example" for i in rows],
                "key": "k",
                **columns,
            },
            schema_overrides={"row": pl.UInt64, "line": pl.UInt64},
        )
        plan = RecipientsFile(recipients_file(0), RECIPIENTS, ROWS_PER_LEASE)
        frame.write_parquet(self.folder / "plan" / plan.name, row_group_size=ROWS_PER_LEASE)
        self.leases: tuple[LeaseRange, ...] = divide([plan])
        self.manifest = Manifest.model_construct(
            None, run=NAME, leases=self.leases, columns=tuple(columns), created_at=START
        )  # type: ignore[call-arg] # as much of it as a worker reads
        self.spec = CampaignSpec.model_validate(
            {
                "from": "a@x.example",
                "subject": "s",
                "kind": "transactional",
                "audience": {"source": "x.csv"},
                "content": {"text": "t"},
                "guard": {"max_failure_rate": 1.0},
            }
        )

    def clean(self) -> None:
        for name in ("outcomes", "open", "staged"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        with self.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())


def _make_engine() -> Engine:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", _begin_sqlite)
    metadata.create_all(engine)
    return engine


class Simulation:
    """One run from its seed: up to three workers that die and are restarted, until no recipient is left."""

    def __init__(self, seed: int, stage: Stage) -> None:
        self.seed, self.stage = seed, stage
        self.dice = random.Random(seed)
        self.loop = VirtualLoop(self.dice)
        self.clock = SimClock(self.loop)
        self.ledger = FlakyLedger(stage.engine, self.dice, self.loop)
        self.receiver = Receiver(
            self.dice, self.loop, faults=self.dice.choice([0.0, 0.1, 0.5]), most_items=self.dice.choice([1, 4])
        )
        self.kills = self.stops = 0
        self.stop = Stop()  # of the worker that was started last

    def run(self) -> SeedReport:
        random.seed(self.seed)  # the jitter of retries
        self.stage.clean()
        run = self.register()
        with self.looping():
            self.loop.run_until_complete(
                self._drive(FrozenRun(run, self.stage.manifest, self.stage.folder, self.stage.store))
            )
        return self._check()

    @contextmanager
    def looping(self) -> Iterator[None]:
        """Make the virtual event loop the current one; at the end cancel what dead processes left, and close it."""
        asyncio.set_event_loop(self.loop)
        try:
            yield
        finally:
            while left := asyncio.all_tasks(self.loop):
                for task in left:
                    task.cancel()
                self.loop.run_until_complete(asyncio.sleep(0))
            asyncio.set_event_loop(None)
            self.loop.close()

    def register(self) -> Run:
        """Register the run in the ledger, as a launch does; does nothing where it is registered."""
        run = Run(
            name=NAME,
            state=RunState.PLANNED,
            reason=None,
            sandbox=False,
            folder=f"runs/{NAME}",
            manifest_digest="d",
            rows_read=RECIPIENTS,
            accepted=RECIPIENTS,
            excluded={},
            created_at=START,
            started_at=None,
            finished_at=None,
        )
        with self.ledger.write() as tx:
            runs.insert_run(tx, run, lease_rows=[lease.rows for lease in self.stage.leases])
        return run

    async def _drive(self, frozen: FrozenRun) -> None:
        workers, lives = self.dice.randint(1, 3), self.dice.randint(0, 6)
        troubles = [self.loop.seconds + self.dice.expovariate(1 / 1.5) for _ in range(lives)]
        heapq.heapify(troubles)
        self.ledger.loses = self.dice.choice([0.0, 0.0, 0.05])
        living: dict[asyncio.Task[None], Process] = {}
        until = self.loop.seconds + LONGEST_SECONDS
        while not self._finished():
            assert self.loop.seconds < until, "the run never ends"
            while len(living) < workers:
                process = Process(self.loop)
                living[self._start(frozen, process)] = process
            if troubles:
                await asyncio.wait(living, timeout=max(0.0, heapq.heappop(troubles) - self.loop.seconds))
                self._trouble(frozen, living)
            else:
                self.ledger.loses = 0.0
                await asyncio.wait(living, timeout=5.0)
            for task in [task for task in living if task.done()]:
                if not task.cancelled() and (error := task.exception()) is not None:
                    assert isinstance(error, UnreachableError), repr(error)
                del living[task]
        for task in living:
            task.cancel()

    def _start(self, frozen: FrozenRun, process: Process) -> asyncio.Task[None]:
        stop = self.stop = Stop()
        settings: Any = None  # a worker reads none
        context = SendContext(
            settings=settings,
            store=frozen.store,
            ledger=self.ledger,
            clock=self.clock,
            stop=stop,
            notifications=Notifications(settings, self.ledger, frozen.store, self.clock),
        )
        job = SendJob(
            frozen=frozen,
            spec=self.stage.spec,
            account="sim",
            quota=QUOTA,
            read_quota=_read_quota,
            transport=self.receiver,
            renderer=_Renderer(),  # type: ignore[arg-type] # the methods that a worker calls
            count=lambda _outcome, _recipients: None,
            processes=WorkerProcesses(None, 1, stop, self.clock),
        )

        async def body() -> None:
            PROCESS.set(process)
            await send_run(context, job)

        return self.loop.create_task(body())

    def _trouble(self, frozen: FrozenRun, living: dict[asyncio.Task[None], Process]) -> None:
        kind = self.dice.random()
        task, process = self.dice.choice(list(living.items()))
        if kind < 0.5:
            process.dead = True
            self.kills += 1
            del living[task]
            assert not find_ahead(self.ledger, frozen.run, self.stage.store), "a crash looks like a restore"
        elif kind < 0.75:
            self.stops += 1
            process.asleep_until = self.loop.seconds + self.dice.choice([2.0, 20.0, 60.0])
        elif kind < 0.9:
            self.ledger.away_until = self.loop.seconds + self.dice.uniform(0.5, 60.0)
        else:
            self.clock.jump = timedelta(hours=self.dice.choice([-3, 3]))

    def _finished(self) -> bool:
        with self.ledger.read() as tx:
            return not leases.count_unsettled(tx, NAME)

    def _check(self) -> SeedReport:
        """Check I1 to I4 against what the receiving side accepted."""
        outcomes: dict[int, Outcome] = {}
        with self.ledger.read() as tx:
            for state in leases.list_leases(tx, NAME):
                assert state.settlement is not None
                frame = pl.read_parquet(self.stage.folder / "outcomes" / state.settlement.outcomes_file)
                outcomes |= {row: Outcome(name) for row, name in frame.select("row", "outcome").iter_rows()}
                assert not replay(read_journal(tx, NAME, state.ordinal)).results
        accepted = self.receiver.accepted
        by = {o: {row for row, outcome in outcomes.items() if outcome is o} for o in Outcome}
        assert set(outcomes) == set(range(1, RECIPIENTS + 1)), f"I1, seed {self.seed}"
        assert set(accepted.values()) <= {1}, f"I2, seed {self.seed}: a recipient got it twice"
        assert by[Outcome.SENT] <= set(accepted), f"I3, seed {self.seed}: sent and never arrived"
        assert set(accepted) <= by[Outcome.SENT] | by[Outcome.IN_DOUBT], (
            f"I3, seed {self.seed}: arrived, and not reported"
        )
        assert not by[Outcome.UNSENT], f"I1, seed {self.seed}"
        if not self.kills and not self.stops and not self.receiver.faults and not self.clock.jump:
            assert not by[Outcome.IN_DOUBT] or self.ledger.away_until, f"I4, seed {self.seed}: doubt without a cause"
        trace = "".join(outcomes[row].value[0] for row in sorted(outcomes))
        return SeedReport(
            self.seed, self.kills, self.stops, Counter(outcomes.values()), self.loop.seconds - 1000.0, trace
        )


@contextmanager
def open_stage(columns: Mapping[str, str] = MappingProxyType({})) -> Iterator[Stage]:
    """Make the stage in memory where the machine has such a folder: its files are not under test here.

    Args:
        columns: what every row of the audience has besides its address.
    """
    shm = Path("/dev/shm")  # noqa: S108 - a private folder inside
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        yield Stage(Path(folder), columns)


def simulate(seeds: range) -> list[SeedReport]:
    """Run these seeds, one after the other, and return the report of each."""
    with open_stage() as stage:
        return [Simulation(seed, stage).run() for seed in seeds]


def main(first: int, count: int) -> None:
    """Run seeds and print their reports."""
    logs._output.level = logging.CRITICAL
    with open_stage() as stage:
        for seed in range(first, first + count):
            print(Simulation(seed, stage).run())  # noqa: T201 - a command
