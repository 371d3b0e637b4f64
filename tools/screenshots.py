"""Draws the pictures of the documentation: pages of mailrun in Chromium, made by a run on the sandbox.

Run as `make screenshots`. It needs Chromium, and playwright of the tests' tools. A page is added by a function of
`_PAGES`: it gets the workspace's folder, and returns the address of the page to draw.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

_ROOT = Path(__file__).parents[1]
_IMAGES = _ROOT / "docs" / "assets" / "images"
_RUN = "welcome/2026-12-01"
_SIZES = {"": (1366, 900), "-phone": (375, 812)}


def main() -> None:
    """Send the sample campaign through the sandbox, process its events, and draw each page."""
    _IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mailrun-screenshots-") as folder:
        workspace = Path(folder)
        for command in (
            ["init"],
            ["launch", "campaigns/welcome", "--sandbox", "--key", "2026-11-24", "--limit", "1200"],
            ["launch", "campaigns/welcome", "--sandbox", "--key", _RUN.partition("/")[2]],
            ["events", "pull", "--sandbox"],
        ):
            call_mailrun(workspace, *command)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=_find_chromium(), args=["--no-sandbox"])
            for name, open_page in _PAGES.items():
                _draw(browser, name, open_page(workspace))
            browser.close()


def call_mailrun(workspace: Path, *arguments: str) -> str:
    """Run mailrun in a workspace; return what it printed."""
    command = [sys.executable, "-m", "engine", *arguments]
    variables = os.environ | {"PYTHONPATH": str(_ROOT), "MAILRUN_WORKSPACE": str(workspace)}
    if arguments == ("init",):
        command.append(str(workspace))
    done = subprocess.run(command, cwd=workspace, env=variables, check=True, capture_output=True, text=True)
    return done.stdout


def _make_report(workspace: Path) -> str:
    call_mailrun(workspace, "report", _RUN, "--out", "report.html")
    return (workspace / "report.html").as_uri()


_PAGES: Mapping[str, Callable[[Path], str]] = {"report": _make_report}


def _draw(browser: Browser, name: str, address: str) -> None:
    for suffix, (width, height) in _SIZES.items():
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(address)
        page.screenshot(path=_IMAGES / f"{name}{suffix}.png")
        page.close()
    sys.stdout.write(f"drew {name}\n")


def _find_chromium() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        sys.exit("no Chromium: apt-get install chromium, or set CHROMIUM to its path")
    return found


if __name__ == "__main__":
    main()
