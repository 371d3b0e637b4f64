"""Records of every type and envelope, ours and others', and the rules that they meet."""

import json
import os
from typing import Any

import orjson
import pytest
from support.events import OBJECTS, make_event, make_mail
from support.foreign import is_fetched
from support.foreign_events import read_records, read_signed

from engine.feedback.events.envelopes import ForgedError, Opened, Passed, Quarantined, open_body
from engine.feedback.events.records import EventKind, FeedbackEvent, MalformedError, read_record
from engine.feedback.events.rules import RULES, EventAction, find_rule
from engine.feedback.events.signatures import SnsVerifier
from engine.ledger.event_flags import Flag
from engine.ledger.suppressed.reasons import Reason

TAGS = {"mailrun-campaign": "hello", "mailrun-key": "test", "mailrun-row": "17"}
MAIL = make_mail("0100-a", "Ann@example.com", TAGS)


def trust(_: object) -> None:
    """Believe it."""


def open_one(document: Any, verify: Any = trust) -> Opened:
    return open_body(orjson.dumps(document), verify)


def read_one(record: dict[str, Any]) -> FeedbackEvent:
    (event,) = read_record(record)
    return event


@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_every_type_is_read_with_our_tags(kind: str):
    event = read_one(make_event(kind, MAIL))
    assert event.kind == kind.replace(" ", "")
    assert event.kind in set(EventKind)
    assert (event.message_id, event.address, event.campaign, event.run_key, event.row) == (
        "0100-a",
        "Ann@example.com",
        "hello",
        "test",
        17,
    )
    assert event.sent_at == 1_795_510_800_000
    assert event.at in (event.sent_at, event.sent_at + 5000)


def test_notifications_of_an_identity_are_the_same_without_tags():
    record = make_event("Bounce", make_mail("0100-a", "ann@example.com"))
    notification = {"notificationType": record.pop("eventType"), **record}
    event = read_one(notification)
    assert (event.kind, event.subtype, event.campaign, event.row) == ("Bounce", "Permanent/General", "", None)


@pytest.mark.parametrize(
    ("tags", "row"),
    [
        ({**TAGS, "mailrun-row": "x"}, None),
        ({**TAGS, "mailrun-row": "-1"}, None),
        ({**TAGS, "mailrun-row": "9" * 40}, None),
        ({**TAGS, "mailrun-key": "a/../b"}, None),
        ({**TAGS, "mailrun-campaign": "a\0b"}, None),
        ({"mailrun-campaign": "hello"}, None),
        (TAGS, 17),
    ],
)
def test_tags_that_cannot_be_ours_are_none(tags: dict[str, str], row: int | None):
    event = read_one(make_event("Send", make_mail("0100-a", "ann@example.com", tags)))
    assert (event.row, event.campaign) == (row, "hello" if row else "")


def test_one_event_of_several_recipients_is_one_for_each():
    mail = MAIL | {"destination": ["a@x.example", "b@x.example"]}
    assert [event.address for event in read_record(make_event("Complaint", mail))] == ["a@x.example", "b@x.example"]
    twice = make_event("Delivery", mail, recipients=["a@x.example", "A@X.example"])
    assert [event.address for event in read_record(twice)] == ["a@x.example"]
    assert len({event.id for event in read_record(make_event("Delivery", mail))}) == 2


def test_copies_have_one_id_and_different_events_have_others():
    ids = [read_one(make_event(kind, MAIL)).id for kind in sorted(OBJECTS)]
    again = [read_one(make_event(kind, MAIL)).id for kind in sorted(OBJECTS)]
    assert ids == again
    later = read_one(make_event("Open", MAIL, timestamp="2026-11-24T12:00:00Z")).id
    links = [read_one(make_event("Click", MAIL, link=link)).id for link in ("https://a.example", "https://b.example")]
    assert len({*ids, later, *links}) == len(ids) + 3


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"eventType": "Bounce"},
        {"eventType": 7, "mail": MAIL},
        {"eventType": "Bounce", "mail": MAIL},
        {"eventType": "Send", "mail": {k: v for k, v in MAIL.items() if k != "messageId"}},
        {"eventType": "Send", "mail": MAIL | {"messageId": "x" * 300}},
        {"eventType": "Send", "mail": MAIL | {"timestamp": "yesterday"}},
        {"eventType": "Send", "mail": MAIL | {"timestamp": 7}},
        {"eventType": "Send", "mail": MAIL | {"destination": []}},
        {"eventType": "Send", "mail": MAIL | {"destination": "ann@example.com"}},
        {"eventType": "Delivery", "mail": MAIL, "delivery": {"timestamp": "9999999"}},
    ],
)
def test_a_record_without_what_every_record_has_is_malformed(record: dict[str, Any]):
    with pytest.raises(MalformedError):
        read_record(record)
    opened = open_one(record)
    assert isinstance(opened, Quarantined)
    assert orjson.loads(opened.body) == record
    assert not opened.is_forged


