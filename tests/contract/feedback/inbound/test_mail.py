"""How inbound mail is classified: reports, complaints, automatic answers, and people, in this order."""

import gzip
import mailbox
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clock import VirtualClock
from support.mails import ARF, OURS, SIGNER, TOKEN, mail, report

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import DataError
from engine.feedback.inbound.authority import MailTrust, ReceivedMail, SesReceipt
from engine.feedback.inbound.intake import InboundIntake, judge
from engine.feedback.inbound.mail import MailKind, read_mail
from engine.feedback.inbound.mail_files import read_mails
from engine.ledger.database import open_ledger
from engine.ledger.suppressed.suppressions import iterate_suppressions


def intake(folder: Path, clock: VirtualClock, mailed: set[str], forgotten: set[str] = frozenset()) -> InboundIntake:  # type: ignore[assignment]
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}")
    return InboundIntake(
        ledger, SIGNER, lambda keys: set(keys) & mailed, lambda key: key in forgotten, clock, lambda *_: None
    )


PROVEN = SesReceipt("pass", "pass", "pass", "bounces@elsewhere.example")


def take(desk: InboundIntake, mails: list[bytes], receipt: SesReceipt | None = PROVEN) -> None:
    """Take mails in as SES would have received them; `p.example` is a source of feedback reports."""
    trust = MailTrust(feedback_sources=("p.example",))
    desk.record(judge(ReceivedMail(raw, receipt), trust) for raw in mails)


def listed(desk: InboundIntake) -> set[tuple[str, str, str]]:
    found = {(one.key, one.topic, one.reason) for block in iterate_suppressions(desk.ledger) for one in block}
    desk.ledger.close()
    return found


def test_requests_and_complaints_suppress_mailed_addresses_alone(tmp_path: Path, clock: VirtualClock) -> None:
    desk = intake(tmp_path, clock, {"ann@b.example"})
    forged = TokenSigner([b"somebody-elses-key-of-32-letters"]).sign("eve@b.example", "news")
    take(
        desk,
        [
            mail(Subject=TOKEN),
            mail(Subject=TOKEN),
            mail(Subject=forged),
            mail(Subject="unsubscribe"),
            mail(Subject="unsubscribe", From="stranger@x.example"),
            report("feedback-report", ARF.format(kind="abuse", to="never@mailed.example")),
            report("feedback-report", ARF.format(kind="abuse", to="ann@b.example"), OURS),
            b"\x00\x01",
            mail("hello", Subject="Hi"),
        ],
    )
    tally = desk.tally
    # A complaint and the wish without a topic are both of all mail, and the weightier reason stays.
    assert listed(desk) == {("ann@b.example", "news", "unsubscribe"), ("ann@b.example", "", "complaint")}
    assert (tally.forged, tally.never_mailed) == (1, 2)
    assert tally.kinds["broken"] == 1


def test_complaint_covers_all_mail_and_forgotten_address_has_no_trace(tmp_path: Path, clock: VirtualClock) -> None:
    desk = intake(tmp_path, clock, set(), {"gone@b.example"})
    gone = mail(Subject=SIGNER.sign("gone@b.example", "news"))
    take(desk, [report("feedback-report", ARF.format(kind="abuse", to="x@b.example"), OURS), gone])
    assert listed(desk) == {("ann@b.example", "", "complaint")}


def test_a_file_that_cannot_be_read_keeps_no_other_waiting(tmp_path: Path) -> None:
    (tmp_path / "1.gz").write_bytes(gzip.compress(mail(Subject="cut"))[:-9])
    (tmp_path / "2").write_bytes(mail(Subject="unsubscribe"))
    refused: list[DataError] = []
    assert [read_mail(raw).kind for _, raw in read_mails(str(tmp_path), refused.append)] == [MailKind.UNSUBSCRIBE]
    assert [Path(error.where).name for error in refused] == ["1.gz"]
    with pytest.raises(DataError):
        list(read_mails(str(tmp_path / "1.gz"), refused.append))


def refuse(error: DataError) -> None:
    raise AssertionError(error)


def test_mails_are_read_of_files_mboxes_maildirs_and_folders(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box")
    for number in range(3):
        box.add(mail(f"From me\n\nFrom here on {number}\n", Subject=f"m{number}"))
    box.close()
    directory = mailbox.Maildir(tmp_path / "dir")
    directory.add(mail(Subject="in a Maildir"))
    directory.close()
    (tmp_path / "dir" / "tmp" / "half").write_bytes(b"not yet")
    (tmp_path / "dir" / "AMAZON_SES_SETUP_NOTIFICATION").write_bytes(b"x")
    assert [read_mail(raw).kind for _, raw in read_mails(str(tmp_path / "box"), refuse)] == [MailKind.OTHER] * 3
    bodies = [raw for _, raw in read_mails(str(tmp_path / "box"), refuse)]
    assert all(b"\nFrom here on" in raw for raw in bodies)
    assert len(list(read_mails(str(tmp_path / "dir"), refuse))) == 1


LINE = b"From x@y.example Mon Nov  2 08:00:00 2026\n"


def in_box(body: bytes, head: bytes = b"") -> bytes:
    return LINE + b"From: e@e.example\n" + head + b"\n" + body + b"\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("body", [b"hi\n\n", b"hi", b"\n\n", b""])
def test_mail_with_a_length_in_an_mbox_is_not_split(
    tmp_path: Path, body: bytes, pack: Callable[[bytes], bytes]
) -> None:
    inner = body + b"\n" + LINE + b"Authentication-Results: mx.acme.example; dmarc=pass\nFrom: ann@b.example\n\nx\n"
    length = b"Content-Length: 1\nX: y\ncontent-length:  %d  \n" % len(inner)
    (tmp_path / "box").write_bytes(pack(in_box(inner, length) + in_box(b"next\n") + in_box(inner, length)))
    mails = [raw for _, raw in read_mails(str(tmp_path / "box"), refuse)]
    assert [inner in raw for raw in mails] == [True, False, True]


def test_length_written_by_a_sender_hides_and_adds_no_mail(tmp_path: Path) -> None:
    """It is where another line of a mail begins with `From `, in the middle of one, or beyond the file."""
    hidden = in_box(b"second\n")
    for body, length in ((b"hi\n", 10**9), (b"hi\n", 10**40), (b"hi\n", 5 + len(hidden) // 2), (b"xFrom y\n", 1)):
        head = b"Content-Length: %d\n" % length
        (tmp_path / "box").write_bytes(in_box(body, head) + hidden + in_box(b"third\n"))
        assert len(list(read_mails(str(tmp_path / "box"), refuse))) == 3


def test_damaged_compressed_mbox_is_read_up_to_the_damage(tmp_path: Path) -> None:
    (tmp_path / "box.gz").write_bytes(gzip.compress(in_box(b"one\n") + in_box(b"two\n"))[:-6])
    reading = read_mails(str(tmp_path / "box.gz"), refuse)
    assert b"one" in next(reading)[1]
    with pytest.raises(DataError, match="cannot be read"):
        next(reading)
