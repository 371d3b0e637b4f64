"""Compare two to five runs."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from engine.dashboard.answers import PageQuery, TemplatePage
from engine.errors import UsageError
from engine.ledger import snapshots
from engine.ledger.runs import Run
from engine.quantities import format_share
from engine.run.lookup.run_comparison import (
    LEAST,
    MOST,
    RATES,
    Difference,
    RunBesideOthers,
    draw_progress,
    find_differences,
    find_rate,
    list_receivers,
    read_compared_run,
)
from engine.workspace import Workspace

FIELDS = ("a", "b", "c", "d", "e")
TONES = ("fill", "good", "warn", "bad", "mute")
_OFFERED = 200  # runs that the form suggests
_SHARES = (50, 90, 100)


def read_comparison(workspace: Workspace, request: PageQuery) -> TemplatePage:
    """Compare the runs that `a` to `e` of the query name; the first one is what the others are compared with."""
    names = list(dict.fromkeys(text for field in FIELDS if (text := request.query.get(field, "").strip()[:129])))
    runs, unknown = list[RunBesideOthers](), list[str]()
    for name in names:
        try:
            runs.append(read_compared_run(workspace, name))
        except UsageError:
            unknown.append(name)
    return make_comparison(names, runs, unknown, snapshots.list_runs(workspace.ledger))


def make_comparison(
    names: Sequence[str], runs: Sequence[RunBesideOthers], unknown: Sequence[str], known: Sequence[Run]
) -> TemplatePage:
    """Make the page.

    Args:
        names: that were asked for.
        runs: those that exist.
        unknown: the others.
        known: all runs, the newest first: the form suggests some.
    """
    is_enough = len(runs) >= LEAST
    lines = [draw_progress(run) for run in runs] if is_enough else []
    values: dict[str, Any] = {
        "fields": [(field, names[number] if number < len(names) else "") for number, field in enumerate(FIELDS)],
        "most": MOST,
        "unknown": unknown,
        "asked": bool(names),
        "runs": runs if is_enough else [],
        "offered": [run.name for run in known[:_OFFERED]],
        "newest": _suggest(known),
        "rates": [(kind, [find_rate(run, kind) for run in runs]) for kind in RATES] if is_enough else [],
        "receivers": list_receivers(runs) if is_enough else [],
        "differences": [(one, describe_difference(one)) for one in find_differences(runs)] if is_enough else [],
        "tones": TONES,
        "series": [
            {"key": FIELDS[number], "label": run.run, "tone": TONES[number], "joined": True}
            for number, run in enumerate(runs)
            if lines and lines[number]
        ],
        "points": join_lines(lines),
        "times": [[find_time(line, share) for share in _SHARES] for line in lines],
        "shares_named": [f"#{share}% sent" for share in _SHARES],
    }
    return TemplatePage(template="compare.html", title="Compare runs", values=values)


def describe_difference(one: Difference) -> str:
    """Describe a difference in words."""
    more = "more" if one.is_more else "less"
    rates = (format_share(rate.part, rate.whole) for rate in (one.rate, one.base_rate))
    own, base = rates
    return f"{one.kind.name}: clearly {more} in {one.run} ({own}) than in {one.base} ({base})"


def join_lines(lines: Sequence[Sequence[tuple[float, float]]]) -> list[dict[str, float]]:
    """Put lines over one axis: each point has the seconds as `at`, and the values of the lines that have one there."""
    points: dict[float, dict[str, float]] = {}
    for field, line in zip(FIELDS, lines, strict=False):
        for at, value in line:
            points.setdefault(at, {"at": at})[field] = round(value, 2)
    return [points[at] for at in sorted(points)]


def find_time(line: Sequence[tuple[float, float]], share: float) -> float | None:
    """Return the seconds until a share (in per cent) was sent; None where it was not."""
    return next((at for at, value in line if value >= share), None)


def _suggest(known: Sequence[Run]) -> str:
    """Return the path that compares the newest run with the one before of the same campaign; empty for none."""
    for run in known:
        campaign = run.name.partition("/")[0]
        both = [one.name for one in known if one.name.partition("/")[0] == campaign][:LEAST]
        if len(both) == LEAST:
            return "/compare?" + urlencode(dict(zip(FIELDS, reversed(both), strict=False)))
    return ""
