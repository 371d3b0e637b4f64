"""Events change what people see, who is suppressed, and what was in doubt."""

import gzip
import json
import random
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import select, update
from support.doubt import leave_in_doubt
from support.events import make_event, make_event_of, make_mail, write_events
from support.feedback import scan_events
from support.invariants import check_invariants
from support.world import RUN, World, finish, open_world

from engine.delivery.pacing.concurrency import FEWEST
from engine.ledger.database import open_ledger
from engine.ledger.journal import Outcome
from engine.ledger.schema import journal_table
from engine.ledger.suppressed.suppressions import Suppression, iterate_suppressions
from engine.store.folder import FolderStore


def list_suppressed(world: World) -> list[Suppression]:
    ledger = open_ledger(world.ledger_url)
    try:
        return [item for block in iterate_suppressions(ledger) for item in block]
    finally:
        ledger.close()


@pytest.fixture
def sent(world: World) -> World:
    world.write_people(20)
    assert world.launch().code == 0
    return world


def test_event_counts_are_shown_beside_the_outcomes(sent: World):
    accepted = sent.accepted()
    events = [make_event_of(entry, "Send") for entry in accepted]
    events += [make_event_of(entry, "Delivery") for entry in accepted[:17]]
    events += [make_event_of(entry, "Bounce") for entry in accepted[17:19]]
    events += [
        make_event_of(accepted[0], "Complaint"),
        make_event_of(accepted[1], "Open"),
        make_event_of(accepted[1], "Click"),
        make_event_of(accepted[3], "Open", userAgent="Mozilla/5.0"),
    ]
    events += [
        make_event_of(accepted[1], "Open", timestamp="2026-11-24T10:00:00Z"),
        make_event_of(accepted[19], "DeliveryDelay"),
    ]
    events += [make_event_of(accepted[2], "Subscription")]
    random.Random(7).shuffle(events)
    write_events(sent.folder / "events.jsonl", events)
    taken = sent.run("events", "import", "events.jsonl", "--json")
    assert taken.code == 0, taken.stderr
    assert (taken.json["events"], taken.json["matched"], taken.json["unmatched"]) == (len(events), len(events), {})
    assert (taken.json["suppressed"], taken.json["changed"]) == (4, 20)
    expected = {
        "delivered": 17,
        "bounced": 2,
        "complained": 1,
        "opened": 2,
        "opened_by_people": 1,
        "clicked": 1,
        "clicked_by_people": 1,
        "delayed": 1,
        "unsubscribed": 1,
    }
    for command in (("status", RUN), ("audit", RUN)):
        told = sent.run(*command, "--json").json
        assert {name: told[name] for name in expected} == expected
        assert (told["sent"], told["balanced"]) == (20, True)
    assert {s.reason for s in list_suppressed(sent)} == {"bounce", "complaint", "unsubscribe"}
    assert all(s.event and s.source == f"run {RUN}" and s.address for s in list_suppressed(sent))
    shown = sent.run("status", RUN).stdout
    assert "← delivered" in shown


