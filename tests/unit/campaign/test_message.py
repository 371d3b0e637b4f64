"""Messages, envelopes and .eml files."""

from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default

import pytest
from support.messages import make_message

from engine.addresses.mailbox import parse_mailbox
from engine.campaign.message import Attachment, Envelope, Message
from engine.campaign.mime import Composer

ENVELOPE = Envelope("Acme <a@acme.example>", ("b@acme.example", "=?utf-8?b?Q2hsb8Op?= <c@acme.example>"), (), None)


def message_of(subject: str = "Hi", html: str | None = None, text: str | None = None, unsubscribe: str = "") -> Message:
    headers = (("List-Unsubscribe", unsubscribe),) if unsubscribe else ()
    return make_message(1, "ann@example.com", subject, html, text, headers, ())


def parse(raw: bytes) -> EmailMessage:
    mail = message_from_bytes(raw, policy=default)
    assert not mail.defects
    return mail


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert isinstance(body, EmailMessage)
    return str(body.get_content()).replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("a@b.example", "a@b.example"),
        ("<a@b.example>", "a@b.example"),
        ("Acme Inc. <a@b.example>", '"Acme Inc." <a@b.example>'),
        (r'"A \"B\" \\ C" <a@b.example>', r'"A \"B\" \\ C" <a@b.example>'),
        ("Tomáš <a@b.example>", "=?utf-8?b?VG9tw6HFoQ==?= <a@b.example>"),
    ],
)
def test_a_name_is_quoted_or_encoded_where_it_must_be(text: str, encoded: str) -> None:
    assert parse_mailbox(text).encode() == encoded


def test_long_foreign_name_becomes_encoded_words_of_75_characters() -> None:
    encoded = parse_mailbox(f"{'žluť ' * 30}<a@b.example>").encode()
    assert encoded.isascii()
    assert max(map(len, encoded.split(" "))) <= 75
    assert str(make_header(decode_header(encoded.rpartition(" ")[0]))) == ("žluť " * 30).strip()


def test_an_eml_reads_back_to_the_same_headers_and_parts() -> None:
    link = f"<https://acme.example/u/{'A' * 400}>, <mailto:out@acme.example?subject={'A' * 400}>"
    message = message_of(
        "Ünïcode and a long subject " * 5 + "ends", "<p>Huế 🎈</p>\n" + "x" * 2000, "Huế\n.\nFrom me\n", link
    )
    mail = parse(Composer(ENVELOPE).compose(message))
    assert mail["Subject"] == message.subject
    assert (mail["From"], mail["To"]) == ("Acme <a@acme.example>", "ann@example.com")
    assert mail["Reply-To"] == "b@acme.example, Chloé <c@acme.example>"
    assert mail["List-Unsubscribe"] == link
    assert part(mail, "html") == message.html
    assert part(mail, "plain") == message.text


@pytest.mark.parametrize(("html", "text", "kind"), [("<p>x</p>\n", None, "html"), (None, "x\n", "plain")])
def test_a_message_of_one_part_has_one_part(html: str | None, text: str | None, kind: str) -> None:
    mail = parse(Composer(ENVELOPE).compose(message_of(html=html, text=text)))
    assert not mail.is_multipart()
    assert part(mail, kind) == (html or text)


def test_an_eml_carries_the_attachments() -> None:
    envelope = Envelope("a@acme.example", (), (Attachment("Übersicht.pdf", "application/pdf", b"\0\xff"),), None)
    (attachment,) = parse(Composer(envelope).compose(message_of(html="<p>x</p>", text="x"))).iter_attachments()
    assert (attachment.get_filename(), attachment.get_content_type()) == ("Übersicht.pdf", "application/pdf")
    assert attachment.get_content() == b"\0\xff"


def test_the_same_message_gives_the_same_bytes() -> None:
    message = message_of(html="<p>x</p>", text="x")
    assert Composer(ENVELOPE).compose(message) == Composer(ENVELOPE).compose(message)
