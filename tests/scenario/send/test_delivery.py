"""Bulk calls, several processes, other transports, windows, caps: whole launches against a real account's behaviour."""

import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path

import polars as pl
import pytest
from support.doubt import AT_MOST_WHERE_LATE
from support.invariants import check_invariants
from support.smtp import Mailroom, smtp_in_thread
from support.world import CAMPAIGN, Finished, World, finish, open_world, wait_for_line, wait_until

from engine.delivery.pacing.concurrency import MOST_WHERE_LATE
from engine.ledger.journal import Outcome


def write_delivery(world: World, text: str) -> None:
    world.write("campaigns/hello/campaign.toml", CAMPAIGN + text)


BULK = '[delivery]\ncall = "bulk"\n'


def test_bulk_calls_carry_what_single_ones_do_in_a_fraction_of_the_calls(world: World):
    world.write_people(1_000)
    write_delivery(world, BULK)
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 1_000}
    message = next(one for one in world.accepted() if one["to"] == ["person7@example.com"])
    assert (message["subject"], message["text"]) == ("Hello Name 7", "Dear Name 7, how are you?\n")
    outcomes = pl.read_parquet(world.run_folder / "outcomes" / "lease-*.parquet")
    assert set(outcomes["message_id"]) == {one["message_id"] for one in world.accepted()}


def test_a_poison_message_in_a_bulk_call_is_refused_alone(world: World):
    world.write_people(120)
    write_delivery(world, BULK)
    world.fault("reject", match="person7@")
    launched = world.launch()
    assert (launched.code, launched.json["sent"], launched.json["refused"]) == (3, 119, 1)
    check_invariants(world)


def test_lost_answer_to_a_bulk_call_leaves_only_its_messages_in_doubt(world: World):
    world.write_people(300)
    write_delivery(world, BULK)
    world.fault("drop_after", after=2)
    launched = world.launch()
    assert launched.code in (3, 75)  # 50 at once may be enough for the guard
    counts = check_invariants(world, in_doubt_at_most=50)
    assert counts[Outcome.IN_DOUBT] > 1


def test_a_throttled_bulk_entry_is_sent_in_the_end(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=100.0) as world:
        world.write_people(300)
        write_delivery(world, BULK)
        world.fault("throttle", count=3)
        assert world.launch().code == 0
        assert check_invariants(world) == {Outcome.SENT: 300}
        assert world.sandbox_state()["largest_second"] <= 100 * 1.1 + 100 + 50


def test_a_bulk_call_never_carries_more_than_half_a_second_of_the_rate(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=14.0) as world:
        world.write_people(60)
        write_delivery(world, BULK)
        assert world.launch().code == 0
        assert world.sandbox_state()["throttled"] == 0
        assert check_invariants(world) == {Outcome.SENT: 60}


def test_two_processes_share_the_work_and_the_rate(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=200.0) as world:
        world.write_people(2_000)
        process = world.start_launch("--workers", "2")
        world.wait_for_workers(2)
        launched = finish(process)
        assert (launched.code, launched.json["sent"]) == (0, 2_000)
        assert check_invariants(world) == {Outcome.SENT: 2_000}
        state = world.sandbox_state()
        assert state["throttled"] == 0
        assert state["largest_second"] <= 200 * 1.1 + 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_passed_on_to_every_process(tmp_path: Path, number: signal.Signals):
    with open_world(tmp_path, max_send_rate=300.0) as world:
        world.write_people(5_000)
        process = world.start_launch("--workers", "2")
        world.wait_for_workers(2)
        world.wait_for_accepted(400, process)
        process.send_signal(number)
        stopped = finish(process)
        assert (stopped.code, stopped.json["state"]) == (75, "paused")
        assert check_invariants(world)[Outcome.IN_DOUBT] == 0


def test_when_the_launch_is_killed_its_processes_stop_in_order(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=300.0) as world:
        world.constants = AT_MOST_WHERE_LATE
        world.write_people(3_000)
        process = world.start_launch("--workers", "2")
        world.wait_for_workers(2)
        world.wait_for_accepted(400, process)
        process.kill()
        process.communicate()
        seen: list[int] = []

        def is_quiet() -> bool:
            seen.append(world.accepted_count())
            return len(seen) > 500 and seen[-1] == seen[-500]

        wait_until(is_quiet)
        assert world.accepted_count() < 3_000
        launched = world.launch()
        assert launched.code in (0, 3)
        check_invariants(world, in_doubt_at_most=2 * MOST_WHERE_LATE)


