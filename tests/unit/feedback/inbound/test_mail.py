"""How inbound mail is classified: reports, complaints, automatic answers, and people, in this order."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.mails import ARF, OURS, SIGNER, TOKEN, mail, report

from engine.errors import DataError
from engine.feedback.events.envelopes import ForgedError
from engine.feedback.inbound import mail as inbound_mail
from engine.feedback.inbound.authority import SesReceipt
from engine.feedback.inbound.mail import InboundMail, MailKind, read_mail
from engine.feedback.inbound.notifications import NoMailError, open_notification


@pytest.mark.parametrize(
    "raw",
    [
        mail(Subject=TOKEN),
        mail(Subject=f"Re: unsubscribe {TOKEN}"),
        mail(To=f"unsubscribe+{TOKEN}@acme.example"),
        mail(f"please\n{TOKEN}\n"),
    ],
)
def test_our_token_in_subject_recipient_or_its_own_line_is_a_request(raw: bytes) -> None:
    read = read_mail(raw)
    assert (read.kind, read.tokens) == (MailKind.UNSUBSCRIBE, (TOKEN,))


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
def test_automatic_answer_is_not_a_request_even_with_our_token(headers: dict[str, str]) -> None:
    assert read_mail(mail(TOKEN, **{"Subject": f"Re: {TOKEN}", **headers})).kind is MailKind.AUTOMATIC


VACATION = {
    "Dovecot": {"Subject": "Auto: News for you", "Auto_Submitted": "auto-replied (vacation)", "Precedence": "bulk"},
    "formail": {"Subject": "Re: News for you", "X_Loop": "ann@b.example", "In_Reply_To": "<c.k.1@acme.example>"},
    "Exchange": {"Subject": "Automatic reply: News for you", "X_Auto_Response_Suppress": "All"},
    "of a mail to unsubscribe": {"Subject": f"Re: {TOKEN}", "Auto_Submitted": "auto-replied"},
}


@pytest.mark.parametrize("headers", VACATION.values(), ids=list(VACATION))
def test_vacation_notice_that_quotes_our_mail_is_not_a_request(headers: dict[str, str]) -> None:
    quoted = f"I am away.\n\n{TOKEN}\n> https://acme.example/u/{TOKEN}\n"
    assert read_mail(mail(quoted, To="News <news@acme.example>", **headers)).kind is MailKind.AUTOMATIC


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
def test_automatic_mail_may_carry_a_request_of_a_person(headers: dict[str, str], automatic: dict[str, str]) -> None:
    read = read_mail(mail("The mail program was asked to leave the list.", **headers, **automatic))
    assert (read.kind, read.tokens) == (MailKind.UNSUBSCRIBE, (TOKEN,))


@pytest.mark.parametrize("automatic", AUTOMATIC)
@pytest.mark.parametrize("subject", ["unsubscribe", "leave", ""])
def test_apple_mail_unsubscribe_is_a_request_of_its_sender(subject: str, automatic: dict[str, str]) -> None:
    read = read_mail(mail("Asked to.", Subject=subject, X_Apple_Unsubscribe="True", **automatic))
    assert (read.kind, read.tokens, read.address) == (MailKind.UNSUBSCRIBE, (), "ann@b.example")
    assert (
        read_mail(mail("Asked to.", Subject=subject, X_Apple_Unsubscribe="false", **automatic)).kind
        is MailKind.AUTOMATIC
    )


def test_delivery_report_is_not_a_request_even_with_our_mail() -> None:
    status = "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; p.example\r\n\r\nAction: failed\r\n"
    read = read_mail(report("delivery-status", status, OURS, Subject=TOKEN, Auto_Submitted="auto-replied"))
    assert (read.kind, read.tokens) == (MailKind.DELIVERY_REPORT, ())


def test_feedback_report_is_a_complaint_of_the_address_in_our_token() -> None:
    read = read_mail(report("feedback-report", ARF.format(kind="abuse", to="ann@b.example"), OURS))
    assert (read.kind, read.tokens, read.address) == (MailKind.COMPLAINT, (TOKEN,), "ann@b.example")
    for kind in ("not-spam", "auth-failure"):
        assert (
            read_mail(report("feedback-report", ARF.format(kind=kind, to="a@b.example"), OURS)).kind is MailKind.OTHER
        )


def test_an_answer_that_quotes_our_mail_is_for_a_person_to_read() -> None:
    quoted = f"What a nice offer!\n\nOn Monday Acme wrote:\n> unsubscribe\n> {TOKEN}\n"
    assert read_mail(mail(quoted, Subject="Re: Hello")).kind is MailKind.OTHER
    link = f"see https://acme.example/u/{TOKEN} there"
    assert read_mail(mail(link, Subject="Re: Hello")).kind is MailKind.OTHER


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
def test_text_below_a_forwarding_line_is_not_a_request(line: str) -> None:
    assert read_mail(mail(f"Look at this\n\n{line}\nHello\n{TOKEN}\n", Subject="Fwd: News")).kind is MailKind.OTHER
    assert read_mail(mail(f"Bye\n-----\n{TOKEN}\n", Subject="Fwd: News")).tokens == (TOKEN,)


@pytest.mark.parametrize("text", [TOKEN, "unsubscribe"])
def test_attached_mail_is_not_a_request_of_its_forwarder(text: str) -> None:
    attached = f"Content-Type: message/rfc822\r\n\r\nSubject: News\r\n\r\n{text}\r\n"
    whole = f"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n{attached}--x--\r\n"
    for raw in (whole, f"From: a@b.example\r\n{attached}"):
        assert read_mail(raw.encode()).kind is MailKind.OTHER


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


def test_bare_word_is_a_request_of_its_sender() -> None:
    read = read_mail(mail(Subject="Re: Unsubscribe"))
    assert (read.kind, read.tokens, read.address) == (MailKind.UNSUBSCRIBE, (), "ann@b.example")
    assert read_mail(mail("please unsubscribe me!\n")).kind is MailKind.UNSUBSCRIBE
    assert read_mail(mail(Subject="Do not unsubscribe me, I love it")).kind is MailKind.OTHER


@given(st.binary(max_size=400))
def test_bytes_that_are_not_a_mail_never_raise(raw: bytes) -> None:
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
def test_truncated_mail_never_raises_and_suppresses_no_other_address(length: int) -> None:
    whole = report("feedback-report", ARF.format(kind="abuse", to="ann@b.example"), OURS)
    assert set(read_mail(whole[:length]).tokens) <= {TOKEN}


def test_unreadable_mail_is_broken_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> bool:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(inbound_mail, "is_automatic", fail)
    assert read_mail(mail(Subject="x")) == InboundMail(MailKind.BROKEN, reason="reading it fails: KeyError")


def refuse(error: DataError) -> None:
    raise AssertionError(error)


def notification(**more: object) -> str:
    receipt = {"action": {"type": "S3", "bucketName": "b", "objectKey": "k"}}
    document = {"notificationType": "Received", "mail": {"messageId": "m1"}, "receipt": receipt, **more}
    return orjson.dumps(document).decode()


def accept(_: object) -> None:
    """Every envelope is right."""


def test_a_notification_holds_the_mail_or_names_its_object() -> None:
    def refuse(_: object) -> None:
        raise ForgedError("its signature does not match its text")

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


def test_notification_contains_the_verdicts_of_the_receipt() -> None:
    verdicts = {f"{name}Verdict": {"status": status} for name, status in (("spf", "PASS"), ("dmarc", "FAIL"))}
    receipt = {"action": {"type": "S3", "bucketName": "b", "objectKey": "k"}, "dkimVerdict": 3, **verdicts}
    found = open_notification(notification(receipt=receipt, mail={"messageId": "m", "source": "b@c.example"}), accept)
    assert found is not None
    assert found.receipt == SesReceipt("pass", "", "fail", "b@c.example")
