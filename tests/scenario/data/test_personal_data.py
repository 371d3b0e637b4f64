"""A person who was forgotten is nowhere any more, stays suppressed, and the accounts stay balanced."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from support.world import RUN, World

from engine.ledger.database import open_ledger
from engine.ledger.figures.pace import PaceStep, read_pace
from engine.ledger.schema import forgotten_table

PERSON = "Person7@Example.com"


def holds(world: World, word: str) -> set[str]:
    """Find the files of the store that hold a word, in Parquet as well; the sandbox's record is the receiver's."""
    store = world.folder / ".mailrun"
    found = set()
    for path in store.rglob("*"):
        if not path.is_file() or "sandbox" in path.parts:
            continue
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path).select(pl.col(pl.String))
            if any(column.str.to_lowercase().str.contains(word).any() for column in frame):
                found.add(str(path.relative_to(store)))
        elif word.encode() in path.read_bytes().lower():
            found.add(str(path.relative_to(store)))
    return found


def test_forgotten_person_is_erased_everywhere_and_stays_suppressed(world: World):
    world.write_people(300)
    rows = (world.folder / "audiences/people.csv").read_text() + "person7@example.com,Once more\n"
    world.write("audiences/people.csv", rows)
    assert world.run("preview", "hello").code == 0
    before = world.launch()
    assert before.code == 0
    assert len(holds(world, "person7@example")) >= 4
    forgotten = world.run("forget", PERSON, "--json")
    assert forgotten.code == 0, forgotten.stderr
    assert forgotten.json["runs"] == {RUN: 2}
    assert holds(world, "person7@example") == set()
    assert holds(world, "name 7\\b") == set()
    audited = world.run("audit", RUN, "--json")
    assert audited.code == 0, audited.stdout
    keys = ("rows_read", "accepted", "excluded", "sent", "unsent", "balanced")
    assert {key: audited.json[key] for key in keys} == {key: before.json[key] for key in keys}
    assert world.run("forget", PERSON, "--json").json["runs"] == {}
    planned = world.run("plan", "hello", "--json").json["excluded"]
    assert planned == {"duplicate": 1, "suppressed": 1}
    ledger = open_ledger(world.ledger_url)
    with ledger.read() as tx:
        (row,) = tx.execute(forgotten_table.select()).all()
    ledger.close()
    assert len(row.digest) == 64


def test_forgotten_recipient_is_not_sent_to(world: World):
    world.write_people(300)
    world.change_sandbox(latency_seconds=0.2)
    process = world.start_launch()
    world.wait_for_accepted(10, process)
    process.kill()
    process.communicate()
    plan = pl.read_parquet(world.run_folder / "plan" / "recipients-*.parquet")
    address = plan["address"][-1]  # of the last lease, which no worker has begun
    assert world.run("forget", address).code == 0
    world.launch()
    assert address not in {to for message in world.accepted() for to in message["to"]}
    audited = world.run("audit", RUN, "--json")
    assert (audited.code, audited.json["failed"]) == (0, 1)


def test_active_run_is_left_for_later_and_reported(world: World):
    world.write_people(1_000)
    world.change_sandbox(max_send_rate=5)  # so that it is being sent however long the other commands take
    process = world.start_launch()
    world.wait_for_accepted(5, process)
    forgotten = world.run("forget", PERSON, "--json")
    assert (forgotten.code, forgotten.json["postponed"]) == (75, [RUN])
    world.run("cancel", RUN)
    process.communicate()
    assert world.run("forget", PERSON).code == 0


def test_invalid_address_is_refused(world: World):
    refused = world.run("forget", "nobody")
    assert refused.code == 64
    assert "this is not an address that mail could be sent to" in refused.stderr


def read_steps(world: World) -> list[PaceStep]:
    """Read the time line of the run."""
    ledger = open_ledger(world.ledger_url)
    try:
        return read_pace(ledger, RUN)
    finally:
        ledger.close()


def test_pruned_runs_lose_their_files_and_keep_their_counts_and_their_key(world: World):
    world.write_people(300)
    sent = world.launch().json
    nothing = {"pruned": [], "elsewhere": {}, "events": [], "history": [], "aside": 0, "removed": [], "unfinished": 0}
    assert world.run("prune", "--older-than", "90d", "--yes", "--json").json == nothing
    assert sum(step.handed_over for step in read_steps(world)) == 300
    pruned = world.run("prune", "--older-than", "0d", "--yes", "--json")
    assert pruned.json == nothing | {"pruned": [RUN]}, pruned.stderr
    assert read_steps(world) == []
    assert not world.run_folder.exists()
    status = world.run("status", RUN, "--json").json
    assert {k: status[k] for k in ("accepted", "sent", "balanced")} == {
        k: sent[k] for k in ("accepted", "sent", "balanced")
    }
    assert world.launch().code == 0
    assert len(world.accepted()) == 300
    audited = world.run("audit", RUN)
    assert audited.code == 64
    assert "were pruned" in audited.stderr
    assert world.run("prune", "--older-than", "soon").code == 64


def test_unneeded_data_is_pruned_wherever_it_is(world: World):
    world.write_people(20)
    assert world.run("preview", "hello").code == 0
    assert world.launch().code == 0
    store = world.folder / ".mailrun"
    (today,) = (store / "history").iterdir()
    old_day, kept_day = (
        today.with_name(f"day={datetime.now(UTC).date() - timedelta(days=days)}") for days in (367, 365)
    )
    for day in (old_day, kept_day):
        shutil.copytree(today, day)
    for folder in ("events/quarantine", "inbound-refused"):
        (store / folder).mkdir(parents=True)
        for name in ("old", "new"):
            (store / folder / f"{name}.json").write_text("person7@example.com")
        age(store / folder / "old.json")
    assert world.run("prune", "--older-than", "90d", "--yes", "--json").json["removed"] == []
    age(store / "previews" / "hello")
    again = world.run("prune", "--older-than", "90d", "--yes", "--json").json
    assert (again["removed"], again["aside"]) == ([str(store / "previews" / "hello")], 0)
    assert not (store / "previews" / "hello").exists()
    assert {path.name for path in (store / "history").iterdir()} == {kept_day.name, today.name}
    assert [path.name for path in (store / "events/quarantine").iterdir()] == ["new.json"]
    assert [path.name for path in (store / "inbound-refused").iterdir()] == ["new.json"]


def age(path: Path) -> None:
    """Make a file or folder, and what is in it, as old as the epoch."""
    for each in (path, *path.rglob("*")):
        os.utime(each, (0, 0))
