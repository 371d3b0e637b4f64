"""An operator keeps the suppression list by commands."""

import csv
import json
import os
import stat
from contextlib import closing
from typing import Any

import boto3
import polars as pl
from support.events import make_event_of, write_events
from support.world import World


def suppress(world: World, *arguments: str, code: int = 0) -> dict[str, Any]:
    finished = world.run("suppress", *arguments, "--json")
    assert finished.code == code, finished.stderr
    return finished.json


def test_added_address_is_not_mailed_and_removed_one_is_again(world: World) -> None:
    world.write_people(3)
    assert suppress(world, "add", "Person1@example.com", "nobody@example.com") == {
        "added": 2,
        "already": 0,
        "forgotten": 0,
    }
    assert suppress(world, "add", "person1@EXAMPLE.com") == {"added": 0, "already": 1, "forgotten": 0}
    (told,) = suppress(world, "check", "person1@example.com")["addresses"]
    assert told["suppressed"]
    assert told["entries"][0]["reason"] == "manual"
    assert "@" in told["entries"][0]["source"], "who did it"
    assert world.launch().json["excluded"] == {"suppressed": 1}
    assert suppress(world, "remove", "person1@example.com")["removed"] == 1
    assert not suppress(world, "check", "person1@example.com")["addresses"][0]["suppressed"]
    finished = world.run("launch", "hello", "--key", "again", "--json")
    assert finished.json["excluded"] == {}


def test_nothing_that_adds_writes_the_address_of_a_forgotten_person_again(world: World) -> None:
    assert world.run("forget", "Gone@example.com").code == 0
    world.write("list.csv", "email\nGONE@example.com\nhere@example.com\n")
    told = suppress(world, "import", "list.csv")
    assert (told["entries"], told["added"], told["already"], told["forgotten"]) == (2, 1, 0, 1)
    assert suppress(world, "add", "gone@example.com", "--topic", "news") == {"added": 0, "already": 0, "forgotten": 1}
    assert suppress(world, "check", "gone@example.com")["addresses"][0]["suppressed"]
    for path in (world.folder / ".mailrun").rglob("*"):
        assert path.is_dir() or b"gone@" not in path.read_bytes().lower(), path


def test_a_suppressed_domain_is_not_mailed_by_plan_or_during_a_run(world: World) -> None:
    """The domain's people get nothing, others do; the accounts and the receiver's record agree."""
    people = ["a@rival.example", "b@sub.rival.example", "c@example.com"]
    world.write("audiences/people.csv", "email,first_name\n" + "".join(f"{one},Ann\n" for one in people))
    assert suppress(world, "add", "@Rival.example")["added"] == 1
    (told,) = suppress(world, "check", "a@rival.example")["addresses"]
    assert (told["suppressed"], told["entries"][0]["address"]) == (True, "@rival.example")
    assert not suppress(world, "check", "b@sub.rival.example")["addresses"][0]["suppressed"]
    launched = world.launch().json
    assert (launched["excluded"], launched["sent"], launched["balanced"]) == ({"suppressed": 1}, 2, True)
    assert sorted(one["to"][0] for one in world.accepted()) == people[1:]
    assert suppress(world, "export", "out.csv")["entries"] == 1
    assert suppress(world, "remove", "*@rival.example")["removed"] == 1
    assert suppress(world, "import", "out.csv")["added"] == 1
    assert suppress(world, "list")["entries"][0]["address"] == "@rival.example"


def test_an_opt_out_from_a_topic_never_stops_transactional_mail(world: World) -> None:
    """Whatever the file, the run or the person is called."""
    world.write_people(2)
    world.write("bounces-and-optouts.csv", "email\nperson0@example.com\n")
    suppress(world, "import", "bounces-and-optouts.csv", "--topic", "news", "--reason", "unsubscribe")
    suppress(world, "add", "person1@example.com", "--topic", "bounces", "--reason", "unsubscribe")
    launched = world.launch().json
    assert (launched["excluded"], launched["sent"]) == ({}, 2)
    assert len(world.accepted()) == 2


