"""The state of an open lease: which rows follow each other, and when its calls have ended."""

import asyncio

import polars as pl

from engine.ledger.journal import Outcome, Result
from engine.ledger.leases import Lease
from engine.run.send.open_lease import OpenLease


def make_lease(keys: list[str | None]) -> OpenLease:
    columns = {"row": range(1, len(keys) + 1), "address": keys, "key": keys}
    rows = pl.DataFrame(columns, schema_overrides={"row": pl.UInt64})
    return OpenLease(Lease("welcome/1", 0, 1), rows, [], {}, {}, frozenset())


def test_rows_that_follow_are_listed_without_those_that_need_no_look_up():
    opened = make_lease(["a@a.example", "b@b.example", None, "d@d.example", "e@e.example"])
    opened.results[2] = Result(2, Outcome.SENT, "id", None, 1.0, 1)
    assert opened.list_next(1, 10) == {1: "a@a.example", 4: "d@d.example", 5: "e@e.example"}
    assert opened.list_next(2, 3) == {4: "d@d.example"}
    assert opened.list_next(5, 3) == {5: "e@e.example"}


async def test_wait_for_calls_ends_with_the_last_of_them():
    opened = make_lease(["a@a.example"])
    await opened.wait_for_calls()
    opened.begin_call()
    opened.begin_call()
    waiting = asyncio.create_task(opened.wait_for_calls())
    opened.end_calls(1)
    await asyncio.sleep(0)
    assert not waiting.done()
    opened.end_calls(1)
    await waiting


def test_place_of_a_row_is_that_of_the_plan_whatever_is_sent_first():
    """Receivers are spread, and a resumed lease has results: an unsubscribe token names the same place."""
    opened = make_lease([f"{name}@{domain}.example" for domain in "ab" for name in "vwxyz"])
    turns = [recipient.row for recipient in opened.left()]
    assert turns != list(range(1, 11))
    assert [opened.place_of(row) for row in turns] == [(0, row - 1) for row in turns]
    resumed = make_lease(opened.recipients["key"].to_list())
    resumed.results.update({row: Result(row, Outcome.SENT, "id", None, 1.0, 1) for row in turns[:5]})
    assert [resumed.place_of(one.row) for one in resumed.left()] == [opened.place_of(row) for row in turns[5:]]