def test_control_characters_and_long_texts_do_not_reach_the_tables():
    told = [{"emailAddress": "a@x.example", "diagnosticCode": "550 \0\x1b[31m" + "x" * 5000, "status": "5\0"}]
    event = read_one(make_event("Bounce", MAIL, bouncedRecipients=told))
    assert event.detail is not None
    assert len(event.detail) == 1000
    assert event.detail.isprintable()
    assert event.status == "5 "


def test_unknown_fields_types_and_subtypes_are_tolerated():
    record = make_event("Bounce", MAIL | {"new": {"a": 1}}, bounceSubType="BrandNew", more=[1])
    assert find_rule("Bounce", read_one(record).subtype).reason is Reason.BOUNCE
    brand_new = {"eventType": "Levitation", "mail": MAIL, "levitation": {"timestamp": "2026-11-24T09:30:00Z"}}
    assert find_rule("Levitation", read_one(brand_new).subtype).flags == Flag.PROVEN


RECIPIENT = [{"emailAddress": "ann@example.com", "status": "4.2.2", "diagnosticCode": "smtp; 452 full"}]


@pytest.mark.parametrize(
    ("kind", "reported", "action", "reason", "flag"),
    [
        ("Bounce", {}, EventAction.SUPPRESS, Reason.BOUNCE, Flag.BOUNCED),
        ("Bounce", {"bounceSubType": "NoEmail"}, EventAction.SUPPRESS, Reason.BOUNCE, Flag.BOUNCED),
        ("Bounce", {"bounceSubType": "Suppressed"}, EventAction.SUPPRESS, Reason.PROVIDER, Flag.BOUNCED),
        *(
            ("Bounce", {"bounceSubType": subtype}, EventAction.SUPPRESS, Reason.PROVIDER, Flag.PROVIDER_SUPPRESSED)
            for subtype in ("OnAccountSuppressionList", "OnTenantSuppressionList", "EmailValidationSuppressed")
        ),
        (
            "Bounce",
            {"bounceSubType": "UnsubscribedRecipient"},
            EventAction.OPT_OUT,
            Reason.UNSUBSCRIBE,
            Flag.UNSUBSCRIBED,
        ),
        *(
            ("Bounce", {"bounceType": "Transient", "bounceSubType": s, "bouncedRecipients": RECIPIENT}, *rest)
            for s, *rest in (
                ("General", EventAction.COUNT, Reason.SOFT_BOUNCES, Flag.STRIKE),
                ("MailboxFull", EventAction.COUNT, Reason.SOFT_BOUNCES, Flag.STRIKE),
                ("CustomTimeoutExceeded", EventAction.COUNT, Reason.SOFT_BOUNCES, Flag.SOFT_BOUNCED),
                ("MessageTooLarge", EventAction.NOTHING, None, Flag.SOFT_BOUNCED),
                ("ContentRejected", EventAction.NOTHING, None, Flag.SOFT_BOUNCED),
                ("AttachmentRejected", EventAction.NOTHING, None, Flag.SOFT_BOUNCED),
            )
        ),
        (
            "Bounce",
            {"bounceType": "Transient", "bouncedRecipients": [{"emailAddress": "ann@example.com"}]},
            EventAction.NOTHING,  # an out-of-office reply
            None,
            Flag.PROVEN,
        ),
        (
            "Bounce",
            {"bounceType": "Undetermined", "bounceSubType": "Undetermined"},
            EventAction.COUNT,
            Reason.SOFT_BOUNCES,
            Flag.SOFT_BOUNCED,
        ),
        ("Complaint", {}, EventAction.SUPPRESS, Reason.COMPLAINT, Flag.COMPLAINED),
        *(
            ("Complaint", {"complaintFeedbackType": kind}, EventAction.SUPPRESS, Reason.COMPLAINT, Flag.COMPLAINED)
            for kind in ("abuse", "auth-failure", "fraud", "other", "virus", "brand-new")
        ),
        ("Complaint", {"complaintFeedbackType": "not-spam"}, EventAction.NOTHING, None, Flag.PROVEN),
        *(
            ("Complaint", {"complaintSubType": kind}, EventAction.SUPPRESS, Reason.PROVIDER, Flag.PROVIDER_SUPPRESSED)
            for kind in ("OnAccountSuppressionList", "OnTenantSuppressionList")
        ),
        ("Subscription", {}, EventAction.OPT_OUT, Reason.UNSUBSCRIBE, Flag.UNSUBSCRIBED),
        ("Subscription", {"newTopicPreferences": {"unsubscribeAll": False}}, EventAction.NOTHING, None, Flag.PROVEN),
        ("Reject", {}, EventAction.NOTHING, None, Flag.REJECTED),
        ("Rendering Failure", {}, EventAction.NOTHING, None, Flag.REJECTED),
    ],
)
def test_event_has_its_action_reason_and_flag(
    kind: str, reported: dict[str, Any], action: EventAction, reason: Reason | None, flag: Flag
):
    event = read_one(make_event(kind, MAIL, **reported))
    rule = find_rule(event.kind, event.subtype)
    assert (rule.action, rule.reason) == (action, reason)
    assert flag in rule.flags
    assert (Flag.PROVEN in rule.flags) == (kind not in ("Reject", "Rendering Failure"))


