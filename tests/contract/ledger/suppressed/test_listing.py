"""The list of suppressed addresses by pages: every entry once, in order of time, and counted."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.ledger.database import Ledger, open_ledger
from engine.ledger.suppressed.listing import ListFilter, ListPlace, count_list, read_list_page
from engine.ledger.suppressed.suppressions import Suppression, add_suppressions, remove_suppressions

START = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url)
    yield opened
    opened.close()


def fill(ledger: Ledger, minutes: list[int]) -> list[Suppression]:
    entries = [
        Suppression(
            f"person{number}@x.example",
            "news" if number % 3 == 0 else "",
            "unsubscribe" if number % 3 == 0 else "bounce",
            f"run {number % 2}",
            START - timedelta(minutes=minute),
        )
        for number, minute in enumerate(minutes)
    ]
    with ledger.write() as tx:
        add_suppressions(tx, entries)
    return entries


def read_all(ledger: Ledger, which: ListFilter, size: int) -> list[Suppression]:
    found: list[Suppression] = []
    place: ListPlace | None = None
    while True:
        with ledger.read() as tx:
            page = read_list_page(tx, which, place, size)
        assert len(page.entries) <= size
        found += page.entries
        place = page.next_place
        if place is None:
            return found


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 5))
def test_pages_have_every_entry_once_in_order(ledger: Ledger, minutes: list[int], size: int) -> None:
    entries = fill(ledger, minutes)
    for which in (ListFilter(), ListFilter(reason="bounce"), ListFilter(topic="news")):
        wanted = {one.key for one in entries if which.reason in ("", one.reason) and which.topic in ("", one.topic)}
        found = read_all(ledger, which, size)
        assert sorted(one.key for one in found) == sorted(wanted)
        assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    with ledger.write() as tx:
        for one in entries:
            remove_suppressions(tx, one.key)


def test_counts_are_those_of_the_list(ledger: Ledger) -> None:
    fill(ledger, [0, 0, 1, 24 * 60])
    with ledger.read() as tx:
        counts = count_list(tx)
    assert counts.total == 4
    assert counts.reasons == [("bounce", 2), ("unsubscribe", 2)]
    assert counts.topics == [("", 2), ("news", 2)]
    assert counts.sources == [("run 0", 2), ("run 1", 2)]
    assert counts.other_sources == 0
    assert counts.days == [("2026-11-24", 3), ("2026-11-23", 1)]
