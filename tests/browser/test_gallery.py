"""The gallery in a real browser: what it shows, who can use it, and what hostile data can not do in it."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, expect
from support.messages import make_message

from engine.campaign.lint_findings import LintFinding, LintFindings, Severity
from engine.campaign.message import Attachment, Envelope
from engine.report.gallery import Card, Summary, write_gallery

BODY = """<!doctype html><html lang="en"><head><style>
body { background: #ffffff } p { color: rgb(1, 2, 3) }
@media (max-width: 480px) { p { font-size: 11px } }
@media (prefers-color-scheme: dark) { body { background: rgb(4, 5, 6) } }
</style></head><body class="mail"><p>Hello %s</p>
<img src="cid:logo.png" alt="Acme" width="9" height="9"></body></html>"""
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)
ENVELOPE = Envelope(
    "Acme <news@acme.example>", ("hello@acme.example",), (Attachment("logo.png", "image/png", PIXEL, "logo.png"),), None
)
HOSTILE = """<!doctype html><html><head><base href="EVIL/">
<meta http-equiv="refresh" content="0;url=EVIL/refresh">
<link rel="stylesheet" href="EVIL/a.css"><style>@import url(EVIL/b.css);
p { background: url(EVIL/c.png) }</style></head>
<body onload="parent.document.title='owned'"><p onclick="top.document.title='owned'">x</p>
<script>parent.document.title = "owned"; fetch("EVIL/d")</script>
<img src="EVIL/e.png" onerror="parent.document.title='owned'">
<iframe src="EVIL/f"></iframe><object data="EVIL/g"></object>
<form action="EVIL/h"><button>go</button></form><a href="EVIL/i">link</a>
</script></textarea></style>--></body></html>"""


def card(address: str, subject: str = "Hi", *reasons: str, html: str | None = None, text: str | None = "Text") -> Card:
    headers = (("List-Unsubscribe", "<https://acme.example/u/TOKEN>"),)
    html = BODY % address if html is None else html
    return Card(make_message(7, address, subject, html, text, headers, (("mailrun-row", "7"),), None), [*reasons])


@pytest.fixture
def evil() -> Iterator[tuple[str, list[str]]]:
    """A server that hostile messages try to reach, and the requests that it received."""
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

    ThreadingHTTPServer.block_on_close = False  # a browser may hold a connection open without asking anything
    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.fixture
def requests() -> list[str]:
    return []


SUMMARY = Summary(
    rows_read=2038,
    accepted=1784,
    excluded={"invalid_address": 189, "suppressed": 65},
    rendered=1784,
    failures={},
    failed_rows=(),
    findings=LintFindings(),
)


def open_page(
    browser: Browser,
    folder: Path,
    cards: list[Card],
    requests: list[str],
    *,
    summary: Summary = SUMMARY,
    **context: object,
) -> Page:
    path = write_gallery(folder / "gallery.html", cards, ENVELOPE, summary, title="welcome/2026-11-24")
    page = browser.new_page(**context)  # type: ignore[arg-type] # passed on as given
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: requests.append(f"error: {error}"))
    page.goto(path.as_uri())
    return page


def outside(requests: list[str]) -> list[str]:
    return [url for url in requests if not url.startswith(("file:", "data:", "about:"))]


THREE = [
    card("ann@example.com", "Welcome, Ann", "first", "longest"),
    card("bo@example.com", "Chào Bo", "locale vi-VN", text="Xin chào"),
    card("cy@example.com", "<b>Bold</b> & co", "random 1"),
]


def test_first_message_is_shown_as_html_text_and_headers(browser: Browser, tmp_path: Path, requests: list[str]) -> None:
    page = open_page(browser, tmp_path, THREE, requests)
    expect(page.get_by_role("heading", level=2)).to_have_text("Welcome, Ann")
    assert page.locator("iframe").count() == 2
    phone, desktop = (page.frame_locator("iframe").nth(i).get_by_text("Hello ann") for i in (0, 1))
    expect(phone).to_have_css("font-size", "11px")
    expect(desktop).to_have_css("font-size", "16px")
    image = page.frame_locator("iframe").nth(0).get_by_alt_text("Acme")
    assert image.evaluate("image => image.complete && image.naturalWidth") == 1
    page.get_by_role("tab", name="Text").click()
    expect(page.get_by_role("tabpanel", name="Text")).to_contain_text("Text")
    page.get_by_role("tab", name="Headers").click()
    expect(page.get_by_role("row", name="List-Unsubscribe")).to_contain_text("<https://acme.example/u/TOKEN>")
    expect(page.get_by_role("row", name="From")).to_contain_text("Acme <news@acme.example>")
    assert outside(requests) == []


@pytest.mark.parametrize("of_computer", ["light", "dark"])
def test_dark_and_light_are_the_messages_own_whatever_the_computer_prefers(
    browser: Browser, tmp_path: Path, requests: list[str], of_computer: str
) -> None:
    page = open_page(browser, tmp_path, THREE, requests, color_scheme=of_computer)
    body = page.frame_locator("iframe").nth(0).locator("body")
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
    page.get_by_label("Dark").check(force=True)
    expect(page.frame_locator("iframe").nth(0).locator("body")).to_have_css("background-color", "rgb(4, 5, 6)")
    page.get_by_role("group", name="Colours").get_by_label("Both").check(force=True)
    assert page.locator("iframe").count() == 4


def test_hostile_messages_run_nothing_load_nothing_and_lead_nowhere(
    browser: Browser, tmp_path: Path, requests: list[str], evil: tuple[str, list[str]]
) -> None:
    address, asked = evil
    html = HOSTILE.replace("EVIL", address)
    subject = "</script><script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
    page = open_page(browser, tmp_path, [card("x@example.com", subject, html=html, text=html)], requests)
    expect(page.get_by_role("heading", level=2)).to_have_text(subject)
    frame = page.frame_locator("iframe").nth(0)
    frame.get_by_text("x", exact=True).click()
    frame.get_by_text("link").click()
    frame.get_by_role("button", name="go").click()
    page.get_by_role("tab", name="Text").click()
    expect(page.get_by_role("tabpanel", name="Text")).to_contain_text(f"{address}/d")
    assert page.title() == "welcome/2026-11-24 · mailrun preview"
    assert asked == []
    assert len(page.context.pages) == 1
    page.get_by_role("tab", name="HTML").click()
    expect(page.frame_locator("iframe").nth(0).get_by_text("link")).to_be_visible()


def test_messages_are_found_by_words_of_all_that_is_known_of_them(
    browser: Browser, tmp_path: Path, requests: list[str]
) -> None:
    page = open_page(browser, tmp_path, THREE, requests)
    page.keyboard.press("/")
    page.keyboard.type("chào vi-vn")
    expect(page.get_by_role("status")).to_have_text("1 of 3 messages")
    expect(page.get_by_role("heading", level=2)).to_have_text("Chào Bo")
    page.get_by_label("Search").fill("nobody has this")
    expect(page.get_by_role("status")).to_have_text("0 of 3 messages")
    expect(page.get_by_text("No message has these words.")).to_be_visible()
    page.get_by_label("Search").fill("")
    expect(page.get_by_role("status")).to_have_text("3 messages")


def test_everything_can_be_done_with_the_keyboard(browser: Browser, tmp_path: Path, requests: list[str]) -> None:
    page = open_page(browser, tmp_path, THREE, requests)
    page.get_by_role("button", name="ann@example.com").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("heading", level=2)).to_have_text("Chào Bo")
    expect(page.get_by_role("button", name="bo@example.com")).to_be_focused()
    expect(page.get_by_role("button", name="bo@example.com")).to_have_attribute("aria-current", "true")
    page.get_by_role("tab", name="HTML").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Text")).to_be_focused()
    expect(page.get_by_role("tab", name="Text")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel", name="Text")).to_contain_text("Xin chào")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="Both").first).to_be_focused()
    page.keyboard.press("ArrowLeft")
    assert page.locator("iframe").count() == 1


def test_screen_reader_finds_a_name_for_every_element(browser: Browser, tmp_path: Path, requests: list[str]) -> None:
    page = open_page(browser, tmp_path, THREE, requests)
    for landmark in ("complementary", "main", "navigation", "tablist"):
        expect(page.get_by_role(landmark)).to_be_visible()
    names = page.locator("iframe").evaluate_all("frames => frames.map((frame) => frame.title)")
    assert names == ["Welcome, Ann: Phone, 375 pixels, light", "Welcome, Ann: Desktop, 780 pixels, light"]
    unnamed = page.locator("button, input").evaluate_all(
        "all => all.filter((e) => !(e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)"
    )
    assert unnamed == []
    assert page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("width", [320, 768, 1440])
def test_no_window_is_too_narrow(browser: Browser, tmp_path: Path, requests: list[str], width: int) -> None:
    page = open_page(browser, tmp_path, THREE, requests, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("tab", name="Headers").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser: Browser, tmp_path: Path, requests: list[str], scheme: str) -> None:
    """WCAG 2.2 1.4.3: 4.5 to 1, for all text of the page itself."""
    page = open_page(browser, tmp_path, THREE, requests, color_scheme=scheme)
    poor = page.evaluate(
        """() => {
      const parse = (c) => c.match(/[\\d.]+/g).map(Number);
      const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
      const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const poor = [];
      for (let n = walker.nextNode(); n; n = walker.nextNode()) {
        const e = n.parentElement;
        if (!n.textContent.trim() || !e.checkVisibility()) continue;
        if (e.matches("script, noscript, noscript *, .quiet")) continue;
        const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
        if ((a + .05) / (b + .05) < 4.5) poor.push(`${n.textContent.trim()}: ${((a + .05) / (b + .05)).toFixed(2)}`);
      }
      return poor;
    }"""
    )
    assert poor == []


def test_a_message_without_html_and_one_that_is_alone_are_shown(
    browser: Browser, tmp_path: Path, requests: list[str]
) -> None:
    message = make_message(1, "ann@example.com", "Hi", None, "Only text", (), ())
    page = open_page(browser, tmp_path, [Card(message, ["first"])], requests)
    expect(page.get_by_text("This message has no HTML part.")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("1 message")


def test_phone_frame_does_not_scroll_sideways(browser: Browser, tmp_path: Path, requests: list[str]) -> None:
    """A message of the phone's width that is longer than the screen scrolls down alone."""
    html = '<html><body style="margin:0"><div id="wide" style="width:375px;height:4000px">x</div></body></html>'
    page = open_page(browser, tmp_path, [card("ann@example.com", html=html)], requests)
    root = page.frame_locator("iframe").nth(0).locator("html")
    expect(root).to_be_visible()
    assert root.evaluate("root => [root.clientWidth, root.scrollWidth]") == [375, 375]
    assert root.evaluate("root => getComputedStyle(root).scrollbarWidth") == "none"  # headless bars take no width


@pytest.mark.parametrize("width", [360, 1440])
def test_gallery_list_stays_on_screen_while_the_message_scrolls(
    browser: Browser, tmp_path: Path, requests: list[str], width: int
) -> None:
    long = "\n".join(f"line {number}" for number in range(400))
    cards = [card(f"person{number}@example.com", f"Offer {number}", text=long) for number in range(40)]
    page = open_page(browser, tmp_path, cards, requests, viewport={"width": width, "height": 800})
    page.get_by_role("tab", name="Text").click()
    page.mouse.move(width - 40, 780)
    page.mouse.wheel(0, 3000)
    page.wait_for_function("scrollY > 1000")
    box = page.get_by_role("navigation", name="Messages").bounding_box()
    assert box is not None
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 800
    assert box["height"] >= 120, "some messages can be seen and chosen"


def test_gallery_lists_messages_as_an_inbox_does(browser: Browser, tmp_path: Path, requests: list[str]) -> None:
    html = '<body><div style="display:none">Only today&zwnj;&nbsp;&zwnj;&nbsp;</div><p>Dear Ann</p></body>'
    page = open_page(browser, tmp_path, [card("ann@example.com", "Sale", html=html)], requests)
    row = page.get_by_role("navigation", name="Messages").get_by_role("button")
    expect(row).to_contain_text("Acme")
    expect(row).to_contain_text("Sale Only today Dear Ann")
    expect(row).to_contain_text("to ann@example.com")


def test_gallery_summary_shows_counts_findings_and_failed_rows(
    browser: Browser, tmp_path: Path, requests: list[str]
) -> None:
    findings = LintFindings()
    finding = LintFinding(Severity.WARNING, "no_preheader", "there is no preheader", "set preheader", "campaign.toml")
    findings.add(finding, row=4, times=1782)
    summary = Summary(
        rows_read=2038,
        accepted=1784,
        excluded={"invalid_address": 189, "suppressed": 65},
        rendered=1782,
        failures={"<b>points</b> is missing": 2},
        failed_rows=((17, "<b>points</b> is missing"), (23, "<b>points</b> is missing")),
        findings=findings,
    )
    page = open_page(browser, tmp_path, THREE, requests, summary=summary)
    expect(page.get_by_role("heading", level=2)).to_have_text("Summary")
    expect(page.get_by_role("row", name="Excluded: invalid address 189")).to_be_visible()
    expect(page.get_by_role("row", name="Failed 2")).to_be_visible()
    expect(page.get_by_role("row", name="<b>points</b> is missing")).to_contain_text("row 17, row 23")
    expect(page.get_by_role("row", name="there is no preheader")).to_contain_text("1,782")
    page.get_by_role("navigation", name="Messages").get_by_role("button").nth(1).click()
    expect(page.get_by_role("heading", level=2)).to_have_text("Chào Bo")
    page.get_by_role("button", name="1,784 of 2,038 rows accepted").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("Summary")
    assert outside(requests) == []


def test_gallery_is_made_where_no_message_can_be_made(browser: Browser, tmp_path: Path, requests: list[str]) -> None:
    summary = Summary(
        rows_read=2,
        accepted=2,
        excluded={},
        rendered=0,
        failures={"no": 2},
        failed_rows=((0, "no"),),
        findings=LintFindings(),
    )
    page = open_page(browser, tmp_path, [], requests, summary=summary)
    expect(page.get_by_role("heading", level=2)).to_have_text("Summary")
    expect(page.get_by_role("status")).to_have_text("0 messages")
