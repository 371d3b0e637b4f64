"""The page behind an unsubscribe link, in a real browser at the width of a phone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.world import World, open_world

from engine.campaign.unsubscribe_tokens import TokenSigner

KEY = "a-signing-key-of-32-characters-x"
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    """A running server's address."""
    with open_world(tmp_path_factory.mktemp("unsubscribe")) as world:
        world.settings["MAILRUN_UNSUBSCRIBE_KEYS"] = KEY
        world.settings["MAILRUN_UNSUBSCRIBE_PAGE_SENDER"] = "Acme News"
        world.settings["MAILRUN_UNSUBSCRIBE_PAGE_TOPICS"] = '{"news": "Monthly newsletter"}'
        world.settings["MAILRUN_UNSUBSCRIBE_PAGE_PREFERENCES_URL"] = "https://acme.example/preferences"
        server = world.start("unsubscribe-server", "--port", "0", "--json")
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        yield world, url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport=PHONE)  # type: ignore[arg-type] # a size
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text) if "favicon" not in message.text else None)
    yield opened
    opened.close()
    assert not [text for text in problems if "Content Security Policy" in text], problems


def test_the_page_asks_and_one_click_is_enough(page: Page, served: tuple[World, str], tmp_path: Path):
    world, url = served
    token = TokenSigner([KEY.encode()]).sign("ann@b.example", "news")
    page.goto(f"{url}/u/{token}")
    expect(page.get_by_role("heading", name="Unsubscribe?")).to_be_visible()
    assert "b.example" not in page.content()
    assert world.run("suppress", "list", "--json").json["total"] == 0
    box = page.get_by_role("button", name="Unsubscribe").bounding_box()
    assert box is not None
    assert box["height"] >= 44, "a thumb hits it"
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("getComputedStyle(document.querySelector('button')).color") == "rgb(255, 255, 255)"
    page.screenshot(path=str(tmp_path / "ask.png"))
    page.get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_role("heading", name="You are unsubscribed")).to_be_visible()
    page.screenshot(path=str(tmp_path / "done.png"))
    (entry,) = world.run("suppress", "list", "--json").json["entries"]
    assert (entry["address"], entry["topic"]) == ("ann@b.example", "news")


def test_a_cut_link_says_so(page: Page, served: tuple[World, str]):
    page.goto(f"{served[1]}/u/1.cut")
    expect(page.get_by_role("heading", name="This link is not complete")).to_be_visible()


def test_an_opt_out_can_be_undone_on_the_page(page: Page, served: tuple[World, str]):
    world, url = served
    before = world.run("suppress", "list", "--json").json["total"]
    token = TokenSigner([KEY.encode()]).sign("bo@b.example", "news")
    page.goto(f"{url}/u/{token}")
    expect(page.get_by_text("Acme News")).to_be_visible()
    expect(page.get_by_text("Monthly newsletter")).to_be_visible()
    expect(page.get_by_role("link", name="Change your preferences")).to_be_visible()
    page.get_by_role("button", name="Unsubscribe").click()
    assert world.run("suppress", "list", "--json").json["total"] == before + 1
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="You are subscribed again")).to_be_visible()
    assert world.run("suppress", "list", "--json").json["total"] == before


def test_the_page_is_in_the_language_of_the_reader(browser: Browser, served: tuple[World, str]):
    page = browser.new_page(locale="de-AT", viewport=PHONE)  # type: ignore[arg-type] # a size
    page.goto(f"{served[1]}/u/{TokenSigner([KEY.encode()]).sign('cy@b.example', 'news')}")
    expect(page.get_by_role("heading", name="Abmelden?")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "de"
    page.close()
