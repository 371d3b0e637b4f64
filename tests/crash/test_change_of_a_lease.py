"""A command that changes a lease, cut off before each of its steps: the change was made, or it was not.

A reader of `outcomes/*.parquet` counts no recipient twice at any moment, the audit proves the accounts, and the same
command again does the rest. No step of the store's happens inside a transaction of the ledger.
"""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from sqlalchemy import Connection
from support import s3
from support.clock import VirtualClock

from engine.campaign.spec import load_campaign
from engine.ledger import event_flags, leases, runs
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.event_flags import Flag
from engine.ledger.journal import Entry, Intent, Outcome, Result, encode_entries
from engine.ledger.recorder import Recorder
from engine.report.run_accounts import require_run
from engine.run.frozen import FrozenRun, open_run
from engine.run.outcomes import end_change, finish_changes, stage_outcomes
from engine.run.prepare.planning import PlanRequest, stage_run
from engine.run.retain.forget import forget_address
from engine.run.send.open_lease import OpenLease, open_lease
from engine.run.send.registration import register_run
from engine.run.settle.audit import audit_run
from engine.run.settle.event_proof import settle_proven
from engine.run.settle.resolve import OperatorVerdict, hold_what_was_lost, settle_in_doubt
from engine.store.folder import FolderStore
from engine.store.port import Store
from engine.store.s3 import S3Store

NAME = "hello/test"
PEOPLE = 250  # one lease
DOUBTFUL = 3
CAMPAIGN = """\
from = "Acme <news@acme.example>"
subject = "Hello"
kind = "transactional"
audience.source = "people.csv"
content.text = "body.txt"
"""
STEPS = ("write", "move", "delete", "create", "open_mark", "set_aside")
GONE = frozenset({"me"})


class Crash(BaseException):
    """The process ends here."""


@dataclass
class Fuse:
    """Ends the process before the Nth step of store or ledger."""

    at: int
    steps: int = 0
    in_transaction: bool = False

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise Crash

    def arm(self, store: Store, ledger: Ledger) -> None:
        def guard(act: Callable[..., Any]) -> Callable[..., Any]:
            def guarded(*arguments: Any) -> Any:
                assert not self.in_transaction, "the store was changed inside a transaction"
                self.step()
                return act(*arguments)

            return guarded

        for name in STEPS:
            setattr(store, name, guard(getattr(store, name)))
        write = ledger.write

        @contextmanager
        def guarded_write() -> Iterator[Connection]:
            self.step()
            self.in_transaction = True
            try:
                with write() as tx:
                    yield tx
            finally:
                self.in_transaction = False

        ledger.write = guarded_write  # type: ignore[method-assign]


@dataclass
class Case:
    """A run of one lease, with three recipients in doubt."""

    folder: Path
    open_store: Callable[[], Store]
    clock: VirtualClock
    rows: list[int] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        return open_ledger(f"sqlite:///{self.folder / 'ledger.db'}")

    def frozen(self, store: Store, ledger: Ledger) -> FrozenRun:
        return open_run(require_run(ledger, NAME), store)

    def begin(self, *, settled: bool) -> None:
        """Send to all recipients; three calls get no answer. Settle the lease, or leave it to another worker."""
        store, ledger = self.open_store(), self.ledger
        campaign = load_campaign(self.folder / "hello")
        request = PlanRequest(
            campaign=campaign,
            key="test",
            workspace=self.folder,
            limit=None,
            sandbox=False,
            created_at=self.clock.now(),
        )
        with store.stage(NAME) as staging:
            frozen = register_run(stage_run(request, staging), store, ledger)
        recipients = pl.read_parquet(frozen.folder / "plan" / "recipients-*.parquet")
        self.rows = recipients["row"].to_list()
        results = {row: Result(row, Outcome.SENT, f"id-{row}", None, 1764000000.0, 1) for row in self.rows}
        for row in self.doubtful:
            results[row] = Result(row, Outcome.IN_DOUBT, None, "no answer", 1764000000.0, 1)
        with ledger.write() as tx:
            runs.start_run(tx, NAME, self.clock.now())
            lease = leases.take_lease(tx, NAME, worker="me", live=set())
            assert lease is not None
            entries: list[Entry] = [
                *map(Intent, self.rows),
                *(r for r in results.values() if r.outcome is Outcome.SENT),
            ]
            leases.append_journal(tx, lease, sequence=1, entries=encode_entries(entries))
        store.open_mark(frozen.key("open", "lease-00000-1")).close()
        if settled:
            settlement = stage_outcomes(frozen, lease, recipients, results)
            with ledger.write() as tx:
                leases.settle_lease(tx, lease, settlement, self.clock.now())
                runs.finish_run(tx, NAME, self.clock.now())
            end_change(frozen, lease, settlement, recorded=True)
        ledger.close()

    @property
    def doubtful(self) -> list[int]:
        return self.rows[:DOUBTFUL]

    def count_in_files(self) -> Counter[int]:
        """Count as anyone does who reads the Parquet files."""
        store = self.open_store()
        files = [name for name in store.list_names(f"runs/{NAME}/outcomes") if name.endswith(".parquet")]
        read = [pl.read_parquet(BytesIO(store.read(f"runs/{NAME}/outcomes/{name}") or b"")) for name in files]
        return Counter(row for frame in read for row in frame["row"])

    def audit(self) -> tuple[list[str], Counter[Outcome]]:
        ledger = self.ledger
        found = audit_run(ledger, require_run(ledger, NAME), self.open_store())
        ledger.close()
        return found.problems, Counter({o: n for o in Outcome if (n := found.accounts.count(o))})