def test_a_process_that_dies_leaves_its_leases_to_the_others(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=200.0) as world:  # long enough for the second process to come up
        world.constants = AT_MOST_WHERE_LATE
        world.write_people(3_000)
        process = world.start_launch("--workers", "2")
        world.wait_for_workers(2)
        world.wait_for_accepted(900, process)
        os.kill(find_child(process.pid), signal.SIGKILL)
        launched = finish(process)
        assert launched.code in (0, 3)
        assert "a worker process ended with" in launched.stderr
        counts = check_invariants(world, in_doubt_at_most=2 * MOST_WHERE_LATE)
        assert counts[Outcome.SENT] + counts[Outcome.IN_DOUBT] == 3_000


def find_child(parent: int) -> int:
    """Find the sending process among a launch's children: the one that multiprocessing spawned."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            ppid = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if ppid == parent and b"spawn_main" in command:
            return int(path.name)
    raise AssertionError("no child")


def test_status_shows_what_a_worker_does(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=50.0) as world:
        world.write_people(2_000)
        process = world.start_launch()

        def reported() -> bool:
            shown = world.run("status", "hello/test", "--json")
            return shown.code == 0 and bool(shown.json.get("vitals"))

        world.wait_for_accepted(10, process)
        wait_until(reported)
        (vitals,) = world.run("status", "hello/test", "--json").json["vitals"]
        assert vitals["rate_limit"] == 50.0
        assert vitals["concurrency"] >= 1
        assert "calls in flight" in world.run("status", "hello/test").stdout
        process.terminate()
        finish(process)


def test_an_outbox_holds_everybodys_message_and_needs_no_account(world: World):
    world.write_people(120)
    launched = world.run("launch", "hello", "--key", "test", "--transport", "outbox", "--json", AWS_ACCESS_KEY_ID=None)
    assert (launched.code, launched.json["sent"]) == (0, 120)
    assert len(list((world.run_folder / "outbox").rglob("*.eml"))) == 120
    assert f"the messages: {world.run_folder}/outbox" in world.run("launch", "hello", "--key", "test").stdout
    assert world.accepted() == []
    assert world.run("audit", "hello/test", "--json").code == 0
    assert world.launch("--transport", "ses").code == 0  # finished before
    refused = world.run("launch", "hello", "--key", "other", "--transport", "pigeon")
    assert refused.code == 64


def test_an_outbox_is_checked_previewed_and_proved_without_an_account(world: World):
    world.write_people(3)

    def run(*command: str) -> Finished:
        return world.run(*command, "--transport", "outbox", "--json", AWS_ACCESS_KEY_ID=None)

    for command in ("check", "preview"):
        done = run(command, "hello")
        assert done.code == 0, done.stderr
        assert done.json["forecast"]["rate"]
    proved = run("test", "hello", "--to", "me@acme.example")
    assert [one["outcome"] for one in proved.json["proofs"]] == ["sent"]
    assert world.accepted() == []


def test_a_run_is_not_continued_another_way(world: World):
    world.write_people(50)
    world.fault("pause_account", after=20)
    assert world.launch().code == 75
    world.change_sandbox(sending_enabled=True)
    refused = world.launch("--transport", "outbox")
    assert refused.code == 64
    assert "uses the transport ses" in refused.stderr
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 50}


def test_any_smtp_server_works_with_retries_and_accounts(world: World):
    world.write_people(80)
    write_delivery(world, '[delivery]\ntransport = "smtp"\nmax_rate = 500\n')
    room = Mailroom(["refuse:454 Throttling failure: Maximum sending rate exceeded.", "rcpt:553 no", "mail:drop"])
    with smtp_in_thread(room) as port:
        url = f"smtp+plain://127.0.0.1:{port}"
        launched = world.run("launch", "hello", "--key", "test", "--json", MAILRUN_SMTP_URL=url, AWS_ACCESS_KEY_ID=None)
    assert (launched.code, launched.json["sent"], launched.json["refused"]) == (3, 79, 1)
    assert launched.json["balanced"]
    assert Counter(recipient for _, (recipient,), _ in room.accepted).most_common(1)[0][1] == 1
    assert len(room.accepted) == 79
    outcomes = pl.read_parquet(world.run_folder / "outcomes" / "lease-*.parquet")
    assert outcomes.filter(outcome="sent")["message_id"].str.starts_with("0100-").all()


OWN = """\
[headers]
X-Auto-Response-Suppress = "OOF, AutoReply"
X-Ref = "{{ email }} é"
[delivery]
tags = { team = "growth" }
feedback_id = ["weekly", "news"]
"""
REF = "=?utf-8?q?person3=40example=2Ecom_=C3=A9?="


@pytest.mark.parametrize("call", ["single", "bulk"])
def test_own_headers_and_tags_reach_ses_in_every_call(world: World, call: str):
    world.write_people(60)
    write_delivery(world, f'{OWN}call = "{call}"\n')
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 60}
    message = next(one for one in world.accepted() if one["to"] == ["person3@example.com"])
    headers = {header["name"]: header["value"] for header in message["headers"]}
    assert headers == {"X-Auto-Response-Suppress": "OOF, AutoReply", "X-Ref": REF}
    own = {"team": "growth", "ses:feedback-id-a": "weekly", "ses:feedback-id-b": "news"}
    assert own.items() <= message["tags"].items()
    assert message["tags"]["mailrun-campaign"] == "hello"


def test_own_headers_are_in_smtp_and_in_an_outbox(world: World):
    world.write_people(5)
    write_delivery(world, f'{OWN}transport = "smtp"\nmax_rate = 500\n')
    room = Mailroom([])
    with smtp_in_thread(room) as port:
        url = f"smtp+plain://127.0.0.1:{port}"
        assert world.run("launch", "hello", "--key", "test", MAILRUN_SMTP_URL=url).code == 0
    assert world.run("launch", "hello", "--key", "files", "--transport", "outbox").code == 0
    files = [path.read_bytes() for path in (world.run_folder.parent / "files" / "outbox").rglob("*.eml")]
    for raw in ([content for *_, content in room.accepted], files):
        assert len(raw) == 5
        message = next(one for one in map(message_from_bytes, raw) if one["To"] == "person3@example.com")
        assert (message["X-Auto-Response-Suppress"], message["X-Ref"]) == ("OOF, AutoReply", REF)
        assert message["Feedback-ID"] == "weekly:news:acme.example"


def test_an_smtp_server_of_ones_own_needs_a_rate(world: World):
    world.write_people(1)
    write_delivery(world, '[delivery]\ntransport = "smtp"\n')
    refused = world.run("launch", "hello", MAILRUN_SMTP_URL="smtp://127.0.0.1:9")
    assert refused.code == 78
    assert "max_rate" in refused.stderr


def test_ses_smtp_refuses_temporary_credentials(world: World):
    world.write_people(1)
    write_delivery(world, '[delivery]\ntransport = "smtp"\n')
    refused = world.run("launch", "hello", AWS_SESSION_TOKEN="token")
    assert refused.code == 78
    assert "temporary" in refused.stderr


def test_a_late_start_is_refused_with_its_reason(world: World):
    world.write_people(5)
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    write_delivery(world, f'[window]\nnot_after = "{past}"\n')
    refused = world.launch()
    assert refused.code == 64
    assert "comes too late" in refused.stderr
    assert world.accepted() == []
    assert world.run("status", "--json").json == {"runs": []}


def test_at_the_deadline_the_run_pauses_and_stays_so(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=20.0) as world:
        world.write_people(2000)
        begun = datetime.now(UTC)
        assert world.run("launch", "hello", "--key", "empty", "--limit", "0").code == 0
        a_launch = datetime.now(UTC) - begun  # without what is sent, on this machine
        soon = (datetime.now(UTC) + 2 * a_launch + timedelta(seconds=4)).isoformat()
        write_delivery(world, f'[window]\nnot_after = "{soon}"\n')
        launched = world.launch()
        assert launched.code == 75
        assert "not_after has passed" in launched.json["reason"]
        assert 0 < launched.json["sent"] < 2000
        assert world.launch().code == 64
        check_invariants(world)


def write_closed_window(world: World, outside: str) -> None:
    hour = datetime.now(UTC).hour
    begin, end = (hour + 2) % 24, (hour + 3) % 24
    write_delivery(world, f'[window]\nfrom = "{begin:02d}:00"\nto = "{end:02d}:00"\noutside = "{outside}"\n')


def test_run_pauses_or_waits_outside_the_window_as_configured(world: World):
    world.write_people(5)
    write_closed_window(world, "pause")
    paused = world.launch()
    assert paused.code == 75
    assert "sending window" in paused.json["reason"]
    assert world.accepted() == []
    write_closed_window(world, "wait")
    process = world.fork("launch", "hello", "--key", "other", "--json")
    world.wait_for_workers(1)
    process.terminate()
    stopped = finish(process)
    assert (stopped.code, stopped.json["unsent"]) == (75, 5)
    assert world.accepted() == []


def test_every_recipient_is_sent_to_in_the_window_of_their_own_zone(world: World):
    now = datetime.now(UTC)
    near, far = "Etc/GMT", f"Etc/GMT-{10 if now.hour < 12 else 9}"
    rows = [f"p{i}@example.com,N,{(near, far, 'Mars/Base')[i % 3]}\n" for i in range(30)]
    world.write("audiences/people.csv", "email,first_name,tz\n" + "".join(rows))
    begin, end = (now - timedelta(hours=1)).hour, (now + timedelta(hours=2)).hour
    window = f'[window]\nfrom = "{begin:02d}:00"\nto = "{end:02d}:00"\ntimezone = "column:tz"\noutside = "pause"\n'
    write_delivery(world, window + "[guard]\nmax_failure_rate = 1.0\n")
    launched = world.launch()
    assert launched.code == 75
    assert (launched.json["sent"], launched.json["unsent"], launched.json["failed"]) == (10, 10, 10)
    check_invariants(world)
    outcomes = world.run("status", "hello/test", "--json").json
    assert "windows" in outcomes["reason"]


def test_missing_zone_column_is_reported_at_once(world: World):
    world.write_people(1)
    write_delivery(world, '[window]\nfrom = "09:00"\nto = "20:00"\ntimezone = "column:zone"\n')
    refused = world.launch()
    assert refused.code == 65
    assert "no column zone" in refused.stderr


def test_warm_up_sends_the_cap_of_the_day_and_leaves_the_rest(world: World):
    world.write_people(100)
    write_delivery(world, "[warmup]\ncaps = [30, 60]\n")
    launched = world.launch()
    assert launched.code == 75
    assert (launched.json["sent"], launched.json["unsent"]) == (30, 70)
    assert "day 1 of the warm-up" in launched.json["reason"]
    assert world.launch().json["sent"] == 30  # the same day
    other = world.run("launch", "hello", "--key", "other", "--json")
    assert (other.code, other.json["sent"]) == (75, 0)  # the same domain
    check_invariants(world)


def test_a_capped_domain_goes_at_its_own_pace_and_the_others_at_theirs(world: World):
    rows = [f"p{i}@{'slow.example' if i % 4 == 0 else 'fast.example'},N\n" for i in range(80)]
    world.write("audiences/people.csv", "email,first_name\n" + "".join(rows))
    write_delivery(world, '[domains."slow.example"]\nmax_rate = 10\n')
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 80}
    order = [message["to"][0].rpartition("@")[2] for message in world.accepted()]
    assert order[-10:] == ["slow.example"] * 10
    slow = [datetime.fromisoformat(m["at"]) for m in world.accepted() if m["to"][0].endswith("slow.example")]
    assert (max(slow) - min(slow)).total_seconds() >= 19 / 10 * 0.95


def test_run_waits_at_the_end_of_the_quota_when_configured(world: World):
    world.change_sandbox(max_24_hour_send=40)
    world.write_people(100)
    write_delivery(world, '[delivery]\nat_quota = "wait"\n')
    process = world.start_launch()
    wait_for_line(process, "delivery.waiting")
    assert world.run("status", "hello/test", "--json").json["state"] == "sending"
    process.terminate()
    stopped = finish(process)
    assert (stopped.code, stopped.json["sent"], stopped.json["in_doubt"]) == (75, 40, 0)
    check_invariants(world)
    world.change_sandbox(max_24_hour_send=1_000)
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 100}


def test_limit_halved_in_mid_run_is_learned_and_everybody_sent_to_once(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=400.0) as world:
        world.write_people(4_000)
        process = world.start_launch()
        world.wait_for_accepted(800, process)
        world.change_sandbox(max_send_rate=200.0)
        assert finish(process).code == 0
        assert check_invariants(world) == {Outcome.SENT: 4_000}
        assert world.sandbox_state()["throttled"] < 400
