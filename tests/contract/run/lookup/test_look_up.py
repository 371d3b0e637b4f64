"""Look up one address: every place that knows it is found, and time bounds what is searched."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.sent_runs import PEOPLE, SENT_AT, add_events, add_run, make_event_of_row, open_new_workspace

from engine.addresses.hashing import hash_keys
from engine.audience.providers import mailbox_of
from engine.errors import DataError
from engine.ledger import runs
from engine.ledger.journal import Outcome, Result
from engine.ledger.suppressed.opt_outs import OptOut, OptOutMethod, record_opt_outs
from engine.ledger.suppressed.suppressions import Suppression, add_suppressions
from engine.run.lookup import look_up, plan_search
from engine.run.lookup.hash_search import PROBE_ROWS, find_places
from engine.run.lookup.look_up import find_address_events, look_up_address
from engine.run.retain.forget import forget_address
from engine.workspace import Workspace

ANN = "ann@x.example"
WEEK = timedelta(days=7)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_new_workspace(tmp_path) as opened:
        yield opened


def suppress(workspace: Workspace, *items: Suppression) -> None:
    with workspace.ledger.write() as tx:
        add_suppressions(tx, items)


def test_look_up_finds_what_was_sent_and_its_events(workspace: Workspace) -> None:
    add_run(workspace, "news/1", PEOPLE + "Ann@x.example\n")
    add_run(workspace, "news/2", PEOPLE, at=SENT_AT + WEEK)
    add_events(
        workspace,
        [
            make_event_of_row("Delivery", "news/1", 31, ANN),
            make_event_of_row("Open", "news/1", 31, ANN, userAgent="Mail"),
            make_event_of_row("Open", "news/1", 3, "person2@x.example"),
        ],
    )
    found = look_up_address(workspace, "  ANN@X.example ")
    (message,) = found.messages
    assert (message.run.name, message.row.row, message.row.line) == ("news/1", 31, 32)
    assert message.outcome is not None
    assert (message.outcome.outcome, message.outcome.message_id) == (Outcome.SENT, "0100-news-1-31")
    assert message.outcome.at == SENT_AT
    assert {"delivered", "opened"} <= set(message.outcome.events)
    events = find_address_events(workspace, ANN)
    assert [event.kind for event in events.events] == ["Delivery", "Open"]
    assert events.next_day is None


def test_look_up_finds_the_opt_out_by_the_link_of_a_message(workspace: Workspace) -> None:
    add_run(workspace, "news/1", f"email\n{ANN}\nbea@x.example\n")
    (message,) = look_up_address(workspace, ANN).messages
    assert message.outcome is not None
    assert message.outcome.opt_out is None
    made = OptOut("news/1", 0, message.row.place, SENT_AT + WEEK, OptOutMethod.PAGE)
    with workspace.ledger.write() as tx:
        record_opt_outs(tx, [made])
    (message,) = look_up_address(workspace, ANN).messages
    assert message.outcome is not None
    assert message.outcome.opt_out == made
    (other,) = look_up_address(workspace, "bea@x.example").messages
    assert other.outcome is not None
    assert other.outcome.opt_out is None


def test_look_up_finds_excluded_rows_in_every_spelling(workspace: Workspace) -> None:
    suppress(workspace, Suppression(ANN, "", "complaint", "a test", SENT_AT))
    rows = (
        "email\nann@x.example\n Ann@X.example \nAnn Lee <ann@x.example>\n\uff41nn@x.example\nanna@x.example\nnot one\n"
    )
    add_run(workspace, "news/1", rows)
    found = look_up_address(workspace, ANN)
    assert [one.row.row for one in found.messages] == [1, 2, 3, 4]
    assert {one.row.reason for one in found.messages} <= {"suppressed", "duplicate"}
    assert found.is_suppressed


def test_look_up_finds_entries_of_the_domain_and_erased_people(workspace: Workspace) -> None:
    suppress(workspace, Suppression("@x.example", "", "manual", "ann", SENT_AT))
    assert [entry.key for entry in look_up_address(workspace, ANN).entries] == ["@x.example"]
    domain = look_up_address(workspace, "@x.example")
    assert (domain.is_domain, domain.is_suppressed, domain.messages) == (True, True, ())
    add_run(workspace, "news/1", f"email\n{ANN}\n")
    forget_address(ANN, workspace.ledger, workspace.store, workspace.clock)
    erased = look_up_address(workspace, ANN)
    assert (erased.is_forgotten, erased.messages) == (True, [])


@pytest.mark.parametrize(
    ("result", "outcome", "error"),
    [
        (Result(0, Outcome.REFUSED, None, "MessageRejected", 5.0, 1), Outcome.REFUSED, "MessageRejected"),
        (Result(0, Outcome.FAILED, None, "no template", 5.0, 3), Outcome.FAILED, "no template"),
    ],
)
def test_look_up_reads_open_leases(workspace: Workspace, result: Result, outcome: Outcome, error: str) -> None:
    rows = PEOPLE + "ann@x.example\nbea@x.example\n"
    add_run(workspace, "news/1", rows, outcomes={ANN: result, "bea@x.example": None}, settled=False)
    (message,) = look_up_address(workspace, ANN).messages
    assert message.outcome is not None
    assert (message.outcome.outcome, message.outcome.error) == (outcome, error)
    (other,) = look_up_address(workspace, "bea@x.example").messages
    assert other.outcome is not None
    assert other.outcome.outcome is Outcome.IN_DOUBT


def test_look_up_goes_on_where_the_time_ended(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some runs are searched in any case, the newest first; the next call continues, and none is left out."""
    monkeypatch.setattr(plan_search, "_RUNS_AT_ONCE", 2)
    for number in range(5):
        add_run(workspace, f"news/{number}", f"email\n{ANN}\n", at=SENT_AT + number * WEEK)
    names: list[str] = []
    following: str | None = None
    while following is not None or not names:
        found = look_up_address(workspace, ANN, first=following, seconds=0.0)
        names += [one.run.name for one in found.messages]
        assert found.unsearched == 5 - len(names)
        following = found.next_run
    assert names == [f"news/{number}" for number in (4, 3, 2, 1, 0)]


