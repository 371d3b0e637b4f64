"""The table of pages: every path has one page, and its module exists."""

import pytest

from engine.dashboard.routes import NAVIGATION, ROUTES, PageRoute, find_routes
from engine.on_demand import OnDemand


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_the_reader_of_every_route_exists(route: PageRoute) -> None:
    assert isinstance(route.read, OnDemand)
    assert callable(route.read.load())


def test_names_of_a_path_are_decoded_and_never_span_segments() -> None:
    ((route, names),) = find_routes("/runs/a%2Fb/c%20d")
    assert (route.path, dict(names)) == ("/runs/{campaign}/{key}", {"campaign": "a/b", "key": "c d"})
    assert find_routes("/runs/a") == []
    assert find_routes("/runs/a/b/c/d/e") == []


def test_every_section_of_a_route_is_in_the_navigation() -> None:
    assert {route.section for route in ROUTES} <= {entry.path for entry in NAVIGATION}
    for entry in NAVIGATION:
        assert find_routes(entry.path), entry
