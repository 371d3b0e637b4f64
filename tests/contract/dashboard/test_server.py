"""The dashboard's server: who may use it, what every answer has, and that only the three actions change anything."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.dashboard import (
    FINISHED,
    HOSTILE,
    PAGES,
    PAUSED,
    REFUSED_ADDRESS,
    SENDING,
    TOKEN,
    act,
    ask,
    open_dashboard,
)

from engine.dashboard.assets import Assets
from engine.dashboard.routes import ROUTES
from engine.ledger import snapshots
from engine.ledger.database import Ledger
from engine.ledger.decisions import find_user, list_decisions
from engine.ledger.runs import Run
from engine.ledger.snapshots import find_run
from engine.workspace import Workspace

ASSETS = [(name, path, "") for name, path in Assets().paths.items()]
DOCUMENTS = [
    ("gallery", f"/runs/{FINISHED}/preview/gallery", "Preview"),
    ("document", f"/runs/{FINISHED}/report/document", FINISHED),
]


@pytest.fixture(scope="module")
def guarded(workspace: Workspace) -> Iterator[str]:
    with open_dashboard(workspace, token=TOKEN, allow_hosts=("mailrun.example.com",), trusts_proxy=True) as opened:
        yield opened


def read_ledger(workspace: Workspace) -> list[str]:
    """Read everything that is in the ledger."""
    with closing(sqlite3.connect(workspace.settings.ledger_url.removeprefix("sqlite:///"))) as connection:
        return list(connection.iterdump())


def list_files(workspace: Workspace) -> dict[Path, int]:
    folder = workspace.settings.workspace
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*") if not file.name.startswith("ledger.db")}


@pytest.mark.parametrize(("name", "path", "text"), [*PAGES, *DOCUMENTS, *ASSETS])
def test_every_answer_has_the_headers_that_keep_it_safe(url: str, name: str, path: str, text: str) -> None:
    reply = ask(url, path)
    assert reply.status == (404 if name == "not found" else 200)
    assert text in reply.text
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "base-uri 'none'" in policy
    assert ("'unsafe-inline'" in policy) == ("sandbox allow-scripts;" in policy)
    assert "frame-ancestors" in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "same-origin"
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    assert reply.headers["x-frame-options"] == ("SAMEORIGIN" if name in ("gallery", "document") else "DENY")
    kept = "public, max-age=31536000, immutable" if path.startswith("/static/") else "no-store"
    assert reply.headers["cache-control"] == kept


@pytest.mark.parametrize("path", [path for _, path, _ in PAGES])
def test_pages_escape_everything_and_show_no_whole_address(url: str, path: str) -> None:
    page = ask(url, path).text
    assert HOSTILE not in page
    assert "<img" not in page
    assert REFUSED_ADDRESS not in page
    assert "style=" not in page
    assert "onclick" not in page


def test_reading_every_page_writes_nothing(url: str, workspace: Workspace) -> None:
    before, files = read_ledger(workspace), list_files(workspace)
    for _, path, _ in (*PAGES, *DOCUMENTS):
        for method in ("GET", "HEAD"):
            assert ask(url, path, method).status < 500
    assert read_ledger(workspace) == before
    assert list_files(workspace) == files


def test_no_other_method_or_form_changes_anything(url: str, workspace: Workspace) -> None:
    """Only the three actions accept a form, and only with the token of the session."""
    before = read_ledger(workspace)
    session = ask(url, f"/runs/{SENDING}/pause")
    paths = [path for _, path, _ in PAGES] + [f"/runs/{SENDING}/cancel", f"/runs/{SENDING}/nothing", "/static/x.css"]
    for path in paths:
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            assert ask(url, path, method, Cookie=session.cookie).status in (404, 405), (method, path)
        is_action = path.endswith(("/pause", "/resume", "/approve"))
        if not is_action:
            form = {"form_token": session.form_token}
            assert ask(url, path, "POST", form, Cookie=session.cookie).status in (404, 405), path
    for action in ("pause", "resume", "approve"):
        path, form = f"/runs/{SENDING}/{action}", {"form_token": session.form_token}
        refused = (
            ask(url, path, "POST", {}, Cookie=session.cookie),  # without the token
            ask(url, path, "POST", form),  # without the session
            ask(url, path, "POST", {"form_token": "x"}, Cookie=session.cookie),
            ask(url, path, "POST", form, Cookie=ask(url, "/").cookie),  # the token of another session
            ask(url, path, "POST", form, Cookie=session.cookie, Origin="https://evil.example"),
            ask(url, path, "POST", form, Cookie=session.cookie, Sec_Fetch_Site="cross-site"),
            ask(url, path, "POST", form, Cookie=session.cookie, Content_Type="text/plain"),
            ask(url, path, "POST", form | {"reason": "x" * 9000}, Cookie=session.cookie),
        )
        assert [reply.status for reply in refused] == [403] * len(refused), action
    assert read_ledger(workspace) == before


@pytest.mark.parametrize(
    "path",
    [
        "/suppressions?at=0001-01-01T00:00:00%2B14:00",
        "/suppressions?at=9999-12-31T23:59:59-14:00",
        "/suppressions?reason=%00&topic=%ED%A0%80",
        "/?q=%00",
    ],
)
def test_queries_without_meaning_are_answered(url: str, path: str) -> None:
    assert ask(url, path).status == 200


def test_texts_of_a_request_reach_no_page_with_nul(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL refuses a text with NUL."""
    seen: list[str] = []

    def find(ledger: Ledger, name: str) -> Run | None:
        seen.append(name)
        return find_run(ledger, name)

    monkeypatch.setattr(snapshots, "find_run", find)
    assert ask(url, "/runs/a%00b/%00/preview").status == 404
    assert seen == ["a\ufffdb/\ufffd"]


