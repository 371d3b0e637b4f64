"""A launch that ended before its run was registered: the next one of the key sends what is right by then."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from support.invariants import check_invariants
from support.world import World, open_world, wait_until

from engine.ledger.database import open_ledger
from engine.ledger.identity import read_identity
from engine.ledger.journal import Outcome

OLD, NEW = 300, 150


def correct(world: World) -> None:
    """Correct the campaign, and remove half of the people."""
    world.write("campaigns/hello/body.txt.j2", "Dear {{ first_name }}, this is right.\n")
    world.write_people(NEW)


def check_corrected_mail(world: World) -> None:
    """Check that exactly those who are left got exactly the corrected mail."""
    launched = world.launch()
    assert launched.code == 0, launched.stderr
    assert "launch.abandoned" in launched.stderr
    assert check_invariants(world) == {Outcome.SENT: NEW}
    bodies = [json.dumps(message) for message in world.accepted()]
    assert len(bodies) == NEW
    assert all("this is right" in body and "how are you" not in body for body in bodies)
    assert not list((world.folder / ".mailrun" / "staging").glob("*/*/*"))


def count_sealed(world: World) -> int:
    return len(list((world.folder / ".mailrun" / "staging").glob("*/*/*")))


@contextmanager
def hold_ledger(url: str) -> Iterator[None]:
    """Let nobody register a run for as long as the block lasts."""
    ledger = open_ledger(url)
    read_identity(ledger)
    try:
        with suppress(KeyError), ledger.write() as tx:
            if tx.dialect.name == "postgresql":
                tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                tx.execute(text("LOCK TABLE run IN EXCLUSIVE MODE"))
            yield
            raise KeyError("roll back")
    finally:
        ledger.close()


def kill_before_registration(world: World) -> None:
    """Kill a launch when its plan is whole and sealed, and the ledger does not know it."""
    with hold_ledger(world.ledger_url):
        process = world.start_launch()
        wait_until(lambda: count_sealed(world) == 1)
        process.kill()
        process.wait()
    assert world.accepted_count() == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_launch_killed_before_it_was_registered_is_planned_again(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
):
    ledger = request.getfixturevalue("postgres").make_database() if kind == "postgresql" else None
    with open_world(tmp_path, ledger=ledger) as world:
        world.write_people(OLD)
        kill_before_registration(world)
        correct(world)
        check_corrected_mail(world)


@pytest.mark.parametrize("begun", [False, True])
def test_a_folder_that_an_older_version_left_is_set_aside_unless_it_was_begun(world: World, *, begun: bool):
    """An older version froze a run's folder first, and then registered it."""
    world.write_people(OLD)
    kill_before_registration(world)
    (sealed,) = (world.folder / ".mailrun" / "staging").glob("*/*/*")
    shutil.move(sealed, world.run_folder)
    document = json.loads((world.run_folder / "run.json").read_bytes())
    del document["registrar"]
    (world.run_folder / "run.json").write_text(json.dumps(document))
    correct(world)
    if begun:
        (world.run_folder / "begun").write_text("2026-11-24T09:00:00+00:00")
        refused = world.launch()
        assert (refused.code, "--after-restore" in refused.stderr) == (65, True)
        assert world.accepted() == []
        return
    launched = world.launch()
    assert launched.code == 0
    assert "launch.orphaned" in launched.stderr
    assert len(list((world.folder / ".mailrun/orphaned/hello/test").glob("*/run.json"))) == 1
    assert check_invariants(world) == {Outcome.SENT: NEW}