def test_an_opt_out_from_a_run_named_bounceback_stops_marketing_alone(world: World) -> None:
    """The source of the entry names the run; the next transactional run reaches the recipient anyway."""
    world.write_people(2)
    assert world.run("launch", "hello", "--key", "bounceback", "--json").code == 0
    preferences = {"topicSubscriptionStatus": [{"topicName": "news", "subscriptionStatus": "OptOut"}]}
    opt_out = make_event_of(world.accepted()[0], "Subscription", newTopicPreferences=preferences)
    write_events(world.folder / "events.jsonl", [opt_out])
    assert world.run("events", "import", "events.jsonl", "--json").json["suppressed"] == 1
    (entry,) = suppress(world, "list")["entries"]
    assert (entry["topic"], entry["scope"], entry["source"]) == ("news", "topic", "run hello/bounceback")
    launched = world.launch().json
    assert (launched["excluded"], launched["sent"], launched["balanced"]) == ({}, 2, True)


def test_complaint_or_opt_out_is_removed_only_with_consent(world: World) -> None:
    suppress(world, "add", "a@b.example", "--reason", "complaint")
    suppress(world, "add", "a@b.example", "--topic", "news", "--reason", "unsubscribe")
    error = suppress(world, "remove", "a@b.example", code=64)["error"]
    assert "1 by complaint and 1 by unsubscribe" in error["what"]
    assert "--yes" in error["remedy"]
    assert suppress(world, "remove", "a@b.example", "--topic", "news", "--yes")["removed"] == 1
    assert suppress(world, "remove", "a@b.example", "--yes")["removed"] == 1


def test_list_is_imported_reported_exported_and_imported_again(world: World) -> None:
    world.write(
        "list.csv",
        "Email,Topic,Reason\nAnn@b.example,,Bounce\nno address,,\n+eve@b.example,news,unsubscribe\nb@b.example,,\n",
    )
    told = suppress(world, "import", "list.csv", "--reason", "asked by phone", code=65)
    assert (told["added"], told["invalid"]) == (3, 1)
    assert told["examples"][0]["where"].endswith("list.csv, line 3")
    listed = suppress(world, "list")
    assert listed["reasons"] == {"asked by phone": 3}, "the option wins over the column"
    assert suppress(world, "list", "--topic", "news")["total"] == 1
    assert suppress(world, "list", "--limit", "0")["entries"] == []
    assert suppress(world, "export", "out.csv")["entries"] == 3
    out = world.folder / "out.csv"
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o600  # noqa: PTH116 - the mode
    rows = {row["email"]: row for row in csv.DictReader(out.read_text(encoding="utf-8-sig").splitlines())}
    assert set(rows) == {"Ann@b.example", "'+eve@b.example", "b@b.example"}
    suppress(world, "export", "out.parquet")
    assert pl.read_parquet(world.folder / "out.parquet").height == 3
    suppress(world, "remove", "ann@b.example", "+eve@b.example", "b@b.example", "--yes")
    assert suppress(world, "import", "out.csv")["added"] == 3
    (eve,) = suppress(world, "check", "+eve@b.example")["addresses"]
    assert eve["entries"][0]["topic"] == "news"


def test_suppression_list_of_the_account_is_read_and_synced(world: World) -> None:
    environment = world.environment()
    client = boto3.client(
        "sesv2",
        endpoint_url=world.server.url,
        region_name=world.server.region,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    with closing(client) as ses:
        ses.put_suppressed_destination(EmailAddress="Ann@b.example", Reason="BOUNCE")
        told = suppress(world, "sync", "--full")
        assert (told["added"], told["only_here"], told["only_there"]) == (1, 0, 0)
        (ann,) = suppress(world, "check", "ann@b.example", "--account")["addresses"]
        assert ann["account"][0]["address"] == "Ann@b.example"
        removed = suppress(world, "remove", "ann@b.example", "--account")
        assert (removed["removed"], removed["account"]) == (1, 1)
        assert not ses.list_suppressed_destinations()["SuppressedDestinationSummaries"]


def test_bad_input_is_reported_with_its_remedy(world: World) -> None:
    for arguments, code, word in (
        (("add", "no-address"), 65, "is not an address"),
        (("import", "missing.csv"), 65, "no file"),
        (("add", "a@b.example", "--topic", "t" * 200), 64, "topic"),
        (("export", "nowhere/out.csv"), 64, "cannot be written"),
        (("sync", "--bucket", "folder"), 64, "invalid bucket"),
    ):
        finished = world.run("suppress", *arguments, "--json")
        assert finished.code == code, (arguments, finished.stderr)
        error = json.loads(finished.stdout)["error"]
        assert word in error["what"]
        assert error["remedy"]
