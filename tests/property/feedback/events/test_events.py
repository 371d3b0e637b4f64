"""Events in any order, any number of times, in any batches, across crashes: one end; nothing breaks the parser."""

import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.events import OBJECTS
from support.feedback import RUN, Desk, make, make_soft, open_desk

from engine.errors import DataError, PausedError
from engine.feedback.events.envelopes import Passed, Quarantined, open_body, split_documents
from engine.feedback.events.files import read_file
from engine.feedback.events.matching import make_frame
from engine.feedback.unsubscribe.pages import ONE_CLICK
from engine.feedback.unsubscribe.requests import has_field
from engine.ledger import event_flags

RUNS = (RUN, "news/2026-11-25")
rows = st.integers(1, 4)  # few, so that events meet
days = st.integers(1, 28)
plain = st.builds(
    lambda kind, row, run, copy: make(kind, row, run=run, copy=copy),
    st.sampled_from(sorted(OBJECTS)),
    rows,
    st.sampled_from(RUNS),
    st.integers(0, 1),
)
bounces = st.builds(
    lambda row, day, subtype, run: make_soft(row, f"2026-11-{day:02d}T10:00:00Z", run=run, subtype=subtype),
    rows.map(lambda row: row % 3 + 1),
    days,
    st.sampled_from(["MailboxFull", "General", "ContentRejected", "Brand-new"]),
    st.sampled_from(RUNS),
)
told = st.builds(
    lambda row, details: make("Complaint", row, **details),
    rows,
    st.sampled_from(
        [
            {"complaintFeedbackType": "not-spam"},
            {"complaintSubType": "OnAccountSuppressionList"},
            {"timestamp": "2026-11-23T08:00:00Z", "feedbackId": "earlier"},
        ]
    ),
)
topics = st.builds(
    lambda row, names: make(
        "Subscription",
        row,
        newTopicPreferences={
            "topicSubscriptionStatus": [{"topicName": name, "subscriptionStatus": "OptOut"} for name in names]
        },
    ),
    rows,
    st.lists(st.sampled_from(["news", "offers"]), max_size=2),
)
histories = st.lists(st.one_of(plain, bounces, told, topics), min_size=1, max_size=25)


def take_in_batches(desk: Desk, records: list[dict[str, Any]], dice: random.Random) -> None:
    """Take records in, some twice, in batches; now and then the ledger fails after the volume is written."""
    left = records + dice.sample(records, dice.randint(0, len(records)))
    dice.shuffle(left)
    while left:
        size = dice.randint(1, len(left))
        if dice.random() < 0.3:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(desk.intake, "_apply", _crash)
                with pytest.raises(PausedError):
                    desk.take([*left[:size], make("Send", 1)])
        desk.take(left[:size])
        if dice.random() < 0.3:
            desk.intake.tidy()
        left = left[size:]


def _crash(*_: object) -> None:
    raise PausedError("the disk is full", remedy="free some space")


@settings(max_examples=25)
@given(histories, st.integers(0, 2**32))
def test_events_in_any_order_and_any_number_of_times_lead_to_the_same_end(records: list[dict[str, Any]], seed: int):
    records = [*records, make("Send", 1)]
    with TemporaryDirectory() as folder:
        with open_desk(Path(folder) / "once") as once:
            once.take(records)
            once.intake.tidy()
            expected = once.read_state()
        with open_desk(Path(folder) / "often") as often:
            dice = random.Random(seed)
            take_in_batches(often, records, dice)
            often.intake.tidy()
            assert often.read_state() == expected
            before = often.intake.tally.changed
            often.take(records)
            assert often.read_state() == expected
            assert often.intake.tally.changed == before


def test_the_counts_are_what_the_flags_add_up_to(tmp_path: Path):
    dice = random.Random(4)
    kinds = sorted(OBJECTS)
    with open_desk(tmp_path) as desk:
        for _ in range(10):
            desk.take([make(dice.choice(kinds), dice.randint(1, 20)) for _ in range(15)])
        state = desk.read_state()
    bits = [value for (run, _), values in state["flags"].items() if run == RUN for value in values]
    assert state["sums"][RUN] == {flag: sum(1 for value in bits if value & flag) for flag in event_flags.COUNTED}
    for flag in event_flags.OF_DOMAINS:
        assert sum(counts[flag] for counts in state["domains"][RUN].values()) == state["sums"][RUN][flag]


halves = st.text(
    st.characters(categories=["Cs", "L"]), max_size=12
)  # of surrogate pairs: cut in the middle of an emoji
times = st.builds(
    lambda year, offset: f"{year:04d}-12-31T23:59:59{offset}",
    st.sampled_from([1, 1969, 1970, 2026, 2200, 2201, 9999]),
    st.sampled_from(["", "Z", "+00:00", "-12:00", "+14:00", "+23:59", "-23:59"]),
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=12)
    | halves
    | times
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def wreck(record: Any, dice: random.Random, value: Any) -> Any:
    """Put a value somewhere into a record, or take something away."""
    if isinstance(record, dict) and record and dice.random() < 0.85:
        name = dice.choice(sorted(record))
        if dice.random() < 0.1:
            return {k: v for k, v in record.items() if k != name}
        return record | {name: wreck(record[name], dice, value)}
    if isinstance(record, list) and record and dice.random() < 0.7:
        return [wreck(record[0], dice, value), *record[1:]]
    return value


