"""Opens a page in the browser of the person, and nothing on a machine without one."""

import os
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def open_in_browser(path: Path) -> bool:
    """Open a file in the browser; False where there is none. It never fails."""
    if not can_open(os.environ, sys.platform):
        return False
    try:
        return webbrowser.open(path.absolute().as_uri())
    except (OSError, ValueError, webbrowser.Error):
        return False


def can_open(variables: Mapping[str, str], platform: str) -> bool:
    """Return True if a browser has a screen to open on.

    Without a screen, Python's `webbrowser` would start a browser for terminals, which waits for keys.

    Args:
        variables: of the environment.
        platform: as `sys.platform`.

    >>> can_open({"DISPLAY": ":0"}, "linux"), can_open({"DISPLAY": ""}, "linux"), can_open({}, "darwin")
    (True, False, True)
    """
    return platform in ("darwin", "win32") or any(variables.get(name) for name in _DISPLAYS)
