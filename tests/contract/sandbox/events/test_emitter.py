"""The sandbox's events of accepted mail: by rule and rate, late, twice and out of order, from one seed."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.clock import START, VirtualClock

from engine.sandbox.events.behaviour import Behaviour
from engine.sandbox.events.emitter import Emitter
from engine.sandbox.events.feedback import Feedback
from engine.sandbox.http.record import Record
from engine.sandbox.http.replies import ApiError
from engine.sandbox.ses.draft import Draft, DraftContent

AT = START
OPEN: list[Emitter] = []


def accept(folder: Path, *addresses: str, number: int = 0, at: Any = AT, **changes: Any) -> None:
    parts: dict[str, Any] = {
        "operation": "SendEmail",
        "sender": "Acme <news@acme.example>",
        "sender_address": "news@acme.example",
        "recipients": list(addresses),
        "reply_to": [],
        "tags": {"mailrun-run": "r1"},
        "configuration_set": "marketing",
        "content": DraftContent(subject="Hello", html='<a href="https://acme.example/x">x</a>', text="x"),
    }
    on_list = changes.pop("on_list", None)
    draft = Draft(**(parts | changes))
    fate = "rendering_failure" if draft.content.failure else "delivered"
    with Record(folder) as record:
        record.append(draft, message_id=f"0100-{number:06d}", at=at, fate=fate, on_list=on_list)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close every emitter that a test opened."""
    yield
    while OPEN:
        OPEN.pop().close()


def emitter(folder: Path, clock: VirtualClock, start: int = 0, **behaviour: Any) -> Emitter:
    rules = Behaviour.from_document(behaviour)
    OPEN.append(Emitter(folder, rules, start=start, matches=lambda _, __: True, clock=clock))
    return OPEN[-1]


def kinds(events: list[Any]) -> list[str]:
    return [event.record["eventType"] for event in events]


def test_mail_is_sent_and_delivered_unless_a_rule_says_otherwise(tmp_path: Path, clock: VirtualClock) -> None:
    accept(tmp_path, "a@b.example")
    events = emitter(tmp_path, clock).take(10)
    assert kinds(events) == ["Send", "Delivery"]
    mail = events[1].record["mail"]
    assert mail["messageId"] == "0100-000000"
    assert mail["timestamp"] == "2026-11-24T09:00:00.000Z"
    assert mail["destination"] == ["a@b.example"]
    assert mail["commonHeaders"]["subject"] == "Hello"
    assert mail["tags"]["mailrun-run"] == ["r1"]
    assert mail["tags"]["ses:configuration-set"] == ["marketing"]
    assert mail["tags"]["ses:operation"] == ["SendEmail"]
    assert {"name": "Subject", "value": "Hello"} in mail["headers"]
    assert events[1].record["delivery"]["recipients"] == ["a@b.example"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"bounces": {"Permanent/General": 1}}, ["Send", "Bounce"]),
        ({"bounces": {"Transient/MailboxFull": 1}, "delay": 1}, ["Send", "DeliveryDelay", "Bounce"]),
        ({"complaints": {"abuse": 1}}, ["Send", "Delivery", "Complaint"]),
        ({"open": 1}, ["Send", "Delivery", "Open"]),
        ({"click": 1}, ["Send", "Delivery", "Open", "Click"]),
        ({"reject": 1}, ["Reject"]),
        ({"unsubscribe": 1}, ["Send", "Delivery", "Subscription"]),
        ({"out_of_office": 1}, ["Send", "Delivery", "Bounce"]),
    ],
)
def test_a_rule_makes_its_events(
    tmp_path: Path, clock: VirtualClock, rule: dict[str, Any], expected: list[str]
) -> None:
    accept(tmp_path, "a@b.example", number=1)
    accept(tmp_path, "a@other.example", number=2)
    events = emitter(tmp_path, clock, domains={"B.example": rule}).take(10)
    assert kinds(events) == [*expected, "Send", "Delivery"]


@pytest.mark.parametrize(
    ("mailbox", "expected", "subtype"),
    [
        ("success", ["Send", "Delivery"], None),
        ("bounce+label", ["Send", "Bounce"], "General"),
        ("complaint", ["Send", "Delivery", "Complaint"], None),
        ("ooto", ["Send", "Delivery", "Bounce"], "General"),
        ("suppressionlist", ["Send", "Bounce"], "Suppressed"),
    ],
)
def test_the_mailbox_simulator_does_its_own_whatever_the_rules(
    tmp_path: Path, clock: VirtualClock, mailbox: str, expected: list[str], subtype: str | None
) -> None:
    accept(tmp_path, f"{mailbox}@simulator.amazonses.com")
    events = emitter(tmp_path, clock, default={"reject": 1}).take(10)
    assert kinds(events) == expected
    if subtype is not None:
        assert events[-1].record["bounce"]["bounceSubType"] == subtype


