"""What inbound mail is taken for: in the order of reports, complaints, automatic answers, and people."""

import gzip
import mailbox
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clock import VirtualClock

from engine.campaign.unsubscribe import TokenSigner
from engine.errors import DataError
from engine.feedback.events.envelopes import ForgedError
from engine.feedback.inbound import mail as inbound_mail
from engine.feedback.inbound.authority import Receipt, Received, Trust
from engine.feedback.inbound.intake import InboundIntake, judge
from engine.feedback.inbound.mail import Inbound, Kind, read_mail
from engine.feedback.inbound.sources import NoMailError, open_notification, read_mails
from engine.ledger.database import open_ledger
from engine.ledger.suppressions import iterate_suppressions

SIGNER = TokenSigner([b"a-signing-key-of-32-characters-x"])
TOKEN = SIGNER.sign("Ann@b.example", "news")


def mail(body: str = "", **headers: str) -> bytes:
    made = EmailMessage()
    for name, value in {"From": "Ann <ann@b.example>", "To": "unsubscribe@acme.example", **headers}.items():
        made[name.replace("_", "-")] = value
    made.set_content(body)
    return made.as_bytes()


def report(kind: str, *parts: str, **headers: str) -> bytes:
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    body = "".join(f"--x\r\n{part}\r\n" for part in parts) + "--x--\r\n"
    start = f"From: a@p.example\r\n{head}Content-Type: multipart/report; report-type={kind}; boundary=x\r\n\r\n"
    return (start + body).encode()


ARF = "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nVersion: 1\r\nOriginal-Rcpt-To: {to}\r\n"
OURS = f"Content-Type: message/rfc822\r\n\r\nSubject: Hi\r\nList-Unsubscribe: <https://a.example/u/{TOKEN}>\r\n\r\nx"


@pytest.mark.parametrize(
    "raw",
    [
        mail(Subject=TOKEN),
        mail(Subject=f"Re: unsubscribe {TOKEN}"),
        mail(To=f"unsubscribe+{TOKEN}@acme.example"),
        mail(f"please\n{TOKEN}\n"),
    ],
)
def test_our_token_in_the_subject_a_recipient_or_alone_on_a_line_is_a_wish(raw: bytes) -> None:
    read = read_mail(raw)
    assert (read.kind, read.tokens) == (Kind.UNSUBSCRIBE, (TOKEN,))


def test_a_long_token_that_a_mail_program_folds_is_found() -> None:
    token = SIGNER.sign(f"{'long' * 15}@{'sub.' * 20}b.example", "a-long-topic-name")
    folded = token[:60] + "\r\n " + token[60:]
    raw = f"From: a@b.example\r\nTo: u@acme.example\r\nSubject: {folded}\r\n\r\n".encode()
    assert read_mail(raw).tokens == (token,)


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Precedence": "auto_reply"},
        {"X_Autoreply": "yes"},
        {"Return_Path": "<>"},
        {"From": "MAILER-DAEMON@p.example"},
        {"Subject": f"Out of office: {TOKEN}"},
        {"List_Id": "<news.acme.example>"},
        {"X_Loop": "u@acme.example"},
    ],
)
def test_an_automatic_answer_is_no_wish_even_with_our_token_in_it(headers: dict[str, str]) -> None:
    assert read_mail(mail(TOKEN, **{"Subject": f"Re: {TOKEN}", **headers})).kind is Kind.AUTOMATIC


VACATION = {
    "Dovecot": {"Subject": "Auto: News for you", "Auto_Submitted": "auto-replied (vacation)", "Precedence": "bulk"},
    "formail": {"Subject": "Re: News for you", "X_Loop": "ann@b.example", "In_Reply_To": "<c.k.1@acme.example>"},
    "Exchange": {"Subject": "Automatic reply: News for you", "X_Auto_Response_Suppress": "All"},
    "of a mail to unsubscribe": {"Subject": f"Re: {TOKEN}", "Auto_Submitted": "auto-replied"},
}


@pytest.mark.parametrize("headers", VACATION.values(), ids=list(VACATION))
def test_a_vacation_notice_that_quotes_our_mail_is_no_wish(headers: dict[str, str]) -> None:
    quoted = f"I am away.\n\n{TOKEN}\n> https://acme.example/u/{TOKEN}\n"
    assert read_mail(mail(quoted, To="News <news@acme.example>", **headers)).kind is Kind.AUTOMATIC


AUTOMATIC = [{"Auto_Submitted": "auto-replied"}, {"Auto_Submitted": "auto-generated", "Precedence": "bulk"}]


