"""What removes or rewrites in a store looks first whose run it is: another ledger's or store's run is left alone."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.invariants import check_invariants, count_received
from support.world import RUN, World, finish, open_world

from engine.ledger.journal import Outcome
from engine.store.files import digest_file
from engine.store.sealed import SEALED

PEOPLE = 200
PERSON = "person7@example.com"
PRUNE = ("prune", "--older-than", "0h", "--yes", "--json")


@contextmanager
def open_two(folder: Path) -> Iterator[tuple[World, World]]:
    """Open two workspaces, each with its own ledger, store and receiver."""
    with open_world(folder / "own") as own, open_world(folder / "other", max_send_rate=100.0) as other:
        own.write_people(1)
        other.write_people(PEOPLE)
        yield own, other


def stop_in_mid_run(world: World) -> None:
    process = world.start_launch()
    world.wait_for_accepted(30, process)
    process.terminate()
    assert finish(process).code == 75


def point_at(other: World, own: World) -> tuple[str, ...]:
    """Give the options of a command with one's own ledger and the other's store."""
    return ("--ledger", own.ledger_url, "--store", store_of(other))


def store_of(world: World) -> str:
    return str(world.folder / ".mailrun")


def list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_prune_leaves_another_ledgers_unfinished_run_of_the_same_name(tmp_path: Path):
    with open_two(tmp_path) as (own, other):
        assert own.launch().code == 0
        stop_in_mid_run(other)
        before = list_files(other.run_folder)
        pruned = own.run(*PRUNE, *point_at(other, own))
        assert (pruned.code, pruned.json["pruned"]) == (0, []), pruned.stderr
        assert pruned.json["elsewhere"][RUN].endswith(store_of(own))
        assert list_files(other.run_folder) == before
        told = own.run(*PRUNE[:-1], *point_at(other, own))
        assert f"{RUN} belongs to another store or ledger, " in told.stdout
        assert f"{store_of(own)}: not changed" in told.stdout
        assert other.launch().code == 0
        assert check_invariants(other) == {Outcome.SENT: PEOPLE}
        assert check_invariants(own) == {Outcome.SENT: 1}


def test_prune_leaves_the_run_of_another_ledger_with_the_same_name(tmp_path: Path):
    with open_two(tmp_path) as (own, other):
        own.settings["MAILRUN_STORE"] = store_of(other)
        own.settings["MAILRUN_LEDGER"] = f"sqlite:///{tmp_path / 'own.db'}"
        assert own.launch().code == 0
        assert own.run(*PRUNE).json["pruned"] == [RUN]
        assert not other.run_folder.exists()
        stop_in_mid_run(other)
        before = list_files(other.run_folder)
        assert own.run(*PRUNE).json["pruned"] == []
        assert own.run("forget", PERSON, "--json").code == 0
        assert list_files(other.run_folder) == before
        (other.run_folder / "begun").unlink()  # as after a launch that died before its first message
        own.run(*PRUNE)
        assert list_files(other.run_folder) == before - {"begun"}
        assert other.launch().code == 0
        assert check_invariants(other) == {Outcome.SENT: PEOPLE}


def test_prune_from_another_store_marks_nothing(tmp_path: Path):
    with open_world(tmp_path) as world:
        world.write_people(PEOPLE)
        assert world.launch().code == 0
        ledger = ("--ledger", world.ledger_url, "--store", str(tmp_path / "empty"))
        pruned = world.run(*PRUNE, *ledger)
        assert (pruned.code, pruned.json["pruned"]) == (0, []), pruned.stderr
        assert pruned.json["elsewhere"][RUN].endswith(store_of(world))
        shutil.copytree(store_of(world), tmp_path / "copy", ignore=shutil.ignore_patterns("runs", "ledger.db*"))
        copied = world.run(*PRUNE, "--ledger", world.ledger_url, "--store", str(tmp_path / "copy"))
        assert (copied.json["pruned"], copied.json["elsewhere"]) == ([], {RUN: ""})
        assert world.run("forget", PERSON, "--json").json["runs"] == {RUN: 1}
        assert check_invariants(world) == {Outcome.SENT: PEOPLE}
        assert world.run(*PRUNE).json["pruned"] == [RUN]
        assert not world.run_folder.exists()
        assert world.run("status", RUN, "--json").json["sent"] == PEOPLE


def test_a_ledger_whose_run_another_one_took_over_changes_nothing_of_it(tmp_path: Path):
    with open_world(tmp_path) as world:
        world.write_people(PEOPLE)
        assert world.launch().code == 0
        heir = ("--ledger", f"sqlite:///{tmp_path / 'heir.db'}")
        assert world.run("resolve", RUN, "--after-restore", "--json", *heir).code == 0
        next(world.run_folder.glob("outcomes/*.parquet")).with_suffix(".kept").touch()
        before = list_files(world.run_folder)
        assert world.run(*PRUNE).json["elsewhere"] == {RUN: heir[1]}
        forgotten = world.run("forget", PERSON, "--json")
        assert (forgotten.code, forgotten.json["runs"], forgotten.json["elsewhere"]) == (0, {}, {RUN: heir[1]})
        for command in (("audit", RUN), ("resolve", RUN, "--skip")):
            refused = world.run(*command)
            assert (refused.code, "heir.db" in refused.stderr) == (65, True), refused.stderr
        assert list_files(world.run_folder) == before
        audited = world.run("audit", RUN, "--json", *heir).json
        assert (audited["balanced"], audited["sent"]) == (True, PEOPLE)
        assert count_received(world).total() == PEOPLE


def test_a_sealed_plan_of_another_ledger_is_left_to_it(tmp_path: Path):
    with open_two(tmp_path) as (own, other):
        assert other.launch().code == 0
        sealed = other.folder / ".mailrun" / SEALED / "hello" / "next" / digest_file(other.run_folder / "run.json")
        for part in ("campaign", "plan"):
            shutil.copytree(other.run_folder / part, sealed / part)
        shutil.copy(other.run_folder / "run.json", sealed)
        for path in sealed.rglob("*"):
            os.utime(path, (0, 0))
        assert own.run(*PRUNE, *point_at(other, own)).json["removed"] == []
        forgotten = own.run("forget", PERSON, "--json", *point_at(other, own)).json
        assert (forgotten["removed"], forgotten["elsewhere"]) == ([], {"hello/next": other.ledger_url})
        assert (sealed / "run.json").exists()
        assert len(other.run("forget", PERSON, "--json").json["removed"]) == 1
        assert not sealed.exists()
        assert check_invariants(other) == {Outcome.SENT: PEOPLE}
