"""Renders the report: one HTML file that loads nothing, runs no script but its own, and contains no whole address."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine.ledger.event_flags import SHOWN
from engine.report.figures.document import Figures, TimeLine, Unsubscribes
from engine.report.page_environment import hash_source, make_page_environment, read_page_style
from engine.report.run_report.answer import has_events, make_answer
from engine.report.run_report.flow import WIDTH, draw_flow, list_stages
from engine.report.run_report.outliers import find_outliers
from engine.report.run_report.rates import KINDS, MINUS, compare_runs, is_young

_PAGES = Path(__file__).parent / "pages"
_VENDOR = Path(__file__).parents[1] / "pages" / "vendor"
_SECTIONS = (
    ("accounts", "Accounts"),
    ("time", "Time line"),
    ("events", "Events"),
    ("breakdowns", "Breakdowns"),
    ("comparison", "Earlier runs"),
    ("decisions", "Guard"),
    ("advice", "What to do"),
)
_TONES = {"sent": "good", "refused": "bad", "failed": "bad", "in_doubt": "warn", "unsent": "mute"}
_MOMENT_TONES = {"paused": "warn", "guard": "bad", "cancelled": "bad", "finished": "good", "started": "live"}
_MINUTE = 60


class TimeStep(Struct, frozen=True):
    """A step of the time line: its beginning, its counts, and the limit in recipients a second."""

    at: datetime
    sent: int
    failed: int
    throttled: int
    limit: float | None


def render_report(figures: Figures) -> str:
    """Return the report as one HTML document."""
    pages = make_page_environment(_PAGES)
    pages.filters |= {"breakdown_value": _name_value, "step_time": _format_step}
    style = "\n".join([_read_vendor("uPlot.min.css"), read_page_style(), (_PAGES / "report.css").read_text("utf-8")])
    steps, script = list_steps(figures.time_line), _read_script()
    return pages.get_template("report.html").render(
        figures=figures,
        accounts=dict.fromkeys(("rows_read", "accepted", "sent"), 0) | dict(figures.accounts),
        feedback=dict.fromkeys(SHOWN, 0) | dict(figures.feedback),
        policy=_make_policy(style, script if steps else ""),
        style=style,
        script=script,
        sections=_SECTIONS,
        answer=make_answer(figures),
        urgent=[one for one in figures.advice if one.level == "act"],
        lasted=_measure_length(figures),
        flow=draw_flow(figures),
        flow_width=WIDTH,
        stages=list_stages(figures),
        tones=_TONES,
        steps=steps,
        has_time_line=bool(steps),
        time_line=_make_chart_data(figures),
        moment_tones=_MOMENT_TONES,
        has_events=has_events(figures),
        ways=_list_ways(figures.unsubscribes),
        compared=compare_runs(figures),
        is_young=is_young(figures),
        minus=MINUS,
        outliers={table.by: find_outliers(table) for table in figures.tables},
        has_positions=any(link.position is not None for link in figures.links),
        has_losses=any(figures.time_line.failed) or any(figures.time_line.throttled),
        rate_columns=[f"#{kind.name}" for kind in KINDS],
    )


def list_steps(line: TimeLine) -> list[TimeStep]:
    """List the steps of a time line."""
    columns = zip(line.at, line.sent, line.failed, line.throttled, line.limit, strict=True)
    return [
        TimeStep(datetime.fromtimestamp(at, UTC), sent, failed, throttled, limit)
        for at, sent, failed, throttled, limit in columns
    ]


def _make_policy(style: str, script: str) -> str:
    scripts = hash_source(script) if script else "'none'"
    return (
        f"default-src 'none'; style-src {hash_source(style)}; script-src {scripts}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _read_script() -> str:
    """Read the chart library, with its licence, and the report's own script."""
    licence = _read_vendor("uPlot.LICENSE").strip()
    return (
        f"/*!\nuPlot\n{licence}\n*/\n{_read_vendor('uPlot.iife.min.js')}\n{(_PAGES / 'report.js').read_text('utf-8')}"
    )


def _read_vendor(name: str) -> str:
    return (_VENDOR / name).read_text(encoding="utf-8")


def _make_chart_data(figures: Figures) -> dict[str, Any]:
    line = figures.time_line
    return {
        "step": line.step_seconds,
        "at": line.at,
        "sent": line.sent,
        "failed": line.failed,
        "throttled": line.throttled,
        "limit": line.limit,
        "moments": [one.at.timestamp() for one in figures.moments],
    }


def _list_ways(ways: Unsubscribes) -> Sequence[tuple[str, int]]:
    return (
        ("Button of the mail program (one-click)", ways.one_click),
        ("Unsubscribe page", ways.page),
        ("Mail to the unsubscribe address", ways.mailto),
        ("SES subscription management", ways.ses),
    )


def _measure_length(figures: Figures) -> float | None:
    """Return for how long the run lasted, in seconds; None where it has not begun or not ended."""
    if figures.started_at is None or figures.finished_at is None:
        return None
    return max(0.0, (figures.finished_at - figures.started_at).total_seconds())


def _name_value(value: str, by: str) -> str:
    """Name a row of a breakdown; hours are shortened, and an empty value stands for all others."""
    if not value:
        return "All others"
    return value[:16].replace("T", " ") if by == "hour" else value


def _format_step(at: datetime, step_seconds: int) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if step_seconds >= _MINUTE else f"{at:%Y-%m-%d %H:%M:%S}"
