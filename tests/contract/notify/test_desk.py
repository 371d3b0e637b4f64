"""The desk divides occurrences among the targets of a run, and hands over what is due."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import insert
from support.clock import VirtualClock
from support.receiver import SECRET, Receiver, run_receiver

from engine.ledger import runs
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.facts import RunFacts
from engine.ledger.notices import outbox
from engine.ledger.runs import Run
from engine.ledger.schema import RunState, notification_table
from engine.logs import capture_logs
from engine.notify.background import Notifications
from engine.notify.desk import NoticeDesk
from engine.notify_targets.sections import NotifySettings
from engine.report.run_accounts import require_accounts
from engine.settings import Settings
from engine.store.folder import FolderStore

NAME, NOW = "hello/test", datetime(2026, 11, 24, 9, tzinfo=UTC)
RUN = Run(NAME, RunState.PLANNED, None, False, f"runs/{NAME}", "d", 1, 1, {}, NOW, None, None)  # noqa: FBT003


@pytest.fixture
def receiver(aws: pytest.MonkeyPatch) -> Iterator[Receiver]:  # noqa: ARG001 - without the proxies of this machine
    with run_receiver() as opened:
        yield opened


@pytest.fixture
def ledger(sqlite_ledger: Path, tmp_path: Path) -> Iterator[Ledger]:
    (tmp_path / "ledger.db").write_bytes(sqlite_ledger.read_bytes())
    opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


def begin(ledger: Ledger, run: Run) -> None:
    with ledger.write() as tx:
        runs.insert_run(tx, run, lease_rows=[])
        runs.start_run(tx, run.name, NOW)


def make_desk(ledger: Ledger, folder: Path, **notify: Any) -> NoticeDesk:
    settings = Settings(workspace=folder, notify=NotifySettings.model_validate(notify))
    return NoticeDesk(
        settings=settings,
        ledger=ledger,
        store=FolderStore(folder / "store"),
        clock=VirtualClock(),
        jitter=lambda: 0.0,
    )


def describe(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"targets": {"ops": {"kind": "json", "url": receiver.url, **more}}, "secrets": {"ops": SECRET}}


@pytest.mark.parametrize("notified", [True, False])
def test_runs_in_the_sandbox_are_notified_of_only_when_asked(
    ledger: Ledger, tmp_path: Path, receiver: Receiver, *, notified: bool
):
    begin(ledger, replace(RUN, sandbox=True))
    desk = make_desk(ledger, tmp_path, **describe(receiver), sandbox=notified)
    assert asyncio.run(desk.send_now()).total() == notified
    assert [one["sandbox"] for one in receiver.accepted] == [True] * notified


def test_target_gets_what_it_asks_for_and_old_names_wait(ledger: Ledger, tmp_path: Path, receiver: Receiver):
    begin(ledger, RUN)
    assert asyncio.run(make_desk(ledger, tmp_path, **describe(receiver, on="paused")).send_now()).total() == 0
    with ledger.write() as tx:
        runs.pause_run(tx, NAME, "the 24-hour quota is used up")
    gone = make_desk(ledger, tmp_path, **describe(receiver, on="paused"))
    gone.divide()
    renamed = make_desk(ledger, tmp_path, targets={"new": {"kind": "json", "url": receiver.url}})
    assert asyncio.run(renamed.send_now()) == {False: 1}
    with ledger.read() as tx:
        (kept,) = outbox.list_notifications(tx, NAME)
    assert (kept.target, kept.event, kept.last_error) == ("ops", "paused", "no target of this name is configured")
    assert receiver.received == []


def test_campaigns_targets_need_none_in_mailrun_toml(ledger: Ledger, tmp_path: Path, receiver: Receiver):
    notify = f'{{"targets": {{"own": {{"kind": "json", "url": "{receiver.url}"}}}}}}'
    begin(ledger, replace(RUN, facts=RunFacts("acme.example", "ses", False, "marketing", "hello", notify=notify)))  # noqa: FBT003
    desk = make_desk(ledger, tmp_path, secrets={"own": SECRET})
    beside = Notifications(desk.settings, ledger, desk.store, desk.clock)
    beside.start_if_needed()
    beside.close()
    assert receiver.count_accepted() == [f"{NAME} started"]


def test_damaged_or_later_records_do_not_silence_other_runs(ledger: Ledger, tmp_path: Path, receiver: Receiver):
    facts = RunFacts("acme.example", "ses", False, "marketing", "hello", notify='{"of a later version": 1}')  # noqa: FBT003
    begin(ledger, replace(RUN, name="a/later", folder="runs/a/later", facts=facts))
    for key, event, notice in (("b", "on fire", "{}"), ("c", "paused", "nonsense"), ("d", "paused", "[]")):
        row = {"occurrence": key, "target": "", "run": "a/later", "attempts": 0, "created_at": NOW, "due_at": NOW}
        with ledger.write() as tx:
            tx.execute(insert(notification_table).values(**row, event=event, notice=notice))
    begin(ledger, RUN)
    desk = make_desk(ledger, tmp_path, **describe(receiver))
    assert asyncio.run(desk.send_now()) == {True: 2}
    assert receiver.count_accepted() == ["a/later started", f"{NAME} started"]


def test_run_whose_notice_cannot_be_made_is_given_up_alone(
    ledger: Ledger, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    begin(ledger, replace(RUN, name="a/broken", folder="runs/a/broken"))
    begin(ledger, RUN)

    def require(ledger: Ledger, name: str, *more: Any) -> Any:
        if name == "a/broken":
            raise KeyError("damaged")
        return require_accounts(ledger, name, *more)

    monkeypatch.setattr("engine.notify.desk.require_accounts", require)
    desk = make_desk(ledger, tmp_path, **describe(receiver))
    assert asyncio.run(desk.send_now()) == {True: 1}
    assert asyncio.run(desk.send_now()).total() == 0
    assert receiver.count_accepted() == [f"{NAME} started"]


def test_two_processes_hand_over_each_notification_once(ledger: Ledger, tmp_path: Path, receiver: Receiver):
    begin(ledger, RUN)
    desks = [make_desk(ledger, tmp_path, **describe(receiver)) for _ in range(4)]

    async def send() -> int:
        return sum(counted[True] for counted in await asyncio.gather(*(desk.send_now() for desk in desks)))

    assert asyncio.run(send()) == 1
    assert receiver.count_accepted() == [f"{NAME} started"]


def test_unused_settings_start_no_thread_and_errors_end_nothing(
    ledger: Ledger, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    begin(ledger, RUN)
    desk = make_desk(ledger, tmp_path)
    idle = Notifications(desk.settings, ledger, desk.store, desk.clock)
    idle.start_if_needed()
    assert idle._thread is None
    idle.close()

    def fail(_: NoticeDesk) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(NoticeDesk, "find_stalls", fail)
    desk = make_desk(ledger, tmp_path, **describe(receiver))
    with capture_logs() as events:
        broken = Notifications(desk.settings, ledger, desk.store, desk.clock)
        broken.start_if_needed()
        broken.close()
    assert [one["event"] for one in events] == ["notify.error", "notify.delivered"]  # the rest goes on


def test_command_that_is_stopped_at_once_waits_for_no_receiver(ledger: Ledger, tmp_path: Path, receiver: Receiver):
    begin(ledger, RUN)
    desk = make_desk(ledger, tmp_path, **describe(receiver))
    receiver.is_open.clear()
    arrived = threading.Event()

    def answer(_: int) -> int:
        arrived.set()
        return 200

    receiver.answer = answer
    beside = Notifications(desk.settings, ledger, desk.store, desk.clock)

    async def stop_at_once() -> None:
        async with beside.sending():
            assert await asyncio.to_thread(arrived.wait, 30)
            stopped_at.append(time.monotonic())
            raise asyncio.CancelledError

    stopped_at = list[float]()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stop_at_once())
    assert time.monotonic() - stopped_at[0] < 2.0  # not LAST_SECONDS
    assert beside._thread is not None
    beside._thread.join(10)
    assert not beside._thread.is_alive()
