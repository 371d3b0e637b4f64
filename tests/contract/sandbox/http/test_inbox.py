"""The sandbox's record and the inbox that shows it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from html.parser import HTMLParser
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.credentials import bearer

from engine.errors import ConfigurationError
from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.events.behaviour import Behaviour
from engine.sandbox.http import record_index
from engine.sandbox.http.record import FILE_NAME, Record, read_record
from engine.sandbox.http.record_index import RecordIndex
from engine.sandbox.reach.reach import Reach
from engine.sandbox.server import SandboxSettings
from engine.sandbox.ses.draft import Draft, DraftContent

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOKEN = "a-token-that-only-tests-use"
ROOT = f"/{TOKEN}"  # of every page
NASTY = "<script>alert(1)</script>\"'&{{7*7}}"


def draft(subject: str | None = "Hello", *, to: str = "ann@b.example", html: str = "<p>Hi</p>") -> Draft:
    return Draft(
        operation="SendEmail",
        sender="Acme News <news@acme.example>",
        sender_address="news@acme.example",
        recipients=[to],
        reply_to=["r@acme.example"],
        tags={"msg": "01J"},
        configuration_set="marketing",
        content=DraftContent(
            subject=subject,
            html=html,
            text="Hi\nthere",
            headers=[{"name": "X-A", "value": "b"}],
            attachments=[{"name": "t.pdf", "type": "application/pdf", "size": 4}],
        ),
    )


def write(folder: Path, *drafts: Draft) -> None:
    with Record(folder) as record:
        for number, each in enumerate(drafts):
            record.append(each, message_id=f"id-{number}", at=AT, fate="delivered")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "record"


@pytest.fixture
def sandbox(folder: Path) -> Iterator[EmbeddedSandbox]:
    with run_in_thread(SandboxSettings(record_folder=folder, token=TOKEN)) as running:
        yield running


def get(sandbox: EmbeddedSandbox, path: str) -> tuple[HTTPResponse, str]:
    with closing(HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)) as connection:
        connection.request("GET", ROOT + path)
        reply = connection.getresponse()
        return reply, reply.read().decode()


class Page(HTMLParser):
    """The text of a page and the attributes of its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def links(self) -> list[str | None]:
        return [attributes.get("href") for tag, attributes in self.elements if tag == "a"]


