"""A ledger that is older than what was sent is recognized, and nothing is sent again silently."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support import s3
from support.invariants import check_invariants, count_received
from support.postgres import Cluster
from support.soak import choose
from support.world import CAMPAIGN, RUN, World, finish, open_world

from engine.delivery.pacing.concurrency import MOST_WHERE_LATE
from engine.ledger.journal import Outcome

pytestmark = pytest.mark.timeout(300)
BULK = CAMPAIGN + '\n[delivery]\ncall = "bulk"\n'


def back_up(world: World, target: Path) -> None:
    """Back the ledger up while workers write to it, as in docs/guides/back-up-and-restore.md."""
    with (
        closing(sqlite3.connect(world.folder / ".mailrun/ledger.db")) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)


def restore(world: World, backup: Path) -> None:
    for file in (world.folder / ".mailrun").glob("ledger.db-*"):
        file.unlink()
    shutil.copy(backup, world.folder / ".mailrun/ledger.db")  # in place: not even the inode differs


def run_for_a_while(world: World, backup: Path) -> None:
    """Back up early in a lease, go on sending, then die."""
    process = world.start_launch()
    world.wait_for_accepted(20, process)
    back_up(world, backup)
    world.wait_for_accepted(120, process)
    process.kill()
    process.communicate()


def check_nobody_got_it_twice(world: World, people: int) -> None:
    refused = world.launch()
    assert refused.code == 65
    assert "older than what was sent" in refused.stderr
    assert f"mailrun resolve {RUN} --after-restore" in refused.stderr
    stands = count_received(world)
    audited = world.run("audit", RUN)
    assert audited.code in (64, 65)  # 64: the run is not in the ledger
    assert audited.code == 64 or "older than what was sent" in audited.stdout
    held = world.run("resolve", RUN, "--after-restore", "--json")
    assert held.code == 0, held.stderr
    assert world.launch().code in (0, 3)
    received = count_received(world)
    assert stands <= received
    assert set(received.values()) == {1}
    told = world.run("audit", RUN, "--json").json
    assert told["sent"] + told["in_doubt"] == people
    assert world.run("resolve", RUN, "--sent", "--file", str(world.record_folder / "accepted.jsonl")).code == 0
    settled = world.run("status", RUN, "--json").json
    assert settled["sent"] == len(received)


@contextmanager
def open_world_in(kind: str, folder: Path, ledger: str | None = None) -> Iterator[World]:
    """Open a world whose store is a folder or a bucket."""
    with open_world(folder, ledger=ledger, max_send_rate=100.0) as world:
        if kind == "folder":
            yield world
            return
        with s3.run_moto() as url:
            world.settings |= {"MAILRUN_STORE": f"s3://{s3.BUCKET}/store", "AWS_ENDPOINT_URL_S3": url}
            yield world


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_backup_restored_over_the_ledger_is_found_out_within_a_lease(kind: str, tmp_path: Path):
    with open_world_in(kind, tmp_path) as world:
        world.write_people(400)
        run_for_a_while(world, tmp_path / "backup.db")
        restore(world, tmp_path / "backup.db")
        check_nobody_got_it_twice(world, 400)


def test_lost_ledger_is_not_begun_again(world: World):
    world.write_people(600)
    assert world.launch().code == 0
    for file in (world.folder / ".mailrun").glob("ledger.db*"):
        file.unlink()
    check_nobody_got_it_twice(world, 600)
    assert check_invariants(world) == {Outcome.SENT: 600}


def test_restore_without_losses_continues_as_after_any_crash(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=200.0) as world:
        world.write_people(400)
        process = world.start_launch()
        world.wait_for_accepted(50, process)
        process.terminate()
        finish(process)
        back_up(world, tmp_path / "backup.db")
        restore(world, tmp_path / "backup.db")
        assert world.launch().code == 0
        assert check_invariants(world) == {Outcome.SENT: 400}


@pytest.mark.parametrize(
    ("kind", "how"),
    choose(("folder", "backup"), ("bucket", "VACUUM INTO"), ("folder", "VACUUM INTO"), ("bucket", "backup"), short=2),
)
def test_a_backup_of_a_small_run_that_has_ended_since_is_recognized(kind: str, how: str, tmp_path: Path):
    """One lease, open in the backup, settled under the same epoch."""
    with open_world_in(kind, tmp_path) as world:
        world.write_people(60)
        process = world.start_launch()
        world.wait_for_accepted(20, process)
        if how == "backup":
            back_up(world, tmp_path / "backup.db")
        else:
            with closing(sqlite3.connect(world.folder / ".mailrun/ledger.db")) as live:
                live.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
        assert finish(process).code == 0
        restore(world, tmp_path / "backup.db")
        check_nobody_got_it_twice(world, 60)
        told = world.run("status", RUN, "--json").json
        assert (told["sent"], told["in_doubt"]) == (60, 0)  # all of them are in the store


def test_sqlite_with_a_bucket_on_a_new_machine_holds_the_rest_in_doubt(tmp_path: Path):
    with open_world_in("bucket", tmp_path) as world:
        world.write_people(400)
        run_for_a_while(world, tmp_path / "backup.db")
        restore(world, tmp_path / "backup.db")
        shutil.rmtree(world.folder / ".mailrun" / "marks")
        shutil.rmtree(world.folder / ".mailrun" / "copies")
        check_nobody_got_it_twice(world, 400)


def test_sqlite_with_a_bucket_moves_to_another_machine_when_stopped(tmp_path: Path):
    with open_world_in("bucket", tmp_path) as world:
        world.write_people(100)
        process = world.start_launch()
        world.wait_for_accepted(30, process)
        process.terminate()
        assert finish(process).code == 75
        back_up(world, tmp_path / "moved.db")
        restore(world, tmp_path / "moved.db")
        shutil.rmtree(world.folder / ".mailrun" / "marks")
        assert world.launch().code == 0
        assert set(count_received(world).values()) == {1}
        assert len(count_received(world)) == 100


def test_copy_of_a_postgresql_database_is_recognized_after_a_bulk_run(tmp_path: Path, postgres: Cluster):
    url = postgres.make_database()
    with open_world_in("bucket", tmp_path, url) as world:
        world.write("campaigns/hello/campaign.toml", BULK)
        world.write_people(300)
        process = world.start_launch()
        world.wait_for_accepted(100, process)
        process.terminate()  # a template must have no sessions
        assert finish(process).code == 75
        copied = postgres.copy_database(url)
        assert world.launch().code == 0
        world._ledger = copied
        shutil.rmtree(world.folder / ".mailrun" / "marks", ignore_errors=True)  # as on another machine
        check_nobody_got_it_twice(world, 300)


# Where a dump is restored: into another database, over the tables that it was made from, or into them.
RESTORES = {
    "elsewhere": (),
    "in place": ("--clean", "--if-exists"),
    "data alone": ("--data-only", "--disable-triggers"),
}


@pytest.mark.parametrize(
    ("kind", "how"), choose(("folder", "elsewhere"), ("bucket", "data alone"), ("bucket", "in place"), short=2)
)
def test_a_dump_restored_into_postgresql_is_found_out(kind: str, how: str, tmp_path: Path, postgres: Cluster):
    url, dump = postgres.make_database(), postgres.folder.parent / f"{tmp_path.name}.dump"
    with open_world_in(kind, tmp_path, url) as world:
        world.write_people(400)
        process = world.start_launch()
        world.wait_for_accepted(20, process)
        postgres.dump(url, dump)
        world.wait_for_accepted(120, process)
        process.kill()
        process.communicate()
        shutil.rmtree(world.folder / ".mailrun" / "marks", ignore_errors=True)  # as on another machine
        if how == "elsewhere":
            world._ledger = postgres.make_database()
        elif how == "data alone":
            postgres.empty(url)
        postgres.restore(world.ledger_url, dump, *RESTORES[how])
        check_nobody_got_it_twice(world, 400)


def test_after_a_restore_only_what_the_ledger_has_lost_is_in_doubt(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=100.0) as world:
        world.write_people(2000)  # leases of 250
        run_for_a_while(world, tmp_path / "backup.db")
        restore(world, tmp_path / "backup.db")
        world.launch()
        held = world.run("resolve", RUN, "--after-restore", "--json").json
        assert 0 < held["in_doubt"] <= 250
        assert held["unsent"] >= 1750 - MOST_WHERE_LATE


def test_ledger_restored_to_before_a_resolve_is_named_by_every_command(tmp_path: Path):
    with open_world(tmp_path) as world:
        world.write_people(40)
        world.fault("no_answer", count=None, after=30)
        process = world.start_launch()
        world.wait_for_accepted(31, process)
        process.kill()
        process.communicate()
        world.clear_faults()
        assert world.launch().code == 3
        back_up(world, tmp_path / "backup.db")
        assert world.run("resolve", RUN, "--skip").code == 0
        restore(world, tmp_path / "backup.db")
        received = count_received(world)
        for command in (("launch", "hello", "--key", "test"), ("resolve", RUN), ("resolve", RUN, "--resend")):
            refused = world.run(*command)
            assert refused.code == 65, command
            assert "older than what was sent" in refused.stderr
            assert "--after-restore" in refused.stderr
        assert world.run("resolve", RUN, "--after-restore").code == 0
        audited = world.run("audit", RUN, "--json")
        assert (audited.code, audited.json["in_doubt"]) == (0, 0)
        assert audited.json["sent"] + audited.json["failed"] == 40
        assert count_received(world) == received
