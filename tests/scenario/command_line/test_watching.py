"""`mailrun status --watch`: shows a run until it ends, and stops without a trace."""

import signal

import pytest
from support.world import RUN, World, finish

from engine.cli.commands.status.watch import Pace
from engine.report.run_accounts import require_accounts
from engine.workspace import open_workspace


def test_watching_shows_progress_and_ends_with_the_run(world: World) -> None:
    world.write_people(400)
    world.change_sandbox(max_send_rate=100.0)
    launch = world.start_launch()
    world.wait_for_accepted(20, launch)
    watched = finish(world.fork("status", RUN, "--watch"))
    assert finish(launch).code == 0
    assert watched.code == 0, watched.stderr
    assert " a second, about " in watched.stdout
    assert "of 400 recipients, " in watched.stdout
    last = watched.stdout.rstrip().split("\n\n")[-1]
    assert "finished" in last
    assert "a second" not in last


def test_all_runs_are_watched_and_a_person_stops_it(world: World) -> None:
    world.write_people(400)
    world.change_sandbox(max_send_rate=20.0)
    launch = world.start_launch()
    world.wait_for_accepted(5, launch)
    watching = world.fork("status", "--watch")
    assert watching.stdout is not None
    assert any(line.startswith(f"{RUN}: ") for line in watching.stdout)
    watching.send_signal(signal.SIGINT)
    assert finish(watching).code == 0
    launch.send_signal(signal.SIGINT)
    finish(launch)


def test_watching_ends_at_once_where_nothing_is_sent(world: World) -> None:
    world.write_people(3)
    assert world.run("status", "--watch").stdout.strip() == "no runs yet"
    assert world.launch().code == 0
    assert "finished" in world.run("status", RUN, "--watch").stdout
    assert world.run("status", "none/such", "--watch").code == 64


@pytest.mark.parametrize("option", ["--json", "--outgoing-addresses"])
def test_watching_has_one_form(world: World, option: str) -> None:
    refused = world.run("status", RUN, "--watch", option)
    assert (refused.code, "--watch" in refused.stdout + refused.stderr) == (64, True)


def test_pace_is_that_of_the_last_interval(world: World) -> None:
    world.write_people(3)
    assert world.launch().code == 0
    with open_workspace(world.folder) as workspace:
        accounts = require_accounts(workspace.ledger, RUN, workspace.store, workspace.clock.now())
    pace = Pace()
    pace._before[RUN] = 10.0, 1
    assert pace.describe(accounts, 12.0) == "3 of 3 recipients, 100.0%, 1 a second, about 1 s left"
    assert pace.describe(accounts, 14.0) == "3 of 3 recipients, 100.0%"
