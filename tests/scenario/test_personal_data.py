"""A person who was forgotten is nowhere any more, stays suppressed, and the accounts stay balanced."""

import polars as pl
from support.world import RUN, World

from engine.ledger.database import open_ledger
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


def test_a_forgotten_person_is_erased_everywhere_stays_suppressed_and_the_accounts_balance(world: World):
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


def test_who_is_forgotten_before_being_sent_to_is_not_sent_to(world: World):
    world.write_people(300)
    world.change_sandbox(latency_seconds=0.2)
    process = world.start_launch()
    world.wait_for_accepted(10, process)
    process.kill()
    process.communicate()
    plan = pl.read_parquet(world.run_folder / "plan" / "recipients-*.parquet")
    address = plan["address"][-1]  # of the last lease: nobody has begun it
    assert world.run("forget", address).code == 0
    world.launch()
    assert address not in {to for message in world.accepted() for to in message["to"]}
    audited = world.run("audit", RUN, "--json")
    assert (audited.code, audited.json["failed"]) == (0, 1)


def test_a_run_that_is_being_sent_is_left_for_later_and_said(world: World):
    world.write_people(300)
    world.change_sandbox(max_send_rate=50)
    process = world.start_launch()
    world.wait_for_accepted(10, process)
    forgotten = world.run("forget", PERSON, "--json")
    assert (forgotten.code, forgotten.json["postponed"]) == (75, [RUN])
    world.run("cancel", RUN)
    process.communicate()
    assert world.run("forget", PERSON).code == 0


def test_what_is_no_address_is_refused(world: World):
    refused = world.run("forget", "nobody")
    assert refused.code == 64
    assert "no address" in refused.stderr


def test_pruned_runs_lose_their_files_and_keep_their_counts_and_their_key(world: World):
    world.write_people(300)
    sent = world.launch().json
    assert world.run("prune", "--older-than", "90d", "--yes", "--json").json == {"pruned": [], "events": []}
    pruned = world.run("prune", "--older-than", "0d", "--yes", "--json")
    assert pruned.json == {"pruned": [RUN], "events": []}, pruned.stderr
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