def test_suppressed_address_has_a_send_event_and_no_attempt(tmp_path: Path, clock: VirtualClock) -> None:
    accept(tmp_path, "a@b.example", "c@b.example", on_list={"a@b.example": "BOUNCE", "c@b.example": "COMPLAINT"})
    events = emitter(tmp_path, clock).take(10)
    assert kinds(events) == ["Send", "Bounce", "Complaint"]
    assert events[1].record["bounce"]["bounceSubType"] == "OnAccountSuppressionList"
    assert events[2].record["complaint"]["complaintSubType"] == "OnAccountSuppressionList"


def test_recipients_of_one_message_with_one_fate_share_their_events(tmp_path: Path, clock: VirtualClock) -> None:
    accept(tmp_path, "a@bad.example", "b@good.example", "c@bad.example")
    events = emitter(tmp_path, clock, domains={"bad.example": {"bounces": {"Permanent/NoEmail": 1}}}).take(10)
    assert kinds(events) == ["Send", "Bounce", "Delivery"]
    bounced = events[1].record["bounce"]["bouncedRecipients"]
    assert [one["emailAddress"] for one in bounced] == ["a@bad.example", "c@bad.example"]


def test_rendering_failure_is_one_event_without_headers(tmp_path: Path, clock: VirtualClock) -> None:
    accept(tmp_path, "a@b.example", content=DraftContent(failure="Attribute 'x' is not present."))
    (event,) = emitter(tmp_path, clock).take(10)
    assert event.record["eventType"] == "Rendering Failure"
    assert event.record["failure"]["errorMessage"] == "Attribute 'x' is not present."
    assert "headers" not in event.record["mail"]


def test_delayed_event_is_sent_when_it_is_due(tmp_path: Path, clock: VirtualClock) -> None:
    accept(tmp_path, "a@b.example")
    late = emitter(tmp_path, clock, default={"complaints": {"abuse": 1}, "after": {"Complaint": 3600, "Delivery": 5}})
    assert kinds(late.take(10)) == ["Send"]
    assert late.seconds_to_next() == 5
    clock.advance(5)
    assert kinds(late.take(10)) == ["Delivery"]
    assert late.take(10) == []
    clock.advance(3595)
    (complaint,) = late.take(10)
    assert complaint.record["complaint"]["timestamp"] == "2026-11-24T10:00:00.000Z"
    assert late.seconds_to_next() is None


def test_the_shares_are_as_asked_and_the_same_for_a_seed() -> None:
    behaviour = Behaviour.from_document({"seed": 7, "default": {"bounces": {"Permanent/General": 0.2}, "open": 0.5}})
    fates = {f"p{i}@b.example": behaviour.fate_of(f"p{i}@b.example") for i in range(10_000)}
    bounced = sum(fate.bounce is not None for fate in fates.values())
    assert 1850 < bounced < 2150
    assert 3800 < sum("open" in fate.others for fate in fates.values()) < 4200
    assert all(behaviour.fate_of(address.upper()) == fate for address, fate in fates.items())
    other = Behaviour.from_document({"seed": 8, "default": {"bounces": {"Permanent/General": 0.2}}})
    assert any(other.fate_of(address).bounce != fate.bounce for address, fate in fates.items())


def test_duplicates_and_another_order_lose_nothing(tmp_path: Path, clock: VirtualClock) -> None:
    for number in range(300):
        accept(tmp_path, f"p{number}@b.example", number=number)
    plain = [event.identity for event in emitter(tmp_path, clock).take(10_000)]
    events = [e.identity for e in emitter(tmp_path, clock, seed=3, duplicates=0.3, shuffle=50).take(10_000)]
    again = [e.identity for e in emitter(tmp_path, clock, seed=3, duplicates=0.3, shuffle=50).take(10_000)]
    assert events == again
    assert len(plain) == 600
    assert set(events) == set(plain)
    assert 700 < len(events) < 860
    assert list(dict.fromkeys(events)) != plain


def test_another_behaviour_holds_for_what_is_accepted_from_then_on(tmp_path: Path, clock: VirtualClock) -> None:
    accept(tmp_path, "a@b.example", number=1)
    changing = emitter(tmp_path, clock)
    changing.change(Behaviour.from_document({"default": {"bounces": {"Permanent/General": 1}}}))
    accept(tmp_path, "a@b.example", number=2)
    events = changing.take(10)
    assert [(e.record["mail"]["messageId"][-1], e.record["eventType"]) for e in events] == [
        ("1", "Send"), ("1", "Delivery"), ("2", "Send"), ("2", "Bounce"),
    ]  # fmt: skip


def test_reader_that_starts_at_the_position_misses_nothing(tmp_path: Path, clock: VirtualClock) -> None:
    for number in range(20):
        accept(tmp_path, f"p{number}@b.example", number=number)
    first = emitter(tmp_path, clock, shuffle=2)
    taken = {event.identity for event in first.take(35)}
    rest = {event.identity for event in emitter(tmp_path, clock, first.position).take(1000)}
    assert len(taken | rest) == 40
    assert first.position > 0