def test_head_of_a_live_page_has_no_body(url: str) -> None:
    for run, status in ((SENDING, 200), (FINISHED, 200)):
        reply = ask(url, f"/runs/{run}/live", "HEAD")
        assert (reply.status, reply.text) == (status, "")
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_only_actions_are_routes_that_accept_a_form() -> None:
    """Besides the actions, forms only ask: the address must not be in a URL, and a reading of the account is begun."""
    accepting = {route.path for route in ROUTES if route.method != "GET"}
    assert accepting == {"/runs/{campaign}/{key}/{action}", "/address", "/account"}


@pytest.mark.parametrize("host", ["evil.example", "mailrun.example.com", "127.0.0.1.evil.example"])
def test_another_host_is_refused_on_every_path(url: str, host: str) -> None:
    for path in ("/", "/login", "/healthz", ASSETS[0][1], f"/runs/{SENDING}/live"):
        assert ask(url, path, Host=host).status == 403


def test_without_a_token_every_page_leads_to_the_login(guarded: str) -> None:
    for _, path, _ in (*PAGES, *DOCUMENTS):
        reply = ask(guarded, path)
        assert reply.status == 303
        assert reply.headers["location"].startswith("/login?next=%2F")
        assert ask(guarded, path, Accept="application/json").status == 401
    assert ask(guarded, f"/runs/{SENDING}/live", Accept="text/event-stream").status == 401
    assert ask(guarded, f"/runs/{SENDING}/pause", "POST", {}).status == 401
    assert ask(guarded, "/healthz").status == 200


def test_a_login_opens_a_session_that_a_logout_ends(guarded: str) -> None:
    page = ask(guarded, "/login?next=%2Fruns%2Fa%2Fb", Host="mailrun.example.com")
    assert 'value="/runs/a/b"' in page.text
    login = ask(guarded, "/login", "POST", {"token": TOKEN, "next": "/"}, X_Forwarded_Proto="https")
    assert (login.status, login.headers["location"]) == (303, "/")
    attributes = {part.strip().lower() for part in login.headers["set-cookie"].split(";")[1:]}
    assert attributes == {"httponly", "path=/", "samesite=strict", "secure"}
    home = ask(guarded, "/", Cookie=login.cookie)
    assert home.status == 200
    assert TOKEN not in home.text
    assert ask(guarded, "/logout", "POST", {}, Cookie=login.cookie).status == 403
    assert ask(guarded, "/logout", "POST", {"form_token": home.form_token}, Cookie=login.cookie).status == 303
    assert ask(guarded, "/", Cookie=login.cookie).status == 303


