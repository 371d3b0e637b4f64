"""The documentation in a real browser: a reader searches and reads, and no request leaves the machine."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, expect
from support.site import build_site


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(params=["server", "folder"])
def start(site: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of the first page: on a server of this machine, or as a file."""
    if request.param == "folder":
        yield f"{site.as_uri()}/"
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def search(page: Page, words: str) -> None:
    page.keyboard.press("/")
    page.get_by_role("textbox", name="Search").press_sequentially(words)
    page.locator(".md-search-result__link").first.click()


def test_site_is_searched_and_read_without_a_request_to_another_server(browser: Browser, start: str):
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{start}index.html")
    expect(page.get_by_role("heading", name="mailrun", level=1)).to_be_visible()
    search(page, "hold_out")
    expect(page.get_by_role("article")).to_contain_text("hold_out")
    page.goto(f"{start}reference/cli.html")
    expect(page.get_by_role("heading", name="mailrun launch", exact=False, level=2)).to_be_visible()
    assert asked
    assert [url for url in asked if not url.startswith((start, "blob:", "data:"))] == []
    page.close()