@settings(max_examples=300)
@given(st.sampled_from(sorted(OBJECTS)), st.integers(0, 2**32), values)
def test_whatever_is_wrong_with_a_record_it_is_an_event_or_set_aside(kind: str, seed: int, value: Any):
    dice = random.Random(seed)
    record = wreck(wreck(make(kind, 1), dice, value), dice, value)
    opened = open_body(json.dumps(record), lambda _: None)
    assert isinstance(opened, (Passed, Quarantined)) or all(event.id and event.address for event in opened)
    if isinstance(opened, list):
        make_frame(opened)  # every text and time of it can be written


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(sorted(OBJECTS)), st.integers(0, 2**32), values), max_size=8))
def test_wrecked_records_do_not_break_the_intake(wrecks: list[tuple[str, int, Any]]):
    with TemporaryDirectory() as folder, open_desk(Path(folder) / "desk") as desk:
        wrecked = [wreck(make(kind, 1), random.Random(seed), value) for kind, seed, value in wrecks]
        path = Path(folder) / "events"
        path.write_text(json.dumps(wrecked))
        for opened in read_file(path, "f", lambda _: None):
            desk.intake.take(opened, "a file")
        desk.take(wrecked)
        desk.take([make("Delivery", 2)])
        assert desk.read_state()["sums"][RUN][event_flags.Flag.DELIVERED] >= 1


@settings(max_examples=100)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), values, max_size=3), max_size=6),
    st.sampled_from(["", "\n", "\n\n", " ", "\r\n", ","]),
)
def test_documents_are_found_whatever_stands_between_them(documents: list[dict[str, Any]], between: str):
    texts = [json.dumps(document) for document in documents]
    found = list(split_documents(between.join(texts)))
    assert [document for document, _ in found] == documents
    assert [text for _, text in found] == texts


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_read_to_their_end(data: bytes):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "events"
        path.write_bytes(data)
        try:
            opened = [item for some in read_file(path, "f", lambda _: None) for item in some]
        except DataError:
            assert data.startswith((b"\x1f\x8b", b"PAR1")), "only gzip and Parquet may be damaged as a whole"
        else:
            assert all(isinstance(item, (Quarantined, Passed, list)) for item in opened)


def case_of(text: str) -> st.SearchStrategy[str]:
    """Return the text in any mixture of capitals and small letters."""
    flags = st.lists(st.booleans(), min_size=len(text), max_size=len(text))
    return flags.map(
        lambda ups: "".join(letter.upper() if up else letter.lower() for letter, up in zip(text, ups, strict=True))
    )


SPACES = st.sampled_from(["", "\r\n", "\n", " "])


@given(case_of("List-Unsubscribe"), case_of("One-Click"), SPACES, SPACES)
def test_a_form_is_one_click_however_it_is_spelt(name: str, value: str, before: str, after: str):
    assert has_field("application/x-www-form-urlencoded", f"{before}{name}={value}{after}".encode(), *ONE_CLICK)
    assert not has_field("application/x-www-form-urlencoded", f"{before}{name}=not-{value}{after}".encode(), *ONE_CLICK)
    assert not has_field("application/x-www-form-urlencoded", f"{before}x{name}={value}{after}".encode(), *ONE_CLICK)


@given(
    case_of("boundary"),
    st.sampled_from(["x", '"x"', '"a; b"', '"----x=y"']),
    case_of('name="List-Unsubscribe"') | case_of("name=List-Unsubscribe"),
    case_of("One-Click"),
    st.sampled_from(["\r\n", "\n"]),
    st.sampled_from(["", "; a=b"]),
)
def test_a_form_in_parts_is_one_click_however_it_is_spelt(  # noqa: PLR0917 - hypothesis gives them so
    word: str, boundary: str, name: str, value: str, end: str, more: str
):
    mark = boundary.strip('"')
    lines = [f"--{mark}", f"Content-Disposition: form-data; {name}{more}", "", value, f"--{mark}--", ""]
    assert has_field(f"multipart/form-data; {word}={boundary}", end.join(lines).encode(), *ONE_CLICK)
    assert not has_field(
        f"multipart/form-data; {word}={boundary}", end.join(lines).replace(value, "No").encode(), *ONE_CLICK
    )


@given(st.text(max_size=60), st.binary(max_size=200))
def test_no_body_breaks_the_reading_of_forms(kind: str, body: bytes):
    for content_type in (kind, f"multipart/form-data;{kind}", "application/x-www-form-urlencoded"):
        has_field(content_type, body, *ONE_CLICK)


@pytest.mark.parametrize("half", ["\ud800", "a\udc80z"])
@pytest.mark.parametrize("place", ["header", "id", "words", "subtype"])
def test_half_an_emoji_anywhere_loses_no_bounce(tmp_path: Path, place: str, half: str):
    record = make("Bounce", 1)
    match place:
        case "header":
            record["mail"]["headers"] = [{"name": "Subject", "value": half}]
        case "id":
            record["mail"]["messageId"] += half
        case "words":
            record["bounce"]["bouncedRecipients"][0]["diagnosticCode"] = half
        case _:
            record["bounce"]["bounceSubType"] = half
    in_sns = {"Type": "Notification", "Message": json.dumps(record)}
    with open_desk(tmp_path) as desk:
        desk.intake.take([open_body(json.dumps(in_sns), lambda _: None), Quarantined(half, half)], half)
        assert desk.read_state()["sums"][RUN][event_flags.Flag.BOUNCED] == 1


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z"])
def test_a_time_at_the_end_of_the_calendar_is_set_aside(time: str):
    assert isinstance(open_body(json.dumps(make("Bounce", 1, timestamp=time)), lambda _: None), Quarantined)
