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
from support.wrecked import values, wreck

from engine.errors import DataError, PausedError
from engine.feedback.events.envelopes import Passed, Quarantined, open_body
from engine.feedback.events.files import read_file
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


def process_in_batches(desk: Desk, records: list[dict[str, Any]], dice: random.Random) -> None:
    """Take records in, some twice, in batches; now and then the ledger fails after the volume is written."""
    left = records + dice.sample(records, dice.randint(0, len(records)))
    dice.shuffle(left)
    while left:
        size = dice.randint(1, len(left))
        if dice.random() < 0.3:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("engine.feedback.events.intake.apply_events", _crash)
                with pytest.raises(PausedError):
                    desk.take([*left[:size], make("Send", 1)])
        desk.take(left[:size])
        if dice.random() < 0.3:
            desk.intake.tidy()
        left = left[size:]


def _crash(*_: object, **__: object) -> None:
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
            process_in_batches(often, records, dice)
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