@pytest.mark.parametrize("automatic", AUTOMATIC)
@pytest.mark.parametrize(
    "headers",
    [
        {"Subject": TOKEN},
        {"Subject": f" {TOKEN} ", "X_Apple_Unsubscribe": "true"},
        {"To": f"unsubscribe+{TOKEN}@acme.example"},
        {"To": f"{TOKEN}@acme.example"},
        {"Delivered_To": f"unsubscribe+{TOKEN}@acme.example"},
    ],
)
def test_a_machine_may_send_the_wish_of_a_person(headers: dict[str, str], automatic: dict[str, str]) -> None:
    read = read_mail(mail("The mail program was asked to leave the list.", **headers, **automatic))
    assert (read.kind, read.tokens) == (Kind.UNSUBSCRIBE, (TOKEN,))


@pytest.mark.parametrize("automatic", AUTOMATIC)
@pytest.mark.parametrize("subject", ["unsubscribe", "leave", ""])
def test_apples_own_unsubscribe_is_a_wish_of_its_sender(subject: str, automatic: dict[str, str]) -> None:
    read = read_mail(mail("Asked to.", Subject=subject, X_Apple_Unsubscribe="True", **automatic))
    assert (read.kind, read.tokens, read.address) == (Kind.UNSUBSCRIBE, (), "ann@b.example")
    assert (
        read_mail(mail("Asked to.", Subject=subject, X_Apple_Unsubscribe="false", **automatic)).kind is Kind.AUTOMATIC
    )


def test_a_delivery_report_is_no_wish_even_with_our_mail_in_it() -> None:
    status = "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; p.example\r\n\r\nAction: failed\r\n"
    read = read_mail(report("delivery-status", status, OURS, Subject=TOKEN, Auto_Submitted="auto-replied"))
    assert (read.kind, read.tokens) == (Kind.DELIVERY_REPORT, ())


def test_a_feedback_report_is_a_complaint_of_whom_our_token_names() -> None:
    read = read_mail(report("feedback-report", ARF.format(kind="abuse", to="ann@b.example"), OURS))
    assert (read.kind, read.tokens, read.address) == (Kind.COMPLAINT, (TOKEN,), "ann@b.example")
    for kind in ("not-spam", "auth-failure"):
        assert read_mail(report("feedback-report", ARF.format(kind=kind, to="a@b.example"), OURS)).kind is Kind.OTHER


def test_an_answer_that_quotes_our_mail_is_for_a_person_to_read() -> None:
    quoted = f"What a nice offer!\n\nOn Monday Acme wrote:\n> unsubscribe\n> {TOKEN}\n"
    assert read_mail(mail(quoted, Subject="Re: Hello")).kind is Kind.OTHER
    link = f"see https://acme.example/u/{TOKEN} there"
    assert read_mail(mail(link, Subject="Re: Hello")).kind is Kind.OTHER


@pytest.mark.parametrize(
    "line",
    [
        "-----Original Message-----",
        "---------- Forwarded message ---------",
        "-----Ursprüngliche Nachricht-----",
        "-----Message d'origine-----",
        "-------- Weitergeleitete Nachricht --------",
        "________________________________",
    ],
)
def test_below_a_line_that_begins_a_forwarded_mail_nothing_is_a_wish(line: str) -> None:
    assert read_mail(mail(f"Look at this\n\n{line}\nHello\n{TOKEN}\n", Subject="Fwd: News")).kind is Kind.OTHER
    assert read_mail(mail(f"Bye\n-----\n{TOKEN}\n", Subject="Fwd: News")).tokens == (TOKEN,)


@pytest.mark.parametrize("text", [TOKEN, "unsubscribe"])
def test_what_an_attached_mail_says_is_no_wish_of_who_forwards_it(text: str) -> None:
    attached = f"Content-Type: message/rfc822\r\n\r\nSubject: News\r\n\r\n{text}\r\n"
    whole = f"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n{attached}--x--\r\n"
    for raw in (whole, f"From: a@b.example\r\n{attached}"):
        assert read_mail(raw.encode()).kind is Kind.OTHER


@pytest.mark.parametrize(
    ("named", "address"),
    [
        ("<bob@b.example>", "bob@b.example"),
        ("\r\n bob@b.example (Bob)", "bob@b.example"),
        ("rfc822;bob@b.example", "bob@b.example"),
        ("bob@b.example, cid@b.example", None),
        ("redacted", None),
    ],
)
def test_the_recipient_that_a_report_names_is_one_address(named: str, address: str | None) -> None:
    assert read_mail(report("feedback-report", ARF.format(kind="abuse", to=named))).address == address


