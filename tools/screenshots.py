"""Draws the pictures of the documentation: pages of mailrun in Chromium, made by a run on the sandbox.

Run as `make screenshots`. It needs Chromium, and playwright of the tests' tools. A page is added by a function of
`_PAGES`: it gets the workspace's folder and the dashboard's address, and returns the address of the page to draw.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

_ROOT = Path(__file__).parents[1]
_IMAGES = _ROOT / "docs" / "assets" / "images"
_RUN = "welcome/2026-12-01"
_DASHBOARD = ("dashboard", "--bind", "127.0.0.1:0", "--json")
_WIDTH, _HEIGHT = 1366, 900


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
        with (
            sync_playwright() as playwright,
            run_beside(workspace, "dashboard", "--bind", "127.0.0.1:0", "--json") as run,
        ):
            url = json.loads(run.readline())["url"]
            browser = playwright.chromium.launch(executable_path=_find_chromium(), args=["--no-sandbox"])
            for name, open_page in _PAGES.items():
                _draw(browser, name, open_page(workspace, url))
            browser.close()
            _beside.close()


def call_mailrun(workspace: Path, *arguments: str) -> str:
    """Run mailrun in a workspace; return what it printed."""
    command = [sys.executable, "-m", "engine", *arguments]
    variables = os.environ | {"PYTHONPATH": str(_ROOT), "MAILRUN_WORKSPACE": str(workspace)}
    if arguments == ("init",):
        command.append(str(workspace))
    done = subprocess.run(command, cwd=workspace, env=variables, check=True, capture_output=True, text=True)
    return done.stdout


@contextmanager
def run_beside(workspace: Path, *arguments: str) -> Iterator[IO[str]]:
    """Run mailrun beside what else is done; yields what it prints, and stops it."""
    variables = os.environ | {"PYTHONPATH": str(_ROOT), "MAILRUN_WORKSPACE": str(workspace)}
    command = [sys.executable, "-m", "engine", *arguments]
    process = subprocess.Popen(
        command, cwd=workspace, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield cast("IO[str]", process.stdout)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _make_report(workspace: Path, _: str) -> str:
    call_mailrun(workspace, "report", _RUN, "--out", "report.html")
    return (workspace / "report.html").as_uri()


def _open_list(_: Path, url: str) -> str:
    return url


def _open_sending(workspace: Path, url: str) -> str:
    """Begin a run that sends slowly; it ends with the workspace's processes."""
    campaign = workspace / "campaigns" / "offer"
    shutil.copytree(workspace / "campaigns" / "welcome", campaign)
    with (campaign / "campaign.toml").open("a", encoding="utf-8") as file:
        file.write("\n[delivery]\nmax_rate = 14\n")
    _beside.enter_context(run_beside(workspace, "launch", "campaigns/offer", "--sandbox", "--key", "2026-12-02"))
    return f"{url}/runs/offer/2026-12-02"


_beside = ExitStack()
_PAGES: Mapping[str, Callable[[Path, str], str]] = {
    "report": _make_report,
    "dashboard-run": _open_sending,
    "dashboard": _open_list,
}
_ENDS = {  # the last part of a page that its picture shows
    "report": "section[aria-labelledby=accounts]",
    "dashboard-run": "section[aria-labelledby=now-heading]",
    "dashboard": ".pager",
}
_MARGIN = 24  # pixels below it
_SETTLE_SECONDS = {"dashboard-run": 25.0}  # of a page that is live: its chart has some width then


def _draw(browser: Browser, name: str, address: str) -> None:
    page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
    _open_when_there(page, address)
    page.wait_for_timeout(1000 * _SETTLE_SECONDS.get(name, 0.0))
    bottom = page.locator(_ENDS[name]).evaluate("one => one.getBoundingClientRect().bottom + scrollY")
    shown: FloatRect = {"x": 0, "y": 0, "width": _WIDTH, "height": bottom + _MARGIN}
    page.screenshot(path=_IMAGES / f"{name}.png", full_page=True, clip=shown)
    page.close()
    sys.stdout.write(f"drew {name}\n")


def _open_when_there(page: Page, address: str) -> None:
    """Open a page; of a run that was begun just now, once it is in the ledger."""
    for _ in range(_TRIES):
        reply = page.goto(address)
        if reply is None or reply.ok:
            return
        page.wait_for_timeout(500)


_TRIES = 60


def _find_chromium() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        sys.exit("no Chromium: apt-get install chromium, or set CHROMIUM to its path")
    return found


if __name__ == "__main__":
    main()
