"""The first page: all runs, the newest first."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from engine.dashboard.answers import PageQuery, TemplatePage
from engine.ledger import snapshots
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
    accounts = [make_accounts(totals, workspace.store) for totals in found.totals]
    return make_run_list(found, accounts, which, number)


def read_filter(query: Mapping[str, str]) -> tuple[RunFilter, int]:
    """Read the filter and the number of the page; what is not valid counts as absent."""
    words = query.get("q", "").split()[:_MOST_WORDS]
    state = next((state for state in RunState if state.value == query.get("state")), None)
    page = query.get("page", "")
    number = int(page) if page.isdecimal() and page.isascii() and len(page) <= _MOST_DIGITS else 1
    return RunFilter(words, state), max(1, number)


def make_run_list(found: RunPage, accounts: list[Accounts], which: RunFilter, number: int) -> TemplatePage:
    """Make the page.

    Args:
        found: the counts.
        accounts: of the page's runs.
        which: the filter.
        number: of the page, from 1.
    """
    words = " ".join(which.words)
    pages = max(1, -(-found.matching // PAGE_SIZE))
    values: dict[str, Any] = {
        "runs": accounts,
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
