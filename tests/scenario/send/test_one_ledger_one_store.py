"""A run belongs to one ledger and one store: a second of either is refused, also in the same second."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from support import s3
from support.invariants import check_invariants, count_received
from support.postgres import Cluster
from support.world import RUN, Finished, World, finish, open_world

from engine.ledger.journal import Outcome

PEOPLE = 600


@contextmanager
def open_with_bucket(folder: Path) -> Iterator[World]:
    with s3.run_moto() as url, open_world(folder) as world:
        world.settings |= {"MAILRUN_STORE": f"s3://{s3.BUCKET}/store", "AWS_ENDPOINT_URL_S3": url}
        world.write_people(PEOPLE)
        yield world


def make_other_machine(world: World, name: str = "other") -> Path:
    """Copy the workspace without the files of the first machine alone; returns the new one."""
    other = world.folder.parent / f"{world.folder.name}-{name}"
    shutil.copytree(world.folder, other, ignore=shutil.ignore_patterns(".mailrun", "record"))
    return other


def launch_on_both(world: World, other: Path) -> tuple[Finished, Finished]:
    """Launch in the same second on this machine and another one; returns the one that sent, and the other."""
    started = [world.start_launch(), world.fork("launch", "hello", "--key", "test", "--json", folder=other)]
    ended = [finish(process) for process in started]
    assert sorted(one.code for one in ended) == [0, 65], [one.stderr for one in ended]
    return (ended[0], ended[1]) if ended[0].code == 0 else (ended[1], ended[0])


def check_each_got_one(world: World, sent: Finished) -> None:
    assert (sent.json["state"], sent.json["sent"]) == ("finished", PEOPLE)
    received = count_received(world)
    assert (len(received), set(received.values())) == (PEOPLE, {1})


def test_two_ledgers_with_one_bucket_in_the_same_second_send_once(tmp_path: Path):
    with open_with_bucket(tmp_path) as world:
        other = make_other_machine(world)
        sent, refused = launch_on_both(world, other)
        assert "is not the one that hello/test was launched with" in refused.stderr
        assert "ledger.db" in refused.stderr
        assert f"mailrun resolve {RUN} --after-restore" in refused.stderr
        check_each_got_one(world, sent)
        again = [world.launch(), world.run("launch", "hello", "--key", "test", "--json", folder=other)]
        assert sorted(one.code for one in again) == [0, 65]
        check_each_got_one(world, sent)


def test_mark_of_another_ledger_stops_a_run_of_both_ledgers(tmp_path: Path):
    """As in two ledgers before run.json named one: the mark is created once, and decides."""
    with open_with_bucket(tmp_path) as world:
        process = world.start_launch("--limit", "100")
        assert finish(process).code == 0
        known = world.folder / ".mailrun"
        other = make_other_machine(world)
        shutil.copytree(known, other / ".mailrun")
        with closing(sqlite3.connect(other / ".mailrun" / "ledger.db")) as ledger:
            ledger.execute("UPDATE identity SET ledger = 'another'")
            ledger.execute("UPDATE run SET state = 'planned', finished_at = NULL")
            ledger.execute("UPDATE lease SET epoch = 0, settled_at = NULL, outcomes_file = NULL")
            ledger.commit()
        refused = world.run("launch", "hello", "--key", "test", "--json", folder=other)
        assert refused.code == 65
        assert f"is not the one that {RUN} was launched with" in refused.stderr
        assert set(count_received(world).values()) == {1}


def test_mark_with_only_a_time_is_continued_by_the_ledger_of_the_run(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=100.0) as world:
        world.write_people(PEOPLE)
        process = world.start_launch()
        world.wait_for_accepted(50, process)
        process.terminate()
        assert finish(process).code == 75
        (world.run_folder / "begun").write_text("2026-11-24T09:00:00+00:00")
        assert world.launch().code == 0
        assert check_invariants(world) == {Outcome.SENT: PEOPLE}


def test_one_ledger_with_two_stores_in_the_same_second_sends_to_all_once(tmp_path: Path, postgres: Cluster):
    with open_world(tmp_path, ledger=postgres.make_database()) as world:
        world.write_people(PEOPLE)
        other = make_other_machine(world)
        sent, refused = launch_on_both(world, other)
        assert f"the run {RUN} belongs to another store: it was launched with " in refused.stderr
        assert str(Path(sent.json["store"]).parent.parent.parent) in refused.stderr
        assert "--store or MAILRUN_STORE" in refused.stderr
        check_each_got_one(world, sent)
        joined = world.run("work", RUN, "--json", "--store", str(tmp_path / "empty"))
        assert (joined.code, "belongs to another store" in joined.stderr) == (0, False)  # it is finished


def test_copied_store_with_one_ledger_is_refused_by_name(tmp_path: Path, postgres: Cluster):
    """A copy has the identity of what it was copied from, and not what is frozen there later."""
    with open_world(tmp_path, ledger=postgres.make_database()) as world:
        world.write_people(PEOPLE)
        assert world.run("launch", "hello", "--key", "before", "--limit", "1", "--json").code == 0
        other = make_other_machine(world)
        shutil.copytree(world.folder / ".mailrun", other / ".mailrun")
        sent, refused = launch_on_both(world, other)
        folder = other if Path(sent.json["store"]).is_relative_to(world.folder) else world.folder
        assert f"the files of the run {RUN} cannot be read: this store does not have them" in refused.stderr
        assert f"{folder / '.mailrun'}, runs/{RUN}" in refused.stderr
        assert "use the store with the run's files (--store or MAILRUN_STORE)" in refused.stderr
        check_each_got_one(world, sent)


def test_worker_without_the_store_is_refused_and_another_path_is_fine(tmp_path: Path, postgres: Cluster):
    with open_world(tmp_path, ledger=postgres.make_database(), max_send_rate=100.0) as world:
        world.write_people(PEOPLE)
        launch = world.start_launch()
        world.wait_for_accepted(50, launch)
        launch.terminate()
        assert finish(launch).code == 75
        blind = world.run("work", RUN, "--json", "--store", str(tmp_path / "empty"))
        assert (blind.code, "belongs to another store" in blind.stderr) == (65, True)
        mounted = tmp_path / "mounted-elsewhere"
        mounted.symlink_to(world.folder / ".mailrun")
        ended = world.run("work", RUN, "--json", "--store", str(mounted))
        assert ended.code == 0, ended.stderr
        assert check_invariants(world) == {Outcome.SENT: PEOPLE}


def test_a_lost_ledger_is_replaced_by_one_that_adopts_the_run(tmp_path: Path):
    with open_with_bucket(tmp_path) as world:
        assert world.launch().code == 0
        shutil.rmtree(world.folder / ".mailrun")
        assert world.launch().code == 65
        assert world.run("resolve", RUN, "--after-restore", "--json").json["in_doubt"] == 0
        again = world.launch()
        assert (again.code, again.json["sent"]) == (0, PEOPLE)
        check_each_got_one(world, again)
        decisions = world.run("status", RUN, "--json").json["decisions"]
        assert "adopt" in json.dumps(decisions)
