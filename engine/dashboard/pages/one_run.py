"""One run: its state, its counts, how fast it sends, and what was decided."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

from msgspec import Struct

from engine.dashboard.answers import PageQuery, TemplatePage
from engine.dashboard.live_figures import LiveFigures, read_live_figures
from engine.dashboard.pages.run_list import RunRow, make_row
from engine.dashboard.run_actions import list_actions, make_run_head
from engine.ledger.decisions import Decision, list_decisions
from engine.ledger.figures.pace import PaceStep, read_pace
from engine.ledger.runs import OVER, Run
from engine.ledger.schema import RunState
from engine.ledger.workers import read_vitals
from engine.report.run_accounts import require_run
from engine.run.facts import read_canary_spec, read_facts, read_guard_spec
from engine.run.guard.canary import describe_canary
from engine.run.guard.evidence import judge_now
from engine.workspace import Workspace

_MOST_DECISIONS = 20
_MOST_STEPS = 300
_GAP_SECONDS = 0.001  # from the end of a step to where its line breaks
_SHORTEST_PAUSE_SECONDS = 5.0  # that the charts of the time line show as a gap
LIVE_SERIES: Sequence[Mapping[str, Any]] = (
    {"key": "rate", "label": "Recipients a second", "tone": "fill", "filled": True},
    {"key": "limit", "label": "Limit", "tone": "mute", "dashed": True},
)
PACE_SERIES = LIVE_SERIES
LATENCY_SERIES: Sequence[Mapping[str, Any]] = ({"key": "latency", "label": "Latency in ms", "tone": "warn"},)
THROTTLE_SERIES: Sequence[Mapping[str, Any]] = (
    {"key": "throttled", "label": "Throttle replies", "tone": "bad", "filled": True},
)


class RunDetails(Struct, frozen=True, kw_only=True):
    """What the page of a run reads besides its live figures.

    Attributes:
        run: from the ledger.
        pace: its time line.
        decisions: about it, the newest first.
        canary: how its canary is; None where it has none.
        findings: of the guard, as sentences with their level.
    """

    run: Run
    pace: Sequence[PaceStep]
    decisions: Sequence[Decision]
    canary: Mapping[str, Any] | None
    findings: Sequence[tuple[str, str]]


def read_one_run(workspace: Workspace, request: PageQuery) -> TemplatePage:
    """Read the page of a run: a fixed number of short transactions, and no file of the store."""
    figures = read_live_figures(workspace, request.run)
    details = read_details(workspace, request.run)
    return make_one_run(figures, details, make_row(figures.accounts, workspace.clock.now()))


def read_details(workspace: Workspace, name: str) -> RunDetails:
    """Read what else the page shows.

    Raises:
        UsageError: there is no such run.
    """
    ledger, now = workspace.ledger, workspace.clock.now()
    run = require_run(ledger, name)
    facts = read_facts(run, workspace.store)
    with ledger.read() as tx:
        decisions = list_decisions(tx, name)
        vitals = read_vitals(tx, name, now)
        findings = [] if run.state in OVER else judge_now(tx, run, read_guard_spec(facts), now, vitals)
        canary = describe_canary(tx, run, read_canary_spec(facts))
    return RunDetails(
        run=run,
        pace=read_pace(ledger, name, most=_MOST_STEPS),
        decisions=decisions[::-1][:_MOST_DECISIONS],
        canary=canary,
        findings=[(str(finding.level), finding.describe()) for finding in findings],
    )


def make_one_run(figures: LiveFigures, details: RunDetails, row: RunRow) -> TemplatePage:
    """Make the page."""
    run, accounts = details.run, figures.accounts
    canary_stage = None if details.canary is None else str(details.canary["stage"])
    values: dict[str, Any] = {
        "head": make_run_head(run, list_actions(run, canary_stage)),
        "tab": "",
        "run": accounts,
        "about": run,
        "row": row,
        "workers": figures.workers,
        "is_over": figures.is_over,
        "is_stopped": accounts.state == RunState.SENDING and not accounts.workers,
        "canary": details.canary,
        "canary_until": read_moment(details.canary, "until"),
        "findings": details.findings,
        "decisions": details.decisions,
        "pace": make_points(details.pace),
        "steps": details.pace,
        "live_series": LIVE_SERIES,
        "charts": choose_charts(details.pace),
    }
    return TemplatePage(template="one_run.html", title=accounts.run, values=values)


def read_moment(document: Mapping[str, Any] | None, name: str) -> datetime | None:
    """Read a time of a document; None where it has none."""
    text = document and document.get(name)
    return datetime.fromisoformat(text) if text else None


def choose_charts(steps: Sequence[PaceStep]) -> list[tuple[str, Sequence[Mapping[str, Any]]]]:
    """Choose the charts of the time line, each with its series: throttles only where there were any."""
    charts: list[tuple[str, Sequence[Mapping[str, Any]]]] = [
        ("Rate against the limit", PACE_SERIES),
        ("Latency of a call", LATENCY_SERIES),
    ]
    return [*charts, ("Throttle replies", THROTTLE_SERIES)] if any(step.throttled for step in steps) else charts


def make_points(steps: Sequence[PaceStep]) -> list[dict[str, float | None]]:
    """Make the points of the time line's charts: where a step begins, and where one ends before a pause or the end."""
    points: list[dict[str, float | None]] = []
    for step, following in zip_longest(steps, steps[1:]):
        values = _measure(step)
        begins_at = step.begins_at.timestamp()
        ends_at = begins_at + step.seconds
        points.append({"at": begins_at, **values})
        if following is None or following.begins_at.timestamp() > ends_at + _SHORTEST_PAUSE_SECONDS:
            points.append({"at": ends_at, **values})
            points.append({"at": ends_at + _GAP_SECONDS, **dict.fromkeys(values)})
    return points[:-1]  # without the gap after the last step


def _measure(step: PaceStep) -> dict[str, float]:
    return {
        "rate": round(step.handed_over / step.seconds, 2),
        "limit": round(step.rate_limit, 2),
        "throttled": round(step.throttled, 1),
        "latency": round(step.latency_ms, 1),
        "calls": round(step.in_flight, 1),
    }
