"""SIGTERM and SIGINT: the first drains, the second ends at once; the next launch resumes."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from support.held import start_planning
from support.invariants import check_invariants
from support.paths import DOCS
from support.world import RUN, World, finish, open_world, wait_for_line, wait_for_seconds, wait_until

from engine.delivery.pacing.concurrency import FEWEST, MOST
from engine.ledger.journal import Outcome
from engine.stopping.signals import SAME_SECONDS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_leaves_nothing_in_doubt(tmp_path: Path, number: signal.Signals):
    with open_world(tmp_path, latency_seconds=0.05) as world:
        world.write_people(1500)
        process = world.start("launch", "hello", "--key", "test", "--json")
        world.wait_for_accepted(200, process)
        process.send_signal(number)
        stopped = finish(process)
        assert stopped.code == 75
        assert stopped.json["state"] == "paused"
        assert stopped.json["reason"] == f"stopped by {number.name}"
        assert stopped.json["unsent"] > 0
        assert check_invariants(world)[Outcome.IN_DOUBT] == 0
        resumed = world.launch()
        assert (resumed.code, resumed.json["sent"]) == (0, 1500)
        assert check_invariants(world) == {Outcome.SENT: 1500}


def test_stop_says_how_to_resume(tmp_path: Path):
    with open_world(tmp_path, latency_seconds=0.05) as world:
        world.write_people(1500)
        process = world.fork("launch", "hello", "--key", "test")
        world.wait_for_accepted(10, process)
        process.terminate()
        assert "to resume: python -m engine launch hello --key test" in finish(process).stdout


def test_the_second_signal_ends_at_once_and_what_was_in_flight_is_in_doubt(world: World):
    world.write_people(400)
    world.fault("no_answer", count=None, after=50)
    process = world.start_launch()
    world.wait_for_accepted(50 + FEWEST, process)
    world.wait_for_silence(process)
    process.terminate()
    wait_for_line(process, "run.stopping")
    wait_for_seconds(SAME_SECONDS)
    process.terminate()
    stopped = finish(process, seconds=10)
    assert stopped.code == 75
    assert "stopped" in stopped.stderr
    accounts = world.run("status", "hello/test", "--json").json
    assert (accounts["state"], accounts["reason"]) == ("paused", "stopped by SIGTERM")
    hanging = len(world.accepted()) - 50
    assert hanging >= FEWEST
    world.clear_faults()
    assert world.launch().code == 3
    counts = check_invariants(world, in_doubt_at_most=hanging)
    assert counts == {Outcome.SENT: 400 - hanging, Outcome.IN_DOUBT: hanging}


def test_a_signal_while_the_audience_is_planned_leaves_no_run(world: World):
    world.write_people(20)
    process = start_planning(world, "launch", "hello", "--key", "test", "--json")
    process.terminate()
    stopped = finish(process, seconds=10)
    assert stopped.code == 75
    assert "stopped while the audience was planned, nothing was sent" in stopped.stderr
    assert world.accepted() == []
    assert world.run("status", "--json").json == {"runs": []}
    assert list(world.run_folder.parent.iterdir()) == []


def test_signal_while_a_finished_run_is_relaunched_changes_nothing(tmp_path: Path):
    with open_world(tmp_path, latency_seconds=0.05) as world:
        world.write_people(600)
        process = world.start_launch()
        world.wait_for_accepted(100, process)
        process.terminate()
        finish(process)
        for _ in range(3):  # stopped again and again during the resume
            process = world.start_launch()
            world.wait_for_accepted(world.accepted_count() + 20, process)
            process.terminate()
            finish(process)
        assert world.launch().code == 0
        assert check_invariants(world) == {Outcome.SENT: 600}


def test_four_ctrl_c_at_once_drain_and_record_the_state(tmp_path: Path):
    with open_world(tmp_path, latency_seconds=0.05) as world:
        world.write_people(1500)
        process = world.start_launch()
        world.wait_for_accepted(300, process)
        for _ in range(4):
            process.send_signal(signal.SIGINT)
            wait_for_seconds(0.05)
        stopped = finish(process)
        assert stopped.code == 75, stopped.stderr
        assert stopped.json["reason"] == "stopped by SIGINT"
        assert "before anything was sent" not in stopped.stderr
        assert check_invariants(world)[Outcome.IN_DOUBT] == 0
        assert world.launch().json["sent"] == 1500


def test_repeated_ctrl_c_ends_with_75_and_never_denies_what_was_sent(tmp_path: Path):
    with open_world(tmp_path, latency_seconds=0.05) as world:
        world.write_people(3000)
        process = world.start_launch()
        world.wait_for_accepted(300, process)
        until = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < until:  # a person who has no patience at all
            process.send_signal(signal.SIGINT)
            wait_for_seconds(0.1)
        stopped = finish(process)
        assert stopped.code == 75, stopped.stderr
        assert "nothing was sent" not in stopped.stdout + stopped.stderr
        assert "before anything" not in stopped.stdout + stopped.stderr
        assert world.run("status", RUN, "--json").json["state"] == "paused"
        ended = world.launch()
        assert ended.json["state"] == "finished"
        check_invariants(world, in_doubt_at_most=MOST)


def test_a_stop_reaches_every_worker_process_once(tmp_path: Path):
    """Ctrl-C and `timeout` signal the whole group: the worker processes must not take that for a second signal."""
    with open_world(tmp_path, max_send_rate=400.0, latency_seconds=0.2) as world:
        world.write_people(8000)
        process = world.start_under(["setsid"], "launch", "hello", "--key", "test", "--json", "--workers", "2")
        world.wait_for_accepted(1, process)
        world.wait_for_workers(2)
        world.wait_for_accepted(world.accepted_count() + 200, process)
        os.killpg(process.pid, signal.SIGINT)
        stopped = finish(process)
        assert stopped.code == 75, stopped.stderr
        assert check_invariants(world)[Outcome.IN_DOUBT] == 0


def test_timeout_ends_a_launch_in_order(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=100.0) as world:
        world.write_people(3000)
        process = world.start_under(["timeout", "-k", "60", "600"], "launch", "hello", "--key", "test", "--json")
        world.wait_for_accepted(50, process)
        process.send_signal(signal.SIGALRM)  # of its timer: the time is over
        stopped = finish(process)
        assert stopped.code == 124  # of timeout: the time was over, and it did not have to kill
        assert stopped.json["state"] == "paused"
        assert stopped.json["sent"] > 0
        assert check_invariants(world)[Outcome.IN_DOUBT] == 0


@pytest.mark.parametrize("shell", [False, True])
def test_a_run_ends_with_its_scheduler(tmp_path: Path, shell: bool):  # noqa: FBT001 - a parameter of the story
    """A scheduler kills its child, or the shell in between, with SIGKILL: the run must not live on alone."""
    with open_world(tmp_path, max_send_rate=300.0) as world:
        world.write_people(8000)
        words = ["launch", "hello", "--key", "test", "--json", "--exit-with-parent", "--workers", "2"]
        command = " ".join(world.command(*words))
        if shell:  # a scheduler's child is the shell
            parent = world.start_under(["sh", "-c", f"{command}; true", "--"])
        else:  # a scheduler that dies itself
            code = f"import subprocess; subprocess.run({world.command(*words)!r})"
            parent = world.start_under([sys.executable, "-c", code])
        world.wait_for_accepted(1, parent)
        world.wait_for_workers(2)
        parent.kill()
        parent.wait()
        wait_until(lambda: world.count_workers() == 0)
        stands = world.accepted_count()
        accounts = world.run("status", RUN, "--json").json
        assert accounts["state"] == "paused"
        assert "has ended" in accounts["reason"]
        assert stands < 8000
        assert check_invariants(world)[Outcome.IN_DOUBT] == 0
        wait_for_seconds(1.0)
        assert world.accepted_count() == stands


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_task_of_a_scheduler_as_the_docs_write_it_ends_its_launch(tmp_path: Path, number: signal.Signals):
    """SIGTERM raises in the task, as a cancellation does; SIGKILL leaves it no time for anything."""
    guide = (DOCS / "guides" / "run-from-a-scheduler.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(import subprocess\n.*?)```", guide, re.DOTALL)
    raises = "import signal\nsignal.signal(signal.SIGTERM, signal.default_int_handler)\n"
    with open_world(tmp_path, max_send_rate=300.0) as world:
        world.write_people(3000)
        world.settings["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        task = world.start_under([sys.executable, "-c", f"{raises}{snippet}\nlaunch('hello', 'test')"])
        world.wait_for_accepted(100, task)
        task.send_signal(number)
        task.wait(60)
        wait_until(lambda: world.count_workers() == 0)
        stands = world.accepted_count()
        assert world.run("status", RUN, "--json").json["state"] == "paused"
        assert stands < 3000
        assert check_invariants(world)[Outcome.IN_DOUBT] == 0
        assert world.accepted_count() == stands
        world.change_sandbox(max_send_rate=10_000)
        assert world.launch().json["sent"] == 3000
