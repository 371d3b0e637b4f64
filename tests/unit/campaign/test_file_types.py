"""The media types of attachments and inline images."""

from email import message_from_bytes
from email.policy import default

import pytest
from support.messages import make_message

from engine.campaign.file_types import _TABLE, find_content_type
from engine.campaign.message import Attachment, Envelope
from engine.campaign.mime import Composer

OFFICE = "application/vnd.openxmlformats-officedocument"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("programme.docx", f"{OFFICE}.wordprocessingml.document"),
        ("SEATS.XLSX", f"{OFFICE}.spreadsheetml.sheet"),
        ("slides.pptx", f"{OFFICE}.presentationml.presentation"),
        ("old.doc", "application/msword"),
        ("old.xls", "application/vnd.ms-excel"),
        ("terms.pdf", "application/pdf"),
        ("a.odt", "application/vnd.oasis.opendocument.text"),
        ("contact.vcf", "text/vcard; charset=utf-8"),
        ("list.csv", "text/csv; charset=utf-8"),
        ("pass.pkpass", "application/vnd.apple.pkpass"),
        ("a.tar.gz", "application/gzip"),
        ("a.zip", "application/zip"),
        ("a.rar", "application/vnd.rar"),
        ("a.webp", "image/webp"),
        ("a.svg", "image/svg+xml"),
        ("a.heic", "image/heic"),
        ("a.avif", "image/avif"),
        ("a.mp3", "audio/mpeg"),
        ("a.mp4", "video/mp4"),
        ("a.m4a", "audio/mp4"),
        ("a.md", "text/markdown; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.epub", "application/epub+zip"),
        ("a.ics", "text/calendar; charset=utf-8"),
        ("README", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_find_content_type_recognizes_common_attachments(name: str, expected: str) -> None:
    assert find_content_type(name, b"x") == expected


@pytest.mark.parametrize("kind", ["PUBLISH", "request", "CANCEL", "DECLINECOUNTER"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_find_content_type_takes_the_method_of_a_calendar(kind: str, end: str) -> None:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"METHOD:{kind}", "BEGIN:VEVENT", "METHOD:NOT", "END:VEVENT", ""]
    expected = f"text/calendar; charset=utf-8; method={kind.upper()}"
    assert find_content_type("i.ics", end.join(lines).encode()) == expected
    lines[2] = "X-METHOD:NO"
    assert find_content_type("i.ics", end.join(lines).encode()) == "text/calendar; charset=utf-8"


def test_find_content_type_leaves_out_a_charset_that_is_not_known() -> None:
    assert find_content_type("a.txt", "Grüße".encode("latin-1")) == "text/plain"


def test_types_are_accepted_by_ses_and_no_extension_has_two() -> None:
    extensions = [extension for extensions in _TABLE.values() for extension in extensions.split()]
    assert len(extensions) == len(set(extensions))
    assert max(map(len, _TABLE)) <= 78
    assert len("text/tab-separated-values; charset=utf-8") <= 78


def test_mime_writes_a_type_with_its_parameters() -> None:
    content = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
    one = Attachment("i.ics", find_content_type("i.ics", content), content)
    raw = Composer(Envelope("a@b.example", (), (one,), None)).compose(make_message(1, "a@b.example", "S", None, "x"))
    (part,) = message_from_bytes(raw, policy=default).iter_attachments()
    assert part["Content-Type"].params == {"charset": "utf-8", "method": "REQUEST"}
    assert (part.get_content_type(), part.get_filename()) == ("text/calendar", "i.ics")
    assert part.get_payload(decode=True) == content
