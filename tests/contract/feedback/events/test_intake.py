"""What events change in the ledger, on SQLite and on PostgreSQL: each address by the rules, each flag once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec import structs
from sqlalchemy import Connection, Engine, event, update
from support.clock import VirtualClock
from support.events import make_event, make_mail
from support.feedback import NEXT_RUN, NOW, PEOPLE, RULE, RUN, Desk, make, make_soft, open_desk, scan_events
from support.postgres import Cluster
from support.recorded import read_domains

from engine.clock import Clock
from engine.errors import DataError
from engine.feedback.events import matching
from engine.feedback.events.effects import SoftRule, find_last_straw
from engine.feedback.events.event_files import find_message_ids
from engine.feedback.events.files import read_file
from engine.feedback.events.intake import Intake
from engine.feedback.events.matching import Matcher
from engine.ledger.database import open_ledger
from engine.ledger.event_flags import Flag, SoftBounce
from engine.ledger.schema import run_table
from engine.ledger.suppressed.suppression_scope import Scope
from engine.ledger.suppressed.suppressions import (
    Suppression,
    add_suppressions,
    find_suppressions,
    merge_event_suppressions,
    remove_suppressions,
)

SOON = "2026-11-24T10:00:00Z"


@pytest.fixture
def desk(tmp_path: Path, ledger_url: str) -> Iterator[Desk]:
    with open_desk(tmp_path / "desk", ledger_url, topic="weekly", ses_topic="news") as opened:
        yield opened


def suppressed(desk: Desk) -> list[Suppression]:
    items: list[Suppression] = desk.read_state()["suppressed"]
    return items


def test_kinds_that_others_name_are_counted_under_few_names(desk: Desk):
    desk.take([make("Send", 1)])
    desk.take([make("Send", 2, copy=copy) | {"eventType": f"Kind{copy}"} for copy in range(200)])
    kinds = desk.intake.tally.to_json()["kinds"]
    assert sum(kinds.values()) == 201
    assert kinds["Send"] == 1
    assert kinds["other"] > 100
    assert len(kinds) <= 51


def test_a_bounce_and_a_complaint_suppress_at_once_with_all_that_is_known(desk: Desk):
    desk.take([make("Bounce", 3), make("Complaint", 4)])
    by_key = {item.key: item for item in suppressed(desk)}
    assert set(by_key) == {PEOPLE[2], PEOPLE[3]}
    bounce = by_key[PEOPLE[2]]
    assert (bounce.scope, bounce.reason, bounce.source) == (Scope.ALL, "bounce", f"run {RUN}")
    assert (bounce.at, bounce.address) == (datetime(2026, 11, 24, 9, 0, 5, tzinfo=UTC), PEOPLE[2])
    assert bounce.event in scan_events(desk.store).collect()["id"].to_list()


def test_the_address_is_kept_as_it_was_received_and_compared_in_lower_case(desk: Desk):
    tags = {"mailrun-campaign": "news", "mailrun-key": "2026-11-24", "mailrun-row": "3"}
    mail = make_mail("0100-a", PEOPLE[2].upper(), tags)
    desk.take([make_event("Bounce", mail)])
    assert [(item.key, item.address) for item in suppressed(desk)] == [(PEOPLE[2], PEOPLE[2].upper())]


def test_transient_bounces_suppress_only_together_and_only_in_time(desk: Desk):
    desk.take([make_soft(1, "2026-11-10T10:00:00Z"), make_soft(1, "2026-11-11T10:00:00Z")])
    assert suppressed(desk) == []  # one message: one strike
    desk.take([make_soft(1, "2026-11-20T10:00:00Z", run=NEXT_RUN)])
    assert suppressed(desk) == []  # not within seven days
    desk.take([make_soft(2, "2026-11-10T10:00:00Z"), make_soft(2, "2026-11-17T10:00:00Z", run=NEXT_RUN)])
    assert [(item.key, item.reason) for item in suppressed(desk)] == [(PEOPLE[1], "soft_bounces")]


def test_removed_address_stays_removed_until_a_new_event(desk: Desk):
    history = [
        make("Bounce", 3),
        make_soft(4, "2026-11-10T10:00:00Z"),
        make_soft(4, "2026-11-11T10:00:00Z", run=NEXT_RUN),
    ]
    desk.take(history)
    assert {item.key for item in suppressed(desk)} == {PEOPLE[2], PEOPLE[3]}
    with desk.ledger.write() as tx:
        remove_suppressions(tx, PEOPLE[2])
        remove_suppressions(tx, PEOPLE[3])
    desk.take(history[::-1])
    assert suppressed(desk) == []
    desk.take([make("Complaint", 3), make("Bounce", 4, run=NEXT_RUN)])
    assert {(item.key, item.reason) for item in suppressed(desk)} == {(PEOPLE[2], "complaint"), (PEOPLE[3], "bounce")}


def test_opt_outs_are_of_their_topics_and_ses_knows_ours_by_its_own_name(desk: Desk):
    statuses = [{"topicName": name, "subscriptionStatus": "OptOut"} for name in ("news", "offers")]
    some: dict[str, Any] = {"newTopicPreferences": {"unsubscribeAll": False, "topicSubscriptionStatus": statuses}}
    to = [{"emailAddress": PEOPLE[8]}]
    unsubscribed = make("Bounce", 9, bounceSubType="UnsubscribedRecipient", bouncedRecipients=to)
    desk.take([make("Subscription", 7, **some), make("Subscription", 8), unsubscribed])
    found = {(item.key, item.topic, item.scope) for item in suppressed(desk)}
    assert found == {
        (PEOPLE[6], "weekly", Scope.TOPIC),
        (PEOPLE[6], "offers", Scope.TOPIC),
        (PEOPLE[7], "", Scope.ALL),
        (PEOPLE[8], "weekly", Scope.TOPIC),
    }
    assert desk.read_state()["sums"][RUN][Flag.BOUNCED] == 0


def test_the_bounces_of_a_sandbox_say_nothing_about_real_people(desk: Desk):
    with desk.ledger.write() as tx:
        tx.execute(update(run_table).where(run_table.c.name == RUN).values(sandbox=True))
    desk.take([make("Bounce", 3), make("Complaint", 4)])
    state = desk.read_state()
    assert (state["suppressed"], state["sums"][RUN][Flag.BOUNCED]) == ([], 1)


def test_flags_are_in_the_order_of_their_rows_in_the_plan(desk: Desk):
    desk.take([make("Open", row) for row in (1, 8, 20)])
    flags = desk.read_state()["flags"]
    places = [lease * 8 + at for lease in range(3) for at, bits in enumerate(flags[RUN, lease]) if bits]
    assert places == [place for place in range(20) if place * 7 % 20 + 1 in (1, 8, 20)]


def test_large_receivers_are_counted_by_themselves_and_all_others_together(
    tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("engine.feedback.events.row_index.LARGE_DOMAIN_RECIPIENTS", 10)
    monkeypatch.setattr("engine.feedback.events.row_index.LARGE_DOMAINS", 1)
    with open_desk(tmp_path / "desk", ledger_url) as desk:
        desk.take([make("Delivery", row) for row in range(1, 8)] + [make("Bounce", 9)])
        with desk.ledger.read() as tx:
            domains = read_domains(tx, RUN)
    assert {name: (c[Flag.PROVEN], c[Flag.DELIVERED], c[Flag.BOUNCED]) for name, c in domains.items()} == {
        "big.example": (5, 4, 1),
        "": (3, 3, 0),
    }


def test_pulls_at_once_lose_nothing_and_count_nothing_twice(tmp_path: Path, ledger_url: str):
    with open_desk(tmp_path / "desk", ledger_url) as desk:
        desk.take([make("Send", 1)])  # the index is there
        batches = [[make(kind, row) for row in range(1, 21)] for kind in ("Delivery", "Open", "Click", "Bounce")] * 2

        def take(batch: list[dict[str, Any]]) -> None:
            with closing(make_matcher(desk)) as matcher:  # as another process has one
                own = replace(desk, matcher=matcher)
                replace(own, intake=make_intake(own)).take(batch)

        with ThreadPoolExecutor(4) as threads:
            for _ in threads.map(take, batches):
                pass
        state = desk.read_state()
    assert {flag: state["sums"][RUN][flag] for flag in (Flag.DELIVERED, Flag.OPENED, Flag.CLICKED, Flag.BOUNCED)} == {
        Flag.DELIVERED: 20,
        Flag.OPENED: 20,
        Flag.CLICKED: 20,
        Flag.BOUNCED: 20,
    }
    assert sum(counts[Flag.BOUNCED] for counts in state["domains"][RUN].values()) == 20
    assert len(state["suppressed"]) == 20


def make_forwarded(kind: str, row: int, *named: str) -> dict[str, Any]:
    """Make an event of a row that names others than its address."""
    field = {"Bounce": "bouncedRecipients", "Complaint": "complainedRecipients"}[kind]
    event = make(kind, row)
    event[kind.lower()][field] = [{"emailAddress": name} for name in named]
    return event


def test_bounce_of_an_alias_suppresses_the_mailed_address(desk: Desk):
    event = make_forwarded("Bounce", 3, "moved-to@corp.example")
    event["mail"]["destination"] = [PEOPLE[2].upper()]
    desk.take([event])
    assert [(s.key, s.address, s.reason) for s in suppressed(desk)] == [(PEOPLE[2], PEOPLE[2].upper(), "bounce")]
    state = desk.read_state()
    assert state["sums"][RUN][Flag.BOUNCED] == 1
    assert sum(counts[Flag.BOUNCED] for counts in state["domains"][RUN].values()) == 1
    volume = scan_events(desk.store).collect()
    assert volume.select("address", "key", "sent_to").rows() == [
        ("moved-to@corp.example", PEOPLE[2], PEOPLE[2].upper())
    ]
    again = [
        event
        for some in read_file(next(desk.store.local_folder.rglob("*.parquet")), "f", lambda _: None)
        for event in some
    ]
    desk.intake.take(again, "the store")
    assert desk.read_state() == state
    assert desk.intake.tally.matches["never_mailed"] == 0


@pytest.mark.parametrize(
    ("named", "destination"),
    [
        (["moved-to@corp.example"], [PEOPLE[2], PEOPLE[3]]),
        (["moved-to@corp.example"], [PEOPLE[3]]),
        (["moved-to@corp.example"], []),
        (["moved-to@corp.example"], "text"),
        (["moved-to@corp.example"], [7]),
        ([PEOPLE[3], "moved-to@corp.example"], [PEOPLE[3]]),
    ],
)
def test_address_named_beside_others_is_not_our_recipient(desk: Desk, named: list[str], destination: Any):
    event = make_forwarded("Complaint", 3, *named)
    event["mail"]["destination"] = destination
    desk.take([event])
    assert suppressed(desk) == []
    assert desk.intake.tally.matches["never_mailed"] == len(named)


@pytest.mark.parametrize(
    ("others", "stays"),
    [
        (Suppression("x@x.example", "", "unsubscribe", "unsubscribe link", NOW), "unsubscribe"),
        (Suppression("x@x.example", "", "complaint", "run b", NOW, "e2"), "complaint"),
        (Suppression("x@x.example", "", "provider", "run b", NOW, "e2"), "bounce"),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_what_another_adds_or_refines_meanwhile_is_an_entry_that_was_there(
    postgres: Cluster, others: Suppression, stays: str, *, is_there: bool
):
    mine = structs.replace(others, reason="bounce", source="run a", event="e1")
    url = postgres.make_database()

    def add() -> None:
        with other.write() as theirs:
            merge_event_suppressions(theirs, [others]) if others.event else add_suppressions(theirs, [others])

    with closing(open_ledger(url)) as ledger, closing(open_ledger(url)) as other:
        if is_there:
            with ledger.write() as tx:
                merge_event_suppressions(tx, [structs.replace(mine, reason="soft_bounces")])
        with ledger.write() as tx:

            @once_after_statement(tx, "FROM suppression")
            def _interfere() -> None:
                with ThreadPoolExecutor(1) as thread:  # a thread has one transaction at a time
                    thread.submit(add).result()

            assert merge_event_suppressions(tx, [mine]) == 0
        with ledger.read() as tx:
            (found,) = find_suppressions(tx, ["x@x.example"])
    assert found.reason == ("bounce" if is_there and others.event is None else stays)


def test_two_intakes_do_not_deadlock_on_suppressions(desk: Desk):
    touched: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        touched.append("suppression" if " suppression " in f"{statement} ".replace("\n", " ") else "other")

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        desk.take([make("Bounce", row, run=run) for row in (9, 3) for run in (NEXT_RUN, RUN)] + [make_soft(1, SOON)])
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    first = touched.index("suppression")
    assert first > 0
    assert set(touched[first:]) == {"suppression"}


def once_after_statement(tx: Connection, words: str) -> Callable[[Callable[[], None]], None]:
    """Call a function after the first statement with some words."""

    def register(call: Callable[[], None]) -> None:
        called = False

        def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            nonlocal called
            if words in statement and not called:
                called = True
                call()

        event.listen(tx, "after_cursor_execute", listen)

    return register


def make_matcher(desk: Desk) -> Matcher:
    return Matcher(desk.ledger, desk.store, desk.matcher._open_plan)


def make_intake(desk: Desk, clock: Clock | None = None) -> Intake:
    return Intake(desk.ledger, desk.store, desk.matcher, soft_rule=RULE, clock=clock or VirtualClock())


def test_first_of_two_messages_to_a_row_proves_it(desk: Desk):
    desk.take([make("Delivery", 5, copy=1), make("Send", 5, copy=0), make("Send", 6)])
    found = find_message_ids(desk.store, RUN, [5, 6, 7], datetime(2026, 11, 24, tzinfo=UTC))
    assert found == {5: "0100-news-2026-11-24-5-0", 6: "0100-news-2026-11-24-6-0"}


def test_what_no_rule_looks_back_to_is_dropped(desk: Desk):
    clock = VirtualClock()
    desk = replace(desk, intake=make_intake(desk, clock))
    desk.take([make_soft(row, (clock.now() - timedelta(days=days)).isoformat()) for row, days in ((1, 20), (2, 1))])
    desk.intake.tidy()
    assert set(desk.read_state()["soft"]) == {PEOPLE[0], PEOPLE[1]}
    clock.advance(2 * 86_400)
    desk.intake.tidy()
    assert set(desk.read_state()["soft"]) == {PEOPLE[1]}


@pytest.mark.parametrize(("days", "is_suppressed"), [((19, 15), True), ((22, 20), False), ((60, 59), False)])
def test_old_transient_bounces_count_alike_together_and_one_by_one(
    tmp_path: Path, days: tuple[int, int], *, is_suppressed: bool
):
    times = [(VirtualClock().now() - timedelta(days=ago)).isoformat() for ago in days]
    bounces = [make_soft(1, at, run=run) for at, run in zip(times, (RUN, NEXT_RUN), strict=True)]
    ways = [[bounces], [[one] for one in bounces], [[one] for one in bounces[::-1]]]
    for number, batches in enumerate(ways):
        with open_desk(tmp_path / str(number)) as desk:
            for batch in [*batches, bounces]:  # and all of it again
                desk.take(batch)
                desk.intake.tidy()
            assert bool(suppressed(desk)) is is_suppressed
            assert [desk.read_state()["sums"][run][Flag.SOFT_BOUNCED] for run in (RUN, NEXT_RUN)] == [1, 1]


@pytest.mark.parametrize(
    ("days", "straw"),
    [([1, 2, 3], 3), ([1, 20, 21, 22], 22), ([1, 9, 17], None), ([1, 4, 8, 9], 8), ([1, 2], None), ([], None)],
)
def test_last_straw_is_the_first_bounce_above_the_limit(days: list[int], straw: int | None):
    bounces = [SoftBounce("k", RUN, day, datetime(2026, 11, day, tzinfo=UTC), f"e{day}") for day in days]
    found = find_last_straw(bounces, SoftRule(bounces=3, days=7))
    assert (found.row if found else None) == straw


def test_restored_ledger_reads_missed_events_from_the_store(tmp_path: Path):
    kinds = ("Send", "Delivery", "Bounce", "Complaint", "Open", "Subscription")
    with open_desk(tmp_path / "desk") as desk:
        desk.take([make(kind, row) for row in (1, 2, 9) for kind in kinds])
        desk.take([make_event("Complaint", make_mail("0100-none", "x@else.example"))])
        expected = desk.read_state()
        files = sorted((desk.store.local_folder / "events").rglob("*.parquet"))
        with open_desk(tmp_path / "restored") as restored:
            restored.store = restored.intake._store = desk.store
            for path in files:
                for opened in read_file(path, path.name, lambda _: None):
                    restored.intake.take(opened, path.name)
            assert restored.read_state() == expected
        assert sorted((desk.store.local_folder / "events").rglob("*.parquet")) == files
    other = tmp_path / "other.parquet"
    other.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match="cannot be read"):
        list(read_file(other, "other", lambda _: None))
    pl.DataFrame({"a": [1]}).write_parquet(other)
    with pytest.raises(DataError, match="not a file of mailrun's events"):
        list(read_file(other, "other", lambda _: None))


def test_a_batch_of_more_runs_than_are_kept_open_changes_them_all(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(matching, "_PLANS_OPEN", 1)
    desk.take([make("Bounce", 3), make("Bounce", 4, run=NEXT_RUN)])
    assert (desk.intake.tally.events, desk.intake.tally.changed) == (2, 2)
