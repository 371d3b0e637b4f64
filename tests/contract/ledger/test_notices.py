"""The outbox of notifications, in each kind of database: one occurrence for a change, one claim at a time."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, select, update

from engine.ledger import runs
from engine.ledger.database import Ledger, open_ledger, read_clock
from engine.ledger.notices import outbox
from engine.ledger.notices.occurrences import NoticeEvent
from engine.ledger.notices.stall_signs import read_stall_signs
from engine.ledger.runs import GUARD, Run
from engine.ledger.schema import RunState, notification_table, run_table
from engine.ledger.workers import register_worker
from engine.notify.stalls import GONE_SECONDS, record_stalls

NAME = "hello/test"
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url)
    run = Run(NAME, RunState.PLANNED, None, False, f"runs/{NAME}", "d", 1, 1, {}, NOW, None, None)  # noqa: FBT003
    with opened.write() as tx:
        runs.insert_run(tx, run, lease_rows=[])
    yield opened
    opened.close()


def change(ledger: Ledger, *changes: Callable[[Connection], object]) -> list[tuple[str, str, str]]:
    """Make changes, each in its own transaction; return the occurrences so far."""
    for each in changes:
        with ledger.write() as tx:
            each(tx)
    with ledger.read() as tx:
        return [(one.event.value, one.state, one.reason) for one in outbox.list_occurrences(tx)]


def start(tx: Connection) -> None:
    runs.start_run(tx, NAME, NOW)


def pause(tx: Connection) -> None:
    runs.pause_run_by_person(tx, NAME, who="ann@desk", reason="wrong price")


def resume(tx: Connection) -> None:
    runs.resume_run(tx, NAME, NOW)


def finish(tx: Connection) -> None:
    runs.finish_run(tx, NAME, NOW)


def divide_first(ledger: Ledger, *targets: str) -> None:
    with ledger.write() as tx:
        (first, *_) = outbox.list_occurrences(tx)
        assert outbox.divide(tx, first, {target: {"event": first.event.value} for target in targets})
        assert not outbox.divide(tx, first, {"other": {}})  # by another process


def claim(ledger: Ledger, target: str = "ops", by: str = "a") -> outbox.Delivery | None:
    with ledger.write() as tx:
        return outbox.claim_next(tx, target, by)


def move_back(ledger: Ledger, seconds: float, column: str = "due_at") -> None:
    """Let time pass."""
    with ledger.write() as tx:
        at = read_clock(tx) - timedelta(seconds=seconds)
        tx.execute(update(notification_table).values({column: at}))


def test_each_change_of_state_is_one_occurrence(ledger: Ledger):
    found = change(ledger, start, start, pause, pause, resume, resume, pause, resume, finish, finish)
    paused, resumed = ("paused", "paused", "wrong price"), ("resumed", "sending", "")
    assert found == [
        ("started", "sending", ""),
        paused,
        resumed,
        paused,
        resumed,
        ("finished", "finished", ""),
    ]


def test_pause_by_the_guard_and_end_by_a_person_are_distinguished(ledger: Ledger):
    found = change(
        ledger,
        start,
        lambda tx: runs.pause_run(tx, NAME, "too many bounces", paused_by=GUARD),
        lambda tx: runs.pause_run(tx, NAME, "again", paused_by=GUARD),
        start,  # what the guard paused stays paused
        lambda tx: runs.cancel_run(tx, NAME, reason="wrong list", now=NOW),
    )
    assert found[1:] == [("guard", "paused", "too many bounces"), ("finished", "cancelled", "wrong list")]


def test_change_that_is_rolled_back_leaves_no_occurrence(ledger: Ledger):
    def fail(tx: Connection) -> None:
        start(tx)
        raise LookupError

    with pytest.raises(LookupError):
        change(ledger, fail)
    assert change(ledger) == []


def test_two_pauses_at_once_are_one_occurrence(ledger: Ledger):
    change(ledger, start)
    threads = [threading.Thread(target=change, args=(ledger, pause)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event for event, *_ in change(ledger)] == ["started", "paused"]


def test_notification_is_claimed_by_one_of_many(ledger: Ledger):
    change(ledger, start)
    divide_first(ledger, "ops", "chat")
    found: list[outbox.Delivery | None] = []
    barrier = threading.Barrier(6)

    def run(name: str) -> None:
        barrier.wait()
        found.append(claim(ledger, by=name))

    threads = [threading.Thread(target=run, args=(str(i),)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    (one,) = [each for each in found if each is not None]
    assert (one.attempts, one.notice) == (1, {"event": "started"})
    with ledger.write() as tx:
        assert outbox.record_delivered(tx, one)
        assert outbox.find_due(tx) == {"chat"}
    move_back(ledger, 0)
    assert claim(ledger) is None  # never again


def test_claim_of_a_killed_process_ends_and_its_record_counts_no_more(ledger: Ledger):
    change(ledger, start)
    divide_first(ledger, "ops")
    killed = claim(ledger, by="killed")
    assert killed is not None
    assert claim(ledger) is None
    with ledger.read() as tx:
        assert 50 < (outbox.find_seconds_to_next(tx) or 0) <= outbox.CLAIM_SECONDS
    move_back(ledger, 1)
    again = claim(ledger)
    assert again is not None
    assert (again.occurrence, again.target, again.attempts) == (killed.occurrence, "ops", 2)
    with ledger.write() as tx:
        assert not outbox.record_delivered(tx, killed)  # it was suspended, and wakes up
        assert outbox.record_failed(tx, again, "HTTP 500", wait=7.0)
        assert 6 < (outbox.find_seconds_to_next(tx) or 0) <= 7


def test_notification_is_given_up_after_a_day(ledger: Ledger):
    change(ledger, start)
    divide_first(ledger, "ops", "chat")
    move_back(ledger, outbox.GIVE_UP_SECONDS - 10, "created_at")
    last = claim(ledger)
    assert last is not None
    with ledger.write() as tx:
        assert not outbox.record_failed(tx, last, "x" * 9000, wait=60.0)
    move_back(ledger, outbox.GIVE_UP_SECONDS + 10, "created_at")
    change(ledger, pause)
    with ledger.write() as tx:
        outbox.give_up_old(tx)
        shown = {one.target: one for one in outbox.list_notifications(tx, NAME)}
        assert [one.event for one in outbox.list_occurrences(tx)] == [NoticeEvent.PAUSED]
    assert {one.state for one in shown.values()} == {"given_up"}
    assert len(shown["ops"].last_error or "") == outbox.ERROR_LENGTH


def test_old_occurrences_are_closed_without_targets(ledger: Ledger):
    change(ledger, start)
    move_back(ledger, outbox.GIVE_UP_SECONDS + 10, "created_at")
    with ledger.write() as tx:
        assert outbox.has_pending(tx, of_campaigns=False)
        assert not outbox.has_pending(tx, of_campaigns=True)
        outbox.give_up_old(tx)
        assert outbox.list_occurrences(tx) == []
        assert outbox.list_notifications(tx, NAME) == []
        assert not outbox.has_pending(tx, of_campaigns=False)


def test_stall_is_recorded_once_by_one_of_many(ledger: Ledger):
    change(ledger, start)
    assert record_stalls(ledger, lambda _: 900.0) == []
    with ledger.write() as tx:
        long_ago = read_clock(tx) - timedelta(seconds=GONE_SECONDS + 5)
        tx.execute(update(notification_table).values(created_at=long_ago))
        tx.execute(update(run_table).values(started_at=long_ago))
        register_worker(tx, "gone", run=NAME, account="x", now=long_ago)
        (signs,) = read_stall_signs(tx)
        assert (signs.live, signs.seen_at) == (0, long_ago)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.extend(record_stalls(ledger, lambda _: 900.0))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
    assert record_stalls(ledger, lambda _: 900.0) == []
    with ledger.read() as tx:
        events = tx.execute(select(notification_table.c.event).order_by(notification_table.c.created_at)).scalars()
        assert list(events) == ["started", "stalled"]
