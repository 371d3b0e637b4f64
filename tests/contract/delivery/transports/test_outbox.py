"""The outbox: files that mail programs read, complete or absent."""

import mailbox
import re
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from support.clock import VirtualClock
from support.messages import make_message

from engine.campaign.message import Envelope, Message
from engine.delivery.replies import ReplyMeaning
from engine.delivery.transports.message_identity import make_identity
from engine.delivery.transports.outbox import Outbox
from engine.errors import ConfigurationError

ENVELOPE = Envelope("Acme <news@acme.example>", (), (), None)
TAGS = (("mailrun-campaign", "c"), ("mailrun-key", "k"))


def make_mail(row: int, text: str = "From here on\n>From there\n") -> Message:
    return make_message(row, f"p{row}@example.com", "Hé", None, text, (), (*TAGS, ("mailrun-row", str(row))))


async def fill(folder: Path, kind: str, rows: range, worker: str = "w1") -> Outbox:
    outbox = Outbox(folder, kind, ENVELOPE, worker=worker)
    replies = await outbox.send([outbox.prepare(make_mail(row)) for row in rows])
    assert [(reply.meaning, reply.message_id) for reply in replies] == [
        (ReplyMeaning.SENT, f"{r:08d}.eml") for r in rows
    ]
    outbox.close()
    return outbox


async def test_eml_files_are_one_per_message_and_replace_themselves(tmp_path: Path):
    for _ in range(2):
        await fill(tmp_path / "out", "eml", range(998, 1002))
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.eml"))
    assert found == ["00000/00000998.eml", "00000/00000999.eml", "00001/00001000.eml", "00001/00001001.eml"]
    mail = message_from_bytes((tmp_path / "out" / found[0]).read_bytes(), policy=policy.default)
    assert (mail["To"], mail["Subject"], mail["Message-ID"]) == ("p998@example.com", "Hé", "<c.k.998@acme.example>")
    assert (tmp_path / "out" / found[0]).stat().st_mode & 0o077 == 0


async def test_an_mbox_is_read_back_message_by_message(tmp_path: Path):
    await fill(tmp_path / "out", "mbox", range(3))
    await fill(tmp_path / "out", "mbox", range(3, 5))
    await fill(tmp_path / "out", "mbox", range(5, 6), worker="w2")
    box = mailbox.mbox(tmp_path / "out" / "w1.mbox")
    assert [mail["To"] for mail in box] == [f"p{row}@example.com" for row in range(5)]
    text = next(iter(box)).get_payload(decode=True)
    assert isinstance(text, bytes)
    assert text.replace(b"\r\n", b"\n").strip() == b">From here on\n>>From there"
    box.close()


async def test_a_maildir_is_read_back(tmp_path: Path):
    await fill(tmp_path / "out", "maildir", range(3))
    box = mailbox.Maildir(tmp_path / "out", create=False)
    assert sorted(str(mail["To"]) for mail in box) == [f"p{row}@example.com" for row in range(3)]
    assert list((tmp_path / "out" / "tmp").iterdir()) == []


async def test_a_disk_that_fails_pauses_the_run_and_leaves_no_half_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    outbox = Outbox(tmp_path / "out", "mbox", ENVELOPE, worker="w1")
    item = outbox.prepare(make_mail(1))
    await outbox.send([item])
    before = (tmp_path / "out" / "w1.mbox").read_bytes()

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("engine.delivery.transports.outbox.os.fsync", fail)
        (reply,) = await outbox.send([item])
    assert reply.meaning is ReplyMeaning.PAUSE
    assert "No space left" in reply.detail
    assert (tmp_path / "out" / "w1.mbox").read_bytes() == before
    outbox.close()


def test_unwritable_folder_is_reported_before_any_work(tmp_path: Path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ConfigurationError, match="outbox"):
        Outbox(tmp_path / "out" / "deep", "eml", ENVELOPE, worker="w1")


def test_message_has_one_id_at_every_attempt_and_each_proof_its_own():
    clock = VirtualClock()
    run_tags = (("mailrun-campaign", "welcome"), ("mailrun-key", "k"), ("mailrun-row", "7"))

    def make_id(tags: tuple[tuple[str, str], ...]) -> str:
        message = make_message(row=7, address="ann@b.example", subject="Hi", html=None, text="x", headers=(), tags=tags)
        return dict(make_identity(message, "news@acme.example", clock))["Message-ID"]

    assert make_id(run_tags) == make_id(run_tags) == "<welcome.k.7@acme.example>"
    proofs = {make_id((("mailrun-proof", "welcome"),)) for _ in range(3)}
    assert len(proofs) == 3
    assert all(re.fullmatch(r"<[0-9a-f]{32}@acme\.example>", one) for one in proofs)
