"""What is in doubt is listed and settled by a person; the accounts are compared with the receiver's own list."""

import json
from pathlib import Path

import polars as pl
import pytest
from support.doubt import leave_in_doubt
from support.invariants import check_invariants, count_received
from support.world import RUN, World, open_world

from engine.delivery.pacing.concurrency import MOST_WHERE_LATE
from engine.ledger.journal import Outcome


@pytest.fixture
def left(tmp_path: Path, ledger_url: str):
    with open_world(tmp_path, ledger=ledger_url) as world:
        yield world, leave_in_doubt(world)


@pytest.fixture
def doubtful(left: tuple[World, int]) -> World:
    return left[0]


@pytest.fixture
def hanging(left: tuple[World, int]) -> int:
    """How many are in doubt."""
    return left[1]


def test_what_is_in_doubt_is_listed_masked_and_exported_whole(doubtful: World, hanging: int):
    listed = doubtful.run("resolve", RUN, "--export", "doubt.csv", "--json")
    assert listed.code == 0
    assert len(listed.json["recipients_in_doubt"]) == listed.json["in_doubt"] == hanging
    assert all(entry["address"].startswith("p***@") for entry in listed.json["recipients_in_doubt"])
    frame = pl.read_csv(doubtful.folder / "doubt.csv")
    assert set(frame["row"]) == {entry["row"] for entry in listed.json["recipients_in_doubt"]}
    assert frame["address"].str.contains(r"^person\d+@example\.com$").all()
    assert (doubtful.folder / "doubt.csv").stat().st_mode & 0o777 == 0o600
    assert f"{hanging} in doubt" in doubtful.run("resolve", RUN).stdout


def test_recipients_that_arrived_are_settled_as_sent_with_who_and_when(doubtful: World, hanging: int):
    settled = doubtful.run("resolve", RUN, "--sent", "--json")
    assert (settled.code, settled.json["settled"], settled.json["in_doubt"]) == (0, hanging, 0)
    assert (settled.json["state"], settled.json["sent"]) == ("finished", 300)
    assert check_invariants(doubtful) == {Outcome.SENT: 300}
    decisions = doubtful.run("status", RUN, "--json").json["decisions"]
    assert {d["what"] for d in decisions} == {"resolve --sent"}
    assert sum(len(d["rows"]) for d in decisions) == hanging
    assert all("@" in d["who"] and d["at"] for d in decisions)
    assert doubtful.run("resolve", RUN, "--sent", "--json").json["settled"] == 0


def test_skipped_recipients_count_as_failed_and_are_never_sent_again(doubtful: World, hanging: int):
    received = count_received(doubtful)
    assert doubtful.run("resolve", RUN, "--skip", "--json").json["failed"] == hanging
    assert doubtful.launch().code == 3  # it was finished before, with losses
    assert count_received(doubtful) == received
    audited = doubtful.run("audit", RUN, "--json")
    assert (audited.code, audited.json["in_doubt"]) == (0, 0)


def test_resent_recipients_get_one_more_message_with_the_next_launch(doubtful: World, hanging: int):
    settled = doubtful.run("resolve", RUN, "--resend", "--json")
    assert (settled.json["unsent"], settled.json["state"]) == (hanging, "paused")
    launched = doubtful.launch()
    assert (launched.code, launched.json["state"], launched.json["sent"]) == (0, "finished", 300)
    assert len(doubtful.accepted()) == 300 + hanging
    assert doubtful.run("audit", RUN, "--json").code == 0


def test_file_selects_the_recipients_to_settle(doubtful: World, hanging: int):
    doubtful.run("resolve", RUN, "--export", "doubt.csv")
    half = pl.read_csv(doubtful.folder / "doubt.csv").head(8)
    half.select("address").write_csv(doubtful.folder / "arrived.csv")
    half.tail(3).select("row").write_csv(doubtful.folder / "other.csv")
    assert doubtful.run("resolve", RUN, "--skip", "--file", "other.csv", "--json").json["settled"] == 3
    assert doubtful.run("resolve", RUN, "--sent", "--file", "arrived.csv", "--json").json["settled"] == 5
    assert doubtful.run("resolve", RUN, "--json").json["in_doubt"] == hanging - 8
    (doubtful.folder / "ids.csv").write_text("message_id\n0100-x\n")
    refused = doubtful.run("resolve", RUN, "--sent", "--file", "ids.csv")
    assert refused.code == 65
    assert "neither rows nor addresses" in refused.stderr


def test_receivers_list_proves_the_accounts_and_settles_what_arrived(doubtful: World, hanging: int):
    record = str(doubtful.record_folder / "accepted.jsonl")
    audited = doubtful.run("audit", RUN, "--against", record, "--json")
    assert audited.code == 0, audited.stdout
    compared = audited.json["against"]
    assert (compared["matched"], compared["in_doubt_arrived"]) == (300 - hanging, hanging)
    assert (compared["missing"], compared["unknown"], compared["twice"]) == (0, 0, 0)
    assert doubtful.run("resolve", RUN, "--sent", "--file", record, "--json").json["settled"] == hanging
    again = doubtful.run("audit", RUN, "--against", record, "--json").json["against"]
    assert (again["matched"], again["in_doubt_arrived"]) == (300, 0)


