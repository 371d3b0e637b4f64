"""Renders the pages: every value is escaped."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from engine.dashboard.answers import TemplatePage
from engine.dashboard.assets import Assets
from engine.dashboard.routes import NAVIGATION
from engine.report.page_environment import make_page_environment

_TEMPLATES = Path(__file__).parent / "templates"


class PageTemplates:
    """The templates of all pages.

    Args:
        assets: files that pages load.
    """

    def __init__(self, assets: Assets) -> None:
        self._environment = make_page_environment(_TEMPLATES)
        self._environment.auto_reload = False
        self._environment.filters |= {"run_path": make_run_path, "segment": make_segment, "json": write_json}
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


def write_json(value: Any) -> str:
    """Write a value as JSON for an attribute, where it is escaped as any text."""
    return orjson.dumps(value).decode()


def make_run_path(run: str) -> str:
    """Make the path of a run's page.

    >>> make_run_path("welcome/2026-12-01")
    '/runs/welcome/2026-12-01'
    """
    return "/runs/" + "/".join(map(make_segment, run.split("/", 1)))


def make_segment(text: str) -> str:
    """Write a text as one segment of a path."""
    return quote(text, safe="")
