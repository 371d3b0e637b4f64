"""The sandbox's inbox in a real browser: what it shows, and that no message can run in it."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from engine.sandbox.embedded import run_in_thread
from engine.sandbox.server import SandboxSettings

HOSTILE = """<meta name="referrer" content="unsafe-url"><p>Hello</p><script>parent.document.title = "owned"</script>
<img src="https://pixel.example/1" referrerpolicy="unsafe-url">
<img src="x" onerror="parent.document.title='owned'"><a href="javascript:parent.document.title='owned'">link</a>
"""


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an inbox with three messages, one of them hostile in name and body."""
    folder = tmp_path_factory.mktemp("inbox")
    with run_in_thread(SandboxSettings(record_folder=folder, max_send_rate=1000.0)) as server:
        client = boto3.client(
            "sesv2",
            endpoint_url=server.url,
            region_name=server.region,
            aws_access_key_id=server.access_key_id,
            aws_secret_access_key=server.secret_access_key,
        )
        for address, name, html in (("ann", "Ann", ""), ("bo", "<b>Bo</b>", HOSTILE), ("cy", "Cy", "")):
            content = {
                "Subject": {"Data": f"Hello {name}"},
                "Body": {"Html": {"Data": f"<p>Dear {name}</p>{html}"}, "Text": {"Data": "How are you?"}},
            }
            client.send_email(
                FromEmailAddress="news@acme.example",
                Destination={"ToAddresses": [f"{address}@example.com"]},
                EmailTags=[{"Name": "mailrun-row", "Value": "7"}],
                Content={"Simple": content},
            )
        client.close()
        yield server.inbox_url.removesuffix("/")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def test_the_inbox_lists_what_was_accepted_and_finds_it(page: Page, inbox: str):
    page.goto(inbox)
    expect(page.get_by_role("row")).to_have_count(4)
    expect(page.get_by_text("Hello <b>Bo</b>")).to_be_visible()
    page.get_by_role("searchbox").fill("ann@")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)


def test_message_is_shown_as_sandboxed_html_text_and_headers(page: Page, inbox: str):
    page.goto(inbox + "/?q=ann@example.com")
    page.get_by_role("link", name="Hello Ann").click()
    expect(page.get_by_role("heading", name="Hello Ann")).to_be_visible()
    frame = page.locator("iframe")
    assert frame.get_attribute("sandbox") is not None
    assert "allow-scripts" not in (frame.get_attribute("sandbox") or "")
    expect(page.frame_locator("iframe").get_by_text("Dear Ann")).to_be_visible()
    expect(page.get_by_text("How are you?")).to_be_visible()
    expect(page.get_by_text("mailrun-row=")).to_be_visible()


def test_a_hostile_message_runs_nothing(page: Page, inbox: str, tmp_path: Path):
    page.goto(inbox + "/?q=bo@example.com")
    page.get_by_role("link", name="Hello <b>Bo</b>").click()
    body = page.frame_locator("iframe")
    expect(body.get_by_text("Hello", exact=True)).to_be_visible()
    body.get_by_role("link", name="link").click()
    page.screenshot(path=tmp_path / "inbox.png")
    assert "owned" not in page.title()


def test_a_hostile_message_does_not_learn_the_address_of_the_inbox(page: Page, inbox: str):
    """The address holds the token; images of messages are requested without a referrer."""
    asked: list[dict[str, str]] = []

    def answer(route: Route) -> None:
        asked.append(route.request.all_headers())
        route.abort()

    page.route("https://pixel.example/*", answer)
    for path in ("/messages/1", "/messages/1/html"):
        page.goto(inbox + path)
        page.wait_for_load_state("load")
    assert len(asked) == 2
    assert not any(inbox.rpartition("/")[2] in str(headers) for headers in asked)
