"""The SES account: its limits, identities, pools and reputation, read in the background."""

from datetime import timedelta
from functools import partial
from typing import Any

from engine.account.quota import AccountQuota, refuse_if_stopped
from engine.account.reputation.limits import SES_LIMITS, RateKind
from engine.dashboard.account_picture import AccountPicture, is_ready, list_pool_warnings, read_picture
from engine.dashboard.answers import OtherPage, PageAnswer, PageQuery, TemplatePage
from engine.dashboard.background import BackgroundReading, ReadSoFar, find_reading, is_begun
from engine.errors import ServiceError
from engine.ledger import snapshots
from engine.ledger.runs import Run
from engine.report.reputation_page import MOST_ROWS, describe_marks, draw_trend, format_rate
from engine.workspace import Workspace

_LASTS = timedelta(minutes=5)
_WAIT_SECONDS = 0.4  # an answer that comes sooner is shown at once
_PATH = "/account"


def read_account(workspace: Workspace, request: PageQuery) -> PageAnswer:
    """Show what is known of the account; a POST reads it again."""
    key = make_key(workspace)
    others = _find_other_transports(snapshots.list_runs(workspace.ledger))
    if request.form:
        _find(key, workspace).expire()
        _find(key, workspace).get()
        return OtherPage(_PATH)
    if others and not is_begun(key):
        return make_account(None, others)
    return make_account(_find(key, workspace).get(_WAIT_SECONDS), others)


def make_key(workspace: Workspace) -> tuple[str, ...]:
    """Make the key under which all pages share what was read."""
    return ("account", str(workspace.settings.workspace), workspace.ledger.url)


def _find(key: tuple[str, ...], workspace: Workspace) -> BackgroundReading[AccountPicture]:
    return find_reading(key, lambda: BackgroundReading("SES account", partial(read_picture, workspace), _LASTS))


def _find_other_transports(runs: list[Run]) -> list[str]:
    """List where runs go, if none of them goes through SES; empty where one does, or where there is none."""
    found = set[str]()
    for run in runs:
        transport = None if run.facts is None else run.facts.transport
        if not run.sandbox and transport in (None, "ses"):
            return []
        found.add("the sandbox" if run.sandbox else str(transport))
    return sorted(found)


def make_account(reading: ReadSoFar | None, others: list[str]) -> TemplatePage:
    """Make the page.

    Args:
        reading: of an `AccountPicture`; None where nothing is to be read.
        others: where the runs go, if none of them goes through SES.
    """
    picture = reading.value if reading is not None else None
    overview = picture.overview.value if picture is not None else None
    pools = picture.pools.value if picture is not None else None
    values: dict[str, Any] = {
        "reading": reading,
        "others": others,
        "picture": picture,
        "stopped": None if overview is None else _find_stop(overview.quota),
        "unready": [] if overview is None else [one for one in overview.identities if not is_ready(one)],
        "pool_warnings": [] if pools is None else list_pool_warnings(pools),
        "most": MOST_ROWS,
        "marks": describe_marks,
        "rate": format_rate,
        "trend": _draw,
        "tone": _find_tone,
    }
    return TemplatePage(template="account.html", title="Account", values=values)


def _find_stop(quota: AccountQuota) -> ServiceError | None:
    """Return why the account may not send; None where it may."""
    try:
        refuse_if_stopped(quota)
    except ServiceError as error:
        return error
    return None


def _draw(series: Any, ses: Any) -> str:
    return draw_trend(series.by_day(ses.at.date(), ses.days), SES_LIMITS[series.kind].lower)


def _find_tone(rate: float | None, kind: str) -> str:
    if rate is None:
        return ""
    limit = SES_LIMITS[RateKind(kind)]
    return "bad" if rate >= limit.upper else "warn" if rate >= limit.lower else "good"
