"""Whatever events arrive, in any order and any number of times, figures are those of the set of events."""

import random
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import to_builtins

from engine.feedback.events.agents import MACHINES
from engine.feedback.events.event_files import EVENT_SCHEMA
from engine.feedback.events.rules import find_rule
from engine.ledger.event_flags import Flag
from engine.report.figures.from_events.bounce_diagnoses import list_diagnoses
from engine.report.figures.from_events.clicked_links import list_links
from engine.report.figures.from_events.openers import count_openers
from engine.report.figures.from_events.run_events import StoredEvents

KINDS = (
    ("Open", ""), ("Click", ""), ("Bounce", "Permanent/General"), ("Bounce", "Transient/MailboxFull"),
    ("Bounce", "Transient/OutOfOffice"), ("Delivery", ""),
)  # fmt: skip
EVENTS = st.lists(
    st.fixed_dictionaries({
        "kind": st.sampled_from(KINDS),
        "row": st.integers(1, 6),
        "at": st.integers(0, 3),
        "agent": st.sampled_from([None, "Gmail image proxy", *sorted(MACHINES)]),
        "position": st.sampled_from([None, 1, 2]),
        "link": st.sampled_from(["https://a.example/1", "https://b.example/2", None]),
        "detail": st.sampled_from([None, "smtp; 550 5.1.1 no such user", "smtp; 452 4.2.2 full"]),
        "status": st.sampled_from([None, "5.1.1", "4.2.2"]),
    }),
    max_size=25,
)  # fmt: skip


def make_frame(events: list[dict[str, Any]]) -> pl.DataFrame:
    rows = [
        {
            **event, "id": f"{number:032x}", "kind": event["kind"][0], "subtype": event["kind"][1],
            "at": event["at"] * 1000, "key": f"person{event['row']}@x{event['row'] % 2}.example", "run": "news/1",
        }
        for number, event in enumerate(events)
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema={name: EVENT_SCHEMA[name] for name in rows[0]} if rows else dict(EVENT_SCHEMA))
    return frame.select(
        *(pl.col(n) if n in frame.columns else pl.lit(None, t).alias(n) for n, t in EVENT_SCHEMA.items())
    )


def count(frame: pl.DataFrame, at_once: int) -> Any:
    pairs = frame.group_by("kind", "subtype").len().iter_rows()
    events = StoredEvents(frame.lazy(), {(kind, subtype): n for kind, subtype, n in pairs}, at_once)
    return to_builtins((count_openers(events), list_links(events, []), list_diagnoses(events)))


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.integers(0, 2**32), st.integers(1, 30))
def test_order_copies_and_parts_of_events_change_nothing(events: list[dict[str, Any]], seed: int, at_once: int) -> None:
    dice, frame = random.Random(seed), make_frame(events)
    order = [*range(frame.height), *(dice.randrange(frame.height) for _ in range(dice.randrange(9)) if frame.height)]
    dice.shuffle(order)
    assert count(frame[order], at_once) == count(frame, 1000)


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_figures_add_up_to_recipients_with_each_kind_of_event(events: list[dict[str, Any]]) -> None:
    opens, links, bounces = count(make_frame(events), 1000)

    def rows(flag: Flag) -> set[int]:
        return {event["row"] for event in events if flag in find_rule(*event["kind"]).flags}

    assert opens["people"] + sum(opens["machines"].values()) == len(rows(Flag.OPENED))
    people = {e["row"] for e in events if e["kind"][0] == "Open" and e["agent"] not in MACHINES}
    assert opens["people"] == len(people)
    clicks = [event for event in events if event["kind"][0] == "Click"]
    assert sum(link["clicks"] for link in links) == sum(event["agent"] not in MACHINES for event in clicks)
    assert sum(link["clicks"] + link["machine_clicks"] for link in links) == len(clicks)
    for kind, flag in (("hard", Flag.BOUNCED), ("soft", Flag.SOFT_BOUNCED)):
        assert sum(one["recipients"] for one in bounces if one["kind"] == kind) == len(rows(flag))
