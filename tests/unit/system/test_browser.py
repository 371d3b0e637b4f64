"""When a browser may be opened."""

import pytest

from engine.system.browser import can_open


@pytest.mark.parametrize(
    ("variables", "platform", "opens"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({}, "darwin", True),
    ],
)
def test_browser_is_opened_where_there_is_a_screen(variables: dict[str, str], platform: str, *, opens: bool):
    assert can_open(variables, platform) is opens