def test_the_record_is_read_as_it_was_written_and_is_private(folder: Path) -> None:
    write(folder, draft("one"), draft("two"))
    assert [message["subject"] for message in read_record(folder)] == ["one", "two"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_folder_without_record_is_empty(folder: Path) -> None:
    assert list(read_record(folder)) == []


def test_torn_last_line_is_skipped_and_the_next_process_adds_a_line(folder: Path) -> None:
    write(folder, draft("one"), draft("two"))
    path = folder / FILE_NAME
    path.write_bytes(path.read_bytes()[:-20])
    assert [message["subject"] for message in read_record(folder)] == ["one"]
    write(folder, draft("three"))
    assert [message["subject"] for message in read_record(folder)] == ["one", "three"]
    index = RecordIndex(folder)
    found = index.newest(before=index.refresh(), limit=10)
    assert [message["subject"] for _, message in found.messages] == ["three", "one"]


def test_several_records_append_to_one_file(folder: Path) -> None:
    with Record(folder) as first, Record(folder) as second:
        for number in range(20):
            record = (first, second)[number % 2]
            record.append(draft(str(number)), message_id="id", at=AT, fate="delivered")
    assert [message["subject"] for message in read_record(folder)] == [str(number) for number in range(20)]


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write its record"):
        Record(tmp_path / "file" / "record")


def test_the_index_reads_on_and_starts_again_when_the_record_is_another(folder: Path) -> None:
    index = RecordIndex(folder)
    assert index.refresh() == 0
    write(folder, draft("one"))
    assert index.refresh() == 1
    write(folder, draft("two"), draft("three"))
    assert index.refresh() == 3
    assert index.read(3) is None
    (folder / FILE_NAME).unlink()
    write(folder, draft("new"))
    assert index.refresh() == 1
    message = index.read(0)
    assert message is not None
    assert message["subject"] == "new"


def test_the_inbox_shows_what_earlier_processes_recorded_newest_first(folder: Path, sandbox: EmbeddedSandbox) -> None:
    write(folder, *(draft(f"subject {number}") for number in range(60)))
    reply, text = get(sandbox, "/")
    page = Page(text)
    assert reply.status == 200
    messages = [link for link in page.links() if link and link.startswith(f"{ROOT}/messages/")]
    assert messages == [f"{ROOT}/messages/{line}" for line in range(59, 9, -1)]
    assert f"{ROOT}/?before=10" in page.links()
    _, older = get(sandbox, "/?before=10")
    assert next(link for link in Page(older).links() if link and link.startswith(f"{ROOT}/m")) == f"{ROOT}/messages/9"


def test_the_inbox_is_searched_by_address_and_subject_without_case(folder: Path, sandbox: EmbeddedSandbox) -> None:
    write(folder, draft("Offer"), draft("other", to="OFFER@b.example"), draft("none"))
    _, text = get(sandbox, "/?q=offer")
    links = [link for link in Page(text).links() if link and link.startswith(f"{ROOT}/m")]
    assert links == [f"{ROOT}/messages/1", f"{ROOT}/messages/0"]
    _, text = get(sandbox, "/?q=absent")
    assert "Search results" in text
    assert '<span class="count">' not in text
    assert "absent” in an address or the subject" in text


def test_an_empty_inbox_says_what_to_do(sandbox: EmbeddedSandbox) -> None:
    assert "Nothing accepted yet" in get(sandbox, "/")[1]


def test_a_message_page_shows_all_parts(folder: Path, sandbox: EmbeddedSandbox) -> None:
    write(folder, draft())
    reply, text = get(sandbox, "/messages/0")
    assert reply.status == 200
    for shown in (
        "Hello",
        "ann@b.example",
        "msg=01J",
        "marketing",
        "t.pdf",
        "X-A",
        "Hi\nthere",
        "id-0",
        "r@acme.example",
    ):
        assert shown in text
    _, source = get(sandbox, "/messages/0/source")
    assert '"message_id": "id-0"' in source


def test_hostile_content_is_text_on_our_pages_and_alone_in_a_frame(folder: Path, sandbox: EmbeddedSandbox) -> None:
    write(folder, draft(NASTY, to='"<i>"@b.example', html=NASTY))
    for path in ("/", "/messages/0", "/?q=%3Cscript%3Ealert"):
        reply, text = get(sandbox, path)
        page = Page(text)
        assert "script" not in {tag for tag, _ in page.elements}
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert "script-src" not in reply.headers["Content-Security-Policy"]
    [frame] = [attributes for tag, attributes in Page(get(sandbox, "/messages/0")[1]).elements if tag == "iframe"]
    assert frame["sandbox"] is None  # present, and allows nothing
    assert frame["src"] == f"{ROOT}/messages/0/html"
    reply, text = get(sandbox, "/messages/0/html")
    assert text == NASTY
    assert reply.headers["Content-Security-Policy"].startswith(
        "sandbox; default-src 'none'; img-src data: https:; style-src 'unsafe-inline';"
    )


@pytest.mark.parametrize(
    ("changes", "is_removed"),
    [({}, True), ({"configuration_set": None}, False), ({"reach": Reach(tracking={"click": False})}, False)],
)
def test_message_is_shown_as_delivered_without_what_ses_removes(
    folder: Path, sandbox: EmbeddedSandbox, changes: dict[str, Any], *, is_removed: bool
) -> None:
    links = '<a ses:tags="mailrun-link:1;p:a" href="https://a.example">a</a><a href="https://b" ses:no-track>b</a>'
    given = draft(html=links)
    for name, value in changes.items():
        setattr(given, name, value)
    write(folder, given)
    _, text = get(sandbox, "/messages/0/html")
    clean = '<a href="https://a.example">a</a><a href="https://b">b</a>'
    assert text == (clean if is_removed else links)
    assert "mailrun-link" in get(sandbox, "/messages/0/source")[1]


FATES = {
    "bounce": ("Permanent/General", "Bounced"),
    "full": ("Transient/MailboxFull", "Soft bounce"),
    "listed": ("Permanent/OnAccountSuppressionList", "Suppressed"),
}


def test_inbox_shows_the_fate_that_the_events_show(folder: Path) -> None:
    domains: dict[str, object] = {f"{name}.example": {"bounces": {kind: 1}} for name, (kind, _) in FATES.items()}
    domains |= {
        "late.example": {"delay": 1, "click": 1},
        "angry.example": {"complaints": {"abuse": 1}},
        "away.example": {"out_of_office": 1},
        "gone.example": {"unsubscribe": 1, "open": 1},
        "virus.example": {"reject": 1},
    }
    behaviour = Behaviour.from_document({"domains": domains})
    wanted = {f"{name}.example": fate for name, (_, fate) in FATES.items()} | {
        "late.example": "Clicked",
        "angry.example": "Complaint",
        "away.example": "Out of office",
        "gone.example": "Unsubscribed",
        "virus.example": "Rejected",
        "plain.example": "Delivered",
    }
    with run_in_thread(SandboxSettings(record_folder=folder, token=TOKEN, behaviour=behaviour)) as sandbox:
        html = '<a href="https://acme.example/">a</a>'
        write(folder, *(draft(domain, to=f"ann@{domain}", html=html) for domain in wanted))
        _, text = get(sandbox, "/")
        rows = [row.split("</td>") for row in text.split("<tr")[2:]]
        shown = {row[0].rpartition("@")[2].strip(): row[3].rpartition('">')[2].removesuffix("</span>") for row in rows}
        assert shown == wanted
        _, page = get(sandbox, "/messages/0")
        assert "Permanent/General" in page
        assert page.count('class="fate bounced"') == 1


def test_inbox_shows_the_fate_by_the_behaviour_of_the_acceptance(folder: Path, sandbox: EmbeddedSandbox) -> None:
    """A behaviour that is changed later does not apply to mail accepted before."""
    write(folder, draft("before"))
    with closing(HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)) as connection:
        document = '{"default": {"bounces": {"Permanent/General": 1}}}'
        connection.request("PUT", "/_sandbox/behaviour", document, bearer(sandbox))
        assert connection.getresponse().status == 200
    write(folder, draft("after"))
    assert 'class="fate delivered"' in get(sandbox, "/messages/0")[1]
    assert 'class="fate bounced"' in get(sandbox, "/messages/1")[1]


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/messages", "/messages/x", "/messages/0/x", "/a/../b", "/%3Cb%3E", f"/messages/{'9' * 5000}",
     f"/messages/{'9' * 5000}/html"],
)  # fmt: skip
def test_inbox_unknown_path_is_a_page(sandbox: EmbeddedSandbox, path: str) -> None:
    reply, text = get(sandbox, path)
    assert reply.status == 404
    assert reply.headers.get_content_type() == "text/html"
    assert "There is no page" in text
    assert f"{ROOT}/" in Page(text).links()
    assert "<b>" not in text