@pytest.mark.parametrize(
    ("damaged", "tagged"),
    [
        ("run.json", True),
        ("run.json", False),
        ("campaign/campaign.toml", True),
        ("plan/recipients-0000.parquet", True),
        ("outcomes", False),
    ],
)
def test_damaged_run_gets_its_events_when_it_is_restored(sent: World, damaged: str, *, tagged: bool):
    assert sent.run("launch", "hello", "--key", "second", "--yes").code == 0
    entries = sent.accepted()[0], sent.accepted()[20]
    mails = [make_mail(e["message_id"], e["to"][0], e["tags"] if tagged else None, at=e["at"]) for e in entries]
    write_events(sent.folder / "events.jsonl", [make_event("Bounce", mail) for mail in mails])
    place = sent.folder / ".mailrun/runs/hello/second" / damaged
    files = {path: path.read_bytes() for path in ([place] if place.is_file() else place.glob("*"))}
    for path, data in files.items():
        path.write_bytes(data[: len(data) // 2])
    taken = sent.run("events", "import", "events.jsonl", "--json")
    assert (taken.code, taken.json["unmatched"]) == (65, {"run_damaged": 1}), taken.stderr
    assert sent.run("status", RUN, "--json").json["bounced"] == 1
    for path, data in files.items():
        path.write_bytes(data)
    again = sent.run("events", "import", ".mailrun/events", "--json")
    assert (again.code, again.json["unmatched"]) == (0, {}), again.stderr
    assert [sent.run("status", f"hello/{key}", "--json").json["bounced"] for key in (RUN.split("/")[1], "second")] == [
        1,
        1,
    ]
    assert set(read_events(sent)["run"]) == {RUN, "hello/second"}


def test_events_again_and_in_another_order_change_nothing(sent: World):
    events = [
        make_event_of(entry, kind) for entry in sent.accepted() for kind in ("Send", "Delivery", "Bounce", "Complaint")
    ]
    write_events(sent.folder / "events.jsonl", events)
    sent.run("events", "import", "events.jsonl")
    before = sent.run("status", RUN, "--json").json, list_suppressed(sent)
    volume = scan_events(FolderStore(sent.folder / ".mailrun")).collect().sort("id")
    for seed in range(3):
        random.Random(seed).shuffle(events)
        (sent.folder / "again.gz").write_bytes(gzip.compress("".join(map(json.dumps, events * 2)).encode()))
        again = sent.run("events", "import", "again.gz", "--json").json
        assert (again["changed"], again["suppressed"], again["documents"]) == (0, 0, 2 * len(events))
    assert (sent.run("status", RUN, "--json").json, list_suppressed(sent)) == before
    assert scan_events(FolderStore(sent.folder / ".mailrun")).collect().sort("id").equals(volume)


def test_unmailed_address_is_reported_and_never_suppressed(sent: World):
    entry = sent.accepted()[0]
    stranger = make_mail(entry["message_id"], "stranger@else.example", entry["tags"])
    unknown = make_mail("0100-unknown", "other@else.example")
    other_run = make_mail("0100-x", "other@else.example", {**entry["tags"], "mailrun-key": "elsewhere"})
    both = make_event_of(
        entry, "Complaint", complainedRecipients=[{"emailAddress": a} for a in (entry["to"][0], "x@example.com")]
    )
    events = [both, *(make_event("Complaint", mail) for mail in (stranger, unknown, other_run))]
    write_events(sent.folder / "events.jsonl", events)
    taken = sent.run("events", "import", "events.jsonl", "--json").json
    assert taken["unmatched"] == {"never_mailed": 2, "unknown_message": 1, "unknown_run": 1}
    assert (taken["matched"], taken["suppressed"]) == (1, 1)
    assert [s.key for s in list_suppressed(sent)] == [entry["to"][0]]
    assert "never mailed" in sent.run("events", "import", "events.jsonl").stdout


def test_events_without_our_tags_are_matched_by_message_id(sent: World):
    events = []
    for entry in sent.accepted():
        event = make_event("Bounce", make_mail(entry["message_id"], entry["to"][0].upper(), at=entry["at"]))
        events.append({"notificationType": event.pop("eventType"), **event})
    write_events(sent.folder / "events.jsonl", events)
    taken = sent.run("events", "import", "events.jsonl", "--json").json
    assert (taken["matched"], taken["suppressed"]) == (20, 20)
    assert sent.run("status", RUN, "--json").json["bounced"] == 20


def test_invalid_event_is_set_aside_and_can_be_imported_when_fixed(sent: World):
    good = make_event_of(sent.accepted()[0], "Delivery")
    (sent.folder / "events.jsonl").write_text('{"eventType": "Bounce"}\nnonsense\n' + json.dumps(good) + "\n")
    taken = sent.run("events", "import", "events.jsonl", "--json")
    assert (taken.code, taken.json["malformed"], taken.json["matched"]) == (65, 2, 1)
    (kept,) = (sent.folder / ".mailrun" / "events" / "quarantine").iterdir()
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [line["body"] for line in lines] == ['{"eventType": "Bounce"}', "nonsense"]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert sent.run("events", "import", str(kept), "--json").json["malformed"] == 2
    assert list(kept.parent.iterdir()) == [kept]  # the same again is the same file


def test_in_doubt_is_settled_by_the_events_that_prove_it(tmp_path: Path, ledger_url: str):
    with open_world(tmp_path, ledger=ledger_url) as world:
        hanging = leave_in_doubt(world)
        told = world.run("status", RUN, "--json").json
        assert told["in_doubt"] == hanging
        accepted = world.accepted()
        doubtful = {row["row"] for row in world.run("resolve", RUN, "--json").json["recipients_in_doubt"]}
        theirs = [entry for entry in accepted if int(entry["tags"]["mailrun-row"]) in doubtful]
        write_events(world.folder / "events.jsonl", [make_event_of(entry, "Delivery") for entry in theirs[:-5]])
        assert world.run("events", "import", "events.jsonl", "--json").json["settled"] == len(theirs) - 5
        told = world.run("status", RUN, "--json").json
        assert (told["in_doubt"], told["sent"], told["state"]) == (5, 295, "finished")
        silent = world.run("resolve", RUN, "--from-events", "--after", "0m", "--json")
        assert (silent.code, silent.json["settled"], silent.json["in_doubt"]) == (0, 0, 5)  # the campaign holds them
        assert check_invariants(world, in_doubt_at_most=5)[Outcome.SENT] == 295
        write_events(world.folder / "reject.jsonl", [make_event_of(theirs[-1], "Reject")])
        world.run("events", "import", "reject.jsonl")
        told = world.run("status", RUN, "--json").json
        assert (told["in_doubt"], told["refused"], told["rejected"]) == (4, 1, 1)
        ids = pl.read_parquet(world.run_folder / "outcomes").filter(pl.col("outcome") == "sent")["message_id"]
        assert ids.is_not_null().all()
        assert set(ids) <= {entry["message_id"] for entry in accepted}
        assert world.run("audit", RUN, "--json").code == 0


def test_proven_recipient_is_not_sent_to_again_after_any_decision(tmp_path: Path):
    with open_world(tmp_path) as world:
        hanging = leave_in_doubt(world)
        doubtful = {row["row"] for row in world.run("resolve", RUN, "--json").json["recipients_in_doubt"]}
        theirs = [entry for entry in world.accepted() if int(entry["tags"]["mailrun-row"]) in doubtful]
        assert world.run("resolve", RUN, "--resend", "--json").json["unsent"] == hanging
        write_events(world.folder / "events.jsonl", [make_event_of(entry, "Open") for entry in theirs])
        world.run("events", "import", "events.jsonl")  # after the decision, before the next launch
        launched = world.launch()
        assert (launched.code, launched.json["sent"], launched.json["opened"]) == (0, 300, hanging)
        assert check_invariants(world) == {Outcome.SENT: 300}
        assert len(world.accepted()) == 300


def pass_time(world: World, time: timedelta) -> None:
    """Make what is in open leases' journals so much older."""
    ledger, table = open_ledger(world.ledger_url), journal_table.c
    with ledger.write() as tx:
        for row in tx.execute(select(journal_table)).all():
            mine = (table.lease == row.lease, table.epoch == row.epoch, table.sequence == row.sequence)
            tx.execute(update(journal_table).where(*mine).values(at=row.at - time))
    ledger.close()


def test_recipients_without_events_are_resent_when_configured(tmp_path: Path):
    with open_world(tmp_path) as world:
        leave_in_doubt(world)
        refused = world.run("resolve", RUN, "--from-events", "--after", "0m", "--json")
        assert (refused.code, refused.json["settled"]) == (0, 0)
    with open_world(tmp_path / "other") as world:
        toml = (world.campaign / "campaign.toml").read_text()
        world.write("campaigns/hello/campaign.toml", toml + '\n[delivery]\nin_doubt = "resend"\n')
        world.write_people(20 + FEWEST)
        world.fault("no_answer", count=None, after=20)
        process = world.start_launch()
        world.wait_for_accepted(20 + FEWEST, process)
        process.kill()
        process.communicate()
        world.clear_faults()
        world.forget_workers()
        pass_time(world, timedelta(minutes=31))
        early = world.run("resolve", RUN, "--from-events", "--after", "0m", "--json")
        assert early.code == 64, "no event ever came: silence says nothing"
        assert "pull its events" in early.stderr
        known = world.accepted()[: 15 + FEWEST]
        long_ago = datetime.fromisoformat(known[0]["at"]) - timedelta(hours=1)
        old = make_mail(known[0]["message_id"], known[0]["to"][0], known[0]["tags"], at=long_ago.isoformat())
        write_events(world.folder / "old.jsonl", [make_event("Send", old)])
        world.run("events", "import", "old.jsonl")
        early = world.run("resolve", RUN, "--from-events", "--after", "0m", "--json")
        assert early.code == 64, "what came is older than the calls: silence says nothing"
        mails = [make_mail(e["message_id"], e["to"][0], e["tags"], at=e["at"]) for e in known]
        write_events(world.folder / "e.jsonl", [make_event("Send", mail) for mail in mails])
        world.run("events", "import", "e.jsonl")
        waiting = world.run("resolve", RUN, "--from-events", "--after", "1h", "--json")
        assert (waiting.json["settled"], waiting.json["in_doubt"]) == (0, 5)  # the hour is not over
        silent = world.run("resolve", RUN, "--from-events", "--json")
        assert (silent.json["settled"], silent.json["unsent"], silent.json["in_doubt"]) == (5, 5, 0)
        assert world.launch().json["sent"] == 20 + FEWEST
        assert len(world.accepted()) == 25 + FEWEST


def read_events(world: World) -> pl.DataFrame:
    return scan_events(FolderStore(world.folder / ".mailrun")).collect()


def test_forgotten_address_is_erased_from_events_and_stays_erased(sent: World):
    entry = sent.accepted()[0]
    address = entry["to"][0]
    write_events(sent.folder / "e.jsonl", [make_event_of(e, "Bounce") for e in sent.accepted()])
    (sent.folder / "bad.jsonl").write_text(f'{{"eventType": "Bounce", "to": "{address}"}}\nother\n')
    sent.run("events", "import", "e.jsonl")
    sent.run("events", "import", "bad.jsonl")
    forgotten = sent.run("forget", address, "--json")
    assert (forgotten.code, forgotten.json["events"]) == (0, 2)
    later = [make_event_of(entry, "Click"), make_event("Complaint", make_mail("0100-unknown", address))]
    write_events(sent.folder / "later.jsonl", later)
    taken = sent.run("events", "import", "later.jsonl", "--json").json
    assert (taken["matched"], taken["suppressed"]) == (1, 0)
    sent.run("events", "import", "e.jsonl")
    events = read_events(sent)
    assert address not in events["address"].to_list() + events["key"].to_list()
    theirs = events.filter(pl.col("row") == int(entry["tags"]["mailrun-row"]))
    assert theirs["kind"].sort().to_list() == ["Bounce", "Click"]
    assert address not in {item.key for item in list_suppressed(sent)}
    for path in (sent.folder / ".mailrun" / "events").rglob("*.*"):
        assert address.encode() not in path.read_bytes()
    told = sent.run("status", RUN, "--json").json
    assert (told["bounced"], told["clicked"], told["balanced"]) == (20, 1, True)


def test_old_events_are_pruned_and_their_counts_stay(sent: World):
    entries = sent.accepted()
    old = [make_event_of(entry, "Open", timestamp="2020-01-02T03:04:05Z") for entry in entries]
    write_events(sent.folder / "e.jsonl", [*old, make_event_of(entries[0], "Bounce", timestamp=entries[0]["at"])])
    sent.run("events", "import", "e.jsonl")
    pruned = sent.run("prune", "--older-than", "30d", "--yes", "--json").json
    assert (pruned["pruned"], pruned["events"]) == ([], ["2020-01-02"])
    assert read_events(sent)["kind"].to_list() == ["Bounce"]
    assert sent.run("prune", "--older-than", "0h", "--yes", "--json").json["pruned"] == [RUN]
    told = sent.run("status", RUN, "--json").json
    assert (told["opened"], told["bounced"], told["sent"]) == (20, 1, 20)
    assert not (sent.folder / ".mailrun" / "indexes" / RUN).exists()
    late = sent.run("events", "import", "e.jsonl", "--json").json
    assert (late["matched"], late["unmatched"]) == (0, {"pruned": 21})
    assert sent.run("status", RUN, "--json").json["opened"] == 20


def test_events_are_processed_while_the_run_is_active(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=20.0) as world:
        world.write_people(150)
        world.fault("throttle", count=None, after=140)  # the run does not end before the events are imported
        toml = (world.campaign / "campaign.toml").read_text()
        world.write("campaigns/hello/campaign.toml", toml + "\n[guard]\nmax_complaint_rate = 1.0\n")
        process = world.start_launch()
        world.wait_for_accepted(40, process)
        entries = world.accepted()[:20]
        untagged = [make_event("Complaint", make_mail(e["message_id"], e["to"][0], at=e["at"])) for e in entries[:5]]
        write_events(world.folder / "e.jsonl", [*untagged, *(make_event_of(entry, "Delivery") for entry in entries)])
        taken = world.run("events", "import", "e.jsonl", "--json")
        assert (taken.code, taken.json["matched"], taken.json["suppressed"]) == (0, 25, 5)
        assert world.run("status", RUN, "--json").json["delivered"] == 20
        world.clear_faults()
        assert finish(process).json["delivered"] == 20
        assert check_invariants(world) == {Outcome.SENT: 150}


def test_a_place_without_events_is_named(sent: World):
    for place in ("nothing.jsonl", "s3://", "audiences/nothing"):
        failed = sent.run("events", "import", place)
        assert failed.code == 65
        assert place.removeprefix("s3://") in failed.stderr
    assert sent.run("events", "pull").code == 64
    assert "not the URL of a queue" in sent.run("events", "pull", "--queue", "events").stderr
    assert "not the ARN of a topic" in sent.run("events", "import", "x", "--topic", "events").stderr
    assert "mailrun.toml" in sent.run("events", "pull").stderr