@pytest.fixture(scope="module", params=[True, False], ids=["settled", "open"])
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A run in a folder, to be copied: as it is before each command."""
    folder = tmp_path_factory.mktemp("begun")
    return begin(folder, lambda: FolderStore(folder / "store"), settled=request.param)


def begin(folder: Path, open_store: Callable[[], Store], *, settled: bool) -> Case:
    (folder / "hello").mkdir()
    (folder / "hello" / "campaign.toml").write_text(CAMPAIGN)
    (folder / "hello" / "body.txt").write_text("Hello")
    (folder / "people.csv").write_text("email\n" + "".join(f"p{i}@b.example\n" for i in range(PEOPLE)))
    case = Case(folder, open_store, VirtualClock())
    case.begin(settled=settled)
    return case


def settle_as(verdict: OperatorVerdict) -> Callable[[Case, Store, Ledger], None]:
    def act(case: Case, store: Store, ledger: Ledger) -> None:
        settle_in_doubt(ledger, case.frozen(store, ledger), verdict, chosen=None, gone=GONE, clock=case.clock)

    return act


def hear(case: Case, store: Store, ledger: Ledger) -> None:
    """Events prove all that is in doubt."""
    other = case.ledger
    with other.write() as tx:
        heard = [(index, Flag.PROVEN) for index in range(DOUBTFUL)]
        event_flags.set_flags(tx, NAME, {0: heard}, {0: PEOPLE})
    other.close()
    settle_proven(ledger, case.frozen(store, ledger), gone=GONE, clock=case.clock)


def forget(case: Case, store: Store, ledger: Ledger) -> None:
    forget_address("p7@b.example", ledger, store, case.clock)


def after_restore(case: Case, store: Store, ledger: Ledger) -> None:
    store_mark = store.open_mark(f"runs/{NAME}/open/lease-00000-9")  # of an owner that is not in this ledger
    store_mark.close()
    hold_what_was_lost(ledger, case.frozen(store, ledger), gone=GONE, clock=case.clock)


SENT, FAILED = PEOPLE - DOUBTFUL, {Outcome.SENT: PEOPLE - DOUBTFUL, Outcome.FAILED: DOUBTFUL}
# The command, and what the run comes to.
COMMANDS: dict[str, tuple[Callable[[Case, Store, Ledger], None], dict[Outcome, int]]] = {
    "sent": (settle_as(OperatorVerdict.SENT), {Outcome.SENT: PEOPLE}),
    "skip": (settle_as(OperatorVerdict.SKIP), FAILED),
    "resend": (settle_as(OperatorVerdict.RESEND), {Outcome.SENT: SENT, Outcome.UNSENT: DOUBTFUL}),
    "events": (hear, {Outcome.SENT: PEOPLE}),
    "forget": (forget, {Outcome.SENT: SENT, Outcome.IN_DOUBT: DOUBTFUL}),
    "after restore": (after_restore, {Outcome.SENT: SENT, Outcome.IN_DOUBT: DOUBTFUL}),
}
BEFORE = {Outcome.SENT: SENT, Outcome.IN_DOUBT: DOUBTFUL}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_change_of_a_lease_is_made_or_not_wherever_it_is_cut_off(begun: Case, command: str, tmp_path: Path):
    def make(number: int) -> Case:
        folder = tmp_path / str(number)
        shutil.copytree(begun.folder, folder)
        return Case(folder, lambda: FolderStore(folder / "store"), begun.clock, begun.rows)

    try_every_step(command, make)


@pytest.mark.parametrize("command", ["sent", "forget"])
def test_a_change_in_a_bucket_is_made_or_not_wherever_it_is_cut_off(
    moto: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in s3.environment(moto).items():
        monkeypatch.setenv(name, value)
    session = boto3.Session()  # which reads the model of S3 once, where every store would by itself
    monkeypatch.setattr(boto3, "Session", lambda: session)

    def url(number: int) -> str:
        return f"s3://{s3.BUCKET}/{tmp_path.name}-{number}"

    (tmp_path / "begun").mkdir()
    begun = begin(tmp_path / "begun", partial(S3Store, url(0), tmp_path / "begun" / "store"), settled=True)

    def make(number: int) -> Case:
        folder = tmp_path / str(number)
        shutil.copytree(begun.folder, folder)
        copy_objects(moto, url(0), url(number))
        return Case(folder, partial(S3Store, url(number), folder / "store"), begun.clock, begun.rows)

    try_every_step(command, make, stride=1 if os.environ.get("SOAK") else 3)


def copy_objects(server: str, source: str, target: str) -> None:
    """Copy what a store in a bucket has to another prefix."""
    prefixes = [url.removeprefix(f"s3://{s3.BUCKET}/") + "/" for url in (source, target)]
    with closing(s3.open_client(server)) as client:
        for item in client.list_objects_v2(Bucket=s3.BUCKET, Prefix=prefixes[0])["Contents"]:
            key = prefixes[1] + item["Key"].removeprefix(prefixes[0])
            client.copy_object(Bucket=s3.BUCKET, Key=key, CopySource={"Bucket": s3.BUCKET, "Key": item["Key"]})


def take_over(case: Case, fuse: Fuse | None = None) -> None:
    """A worker takes the lease over and closes it, as worker.py does; no recipient is sent to again."""
    store, ledger = case.open_store(), case.ledger
    frozen = case.frozen(store, ledger)

    async def take() -> OpenLease | None:
        recorder = Recorder(ledger, case.clock)
        lease = await recorder.transact(lambda tx: leases.take_lease(tx, NAME, worker="other", live=set()))
        opened = None
        if lease is not None:
            store.open_mark(frozen.key("open", f"lease-00000-{lease.epoch}")).close()
            opened = await open_lease(lease, frozen, recorder=recorder, resend_in_doubt=False, clock=case.clock)
        await recorder.close()
        return opened

    try:
        opened = asyncio.run(take())
        if fuse is not None:
            fuse.arm(store, ledger)
        if opened is not None:
            assert opened.complete
            settlement = stage_outcomes(frozen, opened.lease, opened.recipients, opened.results)
            with ledger.write() as tx:
                settled = leases.settle_lease(tx, opened.lease, settlement, case.clock.now())
            end_change(frozen, opened.lease, settlement, recorded=settled)
        finish_changes(ledger, NAME, store, frozen.run.folder)
    finally:
        ledger.close()


@pytest.mark.parametrize("known", ["in doubt", "proven", "forgotten"])
def test_worker_cut_off_while_closing_a_lease_is_not_a_restore(known: str, tmp_path: Path):
    """Outcomes that are found when a lease is taken over are journaled before they are in a file."""
    (tmp_path / "begun").mkdir()
    begun = begin(tmp_path / "begun", lambda: FolderStore(tmp_path / "begun" / "store"), settled=False)
    if known == "proven":
        ledger = begun.ledger
        with ledger.write() as tx:
            event_flags.set_flags(tx, NAME, {0: [(index, Flag.PROVEN) for index in range(DOUBTFUL)]}, {0: PEOPLE})
        ledger.close()
    if known == "forgotten":
        ledger = begun.ledger
        forget_address(f"p{PEOPLE - 1}@b.example", ledger, begun.open_store(), begun.clock)
        ledger.close()
    for at in count(1):
        folder = tmp_path / str(at)
        shutil.copytree(begun.folder, folder)
        case = Case(folder, partial(FolderStore, folder / "store"), begun.clock, begun.rows)
        is_cut = False
        try:
            take_over(case, Fuse(at))
        except Crash:
            is_cut = True
        told = f"cut off before step {at}"
        assert case.audit()[0] == [], told
        take_over(case)
        problems, counts = case.audit()
        assert (problems, counts.total()) == ([], PEOPLE), told
        assert counts[Outcome.SENT] == (PEOPLE if known == "proven" else SENT), told
        if not is_cut:
            break
    assert at > 2, "closing a lease has more steps"


def try_every_step(command: str, make: Callable[[int], Case], *, stride: int = 1) -> None:
    """Cut a command off before its first step, before its second (or `stride` later), until it comes to its end."""
    act, after = COMMANDS[command]
    for at in count(1, stride):
        case = make(at)
        before = case.count_in_files()
        store, ledger, fuse = case.open_store(), case.ledger, Fuse(at)
        fuse.arm(store, ledger)
        try:
            act(case, store, ledger)
        except Crash:
            is_cut = True
        else:
            is_cut = False
        ledger.close()
        told = f"cut off before step {at}"
        assert case.count_in_files() in (before, Counter(case.rows)), told
        if not (is_cut and command == "after restore"):
            problems, counts = case.audit()
            assert problems == [], told
            assert counts in (BEFORE, after), told
        ledger = case.ledger
        act(case, case.open_store(), ledger)
        ledger.close()
        assert case.audit() == ([], after), told
        assert case.count_in_files() in (before, Counter(case.rows)), told
        if not is_cut:
            break
    assert at > 1, "the command has no steps"