def test_the_login_never_leads_to_another_site(guarded: str) -> None:
    for target in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\r\nX: y"):
        assert ask(guarded, "/login", "POST", {"token": TOKEN, "next": target}).headers["location"] == "/"


def test_a_cookie_is_for_https_only_where_a_proxy_is_trusted(workspace: Workspace) -> None:
    with open_dashboard(workspace, token=TOKEN) as url:
        login = ask(url, "/login", "POST", {"token": TOKEN}, X_Forwarded_Proto="https")
        assert "secure" not in login.headers["set-cookie"].lower()
        limited = [ask(url, "/login", "POST", {"token": f"wrong {number}"}).status for number in range(7)]
        assert limited == [403] * 5 + [429] * 2
        assert ask(url, "/login", "POST", {"token": TOKEN}).status == 429
        assert ask(url, "/", Authorization=f"Bearer {TOKEN}").status == 401
        assert ask(url, "/", Cookie=login.cookie).status == 200  # who is logged in stays so


def test_a_script_uses_the_token_as_bearer(guarded: str, workspace: Workspace) -> None:
    bearer = f"Bearer {TOKEN}"
    assert ask(guarded, "/", Authorization=bearer).status == 200
    assert ask(guarded, "/", Authorization=f"Bearer {TOKEN}x").status == 401
    assert ask(guarded, "/", Authorization=f"Basic {TOKEN}").status == 401
    reply = ask(guarded, f"/runs/{PAUSED}/pause", "POST", {"reason": "a script"}, Authorization=bearer)
    assert reply.status == 303
    run = find_run(workspace.ledger, PAUSED)
    assert run is not None
    assert run.reason == f"paused by dashboard ({find_user()}): a script"


def test_actions_do_what_the_commands_do_and_are_recorded(url: str, workspace: Workspace) -> None:
    user = f"dashboard ({find_user()})"
    assert (
        act(url, f"/runs/{SENDING}/pause", reason="look at person1@x.example").headers["location"] == f"/runs/{SENDING}"
    )
    run = find_run(workspace.ledger, SENDING)
    assert run is not None
    assert (run.state, run.paused_by) == ("paused", user)
    assert act(url, f"/runs/{SENDING}/resume").status == 303
    assert act(url, f"/runs/{SENDING}/approve").status == 303
    run = find_run(workspace.ledger, SENDING)
    assert run is not None
    assert (run.state, run.paused_by) == ("sending", None)
    with workspace.ledger.read() as tx:
        decisions = list_decisions(tx, SENDING)
    assert [(one.what, one.who) for one in decisions] == [("pause", user), ("resume", user), ("approve", user)]
    assert decisions[0].detail["reason"] == "look at p***@x.example"


def test_an_action_on_a_finished_run_changes_nothing(url: str, workspace: Workspace) -> None:
    before = read_ledger(workspace)
    session = ask(url, f"/runs/{SENDING}/pause")
    form = {"form_token": session.form_token}
    reply = ask(url, f"/runs/{FINISHED}/pause", "POST", form, Cookie=session.cookie)
    assert (reply.status, "there is nothing to pause" in reply.text) == (409, True)
    assert ask(url, "/runs/no/run/pause", "POST", form, Cookie=session.cookie).status == 404
    assert read_ledger(workspace) == before


def test_errors_are_grouped_with_masked_examples(url: str) -> None:
    page = ask(url, f"/runs/{FINISHED}/errors").text
    assert "MessageRejected" in page
    assert "ServiceUnavailable: try again later" in page
    assert "p***@x.example, welcome-2026-11-24.csv line" in page
    sending = ask(url, f"/runs/{SENDING}/errors").text
    assert "the newest 2 of 2 recipients" in sending
    assert "ServiceUnavailable: try again later" in sending
    assert "row " in sending