def test_look_up_details_the_newest_messages_only(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_up, "MOST_DETAILED", 2)
    for number in range(3):
        add_run(workspace, f"news/{number}", f"email\n{ANN}\n", at=SENT_AT + number * WEEK)
    found = look_up_address(workspace, ANN)
    assert ([one.run.name for one in found.messages], found.more) == (["news/2", "news/1"], 1)
    assert found.next_run == "news/0"


def test_damaged_plan_is_reported_and_others_are_searched(workspace: Workspace) -> None:
    add_run(workspace, "news/1", f"email\n{ANN}\n")
    add_run(workspace, "news/2", f"email\n{ANN}\n", at=SENT_AT + WEEK)
    (workspace.store.local_folder / "runs/news/2/plan/recipients-0000.parquet").write_bytes(b"damaged")
    found = look_up_address(workspace, ANN)
    assert [one.run.name for one in found.messages] == ["news/1"]
    assert set(found.unread) == {"news/2"}


def test_damaged_outcomes_leave_the_rest_of_the_page(workspace: Workspace) -> None:
    add_run(workspace, "news/1", f"email\n{ANN}\n")
    for path in (workspace.store.local_folder / "runs/news/1/outcomes").iterdir():
        path.write_bytes(b"damaged")
    (message,) = look_up_address(workspace, ANN).messages
    assert message.outcome is None
    assert "mailrun audit news/1" in message.problem


def test_pruned_run_is_known_from_the_history(workspace: Workspace) -> None:
    run = add_run(workspace, "news/1", f"email\n{ANN}\n")
    workspace.store.delete_folder(run.folder)
    with workspace.ledger.write() as tx:
        runs.mark_pruned(tx, run.name, SENT_AT + WEEK)
    found = look_up_address(workspace, ANN)
    assert [(one.run, one.at) for one in found.pruned] == [("news/1", SENT_AT)]


def test_text_that_is_not_an_address_is_refused(workspace: Workspace) -> None:
    with pytest.raises(DataError):
        look_up_address(workspace, "nobody")


def test_events_are_bounded_and_begin_at_a_day(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.run.lookup.event_search._DAYS_AT_ONCE", 1)
    add_run(workspace, "news/1", f"email\n{ANN}\n")
    times = [SENT_AT + timedelta(days=day, minutes=day) for day in range(3)]
    add_events(workspace, [make_event_of_row("Open", "news/1", 1, ANN, timestamp=f"{at:%FT%TZ}") for at in times])
    assert [event.at for event in find_address_events(workspace, ANN).events] == times
    some = find_address_events(workspace, ANN, seconds=0.0)
    assert ([event.at for event in some.events], some.next_day) == (times[:1], times[1].date())
    rest = find_address_events(workspace, ANN, since=some.next_day)
    assert [event.at for event in rest.events] == times[1:]
    (path,) = (workspace.store.local_folder / f"events/day={times[1]:%F}").iterdir()
    path.write_bytes(b"damaged")
    damaged = find_address_events(workspace, ANN)
    assert ([event.at for event in damaged.events], list(damaged.unread)) == ([times[0], times[2]], [f"{times[1]:%F}"])
    monkeypatch.setattr("engine.run.lookup.event_search.MOST_EVENTS", 1)
    assert find_address_events(workspace, ANN).left_out == 1


@pytest.mark.parametrize("order", ["key", "provider", "other"])
def test_large_plan_is_searched_by_its_order(tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address is found, and no other one, in the order of either rule and in another order."""
    count = 30 * PROBE_ROWS
    keys = pl.select(pl.format("a.{}@gmail.com", pl.int_range(count))).to_series().alias("key")
    by = {"key": keys, "provider": mailbox_of(keys), "other": keys}[order]
    hashes = hash_keys(by, "news" if order != "other" else "x")
    path = tmp_path / "recipients-0000.parquet"
    ordered = keys.gather(hashes.arg_sort())
    ordered.to_frame().write_parquet(path, row_group_size=PROBE_ROWS)
    whole: list[object] = []
    read = pl.read_parquet

    def read_whole(*arguments: Any, **options: Any) -> pl.DataFrame:
        whole.append(arguments)
        return read(*arguments, **options)

    monkeypatch.setattr(pl, "read_parquet", read_whole)
    for place in (0, 1, PROBE_ROWS - 1, PROBE_ROWS, count // 3, count - 2, count - 1):
        assert find_places(path, ordered[place], "news") == [place]
    assert find_places(path, "b.1@gmail.com", "news") == []
    assert bool(whole) == (order == "other")
