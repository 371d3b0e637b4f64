"""A launch that ended before its run was registered: the next one of the key sends what is right by then."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from support import s3
from support.invariants import check_invariants, count_received
from support.postgres import run_cluster
from support.world import RUN, World, finish, open_world, wait_until

from engine.errors import UnreachableError
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
    if "MAILRUN_STORE" in world.settings:  # a bucket, whose files are not read from here
        told = world.run("audit", RUN, "--json")
        assert (told.code, told.json["sent"], told.json["balanced"]) == (0, NEW, True)
        assert set(count_received(world).values()) == {1}
    else:
        assert check_invariants(world) == {Outcome.SENT: NEW}
    bodies = [json.dumps(message) for message in world.accepted()]
    assert all("this is right" in body and "how are you" not in body for body in bodies)
    assert sorted(message["to"] for message in world.accepted()) == sorted(
        [f"person{i}@example.com"] for i in range(NEW)
    )
    assert count_sealed(world) == 0


def count_sealed(world: World) -> int:
    """Count the plans that are sealed and belong to no run."""
    if "MAILRUN_STORE" not in world.settings:
        return len(list((world.folder / ".mailrun" / "staging").glob("*/*/*")))
    client = s3.open_client(world.settings["AWS_ENDPOINT_URL_S3"])
    try:
        listed = client.list_objects_v2(Bucket=s3.BUCKET, Prefix="store/staging/").get("Contents", [])
    finally:
        client.close()
    return sum(item["Key"].endswith("/run.json") for item in listed)  # the last of a plan's files


@contextmanager
def hold_ledger(url: str) -> Iterator[None]:
    """Block the registration of runs for as long as the block lasts, or the server lives."""
    ledger = open_ledger(url)
    read_identity(ledger)
    try:
        with suppress(KeyError, UnreachableError), ledger.write() as tx:
            if tx.dialect.name == "postgresql":
                tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                tx.execute(text("LOCK TABLE run IN EXCLUSIVE MODE"))
            yield
            raise KeyError("roll back")
    finally:
        ledger.close()


def kill_before_registration(world: World) -> None:
    """Kill a launch when its plan is whole and sealed, and not registered in the ledger."""
    with hold_ledger(world.ledger_url):
        process = world.start_launch()
        wait_until(lambda: count_sealed(world) == 1)
        process.kill()
        process.wait()
    assert world.accepted_count() == 0


@contextmanager
def open_world_in(store: str, folder: Path, ledger: str | None = None) -> Iterator[World]:
    with ExitStack() as stack:
        world = stack.enter_context(open_world(folder, ledger=ledger))
        if store == "bucket":
            url = stack.enter_context(s3.run_moto())
            world.settings |= {"MAILRUN_STORE": f"s3://{s3.BUCKET}/store", "AWS_ENDPOINT_URL_S3": url}
        world.write_people(OLD)
        yield world


@pytest.mark.parametrize(("kind", "store"), [("sqlite", "folder"), ("postgresql", "folder"), ("sqlite", "bucket")])
def test_a_launch_killed_before_it_was_registered_is_planned_again(
    kind: str, store: str, tmp_path: Path, request: pytest.FixtureRequest
):
    ledger = request.getfixturevalue("postgres").make_database() if kind == "postgresql" else None
    with open_world_in(store, tmp_path, ledger) as world:
        kill_before_registration(world)
        correct(world)
        check_corrected_mail(world)


def test_a_launch_that_gave_up_on_a_locked_ledger_is_planned_again(world: World):
    world.write_people(OLD)
    world.constants = {"engine.ledger.connect.BUSY_TIMEOUT_SECONDS": 3}
    with hold_ledger(world.ledger_url):
        stopped = world.launch()
    world.constants = {}
    assert stopped.code == 75, stopped.stderr
    assert "held the ledger for 3 s" in stopped.stderr
    assert (count_sealed(world), world.accepted()) == (1, [])
    correct(world)
    check_corrected_mail(world)


def test_launch_that_lost_its_server_before_registering_is_planned_again(tmp_path: Path):
    with run_cluster() as cluster, open_world_in("folder", tmp_path, cluster.make_database()) as world:
        with hold_ledger(world.ledger_url):
            process = world.start_launch()
            wait_until(lambda: count_sealed(world) == 1)
            cluster.stop("immediate")
            stopped = finish(process)
        assert stopped.code == 75, stopped.stderr
        assert "the ledger cannot be reached" in stopped.stderr
        assert (count_sealed(world), world.accepted()) == (1, [])
        cluster.start()
        correct(world)
        check_corrected_mail(world)


@pytest.mark.parametrize("begun", [False, True])
def test_folder_of_an_older_version_is_set_aside_unless_it_was_begun(world: World, *, begun: bool):
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
