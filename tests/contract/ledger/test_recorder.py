"""Group commit: waiting records are written together, and every caller gets the true result."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Connection, event, text
from support.clock import START
from support.recorded import read_journal

from engine.errors import PausedError
from engine.ledger import leases, runs
from engine.ledger import recorder as recorder_module
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.journal import Intent, Outcome, Result, decode_entries, make_intents, replay
from engine.ledger.leases import Lease
from engine.ledger.recorder import LeaseLostError, Recorder
from engine.ledger.runs import Run
from engine.ledger.schema import RunState

NAME = "welcome/1"
RUN = Run(NAME, RunState.SENDING, None, False, "f", "d", 9, 9, {}, START, None, None)  # noqa: FBT003 - a row, in order


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with opened.write() as tx:
        runs.insert_run(tx, RUN, lease_rows=[9, 9])
    yield opened
    opened.close()


@pytest.fixture
async def recorder(ledger: Ledger) -> AsyncIterator[Recorder]:
    opened = Recorder(ledger)
    yield opened
    await opened.close()


@pytest.fixture
def commits(ledger: Ledger) -> Counter[str]:
    """Count the ledger's transactions."""
    seen: Counter[str] = Counter()
    for name in ("commit", "rollback"):
        event.listen(ledger._engine, name, lambda _, name=name: seen.update([name]))
    return seen


async def take_lease(recorder: Recorder, worker: str = "me", holding: tuple[int, ...] = ()) -> Lease:
    lease = await recorder.transact(
        lambda tx: leases.take_lease(tx, NAME, worker=worker, live={worker}, holding=holding),
    )
    assert lease is not None
    return lease


async def take_both(recorder: Recorder) -> tuple[Lease, Lease]:
    """Take two leases, so that each is owned under epoch 1."""
    await recorder.transact(
        lambda tx: tx.execute(
            text(
                "INSERT INTO worker (id, run, account, host, process, heartbeat_at)"
                " VALUES ('me', :run, 'ses', 'here', '1/', '9999-01-01T00:00:00.000000Z')"
            ),
            {"run": NAME},
        )
    )
    return await take_lease(recorder), await take_lease(recorder, holding=(0,))


@asynccontextmanager
async def held(recorder: Recorder) -> AsyncIterator[None]:
    """Keep the recorder's thread busy, as a slow disk does."""
    release, holding = Event(), Event()

    def hold(_tx: Connection) -> None:
        holding.set()
        assert release.wait(30)

    holder = asyncio.create_task(recorder.transact(hold))
    assert await asyncio.to_thread(holding.wait, 30)
    try:
        yield
    finally:
        release.set()
        await holder


async def let_tasks_begin() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def read_intents(ledger: Ledger, lease: Lease) -> frozenset[int]:
    with ledger.read() as tx:
        return replay(read_journal(tx, NAME, lease.ordinal)).open_intents


async def test_an_entry_is_in_the_ledger_when_record_returns(recorder: Recorder, ledger: Ledger):
    lease = await take_lease(recorder)
    await recorder.record(lease, [Intent(7)])
    assert read_intents(ledger, lease) == {7}
    await recorder.record(lease, [Result(7, Outcome.SENT, "id", None, 1.0, 1)])
    assert read_intents(ledger, lease) == set()


async def test_what_is_recorded_during_a_commit_shares_the_next_one(
    recorder: Recorder, ledger: Ledger, commits: Counter[str]
):
    first, second = await take_both(recorder)
    commits.clear()
    async with held(recorder):
        begun = [asyncio.create_task(recorder.record(first, [Intent(0)]))]
        await let_tasks_begin()  # its commit has begun: it waits in front of the thread
        begun += [
            asyncio.create_task(recorder.record(lease, [Intent(i)])) for i in range(1, 9) for lease in (first, second)
        ]
        await let_tasks_begin()
        assert not any(task.done() for task in begun)
    await asyncio.gather(*begun)
    assert commits == {"commit": 3}  # the slow one, the one under way, and one for all that waited
    assert read_intents(ledger, first) == set(range(9))
    assert read_intents(ledger, second) == set(range(1, 9))
    with ledger.read() as tx:
        assert len(read_journal(tx, NAME, second.ordinal)) == 1