def test_contradictions_with_the_receiver_s_list_are_named(world: World):
    world.write_people(20)
    assert world.launch().code == 0
    ids = [message["message_id"] for message in world.accepted()]
    campaign, key = RUN.split("/")

    def event(message_id: str, row: int) -> str:
        tags = {"mailrun-campaign": [campaign], "mailrun-key": [key], "mailrun-row": [str(row)]}
        return json.dumps({"eventType": "Send", "mail": {"messageId": message_id, "tags": tags}})

    rows = [int(message["tags"]["mailrun-row"]) for message in world.accepted()]
    events = [event(message_id, row) for message_id, row in zip(ids, rows, strict=True)]
    other = json.dumps({"eventType": "Send", "mail": {"messageId": "x", "tags": {"mailrun-campaign": ["other"]}}})
    notification = json.dumps({"Type": "Notification", "Message": events[0]})
    world.write("good.jsonl", "\n".join([*events, *events, other, notification]))
    assert world.run("audit", RUN, "--against", "good.jsonl", "--json").code == 0
    world.write("ids.csv", "\n".join(ids))
    assert world.run("audit", RUN, "--against", "ids.csv", "--json").json["against"]["matched"] == 20
    world.write("bad.jsonl", "\n".join([*events[1:], event("0100-again", rows[3])]))
    bad = world.run("audit", RUN, "--against", "bad.jsonl", "--json")
    assert bad.code == 65
    assert bad.json["problems"] == [
        f"not on the list: 1 recipient that counts as sent: rows {rows[0]}",
        f"more than once on the list: 1 recipient: rows {rows[3]}",
        "on the list, but not sent and not in doubt: 1 message",
    ]
    world.write("no.jsonl", '{"a": 1}\n')
    assert "no.jsonl, line 1" in world.run("audit", RUN, "--against", "no.jsonl").stderr


def test_proofs_and_other_mail_on_the_receivers_list_are_ignored(world: World):
    world.write_people(10)
    assert world.launch().code == 0
    assert world.run("test", "hello", "--to", "ann@acme.example").code == 0
    tags = {"ses:from-domain": ["shop.example"], "ses:caller-identity": ["shop"]}
    others = [
        {"eventType": "Delivery", "mail": {"messageId": "0100-order", "tags": tags}},
        {"notificationType": "Bounce", "mail": {"messageId": "0100-invoice"}},
    ]
    record = (world.record_folder / "accepted.jsonl").read_text()
    assert len(record.splitlines()) == 11
    world.write("list.jsonl", record + "\n".join(map(json.dumps, others)))
    audited = world.run("audit", RUN, "--against", "list.jsonl", "--json")
    assert audited.code == 0, audited.stdout
    told = audited.json["against"]
    assert {name: told[name] for name in ("listed", "matched", "unknown", "foreign")} == {
        "listed": 10,
        "matched": 10,
        "unknown": 0,
        "foreign": 2,
    }


def test_damaged_outcomes_file_is_set_aside_and_nothing_begins_again(world: World):
    world.write_people(300)
    assert world.launch().code == 0
    file = min((world.run_folder / "outcomes").glob("lease-*.parquet"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    audited = world.run("audit", RUN, "--json")
    assert audited.code == 65
    assert any(str(file) in problem and "set aside" in problem for problem in audited.json["problems"])
    assert (world.run_folder / "damaged" / file.name).read_bytes() == bytes(data)
    assert not file.exists()
    assert world.launch().json["sent"] == 300
    assert len(world.accepted()) == 300
    assert any("is missing" in problem for problem in world.run("audit", RUN, "--json").json["problems"])
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert world.run("audit", RUN, "--json").code == 0


@pytest.mark.parametrize("name", ["plan/recipients-0000.parquet", "campaign/body.txt.j2", "run.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_damaged_plan_or_campaign_is_named_and_nothing_more_is_sent(world: World, name: str, damage: str):
    world.write_people(300)
    world.change_sandbox(latency_seconds=0.2)
    process = world.start_launch()
    world.wait_for_accepted(10, process)
    process.kill()
    process.communicate()
    file = world.run_folder / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data if damage == "flipped" else data[:-5])
    refused = world.launch()
    assert refused.code == 65
    assert file.name in refused.stderr
    assert world.run("audit", RUN).code == 65
    stands = len(world.accepted())
    assert stands <= MOST_WHERE_LATE + 10  # those in flight when it was killed
    assert world.launch().code == 65
    assert len(world.accepted()) == stands
