"""Simulated runs whose ledger is backed up after every commit and restored from each of these backups.

The store and the mail that the receiving side accepted stay as they are.
"""

import asyncio
import copy
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from engine.ledger import leases, runs
from engine.ledger.connect import _begin_sqlite
from engine.ledger.journal import Outcome
from engine.ledger.runs import OVER
from engine.ledger.schema import RunState
from engine.run.frozen import FrozenRun
from engine.run.outcomes import hold_open_intents
from engine.run.restored import find_ahead
from engine.run.settle.resolve import OperatorVerdict, hold_what_was_lost, list_in_doubt, settle_in_doubt
from engine.store.folder import FolderStore
from support.simulation import NAME, RECIPIENTS, FlakyLedger, Process, Simulation, Stage

LONGEST_SECONDS = 3600.0
IN_FLIGHT_SECONDS = 5.0  # after this, what a dead process had begun has happened or will never happen


def _raw(engine: Engine) -> Any:
    return engine.raw_connection().driver_connection


def open_backup(data: bytes) -> Engine:
    """Open a ledger in memory as a backup has it."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", _begin_sqlite)
    _raw(engine).deserialize(data)
    return engine


class BackedUpLedger(FlakyLedger):
    """A ledger that is backed up after every commit."""

    def __init__(self, engine: Engine, dice: random.Random, loop: Any) -> None:
        super().__init__(engine, dice, loop)
        self.backups: list[bytes] = []

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with super().write() as tx:
            yield tx
        self.backups.append(_raw(self._engine).serialize())


class _Everybody(frozenset[str]):
    """A set of dead workers that contains every worker."""

    def __contains__(self, _worker: object) -> bool:
        return True


@dataclass(frozen=True)
class Ended:
    """The outcomes of a run at its end.

    Attributes:
        outcomes: row -> outcome; rows that are unsent are missing.
        files: how often each row is in the Parquet files that anyone may read.
    """

    outcomes: Mapping[int, Outcome]
    files: Mapping[int, int]

    def of(self, *wanted: Outcome) -> set[int]:
        return {row for row, outcome in self.outcomes.items() if outcome in wanted}


@dataclass
class RestoreStory:
    """One run, as far as its seed lets it come, and all restores of its ledger.

    Attributes:
        checked: how many restores were tried.
        recognized: how many of them the ledger was found to be older.
        held: recipients that were held in doubt, in all restores.
    """

    seed: int
    stage: Stage
    checked: int = 0
    recognized: int = 0
    held: int = 0
    _dice: random.Random = field(init=False)
    _sim: Simulation = field(init=False)
    _skipped: set[int] = field(default_factory=set)

    def run(self) -> None:
        """Execute the run, then restore every backup of its ledger."""
        self._dice = random.Random(self.seed)
        self.stage.clean()
        self._sim = Simulation(self.seed, self.stage)
        ledger = BackedUpLedger(self.stage.engine, self._sim.dice, self._sim.loop)
        ledger.backups.append(_raw(self.stage.engine).serialize())  # before the run was registered
        self._sim.ledger = ledger
        self._sim.register()
        frozen = self._freeze(self._sim)
        with self._sim.looping():
            for _ in range(self._dice.randint(1, 3)):
                seconds = self._dice.choice([self._dice.uniform(0.05, 1.0), LONGEST_SECONDS])
                self._sim.loop.run_until_complete(self._work(self._sim, frozen, seconds))
            if self._dice.random() < 0.7:
                self._resolve(frozen)
                if self._dice.random() < 0.5:
                    self._sim.loop.run_until_complete(self._work(self._sim, frozen, LONGEST_SECONDS))
        accepted = self._sim.receiver.accepted
        assert max(accepted.values(), default=0) <= 1, f"seed {self.seed}: a recipient got it twice without a restore"
        for number, backup in enumerate(ledger.backups):
            self._restore(number, backup)

    def _freeze(self, sim: Simulation) -> FrozenRun:
        with sim.ledger.read() as tx:
            run = runs.find_run(tx, NAME)
        assert run is not None
        return FrozenRun(run, sim.stage.manifest, sim.stage.folder, sim.stage.store)

    async def _work(self, sim: Simulation, frozen: FrozenRun, seconds: float) -> None:
        """Send with one or two workers, until nothing is left or for so long; then they are killed."""
        if self._freeze(sim).run.state in OVER:
            return
        processes = [Process(sim.loop) for _ in range(self._dice.randint(1, 2))]
        tasks = [sim._start(frozen, process) for process in processes]
        await asyncio.wait(tasks, timeout=seconds)
        for process in processes:
            process.dead = True
        await asyncio.sleep(IN_FLIGHT_SECONDS)

    def _resolve(self, frozen: FrozenRun) -> None:
        """Settle recipients in doubt by the record of the receiving side, and send some of the others again."""
        gone = _Everybody()
        doubt = list_in_doubt(self._sim.ledger, frozen, gone, self._sim.clock.now())
        rows = sorted(doubt.recipients["row"])
        arrived = [row for row in rows if self._sim.receiver.accepted[row]]
        lost = [row for row in rows if not self._sim.receiver.accepted[row]]
        again = [row for row in lost if self._dice.random() < 0.5]
        skipped = sorted(set(lost) - set(again))
        self._skipped |= set(skipped)
        for verdict, chosen in (
            (OperatorVerdict.SENT, arrived),
            (OperatorVerdict.RESEND, again),
            (OperatorVerdict.SKIP, skipped),
        ):
            listed = pl.DataFrame(
                {"row": chosen, "message_id": None, "address": None},
                schema={"row": pl.UInt64, "message_id": pl.String, "address": pl.String},
            )
            if chosen:
                settle_in_doubt(self._sim.ledger, frozen, verdict, chosen=listed, gone=gone, clock=self._sim.clock)

    def _restore(self, number: int, backup: bytes) -> None:
        """Restore a backup, follow the error's remedy, send to the remaining recipients, and check the accounts."""
        place = f"seed {self.seed}, backup {number}"
        with tempfile.TemporaryDirectory(dir=self.stage.store.local_folder.parent) as folder:
            stage = copy.copy(self.stage)
            shutil.copytree(self.stage.store.local_folder, Path(folder) / "store")
            stage.store = FolderStore(Path(folder) / "store")
            stage.folder = stage.store.local_folder / "runs" / NAME
            stage.engine = open_backup(backup)
            sim = Simulation(self.seed, stage)
            sim.receiver.faults = 0.0
            sim.receiver.accepted = copy.copy(self._sim.receiver.accepted)
            sim.register()  # as a launch does where the run is not in the ledger
            frozen = self._freeze(sim)
            with sim.looping():
                if find_ahead(sim.ledger, frozen.run, stage.store):
                    self.recognized += 1
                    self.held += hold_what_was_lost(sim.ledger, frozen, gone=_Everybody(), clock=sim.clock)
                    assert not find_ahead(sim.ledger, frozen.run, stage.store), place
                else:
                    known = read_end(sim).of(Outcome.SENT, Outcome.IN_DOUBT)
                    lost = {row for row, count in sim.receiver.accepted.items() if count} - known
                    assert not lost, f"{place}: recipients that were handed over are lost without an error"
                sim.loop.run_until_complete(self._work(sim, frozen, LONGEST_SECONDS))
            self._check(sim, place)
            stage.engine.dispose()
        self.checked += 1

    def _check(self, sim: Simulation, place: str) -> None:
        ended, accepted = read_end(sim), sim.receiver.accepted
        received = {row for row, count in accepted.items() if count}
        assert max(accepted.values(), default=0) <= 1, f"{place}: a recipient got it twice"
        assert ended.of(Outcome.SENT) <= received, f"{place}: sent and never arrived"
        known = ended.of(Outcome.SENT, Outcome.IN_DOUBT)
        assert received <= known, f"{place}: arrived, and not accounted for"
        assert max(ended.files.values(), default=0) <= 1, f"{place}: readers count a recipient twice"
        with sim.ledger.read() as tx:
            run = runs.find_run(tx, NAME)
        assert run is not None
        if run.state is RunState.FINISHED:
            assert len(ended.outcomes) == len(ended.files) == RECIPIENTS, f"{place}: a recipient is lost"


def read_end(sim: Simulation) -> Ended:
    """Read a run's outcomes from its files and from the journals of open leases."""
    folder, outcomes = sim.stage.folder / "outcomes", dict[int, Outcome]()
    with sim.ledger.read() as tx:
        for state in leases.list_leases(tx, NAME):
            if state.settlement is None:
                history = leases.replay_lease(tx, NAME, state.ordinal)
                results = {**history.results, **hold_open_intents(history, 0.0)}
                outcomes |= {row: result.outcome for row, result in results.items()}
                continue
            frame = pl.read_parquet(folder / state.settlement.outcomes_file)
            outcomes |= {row: Outcome(name) for row, name in frame.select("row", "outcome").iter_rows()}
    paths = sorted(folder.glob("*.parquet"))
    read = pl.concat([pl.DataFrame(schema={"row": pl.UInt64}), *(pl.read_parquet(p, columns=["row"]) for p in paths)])
    return Ended(outcomes, dict(read.group_by("row").len().iter_rows()))