def test_only_permanent_bounces_count_as_a_bounce():
    assert {rule.subtype for rule in RULES if Flag.BOUNCED in rule.flags} == {"Permanent", "Permanent/Suppressed"}


def test_topics_that_are_opted_out_of_are_named():
    statuses = [
        {"topicName": "offers", "subscriptionStatus": "OptOut"},
        {"topicName": "news", "subscriptionStatus": "OptOut"},
        {"topicName": "alerts", "subscriptionStatus": "OptIn"},
        {"topicName": "no topic,", "subscriptionStatus": "OptOut"},
        "nonsense",
    ]
    some = make_event("Subscription", MAIL, newTopicPreferences={"topicSubscriptionStatus": statuses})
    assert read_one(some).topics == "news,offers"
    assert read_one(make_event("Subscription", MAIL)).topics == "*"


RECORD = make_event("Delivery", MAIL)
SNS = {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "Message": json.dumps(RECORD)}
BRIDGE = {"version": "0", "detail-type": "Email Delivered", "source": "aws.ses", "detail": RECORD}


@pytest.mark.parametrize(
    "document",
    [RECORD, SNS, BRIDGE, SNS | {"Message": json.dumps(BRIDGE)}, {"quarantined": "x", "body": json.dumps(SNS)}],
)
def test_the_record_is_the_same_in_every_envelope(document: dict[str, Any]):
    assert open_one(document) == read_record(RECORD)


@pytest.mark.parametrize(
    ("body", "passed"),
    [
        (b"Successfully validated SNS topic for Amazon SES event publishing.", Passed.NOTICE),
        (orjson.dumps(SNS | {"Message": "Successfully validated SNS topic for Amazon SES ev"}), Passed.NOTICE),
        (orjson.dumps({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "m"}), Passed.NOTICE),
        (orjson.dumps({"Type": "SubscriptionConfirmation", "SubscribeURL": "https://evil.example"}), Passed.NOTICE),
        (orjson.dumps({"detail-type": "Sending Status Enabled", "source": "aws.ses", "detail": {}}), Passed.NOTICE),
        (orjson.dumps({"notificationType": "Received", "mail": {}, "receipt": {}}), Passed.INBOUND),
    ],
)
def test_notices_are_skipped(body: bytes, passed: Passed):
    assert open_body(body, trust) is passed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[1]",
        b"7",
        b"\xff\xfe",
        b'{"Type": "Notification", "Message": "no json"}',
        b'{"detail-type": "x", "source": "other", "detail": {}}',
        b"[" * 5000,
        b'{"a":' * 5000,
    ],
)
def test_invalid_event_is_set_aside(body: bytes):
    assert isinstance(open_body(body, trust), Quarantined)


def test_envelopes_inside_envelopes_have_an_end():
    document: dict[str, Any] = RECORD
    for _ in range(8):
        document = {"detail-type": "x", "source": "aws.ses", "detail": {"mail": 1, **document}, "mail": 1}
    assert isinstance(open_one(document), Quarantined)


def test_an_sns_notification_is_verified_before_it_is_opened():
    def forge(_: object) -> None:
        raise ForgedError("it is forged")

    opened = open_one(SNS, forge)
    assert isinstance(opened, Quarantined)
    assert (opened.reason, opened.is_forged) == ("it is forged", True)
    assert open_one(RECORD, forge) == read_record(RECORD)


@pytest.fixture
def foreign() -> None:
    if not is_fetched():
        words = "the samples of others are not here: run `make setup` where the package index can be reached"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(words)


@pytest.mark.usefixtures("foreign")
def test_the_samples_of_django_ses_are_read():
    records = read_records()
    assert {record.get("eventType") for record in records} >= {
        "Bounce",
        "Complaint",
        "Delivery",
        "Send",
        "Open",
        "Click",
    }
    for record in records:
        events = read_record(record)
        assert all(event.message_id.startswith("0000013786") and event.at for event in events)
        assert all(find_rule(event.kind, event.subtype).kind == event.kind for event in events)
    softly = [e for record in records for e in read_record(record) if e.subtype.startswith("Transient")]
    assert all(find_rule(e.kind, e.subtype).action is EventAction.NOTHING for e in softly if not e.status)


@pytest.mark.usefixtures("foreign")
def test_notifications_that_aws_signed_are_verified_with_its_certificate():
    notifications, certificate = read_signed()
    for notification in notifications:
        verify = SnsVerifier((notification["TopicArn"],), lambda _: certificate)
        opened = open_one(notification, verify)
        assert isinstance(opened, list)
        assert opened[0].address.endswith("@simulator.amazonses.com")
        changed = notification | {"Message": notification["Message"].replace("simulator", "emulator")}
        refused = open_one(changed, verify)
        assert isinstance(refused, Quarantined)
        assert refused.is_forged
