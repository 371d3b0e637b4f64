"""The first page: all runs, the newest first."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from engine.dashboard.answers import PageQuery, TemplatePage
from engine.ledger import snapshots
from engine.ledger.journal import Outcome
from engine.ledger.runs import RunFilter
from engine.ledger.schema import RunState
from engine.ledger.snapshots import RunPage
from engine.report.accounts import Accounts
from engine.report.run_accounts import make_accounts
from engine.workspace import Workspace

PAGE_SIZE = 100
_MOST_DIGITS = 6
_MOST_WORDS = 8


def read_run_list(workspace: Workspace, request: PageQuery) -> TemplatePage:
    """Read one page of the list; `q`, `state` and `page` of the query choose."""
    which, number = read_filter(request.query)
    found = snapshots.read_page(
        workspace.ledger, which, workspace.clock.now(), offset=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE
    )
    rows = [make_row(make_accounts(totals, workspace.store), workspace.clock.now()) for totals in found.totals]
    return make_run_list(found, rows, which, number)


def read_filter(query: Mapping[str, str]) -> tuple[RunFilter, int]:
    """Read the filter and the number of the page; what is not valid counts as absent."""
    words = query.get("q", "").split()[:_MOST_WORDS]
    state = next((state for state in RunState if state.value == query.get("state")), None)
    page = query.get("page", "")
    number = int(page) if page.isdecimal() and page.isascii() and len(page) <= _MOST_DIGITS else 1
    return RunFilter(words, state), max(1, number)


class RunRow(Struct, frozen=True):
    """A run of the list.

    Attributes:
        accounts: its counts.
        done: recipients with an outcome.
        lost: recipients refused, failed, or in doubt without a worker that expects an answer.
        rate: recipients a second since it was started, or until it was finished; None where it was not started.
        tone: colour of its bar.
    """

    accounts: Accounts
    done: int
    lost: int
    rate: float | None
    tone: str


def make_row(accounts: Accounts, now: datetime) -> RunRow:
    """Make the row of a run."""
    done = accounts.accepted - accounts.count(Outcome.UNSENT)
    held = accounts.count(Outcome.IN_DOUBT) - accounts.in_flight
    lost = accounts.count(Outcome.REFUSED) + accounts.count(Outcome.FAILED) + held
    tone = "bad" if lost else {RunState.FINISHED: "good", RunState.PAUSED: "warn"}.get(RunState(accounts.state), "")
    return RunRow(accounts, done, lost, measure_rate(accounts, now), tone)


def measure_rate(accounts: Accounts, now: datetime) -> float | None:
    """Return the mean rate of a run in recipients a second; None where it was not started, or is paused."""
    until = accounts.finished_at or (now if accounts.state == RunState.SENDING else None)
    if accounts.started_at is None or until is None:
        return None
    seconds = max((until - accounts.started_at).total_seconds(), 1.0)
    return (accounts.accepted - accounts.count(Outcome.UNSENT)) / seconds


def make_run_list(found: RunPage, rows: list[RunRow], which: RunFilter, number: int) -> TemplatePage:
    """Make the page.

    Args:
        found: the counts.
        rows: of the page's runs.
        which: the filter.
        number: of the page, from 1.
    """
    words = " ".join(which.words)
    pages = max(1, -(-found.matching // PAGE_SIZE))
    values: dict[str, Any] = {
        "runs": rows,
        "words": words,
        "state": which.state.value if which.state else "",
        "states": [(state.value, found.states.get(state, 0)) for state in RunState],
        "total": sum(found.states.values()),
        "matching": found.matching,
        "page": number,
        "pages": pages,
        "newer": _make_path(words, which.state, number - 1) if number > 1 else "",
        "older": _make_path(words, which.state, number + 1) if number < pages else "",
    }
    return TemplatePage(template="run_list.html", title="Runs", values=values)


def _make_path(words: str, state: RunState | None, page: int) -> str:
    query = {"q": words, "state": state.value if state else "", "page": page}
    return "/?" + urlencode({name: value for name, value in query.items() if value})
