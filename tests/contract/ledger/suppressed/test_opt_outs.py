"""Opt-outs by the links of runs: each recipient once, with the first method, and never of a row that is not there."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection
from support.clock import START
from support.feedback import NEXT_RUN, RUN, make_run

from engine.ledger import event_flags, leases, runs
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.event_flags import Flag
from engine.ledger.identity import digest_run, list_run_digests, read_identity
from engine.ledger.suppressed.opt_outs import (
    OptOut,
    OptOutMethod,
    UnsubscribeCounts,
    collapse_opt_outs,
    count_opt_outs,
    count_unsubscribes,
    list_opt_outs,
    record_opt_outs,
)

ONE_CLICK, PAGE, MAILTO = OptOutMethod
LATER = START + timedelta(hours=1)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url)
    with opened.write() as tx:
        for name in (RUN, NEXT_RUN):
            runs.insert_run(tx, make_run(name), lease_rows=[8, 8, 4])
    yield opened
    opened.close()


def prune(tx: Connection, run: str) -> None:
    leases.collapse_leases(tx, run, START)
    event_flags.collapse_feedback(tx, run)
    collapse_opt_outs(tx, run)
    runs.mark_pruned(tx, run, START)


def test_first_opt_out_of_a_row_is_kept_and_counts_once(ledger: Ledger) -> None:
    first = [OptOut(RUN, 1, 3, START, PAGE), OptOut(NEXT_RUN, 1, 3, START, ONE_CLICK), OptOut(RUN, 0, 7, START, MAILTO)]
    again = [OptOut(RUN, 1, 3, LATER, ONE_CLICK), OptOut(RUN, 0, 7, LATER, PAGE), OptOut(RUN, 0, 0, LATER, PAGE)]
    with ledger.write() as tx:
        assert record_opt_outs(tx, first) == 3
    with ledger.write() as tx:
        assert record_opt_outs(tx, again) == 1
    with ledger.read() as tx:
        found = list_opt_outs(tx, RUN)
        counts = count_opt_outs(tx, RUN)
        flags = list(event_flags.read_flags(tx, RUN, 0))
    assert found == [again[2], first[2], first[0]]
    assert counts == {ONE_CLICK: 0, PAGE: 2, MAILTO: 1}
    assert flags == [Flag.UNSUBSCRIBED, 0, 0, 0, 0, 0, 0, Flag.UNSUBSCRIBED]


def test_methods_and_ses_add_up_to_the_rows_with_the_flag(ledger: Ledger) -> None:
    """A row with an opt-out by a link is not counted as SES's, whichever came first."""
    by_ses = {0: [(0, Flag.UNSUBSCRIBED | Flag.PROVEN), (1, Flag.UNSUBSCRIBED)], 2: [(3, Flag.UNSUBSCRIBED)]}
    with ledger.write() as tx:
        record_opt_outs(tx, [OptOut(RUN, 2, 3, START, MAILTO)])
        event_flags.set_flags(tx, RUN, by_ses, {0: 8, 2: 4})
        record_opt_outs(tx, [OptOut(RUN, 0, 0, START, ONE_CLICK), OptOut(RUN, 0, 5, START, PAGE)])
        assert count_unsubscribes(tx, RUN) == UnsubscribeCounts(total=4, ses=1, one_click=1, page=1, mailto=1)
        assert event_flags.sum_feedback(tx, RUN)[Flag.UNSUBSCRIBED] == 4
        assert count_unsubscribes(tx, NEXT_RUN) == UnsubscribeCounts(total=0, ses=0, one_click=0, page=0, mailto=0)


@pytest.mark.parametrize(
    ("run", "lease", "index"), [("news/another", 0, 0), (RUN, 3, 0), (RUN, 2, 4), (RUN, 0, -1), (RUN, 2**31 - 1, 2**40)]
)
def test_opt_out_of_a_row_that_is_not_there_changes_nothing(ledger: Ledger, run: str, lease: int, index: int) -> None:
    there = OptOut(NEXT_RUN, 2, 3, START, PAGE)
    with ledger.write() as tx:
        assert record_opt_outs(tx, [OptOut(run, lease, index, START, PAGE), there]) == 1
        assert (list_opt_outs(tx, RUN), list_opt_outs(tx, NEXT_RUN)) == ([], [there])
        assert event_flags.sum_feedback(tx, RUN) == {}


def test_pruned_run_keeps_its_counts_and_takes_no_more(ledger: Ledger) -> None:
    with ledger.write() as tx:
        event_flags.set_flags(tx, RUN, {1: [(0, Flag.UNSUBSCRIBED)]}, {1: 8})
        record_opt_outs(tx, [OptOut(RUN, 0, row, START, PAGE) for row in range(3)])
        record_opt_outs(tx, [OptOut(RUN, 1, 7, LATER, MAILTO)])
        before = count_unsubscribes(tx, RUN)
        prune(tx, RUN)
    with ledger.write() as tx:
        assert count_unsubscribes(tx, RUN) == before == UnsubscribeCounts(total=5, ses=1, one_click=0, page=3, mailto=1)
        assert record_opt_outs(tx, [OptOut(RUN, 0, 5, START, PAGE)]) == 0
        collapse_opt_outs(tx, RUN)  # an interrupted prune is completed
        assert (count_unsubscribes(tx, RUN), list_opt_outs(tx, RUN)) == (before, [])


def test_digest_finds_the_run_of_this_ledger_alone(ledger: Ledger) -> None:
    with ledger.read() as tx:
        assert list_run_digests(tx) == {}, "no identity: no run was sent"
    mine = read_identity(ledger)
    with ledger.read() as tx:
        found = list_run_digests(tx)
    assert found == {digest_run(mine, RUN): RUN, digest_run(mine, NEXT_RUN): NEXT_RUN}
    assert digest_run("0" * 32, RUN) not in found
    assert len(digest_run(mine, RUN)) == 6
