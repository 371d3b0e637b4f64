"""The report in a real browser: what it shows at each size, who can use it, and that it reaches nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect
from support.report_figures import make_bare_figures, make_figures

from engine.report.figures.document import Figures, Link
from engine.report.run_report.report_file import save_report

_SIZES = ((375, 812), (1366, 900))
_CONTENT = {
    "whole": make_figures(),
    "bare": make_bare_figures(),
    "hostile": make_figures(
        subject="<script>document.title='owned'</script>",
        run="welcome/" + "x" * 60,
        links=(
            Link(1, "https://evil.example/" + "a" * 300, 1, 1, 0),
            Link(2, "javascript:document.title='owned'", 1, 1, 0),
        ),
        guard=("</script><img src=https://evil.example/x onerror=\"document.title='owned'\">",),
    ),
}


class Watched:
    """A page, and what went wrong in it: requests, errors, and what its policy blocked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        page.on("console", lambda message: self.faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))

    def abort(self, route: Route) -> None:
        self.faults.append(f"request: {route.request.url}")
        route.abort()


def open_report(browser: Browser, folder: Path, figures: Figures, **context: Any) -> Watched:
    path = save_report(folder / "report.html", figures)
    opened = browser.new_context(**context)
    watched = Watched(opened.new_page())
    opened.route(lambda url: not url.startswith(("file:", "data:")), watched.abort)
    watched.page.goto(Path(path).as_uri())
    return watched


@pytest.fixture(scope="module")
def whole(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    watched = open_report(browser, tmp_path_factory.mktemp("report"), _CONTENT["whole"])
    yield watched
    watched.page.context.close()


_ALL: dict[str, Any] = {}
_COLOURS = {"runOnly": ["color-contrast"]}  # all that differs by scheme, and half of the time
_LAYOUT = {"rules": {"color-contrast": {"enabled": False}}}


@pytest.mark.parametrize(
    ("name", "look", "rules"),
    [
        ("whole", ("light", *_SIZES[0]), _ALL),
        ("whole", ("light", *_SIZES[1]), _LAYOUT),
        ("whole", ("dark", *_SIZES[0]), _COLOURS),
        ("bare", ("light", *_SIZES[1]), _ALL),
        ("bare", ("dark", *_SIZES[0]), _COLOURS),
        ("hostile", ("dark", *_SIZES[0]), None),
        ("hostile", ("light", *_SIZES[1]), None),
    ],
)
def test_report_fits_is_accessible_and_reaches_nothing(
    browser: Browser, tmp_path: Path, name: str, look: tuple[str, int, int], rules: dict[str, Any] | None
):
    """No violation of axe, no scrolling to the side, no error, nothing that the policy blocks, no request."""
    scheme, width, height = look
    viewport = {"width": width, "height": height}
    watched = open_report(browser, tmp_path, _CONTENT[name], color_scheme=scheme, viewport=viewport)
    page = watched.page
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if rules is not None:
        found = Axe().run(page, options=rules)
        assert found.violations_count == 0, found.generate_report()
    assert watched.faults == []
    assert "owned" not in page.title()
    page.context.close()


def test_chart_is_drawn_in_the_colours_of_the_scheme(whole: Watched):
    page = whole.page
    page.emulate_media(color_scheme="light")
    expect(page.locator("#lines canvas")).to_have_count(2)
    pixels = "document.querySelector('#sent-line canvas').toDataURL()"
    light = page.evaluate(pixels)
    page.emulate_media(color_scheme="dark")
    expect(page.locator("#lines canvas")).to_have_count(2)
    dark = page.evaluate(pixels)
    page.emulate_media(color_scheme="dark", media="print")
    expect(page.locator("html")).to_have_class("paper")
    paper = page.evaluate(pixels)
    assert len({light, dark, paper}) == 3
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="light", media="screen")
    expect(page.locator("html")).to_have_class("")
    assert whole.faults == []


def test_step_of_the_chart_can_be_read(whole: Watched):
    whole.page.set_viewport_size({"width": 1366, "height": 900})
    over = whole.page.locator("#sent-line .u-over")
    over.scroll_into_view_if_needed()
    over.hover()
    expect(whole.page.locator("#readout")).to_contain_text(" a second, limit 2")


def test_chart_follows_the_width_of_the_window(whole: Watched):
    for width, drawn in ((375, "333px"), (1366, "1086px")):
        whole.page.set_viewport_size({"width": width, "height": 800})
        expect(whole.page.locator("#sent-line .u-wrap")).to_have_css("width", drawn)


def test_no_table_is_cut_at_widths_between_phone_and_desktop(whole: Watched):
    cut = """[...document.querySelectorAll('.card')].filter((card) => card.scrollWidth > card.clientWidth + 1)
             .map((card) => card.innerText.slice(0, 40))"""
    for width in (768, 1000, 1100):
        whole.page.set_viewport_size({"width": width, "height": 800})
        assert whole.page.evaluate(cut) == [], width


def test_sections_are_reached_by_keyboard(whole: Watched):
    page = whole.page
    page.set_viewport_size({"width": 1366, "height": 900})
    page.reload()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Accounts")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Accounts", exact=True)).to_be_in_viewport()


def test_tables_have_captions_and_named_cells_on_a_phone(whole: Watched):
    page = whole.page
    page.set_viewport_size({"width": 375, "height": 800})
    table = page.get_by_role("table", name="By receiver domain")
    row = table.get_by_role("row", name="gmail.com")
    expect(row.get_by_role("cell").first).to_contain_text("21,400")
    label = row.get_by_role("cell").first.evaluate("(cell) => getComputedStyle(cell, '::before').content")
    assert label == '"Recipients"'
    assert page.get_by_role("table").count() == page.locator("table:visible > caption").count()


def test_report_prints(browser: Browser, tmp_path: Path):
    """All sections, light although the screen is dark, with the chart, and with the examples unfolded."""
    watched = open_report(browser, tmp_path, _CONTENT["whole"], color_scheme="dark")
    page = watched.page
    page.set_viewport_size({"width": 690, "height": 900})  # A4 within its margins
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 690
    page.emulate_media(media="screen", color_scheme="dark")
    expect(page.locator("html")).to_have_class("")
    colour = "getComputedStyle(document.documentElement).getPropertyValue('--card').trim()"
    page.evaluate(f"window.drawn = []; addEventListener('beforeprint', () => drawn.push({colour}))")
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF-")
    assert printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 12
    assert page.evaluate("document.documentElement.classList.contains('paper')") is False
    assert page.evaluate("drawn") == ["#fff"]
    assert watched.faults == []
    page.context.close()


def test_report_is_readable_without_scripts(browser: Browser, tmp_path: Path):
    watched = open_report(browser, tmp_path, _CONTENT["whole"], java_script_enabled=False)
    expect(watched.page.get_by_text("The chart needs scripts.")).to_be_visible()
    watched.page.get_by_text("Show the figures of the chart as a table").click()
    expect(watched.page.get_by_role("table", name="Sending by step of 1 min")).to_be_visible()
    watched.page.context.close()
