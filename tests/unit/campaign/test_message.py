"""Messages, envelopes and .eml files."""

from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from engine.addresses.mailbox import parse_mailbox
from engine.campaign.message import Attachment, Envelope, Message, prepare_envelope
from engine.campaign.mime import Composer
from engine.campaign.spec import Campaign, parse_spec
from engine.errors import DataError

ENVELOPE = Envelope("Acme <a@acme.example>", ("b@acme.example", "=?utf-8?b?Q2hsb8Op?= <c@acme.example>"), (), None)


def campaign_of(folder: Path, *attachments: str) -> Campaign:
    source = 'from = "Acme, News <a@acme.example>"\nsubject = "S"\nkind = "transactional"\naudience.source = "a.csv"\n'
    source = source.replace("Acme, News", r"\"Acme, News\"")
    source += f'reply_to = ["Chloé <c@acme.example>"]\n[content]\ntext = "t"\nattachments = {list(attachments)}\n'
    source += '[delivery]\nconfiguration_set = "marketing"\n'
    return Campaign("welcome", folder, parse_spec(source, file="campaign.toml"))


def message_of(subject: str = "Hi", html: str | None = None, text: str | None = None, unsubscribe: str = "") -> Message:
    headers = (("List-Unsubscribe", unsubscribe),) if unsubscribe else ()
    return Message(1, "ann@example.com", subject, html, text, headers, ())


def parse(raw: bytes) -> EmailMessage:
    mail = message_from_bytes(raw, policy=default)
    assert not mail.defects
    return mail


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert isinstance(body, EmailMessage)
    return str(body.get_content()).replace("\r\n", "\n")


def test_an_envelope_holds_what_all_messages_share(tmp_path: Path) -> None:
    (tmp_path / "terms.pdf").write_bytes(b"%PDF")
    envelope = prepare_envelope(campaign_of(tmp_path, "terms.pdf"))
    assert envelope.sender == '"Acme, News" <a@acme.example>'
    assert envelope.reply_to == ("=?utf-8?b?Q2hsb8Op?= <c@acme.example>",)
    assert envelope.attachments == (Attachment("terms.pdf", "application/pdf", b"%PDF"),)
    assert envelope.configuration_set == "marketing"


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


def test_a_long_foreign_name_becomes_encoded_words_of_75_characters_at_most() -> None:
    encoded = parse_mailbox(f"{'žluť ' * 30}<a@b.example>").encode()
    assert encoded.isascii()
    assert max(map(len, encoded.split(" "))) <= 75
    assert str(make_header(decode_header(encoded.rpartition(" ")[0]))) == ("žluť " * 30).strip()


def test_an_attachment_of_an_unknown_kind_is_plain_bytes(tmp_path: Path) -> None:
    (tmp_path / "data.unheard").write_bytes(b"x")
    (found,) = prepare_envelope(campaign_of(tmp_path, "data.unheard")).attachments
    assert found.content_type == "application/octet-stream"


@pytest.mark.parametrize("name", ["run.EXE", "a.tar.js", "x.msh1xml"])
def test_an_attachment_that_ses_refuses_is_refused_first(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=rf"SES refuses attachments of the kind \.{name.rpartition('.')[2].lower()}"):
        prepare_envelope(campaign_of(tmp_path, name))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("absent.pdf", "the attachment absent.pdf is missing"),
        ("link.pdf", "link.pdf is a symbolic link that leads out"),
    ],
)
def test_an_attachment_that_is_not_in_the_folder_is_refused(tmp_path: Path, name: str, what: str) -> None:
    folder = tmp_path / "welcome"
    folder.mkdir()
    (tmp_path / "secret.pdf").touch()
    (folder / "link.pdf").symlink_to(tmp_path / "secret.pdf")
    with pytest.raises(DataError, match=what):
        prepare_envelope(campaign_of(folder, name))


def test_attachments_that_fill_a_message_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(30 * 1024 * 1024)
    with pytest.raises(DataError, match=r"the attachments take 40\.0 MB of a message"):
        prepare_envelope(campaign_of(tmp_path, "big.bin"))


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
