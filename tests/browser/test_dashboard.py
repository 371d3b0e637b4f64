"""The dashboard in a real browser: every page at two widths and in two colours, and a run that is controlled."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from support.dashboard import (
    FINISHED,
    HOSTILE,
    PAGES,
    PAUSED,
    SENDING,
    TOKEN,
    fill_workspace,
    keep_alive,
    open_dashboard,
)
from support.sent_runs import open_new_workspace

from engine.ledger.snapshots import find_run
from engine.workspace import Workspace

WIDTHS = (375, 1366)
COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")
AXE_SCRIPT = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with open_new_workspace(tmp_path_factory.mktemp("dashboard")) as opened:
        fill_workspace(opened)
        yield opened


@pytest.fixture(scope="module")
def url(workspace: Workspace) -> Iterator[str]:
    with open_dashboard(workspace) as opened:
        yield opened


class Watched:
    """A page and everything that went wrong in it."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.problems = page, list[str]()
        page.on("console", lambda message: self.problems.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self._check(request.url, origin))

    def _check(self, asked: str, origin: str) -> None:
        if urlsplit(asked).scheme not in ("data", "about", "blob") and not asked.startswith(origin):
            self.problems.append(f"a request to {asked}")


@pytest.fixture(scope="module")
def watched(browser: Browser, url: str) -> Iterator[Watched]:
    page = browser.new_page(reduced_motion="reduce")  # colours that still change would be measured
    yield Watched(page, url)
    page.close()


def find_violations(page: Page) -> list[str]:
    """Run axe in a page that has it; frames have tests of their own."""
    found = page.evaluate("axe.run({ exclude: ['iframe'] }, { resultTypes: ['violations'], iframes: false })")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(("name", "path", "heading"), PAGES)
def test_page_is_accessible_fits_and_asks_nobody_else(
    watched: Watched, url: str, name: str, path: str, heading: str
) -> None:
    page = watched.page
    watched.problems.clear()
    page.goto(url + path, wait_until="load")
    page.evaluate(AXE_SCRIPT)
    expect(page.get_by_role("heading", level=1).first).to_contain_text(heading)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for colour in COLOURS:
            page.emulate_media(color_scheme=colour)
            for chart in page.locator("[data-points]").all():
                expect(chart.locator("canvas")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"wider than {width} px"
            assert find_violations(page) == [], (width, colour)
    expected = ["Failed to load resource: the server responded with a status of 404 (Not Found)"]
    assert watched.problems == (expected if name == "not found" else [])
    assert page.title().endswith("mailrun")
    assert "owned" not in page.title()


def test_a_run_is_paused_and_resumed_in_the_browser(browser: Browser, url: str, workspace: Workspace) -> None:
    keep_alive(workspace, SENDING)
    page = browser.new_page()
    page.goto(f"{url}/runs/{SENDING}")
    expect(page.locator("#live-status")).to_have_text("Live")
    expect(page.locator("[data-figure=limit]")).to_have_text("14")
    page.get_by_role("link", name="Pause").click()
    page.get_by_label("Reason").fill(HOSTILE)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text(HOSTILE).first).to_be_visible()
    run = find_run(workspace.ledger, SENDING)
    assert run is not None
    assert run.state == "paused"
    page.get_by_role("link", name="Resume").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("link", name="Pause")).to_be_visible()
    expect(page).to_have_title(f"{SENDING} · mailrun")
    page.close()


def test_a_page_without_scripts_shows_figures_and_a_refresh_link(
    browser: Browser, url: str, workspace: Workspace
) -> None:
    keep_alive(workspace, SENDING)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}/runs/{SENDING}")
    expect(page.get_by_text("As of when the page was opened")).to_be_visible()
    expect(page.locator("[data-figure=limit]")).to_have_text("14")
    page.get_by_role("link", name="Refresh").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(SENDING)
    page.get_by_text("Figures of the time line").click()
    expect(page.get_by_role("table", name="Time line")).to_contain_text("2026-11-24 09:00:00 UTC")
    context.close()


def test_the_list_is_searched_and_opened_with_the_keyboard(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_label("Campaign or key").fill("offer")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name=PAUSED).focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{url}/runs/{PAUSED}")
    page.close()


def test_frames_show_the_report_and_the_preview_and_reach_nothing(browser: Browser, url: str) -> None:
    page = browser.new_page()
    watched = Watched(page, url)
    for path, title in (("report", "Report"), ("preview", "Preview")):
        page.goto(f"{url}/runs/{FINISHED}/{path}")
        frame = page.frame_locator("iframe")
        expect(frame.get_by_role("heading", level=1).first).to_be_visible()
        assert page.locator("iframe").get_attribute("title", timeout=1000).startswith(title)  # type: ignore[union-attr]
        inside: Any = page.frames[1]
        reach = "() => { try { return parent.document.title } catch (error) { return error.name } }"
        assert inside.evaluate(reach) == "SecurityError"
        assert inside.evaluate("() => self.origin") == "null"
    assert watched.problems == []
    page.close()


def test_a_login_in_the_browser_opens_the_page_that_was_asked_for(browser: Browser, workspace: Workspace) -> None:
    with open_dashboard(workspace, token=TOKEN) as url:
        page = browser.new_page()
        page.goto(f"{url}/runs/{PAUSED}")
        page.get_by_label("Token").fill("not the token")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("This is not the token.")
        page.evaluate(AXE_SCRIPT)
        assert find_violations(page) == []
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        expect(page).to_have_url(f"{url}/runs/{PAUSED}")
        page.get_by_role("button", name="Log out").click()
        expect(page).to_have_url(f"{url}/login")
        page.close()
