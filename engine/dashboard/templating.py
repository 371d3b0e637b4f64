"""Renders the pages: every value is escaped."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from engine.dashboard.answers import TemplatePage
from engine.dashboard.assets import Assets
from engine.dashboard.routes import NAVIGATION

_TEMPLATES = Path(__file__).parent / "templates"
_PERCENT_DIGITS = 2
_THREE_DIGITS = 100
_NONE = "\N{EN DASH}"


class PageTemplates:
    """The templates of all pages.

    Args:
        assets: files that pages load.
    """

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {
            "count": format_count,
            "time": format_time,
            "share": format_share,
            "run_path": make_run_path,
            "segment": make_segment,
        }
        self._environment.globals |= {"asset": assets.find_path, "navigation": NAVIGATION}

    def render(self, page: TemplatePage, *, section: str, form_token: str, can_log_out: bool = False) -> str:
        """Render a page.

        Args:
            page: its template and values.
            section: path of the navigation's entry that it belongs to.
            form_token: for its forms.
            can_log_out: whether there is a session to end.
        """
        values: dict[str, Any] = {"title": page.title, "section": section, "form_token": form_token}
        template = self._environment.get_template(page.template)
        return template.render(**values, can_log_out=can_log_out, **page.values)


def format_count(number: float) -> str:
    """Write a number with thousands separators, and a digit after the point only where it is small.

    >>> format_count(1234567), format_count(3.14159)
    ('1,234,567', '3.1')
    """
    return f"{number:,.0f}" if float(number).is_integer() or abs(number) >= _THREE_DIGITS else f"{number:,.1f}"


def format_share(part: float, whole: float) -> str:
    """Write a part of a whole in per cent; a dash where there is no whole."""
    return f"{100 * part / whole:.{_PERCENT_DIGITS}f} %" if whole else _NONE


def format_time(moment: datetime | None) -> str:
    """Write a time in UTC as an element that scripts and screen readers understand; a dash where there is none."""
    if moment is None:
        return _NONE
    at = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%d %H:%M:%S}")


def make_run_path(run: str) -> str:
    """Make the path of a run's page.

    >>> make_run_path("welcome/2026-12-01")
    '/runs/welcome/2026-12-01'
    """
    return "/runs/" + "/".join(map(make_segment, run.split("/", 1)))


def make_segment(text: str) -> str:
    """Write a text as one segment of a path."""
    return quote(text, safe="")