async def test_lost_lease_reaches_its_own_waiters_alone(recorder: Recorder, ledger: Ledger):
    lost = await take_lease(recorder, "silent")
    new = await take_lease(recorder, "silent too")
    assert (lost.ordinal, lost.epoch, new.epoch) == (new.ordinal, 1, 2)
    told = await asyncio.gather(
        *(recorder.record(lease, [Intent(i)]) for i, lease in enumerate((lost, new, lost, new))), return_exceptions=True
    )
    assert [type(answer) for answer in told] == [LeaseLostError, type(None), LeaseLostError, type(None)]
    assert read_intents(ledger, new) == {1, 3}


async def test_ledger_error_reaches_every_waiter_and_records_nothing(recorder: Recorder, ledger: Ledger):
    first, second = await take_both(recorder)
    with ledger.write() as tx:
        tx.execute(
            text(
                "CREATE TRIGGER full BEFORE INSERT ON journal WHEN NEW.lease = 1"
                " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            )
        )
    told = await asyncio.gather(
        *(recorder.record(lease, [Intent(1)]) for lease in (first, second, first)), return_exceptions=True
    )
    assert [type(answer) for answer in told] == [PausedError] * 3
    assert read_intents(ledger, first) == read_intents(ledger, second) == set()


async def test_recorder_continues_after_an_error(recorder: Recorder, ledger: Ledger):
    lease = await take_lease(recorder)
    with ledger.write() as tx:
        tx.execute(text("CREATE TRIGGER f BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"))
    with pytest.raises(PausedError):
        await recorder.record(lease, [Intent(1)])
    with ledger.write() as tx:
        tx.execute(text("DROP TRIGGER f"))
    await recorder.record(lease, [Intent(2)])
    assert read_intents(ledger, lease) == {2}


async def test_a_waiter_that_was_cancelled_takes_no_other_down(recorder: Recorder, ledger: Ledger):
    lease = await take_lease(recorder)
    async with held(recorder):
        cancelled, waiting = (asyncio.create_task(recorder.record(lease, [Intent(i)])) for i in (1, 2))
        await let_tasks_begin()
        cancelled.cancel()
        await let_tasks_begin()
    await waiting
    assert cancelled.cancelled()
    assert 2 in read_intents(ledger, lease)


async def test_a_transaction_that_fails_leaves_nothing_behind(recorder: Recorder, ledger: Ledger):
    def pause_and_fail(tx: Connection) -> None:
        runs.pause_run(tx, NAME, "no")
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        await recorder.transact(pause_and_fail)
    with ledger.read() as tx:
        run = runs.find_run(tx, NAME)
    assert run is not None
    assert run.state is RunState.SENDING


async def test_closing_waits_for_the_current_write_and_those_behind_it(ledger: Ledger):
    recorder = Recorder(ledger)
    lease = await take_lease(recorder)
    async with held(recorder):
        writing = asyncio.create_task(recorder.record(lease, [Intent(1)]))
        await let_tasks_begin()
        waiting = asyncio.create_task(recorder.record(lease, [Intent(2)]))
        await let_tasks_begin()
        closing = asyncio.create_task(recorder.close())
        await let_tasks_begin()
        assert not closing.done()
    await closing
    await asyncio.gather(writing, waiting)
    assert read_intents(ledger, lease) == {1, 2}


async def test_flush_waits_only_for_what_was_noted_before_it(recorder: Recorder, ledger: Ledger, commits: Counter[str]):
    first, second = await take_both(recorder)
    begun, flushed = 0, False

    async def go_on(lease: Lease) -> None:
        nonlocal begun
        while not flushed and begun < 200:
            begun += 1
            await recorder.record(lease, [Intent(begun)])

    async with held(recorder):
        busy = [asyncio.create_task(go_on(first)) for _ in range(4)]
        await let_tasks_begin()
        recorder.note(second, [Intent(1_000)])
        flushing = asyncio.create_task(recorder.flush())
        await let_tasks_begin()
        commits.clear()
    await flushing
    flushed = True
    assert read_intents(ledger, second) == {1_000}
    assert commits["commit"] <= 4  # the slow one, the one under way, and the one of what waited
    await asyncio.gather(*busy)


async def test_flush_raises_what_could_not_be_written(recorder: Recorder, ledger: Ledger):
    lease = await take_lease(recorder)
    with ledger.write() as tx:
        tx.execute(text("CREATE TRIGGER f BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"))
    recorder.note(lease, [Intent(1)])
    for _ in range(2):  # and a later caller gets it too
        with pytest.raises(PausedError):
            await recorder.flush()


async def test_a_recorder_that_recorded_nothing_closes(ledger: Ledger):
    await Recorder(ledger).close()


async def test_the_next_commit_waits_for_the_answers_to_the_calls_of_the_last(recorder: Recorder, ledger: Ledger):
    lease = await take_lease(recorder)
    recorder._commit_seconds = 30.0  # a slow disk
    async with held(recorder):
        begun = asyncio.create_task(recorder.record(lease, [Intent(0), Intent(1)]))
        await asyncio.sleep(0.05)
    await begun
    recorder._commit_seconds = 30.0
    following = asyncio.create_task(recorder.record(lease, [Intent(2)]))
    recorder.note(lease, [Result(0, Outcome.SENT, "id", None, 1.0, 1)])
    await asyncio.sleep(0.05)
    assert read_intents(ledger, lease) == {0, 1}  # neither the result nor the next intent: one call has no answer
    recorder.note(lease, [Result(1, Outcome.SENT, "id", None, 1.0, 1)])
    await following
    assert read_intents(ledger, lease) == {2}


async def test_a_commit_holds_a_bounded_number_of_intents_and_all_results(
    recorder: Recorder, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recorder_module, "LARGEST_GROUP", 4)
    lease = await take_lease(recorder)
    async with held(recorder):
        first = asyncio.create_task(recorder.record(lease, [Intent(0)]))
        await let_tasks_begin()
        waiting = [asyncio.create_task(recorder.record(lease, [Intent(2 * i), Intent(2 * i + 1)])) for i in range(1, 5)]
        await let_tasks_begin()
        recorder.note(lease, [Result(0, Outcome.SENT, "id", None, 1.0, 1)])
    await asyncio.gather(first, *waiting)
    with ledger.read() as tx:
        values = [decode_entries(value) for value in read_journal(tx, NAME, lease.ordinal)]
    assert [sum(isinstance(entry, Intent) for entry in entries) for entries in values] == [1, 4, 4]
    assert any(isinstance(entry, Result) for entry in values[1])


async def test_a_commit_holds_two_thousand_intents_at_most(recorder: Recorder, ledger: Ledger):
    """The bound of what a kill on a slow disk leaves in doubt, however much waits."""
    lease = await take_lease(recorder)
    async with held(recorder):
        first = asyncio.create_task(recorder.record(lease, [Intent(0)]))
        await let_tasks_begin()
        calls = [[Intent(1 + 50 * call + item) for item in range(50)] for call in range(90)]
        waiting = [asyncio.create_task(recorder.record(lease, call)) for call in calls]
        await let_tasks_begin()
    await asyncio.gather(first, *waiting)
    with ledger.read() as tx:
        values = [decode_entries(value) for value in read_journal(tx, NAME, lease.ordinal)]
    assert [len(entries) for entries in values] == [1, 2_000, 2_000, 500]


async def test_duration_of_each_commit_is_observed(ledger: Ledger):
    seen: list[float] = []
    recorder = Recorder(ledger, observe=seen.extend)
    lease = await take_lease(recorder)
    for row in (0, 1):
        await recorder.record(lease, make_intents([row]))
    await recorder.close()
    assert len(seen) == 2
    assert min(seen) > 0
