"""What operators run into: damaged plans, closed pipes, midnight, files in the way."""

import json
import os
import signal
import subprocess

import polars as pl
from support.invariants import check_invariants
from support.world import World, finish

from engine.ledger.journal import Outcome


def test_a_plan_that_was_damaged_since_the_launch_is_never_sent(world: World):
    world.write_people(300)
    world.fault("pause_account", after=20)
    assert world.launch().code == 75
    world.change_sandbox(sending_enabled=True)
    plan = world.run_folder / "plan" / "recipients-0000.parquet"
    data = bytearray(plan.read_bytes())
    data[len(data) // 2] ^= 1
    plan.write_bytes(data)
    refused = world.launch()
    assert refused.code == 65
    assert "recipients-0000.parquet was changed" in refused.stderr
    assert len(world.accepted()) == 20


def test_launch_sends_when_its_log_is_no_longer_read(world: World):
    world.write_people(300)
    read, write = os.pipe()
    command = world.command("launch", "hello", "--key", "test", "--json")
    process = subprocess.Popen(
        command, cwd=world.folder, env=world.environment(), stdout=subprocess.PIPE, stderr=write, text=True
    )
    os.close(write)
    os.close(read)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert json.loads(told)["sent"] == 300
    assert check_invariants(world) == {Outcome.SENT: 300}


def test_a_closed_stdout_does_not_hide_the_exit_code(world: World):
    world.write_people(30)
    world.fault("reject", match="person3@")
    read, write = os.pipe()
    command = world.command("launch", "hello", "--key", "test")
    process = subprocess.Popen(
        command, cwd=world.folder, env=world.environment(), stdout=write, stderr=subprocess.DEVNULL
    )
    os.close(write)
    os.close(read)
    assert process.wait(60) == 3


def test_unfinished_run_is_named_before_one_with_a_new_time_key_begins(world: World):
    world.write_people(50)
    world.fault("pause_account", after=10)
    assert world.run("launch", "hello", "--key", "2020-01-01").code == 75
    world.change_sandbox(sending_enabled=True)
    refused = world.run("launch", "hello")
    assert refused.code == 64
    assert "hello/2020-01-01 is unfinished (paused)" in refused.stderr
    assert "--key 2020-01-01" in refused.stderr
    assert len(world.accepted()) == 10
    assert world.run("launch", "hello", "--key", "2020-01-01").code == 0
    assert world.run("launch", "hello").code == 0


def test_suggested_command_names_the_same_store_and_options(world: World):
    world.write_people(50)
    world.fault("pause_account", after=10)
    paused = world.run("launch", "hello", "--store", "else where", "--limit", "40", "--yes")
    key = paused.stdout.partition("hello/")[2].partition(" ")[0]
    again = f"to resume: python -m engine launch hello --limit 40 --store 'else where' --key {key}"
    assert again in paused.stdout


def test_most_frequent_failure_is_reported_when_the_guard_stops_a_run(world: World):
    world.write_people(400)
    world.fault("reject", count=None, after=50)
    paused = world.launch()
    assert paused.code == 75
    assert "most often: MessageRejected" in paused.json["reason"]
    assert "another --key" in paused.json["reason"]


def test_options_that_a_frozen_plan_cannot_follow_are_reported(world: World):
    world.write_people(50)
    world.fault("pause_account", after=10)
    world.launch()
    world.change_sandbox(sending_enabled=True)
    assert "the plan is frozen" in world.launch("--limit", "3").stderr


def test_plans_of_one_campaign_at_the_same_moment_all_succeed(world: World):
    world.write_people(500)
    ended = [finish(process) for process in [world.fork("plan", "hello") for _ in range(4)]]
    assert [plan.code for plan in ended] == [0, 0, 0, 0]
    folder = world.folder / ".mailrun" / "plans" / "hello" / "plan"
    assert pl.read_parquet(folder / "recipients-*.parquet").height == 500


def test_signal_right_after_the_start_ends_with_the_same_code(world: World):
    world.write_people(10)
    for number in (signal.SIGTERM, signal.SIGINT):
        process = world.start("launch", "hello", "--key", "test", "--json")
        process.send_signal(signal.SIGSTOP)  # whatever it does when the signal arrives
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        process.wait(60)
        assert process.returncode in (75, -number)  # the latter before Python itself has started
        process.communicate()
    assert world.accepted() == []


def test_special_files_in_a_campaign_folder_are_refused_unless_hidden(world: World):
    world.write_people(3)
    (world.campaign / ".#body.txt.j2").symlink_to("somebody@somewhere.1234")  # how editors lock files
    (world.campaign / ".env").write_text("KEY=secret")
    os.mkfifo(world.campaign / ".pipe")
    os.mkfifo(world.campaign / "pipe")
    refused = world.launch()
    assert (refused.code, "pipe is a named pipe" in refused.stderr) == (65, True)
    (world.campaign / "pipe").unlink()
    assert world.launch().code == 0
    assert sorted(path.name for path in (world.run_folder / "campaign").iterdir()) == ["body.txt.j2", "campaign.toml"]


def test_a_store_is_never_offered_to_git(world: World):
    world.write_people(1)
    world.launch()
    assert (world.folder / ".mailrun" / ".gitignore").read_text() == "*\n"
