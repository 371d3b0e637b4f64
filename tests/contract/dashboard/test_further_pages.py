"""The pages about an address, suppressions, the account and comparisons: what they show, and what they never show."""

import html
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from support.dashboard import PageReply, act, ask
from support.dashboard_data import ANN, COMPARISON, ENTRIES, FIRST, OWNED, SECOND, THIRD, fill_with_ann
from support.sent_runs import open_new_workspace
from support.world import World

from engine.dashboard.account_picture import AccountPicture, read_picture
from engine.dashboard.background import ReadSoFar
from engine.dashboard.pages.account import make_account
from engine.dashboard.server import Listening, make_application
from engine.dashboard.threads import ReadThreads
from engine.errors import ServiceError
from engine.logs import get_logger
from engine.workspace import Workspace, open_workspace

PATHS = ("/address", "/suppressions", COMPARISON, "/compare")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with open_new_workspace(tmp_path_factory.mktemp("pages")) as opened:
        fill_with_ann(opened)
        yield opened


def look_up(url: str, address: str, **form: str) -> PageReply:
    return act(url, "/address", address=address, **form)


def test_look_up_shows_messages_suppression_and_commands(url: str) -> None:
    page = look_up(url, "  Ann.Lee@X.example ")
    assert page.status == 200
    for words in (FIRST, SECOND, THIRD, "refused", "excluded: suppressed", "weekly-1.csv", "line 32"):
        assert words in page.text
    assert "mailrun suppress remove ann.lee@x.example --yes" in page.text
    assert "Marked as spam" not in page.text  # events come with the second request


def test_second_request_shows_events_in_order(url: str) -> None:
    page = look_up(url, ANN, part="events", since="2026-11-24")
    said = [page.text.index(words) for words in ("Clicked by", "Opened by", "Marked as spam", "Delivered</bdi>")]
    assert said == sorted(said)  # the newest first
    assert "5.1.1" in page.text
    assert "Events since" not in page.text


@pytest.mark.parametrize("address", ["nobody", "", "a@b@c", "x" * 5000, OWNED])
def test_text_that_is_not_an_address_is_answered_with_what_to_do(url: str, address: str) -> None:
    page = look_up(url, address)
    assert page.status == 400
    assert 'role="alert"' in page.text
    assert OWNED not in page.text


def test_unknown_address_says_so(url: str) -> None:
    page = look_up(url, "stranger@x.example")
    assert (page.status, "No run has this address" in page.text, "Not suppressed" in page.text) == (200, True, True)


def test_look_up_without_the_form_of_the_session_is_refused(url: str) -> None:
    assert ask(url, "/address", "POST", {"address": ANN}).status == 403
    assert ask(url, f"/address?address={ANN}").text.count(ANN) == 0


def test_address_is_in_no_log(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    get_logger().warning("before")
    look_up(url, ANN, part="events")
    look_up(url, f"{ANN}@")
    written = "".join(capfd.readouterr())
    assert "ann.lee" not in written


def test_look_up_changes_nothing(url: str, workspace: Workspace) -> None:
    def read_everything() -> list[str]:
        with closing(sqlite3.connect(workspace.settings.ledger_url.removeprefix("sqlite:///"))) as connection:
            return list(connection.iterdump())

    before = read_everything()
    look_up(url, ANN, part="events")
    assert read_everything() == before


def test_whole_addresses_are_on_the_look_up_alone(url: str) -> None:
    for path in PATHS[1:]:
        assert "@" not in re.sub(r"[a-z]?\*\*\*@|@domain|@example\.com", "", ask(url, path).text)


def test_suppressions_are_listed_by_pages_and_counted(url: str) -> None:
    page = ask(url, "/suppressions")
    assert page.status == 200
    found, pages = 0, 0
    while True:
        found += page.text.count("***@")
        pages += 1
        older = re.search(r'rel="next" href="([^"]+)"', page.text)
        if older is None:
            break
        assert "person" not in older[1]
        page = ask(url, html.unescape(older[1]))
    assert (found, pages > 1) == (ENTRIES + 1 + 31, True)  # ANN twice: by the event, and by the topic


def test_suppressions_are_filtered(url: str) -> None:
    page = ask(url, "/suppressions?topic=news")
    assert page.text.count("***@") == 1
    assert "No entry matches" in ask(url, "/suppressions?reason=nothing").text
    assert ask(url, "/suppressions?at=nonsense&before=-1").status == 200


def test_comparison_shows_what_differs(url: str) -> None:
    page = ask(url, COMPARISON)
    assert page.status == 200
    assert f"Delivered: clearly less in {SECOND} (0%) than in {FIRST} (100%)" in page.text
    assert 'data-x="seconds"' in page.text


def test_comparison_names_unknown_runs_and_needs_two(url: str) -> None:
    assert "There is no run" in ask(url, f"/compare?a={FIRST}&b=weekly/none").text
    assert "at least two different runs" in ask(url, f"/compare?a={FIRST}&b={FIRST}").text


@pytest.mark.parametrize("path", PATHS)
def test_data_of_hostile_people_is_text(url: str, path: str) -> None:
    assert OWNED not in ask(url, path).text
    page = look_up(url, ANN, part="events")
    assert OWNED not in page.text
    assert html.escape(OWNED, quote=True).replace("&#x27;", "&#39;") in page.text


def test_account_of_other_transports_is_not_read(workspace: Workspace) -> None:
    text = render(workspace, None, others=["smtp", "the sandbox"])
    assert "they go to smtp and to the sandbox" in text
    assert "Read the account" in text


def test_account_that_cannot_be_reached_says_what_to_do(workspace: Workspace) -> None:
    away = ServiceError("SES cannot be reached: no route", remedy="check the network")
    text = render(workspace, ReadSoFar(None, None, away, is_running=False))
    assert "SES cannot be reached: no route" in text
    assert "check the network" in text
    assert "is being read" in render(workspace, ReadSoFar(None, None, None, is_running=True))


def test_account_is_read_part_by_part(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.server.url)
    world.run("ses", "setup", "acme.example", "--apply")
    parts: list[AccountPicture] = []
    with open_workspace(world.folder) as workspace:
        picture = read_picture(workspace, parts.append)
        text = render(workspace, ReadSoFar(picture, workspace.clock.now(), None, is_running=False))
    assert [(one.overview.is_read, one.pools.is_read, one.reputation.is_read) for one in parts] == [
        (True, False, False),
        (True, True, False),
    ]
    for words in ("healthy", "acme.example", "ses-shared-pool", "configuration sets"):
        assert words in text.replace("Configuration", "configuration")
    assert "cannot be shown" not in text


def render(workspace: Workspace, reading: ReadSoFar | None, others: list[str] | None = None) -> str:
    """Render the account's page without reading an account."""
    threads = ReadThreads(0)
    application = make_application(workspace, Listening(host="127.0.0.1", port=0), threads)
    return application.templates.render(make_account(reading, others or []), section="/account", form_token="t")
