"""Notifications of real launches: each change is accepted once, and no receiver delays or fails a run."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from support.pulled import open_feedback_world
from support.receiver import Receiver, run_receiver
from support.world import RUN, World, finish

BOTH = [f"{RUN} finished", f"{RUN} started"]
LAST_SECONDS = 5.0  # the documented wait at the end of a command
DIE_BEFORE_THE_RECORD = """
import os, signal
from engine.notify.desk import NoticeDesk
NoticeDesk._record = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


REST = """
UPDATE worker SET heartbeat_at = AT;
UPDATE journal SET [at] = AT;
UPDATE lease SET settled_at = AT WHERE settled_at IS NOT NULL;
UPDATE run SET started_at = AT;
UPDATE notification SET created_at = AT, due_at = AT
""".replace("= AT", "= strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-2 minutes')")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as opened:
        yield opened


def hurry(world: World) -> None:
    """Retry at once."""
    world.constants = {
        "engine.notify.desk.FIRST_WAIT_SECONDS": 0.05,
        "engine.notify.background.LOOK_SECONDS": 0.1,
    }


def rest(world: World) -> None:
    """Let two minutes pass in the ledger."""
    with closing(sqlite3.connect(world.folder / ".mailrun" / "ledger.db")) as ledger, ledger:
        ledger.executescript(REST)