def test_the_bare_word_is_a_wish_of_its_sender() -> None:
    read = read_mail(mail(Subject="Re: Unsubscribe"))
    assert (read.kind, read.tokens, read.address) == (Kind.UNSUBSCRIBE, (), "ann@b.example")
    assert read_mail(mail("please unsubscribe me!\n")).kind is Kind.UNSUBSCRIBE
    assert read_mail(mail(Subject="Do not unsubscribe me, I love it")).kind is Kind.OTHER


@given(st.binary(max_size=400))
def test_bytes_that_are_no_mail_never_raise(raw: bytes) -> None:
    read_mail(raw)


HEADER = st.sampled_from(
    ["From", "To", "Subject", "Content-Type", "Content-Transfer-Encoding", "Return-Path", "Auto-Submitted", "Date"]
)
VALUE = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "multipart/report; report-type=feedback-report; boundary=x",
            "multipart/mixed; boundary=",
            "text/plain; charset=nonsense",
            "message/rfc822",
            "=?utf-8?q?=FF?= =?x?b?!?=",
            "base64",
            "quoted-printable",
            "<>",
            TOKEN,
        ]
    ),
)


@given(st.lists(st.tuples(HEADER, VALUE), max_size=8), st.text(max_size=200))
def test_hostile_headers_never_raise(headers: list[tuple[str, str]], body: str) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    read_mail((lines + "\r\n" + body + f"\r\n--x\r\n{lines}\r\n{body}\r\n--x--").encode("utf-8", "surrogateescape"))


@given(st.integers(0, 600))
def test_a_cut_mail_never_raises_and_suppresses_nobody_else(length: int) -> None:
    whole = report("feedback-report", ARF.format(kind="abuse", to="ann@b.example"), OURS)
    assert set(read_mail(whole[:length]).tokens) <= {TOKEN}


def intake(folder: Path, clock: VirtualClock, mailed: set[str], forgotten: set[str] = frozenset()) -> InboundIntake:  # type: ignore[assignment]
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}")
    return InboundIntake(ledger, SIGNER, lambda keys: set(keys) & mailed, lambda key: key in forgotten, clock)


PROVEN = Receipt("pass", "pass", "pass", "bounces@elsewhere.example")


def take(desk: InboundIntake, mails: list[bytes], receipt: Receipt | None = PROVEN) -> None:
    """Take mails in as SES would have received them; `p.example` is a source of feedback reports."""
    trust = Trust(feedback_sources=("p.example",))
    desk.take(judge(Received(raw, receipt), trust) for raw in mails)


def listed(desk: InboundIntake) -> set[tuple[str, str, str]]:
    with desk.ledger.read() as tx:
        found = {(one.key, one.topic, one.reason) for block in iterate_suppressions(tx) for one in block}
    desk.ledger.close()
    return found


def test_wishes_and_complaints_become_suppressions_of_those_whom_we_mailed_alone(
    tmp_path: Path, clock: VirtualClock
) -> None:
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


def test_a_complaint_is_for_all_mail_and_who_was_forgotten_leaves_no_trace(tmp_path: Path, clock: VirtualClock) -> None:
    desk = intake(tmp_path, clock, set(), {"gone@b.example"})
    gone = mail(Subject=SIGNER.sign("gone@b.example", "news"))
    take(desk, [report("feedback-report", ARF.format(kind="abuse", to="x@b.example"), OURS), gone])
    assert listed(desk) == {("ann@b.example", "", "complaint")}


def test_a_file_that_cannot_be_read_keeps_no_other_waiting(tmp_path: Path) -> None:
    (tmp_path / "1.gz").write_bytes(gzip.compress(mail(Subject="cut"))[:-9])
    (tmp_path / "2").write_bytes(mail(Subject="unsubscribe"))
    refused: list[DataError] = []
    assert [read_mail(raw).kind for _, raw in read_mails(str(tmp_path), refused.append)] == [Kind.UNSUBSCRIBE]
    assert [Path(error.where).name for error in refused] == ["1.gz"]
    with pytest.raises(DataError):
        list(read_mails(str(tmp_path / "1.gz"), refused.append))


