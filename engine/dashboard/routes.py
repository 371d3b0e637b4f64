"""The table of all pages: which path shows which page, and what the navigation lists."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Literal
from urllib.parse import unquote

from msgspec import Struct

from engine.dashboard.answers import ReadPage
from engine.on_demand import OnDemand

_NAME = re.compile(r"\{([a-z_]+)\}")
_RUN = "/runs/{campaign}/{key}"


class PageRoute(Struct, frozen=True, dict=True):
    """One page.

    Attributes:
        path: with names in braces, each of which stands for one segment: `/runs/{campaign}/{key}`.
        read: makes the answer; it is called in a thread.
        section: path of the navigation's entry that it belongs to.
        method: GET, or POST for an action, which requires a form that is checked against forgery.
        is_live: sends server-sent events instead of a page.
    """

    path: str
    read: ReadPage | OnDemand
    section: str = "/"
    method: Literal["GET", "POST"] = "GET"
    is_live: bool = False

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(_NAME.sub(r"(?P<\1>[^/]+)", self.path))

    def match(self, raw_path: str) -> Mapping[str, str] | None:
        """Return the named parts of a path, decoded; None where it is another page's.

        Args:
            raw_path: as it was sent, without the query.
        """
        found = self._pattern.fullmatch(raw_path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


class NavigationEntry(Struct, frozen=True):
    """An entry of the navigation."""

    path: str
    title: str


def _page(name: str) -> OnDemand:
    return OnDemand(f"engine.dashboard.pages.{name}")


NAVIGATION = (
    NavigationEntry("/", "Runs"),
    NavigationEntry("/compare", "Compare"),
    NavigationEntry("/address", "Address"),
    NavigationEntry("/suppressions", "Suppressions"),
    NavigationEntry("/account", "Account"),
)

ROUTES = (
    PageRoute("/", _page("run_list:read_run_list")),
    PageRoute("/compare", _page("compare:read_comparison"), section="/compare"),
    PageRoute("/address", _page("address:read_address_form"), section="/address"),
    PageRoute("/address", _page("address:read_address"), section="/address", method="POST"),
    PageRoute("/suppressions", _page("suppressions:read_suppressions"), section="/suppressions"),
    PageRoute("/account", _page("account:read_account"), section="/account"),
    PageRoute("/account", _page("account:read_account"), section="/account", method="POST"),
    PageRoute(_RUN, _page("one_run:read_one_run")),
    PageRoute(f"{_RUN}/live", _page("one_run:read_one_run"), is_live=True),
    PageRoute(f"{_RUN}/errors", _page("errors:read_errors")),
    PageRoute(f"{_RUN}/report", _page("report:read_report")),
    PageRoute(f"{_RUN}/report/document", _page("report:read_report_document")),
    PageRoute(f"{_RUN}/preview", _page("preview:read_preview")),
    PageRoute(f"{_RUN}/preview/gallery", _page("preview:read_gallery")),
    PageRoute(f"{_RUN}/{{action}}", _page("actions:read_action")),
    PageRoute(f"{_RUN}/{{action}}", _page("actions:do_action"), method="POST"),
)


def find_routes(raw_path: str) -> list[tuple[PageRoute, Mapping[str, str]]]:
    """Find the routes of a path, of all methods, each with the named parts."""
    return [(route, names) for route in ROUTES if (names := route.match(raw_path)) is not None]