def test_unknown_message_number_shows_the_newest(folder: Path, sandbox: EmbeddedSandbox) -> None:
    write(folder, draft("Hello"))
    assert get(sandbox, f"/?before={'9' * 5000}")[1] == get(sandbox, "/")[1]


def test_missing_message_is_answered_with_404(sandbox: EmbeddedSandbox) -> None:
    assert get(sandbox, "/messages/5")[0].status == 404
    assert get(sandbox, "/messages/5/html")[0].status == 404


def test_pages_are_labelled_and_load_nothing_from_elsewhere(folder: Path, sandbox: EmbeddedSandbox) -> None:
    write(folder, draft())
    for path in ("/", "/messages/0"):
        page = Page(get(sandbox, path)[1])
        tags = [tag for tag, _ in page.elements]
        assert tags.count("h1") == tags.count("main") == 1
        assert ("html", {"lang": "en"}) in page.elements
        for tag, attributes in page.elements:
            assert not (attributes.get("src") or attributes.get("href") or "").startswith("http")
            if tag == "iframe":
                assert attributes["title"]
    assert get(sandbox, "/inbox.css")[0].headers.get_content_type() == "text/css"


def test_long_search_stops_and_resumes_from_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_index, "MAX_SEARCHED", 3)
    write(folder, draft("wanted"), *(draft("other") for _ in range(4)))
    index = RecordIndex(folder)
    first = index.newest(before=index.refresh(), limit=10, words="wanted")
    assert first == ([], 2)
    second = index.newest(before=2, limit=10, words="wanted")
    assert ([line for line, _ in second.messages], second.more_before) == ([0], None)