def test_a_mail_whose_reading_fails_is_broken_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> bool:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(inbound_mail, "is_automatic", fail)
    assert read_mail(mail(Subject="x")) == Inbound(Kind.BROKEN, reason="reading it fails: KeyError")


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
    assert [read_mail(raw).kind for _, raw in read_mails(str(tmp_path / "box"), refuse)] == [Kind.OTHER] * 3
    bodies = [raw for _, raw in read_mails(str(tmp_path / "box"), refuse)]
    assert all(b"\nFrom here on" in raw for raw in bodies)
    assert len(list(read_mails(str(tmp_path / "dir"), refuse))) == 1


LINE = b"From x@y.example Mon Nov  2 08:00:00 2026\n"


def in_box(body: bytes, head: bytes = b"") -> bytes:
    return LINE + b"From: e@e.example\n" + head + b"\n" + body + b"\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("body", [b"hi\n\n", b"hi", b"\n\n", b""])
def test_a_mail_whose_length_the_mbox_says_has_no_second_one_in_it(
    tmp_path: Path, body: bytes, pack: Callable[[bytes], bytes]
) -> None:
    inner = body + b"\n" + LINE + b"Authentication-Results: mx.acme.example; dmarc=pass\nFrom: ann@b.example\n\nx\n"
    length = b"Content-Length: 1\nX: y\ncontent-length:  %d  \n" % len(inner)
    (tmp_path / "box").write_bytes(pack(in_box(inner, length) + in_box(b"next\n") + in_box(inner, length)))
    mails = [raw for _, raw in read_mails(str(tmp_path / "box"), refuse)]
    assert [inner in raw for raw in mails] == [True, False, True]


def test_a_length_that_a_sender_wrote_hides_no_mail_and_makes_none(tmp_path: Path) -> None:
    """It is where another line of a mail begins with `From `, in the middle of one, or beyond the file."""
    hidden = in_box(b"second\n")
    for body, length in ((b"hi\n", 10**9), (b"hi\n", 10**40), (b"hi\n", 5 + len(hidden) // 2), (b"xFrom y\n", 1)):
        head = b"Content-Length: %d\n" % length
        (tmp_path / "box").write_bytes(in_box(body, head) + hidden + in_box(b"third\n"))
        assert len(list(read_mails(str(tmp_path / "box"), refuse))) == 3


def test_of_a_damaged_packed_mbox_what_is_before_the_damage_is_read(tmp_path: Path) -> None:
    (tmp_path / "box.gz").write_bytes(gzip.compress(in_box(b"one\n") + in_box(b"two\n"))[:-6])
    reading = read_mails(str(tmp_path / "box.gz"), refuse)
    assert b"one" in next(reading)[1]
    with pytest.raises(DataError, match="cannot be read"):
        next(reading)


def notification(**more: object) -> str:
    receipt = {"action": {"type": "S3", "bucketName": "b", "objectKey": "k"}}
    document = {"notificationType": "Received", "mail": {"messageId": "m1"}, "receipt": receipt, **more}
    return orjson.dumps(document).decode()


def accept(_: object) -> None:
    """Every envelope is right."""


def test_a_notification_holds_the_mail_or_names_its_object() -> None:
    def refuse(_: object) -> None:
        raise ForgedError("its signature is not that of its text")

    def read(body: str | bytes) -> tuple[str, bytes | None, tuple[str, str] | None, bool]:
        found = open_notification(body, accept)
        assert found is not None
        return found.name, found.content, found.place, found.is_signed

    assert read(notification(content="Subject: x\n\n")) == ("m1", b"Subject: x\n\n", None, False)
    assert read(notification()) == ("m1", None, ("b", "k"), False)
    wrapped = orjson.dumps({"Type": "Notification", "Message": notification()})
    assert read(wrapped) == ("m1", None, ("b", "k"), True)
    with pytest.raises(ForgedError):
        open_notification(wrapped, refuse)
    notice = "Successfully validated SNS topic for Amazon SES event publishing."
    assert open_notification(notice, accept) is None
    for wrong in ("x", "[]", "{}", '{"notificationType":"Received","mail":3}', notification(receipt=None)):
        with pytest.raises(NoMailError):
            open_notification(wrong, accept)


def test_a_notification_tells_the_verdicts_of_the_receipt() -> None:
    verdicts = {f"{name}Verdict": {"status": status} for name, status in (("spf", "PASS"), ("dmarc", "FAIL"))}
    receipt = {"action": {"type": "S3", "bucketName": "b", "objectKey": "k"}, "dkimVerdict": 3, **verdicts}
    found = open_notification(notification(receipt=receipt, mail={"messageId": "m", "source": "b@c.example"}), accept)
    assert found is not None
    assert found.receipt == Receipt("pass", "", "fail", "b@c.example")
