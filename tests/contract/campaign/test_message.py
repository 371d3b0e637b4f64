"""Messages, envelopes and .eml files."""

from pathlib import Path

import pytest

from engine.campaign.message import Attachment, prepare_envelope
from engine.campaign.spec import Campaign, parse_spec
from engine.errors import DataError


def campaign_of(folder: Path, *attachments: str) -> Campaign:
    source = 'from = "Acme, News <a@acme.example>"\nsubject = "S"\nkind = "transactional"\naudience.source = "a.csv"\n'
    source = source.replace("Acme, News", r"\"Acme, News\"")
    source += f'reply_to = ["Chloé <c@acme.example>"]\n[content]\ntext = "t"\nattachments = {list(attachments)}\n'
    source += '[delivery]\nconfiguration_set = "marketing"\n'
    return Campaign("welcome", folder, parse_spec(source, file="campaign.toml"))


def test_an_envelope_holds_what_all_messages_share(tmp_path: Path) -> None:
    (tmp_path / "terms.pdf").write_bytes(b"%PDF")
    envelope = prepare_envelope(campaign_of(tmp_path, "terms.pdf"))
    assert envelope.sender == '"Acme, News" <a@acme.example>'
    assert envelope.reply_to == ("=?utf-8?b?Q2hsb8Op?= <c@acme.example>",)
    assert envelope.attachments == (Attachment("terms.pdf", "application/pdf", b"%PDF"),)
    assert envelope.configuration_set == "marketing"


def test_an_attachment_of_an_unknown_kind_is_plain_bytes(tmp_path: Path) -> None:
    (tmp_path / "data.unheard").write_bytes(b"x")
    (found,) = prepare_envelope(campaign_of(tmp_path, "data.unheard")).attachments
    assert found.content_type == "application/octet-stream"


@pytest.mark.parametrize("name", ["run.EXE", "a.tar.js", "x.msh1xml"])
def test_an_attachment_that_ses_refuses_is_refused_first(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=rf"SES refuses attachments of the type \.{name.rpartition('.')[2].lower()}"):
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
    with pytest.raises(DataError, match=r"the attachments need 40\.0 MB of a message"):
        prepare_envelope(campaign_of(tmp_path, "big.bin"))