def make_due(world: World) -> None:
    """Let the waits and claims of all notifications end."""
    with closing(sqlite3.connect(world.folder / ".mailrun" / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE notification SET due_at = created_at")


def test_receiver_that_fails_gets_each_state_once_in_the_end(world: World, receiver: Receiver):
    world.write_people(20)
    world.write("mailrun.toml", receiver.write_settings('link = "https://dash.acme.example/{campaign}/{key}"'))
    receiver.answer = lambda before: 500 if before < 3 else 200
    hurry(world)
    launched = world.launch()
    assert (launched.code, launched.json["sent"]) == (0, 20), launched.stderr
    assert receiver.count_accepted() == BOTH
    notice = next(one for one in receiver.accepted if one["event"] == "finished")
    shown = world.run("status", RUN, "--json").json
    counted = ("rows_read", "accepted", "excluded", "sent", "unsent", "balanced", "started_at", "finished_at")
    assert {key: notice["accounts"][key] for key in counted} == {key: shown[key] for key in counted}
    assert notice["title"] == f"{RUN} has finished: 20 of 20 recipients sent"
    assert notice["link"] == "https://dash.acme.example/hello/test"
    states = {one["event"]: (one["state"], one["attempts"]) for one in shown["notifications"]}
    assert sum(attempts for _, attempts in states.values()) == 5
    assert {state for state, _ in states.values()} == {"delivered"}
    assert "of-the-test" not in launched.stderr + launched.stdout  # the URL is a secret
    assert world.launch().code == 0  # nothing new, nothing again
    assert len(receiver.accepted) == 2


def test_receiver_that_hangs_delays_no_run_and_the_next_command_sends(world: World, receiver: Receiver):
    world.write_people(20)
    world.write("mailrun.toml", receiver.write_settings())
    receiver.is_open.clear()
    begun = time.monotonic()
    launched = world.launch()
    took = time.monotonic() - begun
    assert (launched.code, launched.json["sent"]) == (0, 20)
    started, finished = (datetime.fromisoformat(launched.json[key]) for key in ("started_at", "finished_at"))
    assert (finished - started).total_seconds() < LAST_SECONDS  # the post hangs for longer
    assert took < LAST_SECONDS + 20.0
    receiver.is_open.set()
    receiver.received.clear()
    make_due(world)
    first = world.fork("notify", "send", "--json")  # two at once
    second = world.fork("notify", "send", "--json")
    ends = [finish(first), finish(second)]
    assert [end.code for end in ends] == [0, 0]
    assert sum(end.json["accepted"] for end in ends) == 2
    assert receiver.count_accepted() == BOTH


def test_next_launch_sends_what_an_earlier_one_could_not(world: World, receiver: Receiver):
    world.write_people(5)
    world.write("mailrun.toml", receiver.write_settings())
    receiver.answer = lambda _: 500
    assert world.launch().code == 0
    assert receiver.accepted == []
    receiver.answer = lambda _: 200
    make_due(world)
    assert world.run("launch", "hello", "--key", "next", "--json").code == 0
    told = sorted((notice["run"], notice["event"]) for notice in receiver.accepted)
    assert told == [(run, event) for run in ("hello/next", RUN) for event in ("finished", "started")]


def test_killed_between_answer_and_record_repeats_with_the_same_id(world: World, receiver: Receiver):
    world.write_people(100)
    world.write("mailrun.toml", receiver.write_settings())
    world.change_sandbox(max_send_rate=20.0)
    world.before = DIE_BEFORE_THE_RECORD
    killed = finish(world.start_launch())
    assert killed.code == -9
    (before,) = receiver.accepted
    world.before = ""
    world.change_sandbox(max_send_rate=10_000)
    rest(world)
    assert world.run("notify", "send").code == 0  # the next command finds the stall
    notice = receiver.accepted[-1]
    assert notice["title"].startswith(f"{RUN} has stalled: ")
    assert "no worker sends for the run" in notice["reason"]
    assert world.launch().code in (0, 3)  # calls that were in flight are in doubt
    repeated = [one for one in receiver.accepted if one["event"] == "started"]
    assert repeated == [before, before]  # the same document, so the same id
    keys = {one.headers["Idempotency-Key"] for one in receiver.received if one.json["event"] == "started"}
    assert keys == {before["id"]}
    assert receiver.count_accepted() == [f"{RUN} {event}" for event in ("finished", "stalled", "started", "started")]


def test_pause_by_the_guard_is_reported_with_its_finding(tmp_path: Path, receiver: Receiver):
    behaviour = {"default": {"bounces": {"Permanent/General": 0.3}}}
    with open_feedback_world(tmp_path, behaviour) as world:
        world.write_people(300)
        target = f'\n[notify.targets.own]\nkind = "json"\nurl = "{receiver.url}"\non = ["guard", "paused"]\n'
        world.settings["MAILRUN_NOTIFY_SECRETS"] = '{"own": "0123456789abcdef"}'
        world.write("campaigns/hello/campaign.toml", (world.campaign / "campaign.toml").read_text("utf-8") + target)
        assert world.launch().code == 0
        world.run("events", "pull", "--queue", world.server.queue_url)
        world.write_people(200, domain="else.example")
        paused = world.run("launch", "hello", "--key", "next", "--json")
        assert (paused.code, paused.json["paused_by"]) == (75, "guard")
        assert receiver.count_accepted() == ["hello/next guard"]  # what a campaign's own target asks for
        (notice,) = receiver.accepted
        assert re.search(r"messages \(the account\) bounced", notice["reason"])
        assert notice["reason"] == paused.json["reason"]
        assert "mailrun resume hello/next" in notice["do"]
        world.run("resume", "hello/next")
        world.run("pause", "hello/next", "--reason", "for ann.lee@people.example")
        assert receiver.count_accepted() == ["hello/next guard", "hello/next paused"]
        assert "ann.lee" not in "".join(one.body.decode() for one in receiver.received)


def test_test_sends_to_each_target_and_says_what_it_answered(world: World, receiver: Receiver):
    world.write("mailrun.toml", receiver.write_settings('[notify.targets.chat]\nkind = "slack"\n'))
    tested = world.run("notify", "test", "--json")
    assert tested.code == 69
    assert tested.json["targets"]["ops"] == {"kind": "json", "accepted": True, "answer": "HTTP 200"}
    assert "has no URL" in tested.json["targets"]["chat"]["answer"]
    assert world.run("notify", "test", "--target", "ops").stdout == "ops  json   accepted: HTTP 200\n"
    wrong = world.run("notify", "test", "--target", "opz")
    assert (wrong.code, "did you mean ops" in wrong.stderr) == (64, True)
    assert [one["event"] for one in receiver.accepted] == ["test", "test"]
    shown = world.run("config")
    assert "of-the-test" not in shown.stdout
    world.write("mailrun.toml", "")
    assert world.run("notify", "test").code == 78
