"""Stories of audiences, through the command line."""

import csv
from datetime import UTC, datetime

import polars as pl
import pytest
from support.invariants import check_invariants
from support.world import CAMPAIGN, World

from engine.ledger.database import open_ledger
from engine.ledger.suppressed.suppressions import Suppression, add_suppressions

CAPPED = CAMPAIGN + "\n[cap]\nmessages = 1\ndays = 7\n"


def test_plan_explains_an_address_and_exports_the_excluded(world: World) -> None:
    world.write("audiences/people.csv", "email,first_name\nann@x.example,Ann\nANN@x.example,A\n=cmd()@x,E\n")
    told = world.run("plan", "hello", "--explain", "Ann <ANN@x.example>", "--export-excluded", "out.csv")
    assert told.code == 0, told.stderr
    assert "audiences/people.csv line 2: a recipient, number 1 of the plan (lease 0)" in told.stdout
    assert "line 3: excluded as duplicate: the same address as in audiences/people.csv line 2" in told.stdout
    assert "exported: 2 excluded rows to out.csv" in told.stdout
    with (world.folder / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["line"], row["reason"], row["address"]) for row in rows] == [
        ("3", "duplicate", "ANN@x.example"),
        ("4", "invalid_address", "'=cmd()@x"),
    ]
    as_json = world.run("plan", "hello", "--explain", "ann@x.example", "--json").json
    assert [row["verdict"] for row in as_json["explained"]["rows"]] == ["recipient", "excluded"]


def test_damaged_file_is_refused_and_leniently_every_row_is_reported(world: World) -> None:
    world.write("audiences/people.csv", 'email,first_name\nann@x.example,"Ann\nbob@x.example,Bob\neve@x.example,Eve\n')
    refused = world.run("plan", "hello")
    assert refused.code == 65
    assert "a quote is opened and not closed" in refused.stderr
    assert "audiences/people.csv, line 2" in refused.stderr
    assert "--lenient" in refused.stderr
    told = world.run("plan", "hello", "--lenient", "--json").json
    assert (told["rows_read"], told["accepted"], told["excluded"]) == (3, 2, {"malformed_row": 1})
    launched = world.launch("--yes", "--lenient")
    assert launched.code == 0, launched.stderr
    assert check_invariants(world)


def test_sent_recipient_is_capped_in_the_next_run_of_any_campaign(world: World) -> None:
    world.write("campaigns/hello/campaign.toml", CAPPED)
    world.write_people(5)
    assert world.launch("--yes").json["sent"] == 5
    world.write_people(8)
    told = world.run("plan", "hello", "--json").json
    assert (told["accepted"], told["excluded"]) == (3, {"capped": 5})
    assert world.launch("--yes").json["sent"] == 5  # the run is finished: no recipient is sent to again
    history = pl.read_parquet(world.folder / ".mailrun" / "history" / "**" / "*.parquet", hive_partitioning=False)
    assert sorted(history["key"]) == [f"person{number}@example.com" for number in range(5)]
    assert set(history["run"]) == {"hello/test"}
    assert check_invariants(world)


def test_sandbox_messages_do_not_count_for_the_cap(world: World) -> None:
    world.write("campaigns/hello/campaign.toml", CAPPED)
    world.write_people(3)
    assert world.launch("--sandbox").json["sent"] == 3
    assert world.run("plan", "hello", "--json").json["accepted"] == 3


def test_the_ledgers_suppressions_apply(world: World) -> None:
    world.write_people(3)
    assert world.run("plan", "hello").code == 0
    ledger = open_ledger(world.ledger_url)
    with ledger.write() as tx:
        at = datetime(2026, 11, 24, tzinfo=UTC)
        add_suppressions(tx, [Suppression("person1@example.com", "news", "hard bounce", "an event", at)])
    ledger.close()
    told = world.run("plan", "hello", "--explain", "person1@example.com")
    assert "excluded as suppressed: suppressed by the ledger: hard bounce, an event" in told.stdout


def test_guessed_encoding_is_reported(world: World) -> None:
    people = "".join(f"p{n}@x.example,{name}\n" for n, name in enumerate(["Jürgen", "Françoise", "José", "Søren"] * 5))
    (world.folder / "audiences" / "people.csv").write_bytes(("email,first_name\n" + people).encode("windows-1252"))
    assert "note: audiences/people.csv: read as windows-1252" in world.run("plan", "hello").stdout
    for command in ("preview", "check"):
        told = world.run(command, "hello", "--json")
        (found,) = [one for one in told.json["findings"] if one["code"] == "guessed_encoding"]
        assert (told.code, found["severity"]) == (0, "warning")
        assert 'read as windows-1252, as its bytes suggest ("Jürgen")' in found["what"]


def test_ambiguous_encoding_is_refused(world: World) -> None:
    unclear = "email;first_name\np0@x.example;Şahin\n".encode("windows-1254")
    (world.folder / "audiences" / "people.csv").write_bytes(unclear)
    (world.folder / "gone.csv").write_bytes(unclear)
    for command in (("plan", "hello"), ("check", "hello"), ("suppress", "import", "gone.csv")):
        told = world.run(*command)
        assert (told.code, "Þahin" in told.stderr, "Şahin" in told.stderr) == (65, True, True)
        assert '[audience] encoding = "windows-1252" or' in told.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("where = \"first_name = 'A' ADN 1 = 1\"", ["first_name = 'A' ADN 1 = 1", "                    ^"]),
        ('encoding = "klingon"', ['encoding is not a known encoding: "klingon"']),
        ('order_by = "points sideways"', ['order_by names "points sideways", which is not a column to order by']),
        ('dedupe = "nothing"', ["dedupe"]),
        ("hold_out = 200", ["hold_out"]),
        ('checks = { mx = "maybe" }', ["mx"]),
        ('columns = ["a"]', ["[audience] sets columns, but the header row names the columns"]),
    ],
)
def test_mistake_in_campaign_toml_is_reported_with_its_place(line: str, words: list[str], world: World) -> None:
    world.write_people(1)
    world.write("campaigns/hello/campaign.toml", CAMPAIGN.replace("[content]", f"{line}\n\n[content]"))
    told = world.run("plan", "hello")
    assert told.code in (65, 78)
    assert all(word in told.stderr for word in words), told.stderr
    assert "campaign.toml" in told.stderr
