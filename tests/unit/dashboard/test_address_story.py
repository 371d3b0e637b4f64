"""What happened to an address, and what to do about it."""

from datetime import UTC, datetime, timedelta

import pytest

from engine.dashboard.address_story import describe_event, list_advice, make_story
from engine.ledger.suppressed.suppressions import Suppression
from engine.run.lookup.event_search import AddressEvent, EventSearch
from engine.run.lookup.look_up import AddressRecord, PrunedMessage

AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
ANN = "ann@x.example"


def make_record(*entries: Suppression, forgotten: bool = False, **more: object) -> AddressRecord:
    return AddressRecord(asked=ANN, key=ANN, entries=entries, is_forgotten=forgotten, **more)  # type: ignore[arg-type]


def make_event(kind: str, **more: object) -> AddressEvent:
    nothing = dict.fromkeys(("subtype", "run", "row", "status", "detail", "link", "topics", "sent_to"))
    return AddressEvent(**{"at": AT, "kind": kind, "message_id": "m", **nothing, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            make_event("Open", agent="Apple Mail Privacy Protection"),
            "Opened by a machine: Apple Mail Privacy Protection",
        ),
        (make_event("Open"), "Opened by the person, or by what is not known as a machine"),
        (make_event("Click", agent="security scanner"), "Clicked by a machine: security scanner"),
        (make_event("Bounce", subtype="Permanent/General"), "Bounced permanently"),
        (make_event("Bounce", subtype="Transient/MailboxFull"), "Bounced"),
        (make_event("Complaint"), "Marked as spam"),
        (make_event("Newer"), "Event Newer"),
    ],
)
def test_event_is_described(event: AddressEvent, words: str) -> None:
    assert describe_event(event)[0] == words


def test_story_is_in_order_of_time_and_complete() -> None:
    record = make_record(
        Suppression(ANN, "", "bounce", "run news/1", AT + timedelta(hours=1)), pruned=[PrunedMessage("news/1", AT)]
    )
    events = EventSearch([make_event("Bounce", at=AT + timedelta(minutes=1), status="5.1.1", detail="no such user")])
    story = make_story(record, events)
    assert [item.what for item in story] == [
        "Suppressed for all mail: bounce",
        "Bounced",
        "Sent, or in doubt; the files of the run were pruned",
    ]
    assert ("Diagnosis", "5.1.1 no such user") in story[1].details
    assert len(make_story(record, None)) == 2


@pytest.mark.parametrize(
    ("entry", "command"),
    [
        (Suppression(ANN, "", "complaint", "x", AT), "mailrun suppress remove ann@x.example --yes"),
        (Suppression(ANN, "news", "unsubscribe", "x", AT), "mailrun suppress remove ann@x.example --topic news --yes"),
        (Suppression(ANN, "", "bounce", "x", AT), "mailrun suppress remove ann@x.example --account"),
        (Suppression(ANN, "", "manual", "x", AT), "mailrun suppress remove ann@x.example"),
        (Suppression("@x.example", "", "manual", "x", AT), "mailrun suppress remove @x.example"),
        (Suppression(ANN, "a b;rm", "manual", "x", AT), "mailrun suppress remove ann@x.example --topic 'a b;rm'"),
    ],
)
def test_advice_has_the_command_for_a_shell(entry: Suppression, command: str) -> None:
    assert [one.command for one in list_advice(make_record(entry))] == [command]


def test_erased_and_unknown_addresses_have_advice_without_a_command() -> None:
    assert "erased" in list_advice(make_record(forgotten=True))[0].text
    assert "No run has this address" in list_advice(make_record())[0].text