def test_a_torn_line_has_no_events(tmp_path: Path, clock: VirtualClock) -> None:
    (tmp_path / "accepted.jsonl").write_bytes(b'{"message_id": "torn\n')
    accept(tmp_path, "a@b.example")
    assert kinds(emitter(tmp_path, clock).take(10)) == ["Send", "Delivery"]


def make_feedback(folder: Path, clock: VirtualClock, **more: Any) -> Feedback:
    given: dict[str, Any] = {"firehose_folder": folder / "firehose", "compress": False, **more}
    return Feedback(
        folder, Behaviour(), clock=clock, matches=lambda _, kind: kind != "Send", url=lambda: "http://x", **given
    )


def test_firehose_files_continue_where_the_last_sandbox_ended(tmp_path: Path, clock: VirtualClock) -> None:
    accept(tmp_path, "a@b.example", number=1)
    make_feedback(tmp_path, clock).close()
    accept(tmp_path, "a@b.example", number=2)
    make_feedback(tmp_path, clock).close()
    files = sorted((tmp_path / "firehose").rglob("mailrun-events-*"))
    assert [file.parent.relative_to(tmp_path / "firehose").as_posix() for file in files] == ["2026/11/24/09"] * 2
    lines = [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]
    assert Counter(line["mail"]["messageId"] for line in lines) == {"0100-000001": 1, "0100-000002": 1}
    assert all(line["eventType"] == "Delivery" for line in lines)


def test_a_queue_gives_what_was_not_deleted_to_the_next_sandbox(tmp_path: Path, clock: VirtualClock) -> None:
    for number in range(3):
        accept(tmp_path, f"p{number}@b.example", number=number)
    first = make_feedback(tmp_path, clock)
    one, two, _ = first.queue.receive(10)
    first.queue.delete(one.handle)
    first.close()
    second = make_feedback(tmp_path, clock)
    assert two.body[:50] in [message.body[:50] for message in second.queue.receive(10)]
    for message in second.queue.receive(10):
        second.queue.delete(message.handle)
    second.close()


async def test_long_polling_ends_when_an_event_is_due(tmp_path: Path, clock: VirtualClock) -> None:
    accept(tmp_path, "a@b.example", at=AT + timedelta(seconds=7))
    feedback = make_feedback(tmp_path, clock)
    request = orjson.dumps({"QueueUrl": "http://x/1/mailrun-events", "WaitTimeSeconds": 20})
    reply = await feedback.sqs.answer("ReceiveMessage", request, "http://x")
    assert len(orjson.loads(reply.body)["Messages"]) == 1
    assert 7 <= clock.monotonic() - 1000 < 9
    nothing = await feedback.sqs.answer("ReceiveMessage", request, "http://x")
    assert orjson.loads(nothing.body) == {}
    assert clock.monotonic() - 1000 >= 27
    feedback.close()


@pytest.mark.parametrize(
    "document",
    [
        {"unknown": 1},
        {"default": {"bounces": {"Permanent/Nonsense": 1}}},
        {"default": {"bounces": {"Permanent/General": 0.7, "Transient/General": 0.6}}},
        {"default": {"open": 1.5}},
        {"domains": {"b.example": {"after": {"Nothing": 1}}}},
        {"shuffle": 0},
        {"envelope": "pigeon"},
        {"auto_suppress": 1},
        {"duplicates": True},
        [],
    ],
)
def test_invalid_behaviour_is_refused_with_the_wrong_member(document: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Behaviour.from_document(document)


def test_behaviour_is_reported_as_it_was_given() -> None:
    given = {"seed": 4, "domains": {"b.example": {"open": 0.5, "after": {"Open": 3.0}}}, "shuffle": 9}
    told = Behaviour.from_document(given).document()
    assert Behaviour.from_document(told).document() == told
    assert {name: told[name] for name in given} == given


def test_a_queue_with_too_many_messages_in_flight_refuses_more(
    tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.sandbox.sqs.queues.MOST_IN_FLIGHT", 10)
    accept(tmp_path, *(f"p{number}@{number}.example" for number in range(40)))
    feedback = make_feedback(tmp_path, clock)
    for number in range(40):
        feedback.queue.send(f"{number}".encode())
    assert len(feedback.queue.receive(10)) == 10
    with pytest.raises(ApiError, match="in flight"):
        feedback.queue.receive(10)
    feedback.close()


def test_the_events_of_an_out_of_office_reply_have_no_answer_of_a_server(tmp_path: Path, clock: VirtualClock) -> None:
    accept(tmp_path, "ooto@simulator.amazonses.com")
    bounce = emitter(tmp_path, clock).take(10)[-1].record["bounce"]
    assert bounce["bouncedRecipients"] == [{"emailAddress": "ooto@simulator.amazonses.com"}]
