"""Mail without our token suppresses only its proven sender, or the address in a report of a configured source."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clock import VirtualClock
from support.mails import PASSED, RESULTS, TRUST, WISH

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.feedback.inbound.authority import MailTrust, ReceivedMail, SesReceipt, Unproven
from engine.feedback.inbound.intake import InboundIntake, judge
from engine.ledger.database import open_ledger
from engine.ledger.suppressed.suppressions import iterate_suppressions

SIGNER = TokenSigner([b"a-signing-key-of-32-characters-x"])
MAILED = {"ann@b.example", "bob@b.example"}
FAILED = SesReceipt("fail", "fail", "fail", "evil@e.example")
REPORT = (
    "From: reports@{source}\r\nSubject: complaint\r\n"
    "Content-Type: multipart/report; report-type=feedback-report; boundary=x\r\n\r\n"
    "--x\r\nContent-Type: message/feedback-report\r\n\r\n"
    "Feedback-Type: abuse\r\nVersion: 1\r\nOriginal-Rcpt-To: bob@b.example\r\n\r\n"
    "--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: News\r\n{more}\r\nHello\r\n--x--\r\n"
)
BOUNCE = (
    "From: MAILER-DAEMON@b.example\r\nSubject: Undelivered\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n"
    "--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; b.example\r\n\r\n"
    "Final-Recipient: rfc822; bob@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--x--\r\n"
)


class Desk:
    """Processes mails, and returns the results."""

    def __init__(self, folder: Path, clock: VirtualClock) -> None:
        self.ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.intake = InboundIntake(
            self.ledger, SIGNER, lambda keys: set(keys) & MAILED, lambda _: False, clock, lambda *_: None
        )

    def take(
        self, text: str, receipt: SesReceipt | None = None, trust: MailTrust = TRUST, **how: bool
    ) -> dict[str, str]:
        """Process a mail; return the suppressed addresses with their proof."""
        self.intake.record([judge(ReceivedMail(text.encode(), receipt, **how), trust)])
        return {one.key: str(one.proof) for block in iterate_suppressions(self.ledger) for one in block}


@pytest.fixture
def desk(tmp_path: Path, clock: VirtualClock) -> Iterator[Desk]:
    made = Desk(tmp_path, clock)
    yield made
    made.ledger.close()


@pytest.mark.parametrize(
    "receipt",
    [
        PASSED,
        SesReceipt("fail", "pass", "pass", "evil@e.example"),
        SesReceipt("pass", "fail", "gray", "ann@b.example"),
        SesReceipt("pass", "", "", "<ann@B.example>"),
    ],
)
def test_request_with_a_receipt_that_proves_its_sender_is_applied(desk: Desk, receipt: SesReceipt) -> None:
    assert desk.take(WISH, receipt) == {"ann@b.example": "sender"}


@pytest.mark.parametrize(
    ("receipt", "lack"),
    [
        (FAILED, Unproven.NOT_ALIGNED),
        (SesReceipt("pass", "pass", "fail", "evil@e.example"), Unproven.NOT_ALIGNED),  # SPF and DKIM of e.example
        (SesReceipt("pass", "pass", "gray", "evil@e.example"), Unproven.NOT_ALIGNED),
        (SesReceipt("pass", "pass", "gray", "evil@e.b.example"), Unproven.NOT_ALIGNED),
        (SesReceipt("pass", "pass", "processing_failed", "evil@notb.example"), Unproven.NOT_ALIGNED),
        (SesReceipt("pass", "pass", "fail", "ann@b.example"), Unproven.NOT_ALIGNED),
        (SesReceipt("", "", "", ""), Unproven.NOT_ALIGNED),
        (None, Unproven.NO_RESULTS),
    ],
)
def test_forged_from_is_other_mail_and_suppresses_no_address(
    desk: Desk, receipt: SesReceipt | None, lack: Unproven
) -> None:
    for apple in ("", "X-Apple-Unsubscribe: true\r\nAuto-Submitted: auto-replied\r\n"):
        assert desk.take(apple + WISH, receipt) == {}
    assert desk.intake.tally.to_json()["kinds"] == {"other": 2}
    assert desk.intake.tally.unproven == {lack: 2}


def test_our_own_token_needs_no_verdicts(desk: Desk) -> None:
    token = SIGNER.sign("ann@b.example", "")
    assert desk.take(WISH.replace("unsubscribe", token), FAILED) == {"ann@b.example": "token"}
    more = f"List-Unsubscribe: <https://a.example/{SIGNER.sign('bob@b.example', '')}>\r\n"
    assert desk.take(REPORT.format(source="e.example", more=more), FAILED)["bob@b.example"] == "token"


def test_foreign_token_is_other_mail_whatever_the_verdicts(desk: Desk) -> None:
    token = TokenSigner([b"somebody-elses-key-of-32-letters"]).sign("ann@b.example", "")
    assert desk.take(WISH.replace("unsubscribe", token), PASSED) == {}
    tally = desk.intake.tally.to_json()
    assert (tally["kinds"], tally["forged"], tally["unproven"]) == ({"other": 1}, 1, {"forged_token": 1})


@pytest.mark.parametrize(
    "head",
    [
        f"{RESULTS}dmarc=pass (p=reject) header.from=b.example",
        f"{RESULTS}spf=fail smtp.mailfrom=x@e.example; dmarc=pass header.from=B.example;",
        f'{RESULTS}\r\n dkim=pass reason="good; dkim=fail" header.i=@b.example header.s=k',
        "authentication-results: MX.acme.example 1 ; dkim = pass header.d = b.example",
        f"{RESULTS}spf=pass (a; (nested)) smtp.mailfrom=ann@b.example; dmarc=none header.from=b.example",
        f"Received: by y\r\nAuthentication-Results: inner.example; dkim=none\r\n{RESULTS}dkim=pass header.d=b.example",
    ],
)
def test_results_of_the_configured_server_prove_the_sender(desk: Desk, head: str) -> None:
    assert desk.take(f"{head}\r\n{WISH}") == {"ann@b.example": "sender"}


FORGED = f"{RESULTS}dmarc=pass header.from=b.example; dkim=pass header.d=b.example"


@pytest.mark.parametrize(
    ("head", "lack"),
    [
        (f"{RESULTS}dmarc=fail header.from=b.example\r\n{FORGED}", Unproven.NOT_ALIGNED),
        (f"{RESULTS}none\r\n{FORGED}", Unproven.NOT_ALIGNED),
        (f"{RESULTS}dmarc=pass header.from=e.example", Unproven.NOT_ALIGNED),
        (f"{RESULTS}dkim=pass header.d=e.example; spf=pass smtp.mailfrom=x@e.example", Unproven.NOT_ALIGNED),
        (f"{RESULTS}dkim=pass header.d=news.b.example", Unproven.NOT_ALIGNED),
        (f"{RESULTS}dkim=pass header.d=example", Unproven.NOT_ALIGNED),
        (f"{RESULTS}spf=pass smtp.helo=b.example", Unproven.NOT_ALIGNED),
        (f"{RESULTS}x=fail (; dkim=pass header.d=b.example)", Unproven.NOT_ALIGNED),
        (f'{RESULTS}spf=fail smtp.mailfrom="; dkim=pass header.d=b.example;"@e.example', Unproven.NOT_ALIGNED),
        (
            f"{RESULTS}spf=pass helo=x; dmarc=pass header.from=b.example; dmarc=fail header.from=b.example",
            Unproven.NOT_ALIGNED,
        ),
        (
            "Authentication-Results: mx.acme.example.e.example; dmarc=pass header.from=b.example",
            Unproven.NO_RESULTS,
        ),
        (
            "Authentication-Results: (mx.acme.example) e.example; dmarc=pass header.from=b.example",
            Unproven.NO_RESULTS,
        ),
        ("X-Authentication-Results: mx.acme.example; dmarc=pass header.from=b.example", Unproven.NO_RESULTS),
        (f"{FORGED}\r\nFrom: evil@e.example", Unproven.SENDER_UNCLEAR),
        (f"{FORGED}\rFrom: evil@e.example", Unproven.SENDER_UNCLEAR),
    ],
)
def test_results_that_the_sender_wrote_or_of_others_prove_nobody(desk: Desk, head: str, lack: Unproven) -> None:
    assert desk.take(f"{head}\r\n{WISH}") == {}
    assert desk.intake.tally.unproven == {lack: 1}
    assert desk.intake.tally.kinds == {"other": 1}


def test_unsigned_results_prove_no_sender(desk: Desk) -> None:
    head = f"{RESULTS}dmarc=pass header.from=b.example\r\n"
    assert desk.take(head + WISH, None, has_own_fields=False, is_unsigned=True) == {}
    assert desk.take(head + WISH, trust=MailTrust()) == {}
    assert desk.intake.tally.unproven == {Unproven.UNSIGNED: 1, Unproven.NO_RESULTS: 1}


@pytest.mark.parametrize(
    ("source", "head", "receipt"),
    [
        ("fbl.example", "", SesReceipt("pass", "pass", "pass", "")),
        ("eu.fbl.example", "", SesReceipt("pass", "pass", "pass", "")),
        ("fbl.example", f"{RESULTS}dkim=pass header.d=fbl.example", None),
        ("arf.y.example", f"{RESULTS}dkim=pass header.d=y.example", None),
        ("eu.fbl.example", f"{RESULTS}dkim=pass header.i=@eu.fbl.example; dmarc=pass header.from=eu.fbl.example", None),
    ],
)
def test_a_report_of_a_configured_source_is_a_complaint(
    desk: Desk, source: str, head: str, receipt: SesReceipt | None
) -> None:
    text = (f"{head}\r\n" if head else "") + REPORT.format(source=source, more="")
    assert desk.take(text, receipt) == {"bob@b.example": "feedback_source"}


def test_report_of_a_configured_source_counts_with_an_old_token(desk: Desk) -> None:
    gone = TokenSigner([b"somebody-elses-key-of-32-letters"]).sign("ann@b.example", "")
    text = REPORT.format(source="fbl.example", more=f"List-Unsubscribe: <https://a.example/{gone}>\r\n")
    assert desk.take(text.replace("reports@fbl", "reports@e"), PASSED) == {}
    assert desk.intake.tally.unproven == {Unproven.FORGED_TOKEN: 1}
    assert desk.take(text, PASSED) == {"bob@b.example": "feedback_source"}
    assert desk.intake.tally.forged == 2


@pytest.mark.parametrize(
    ("source", "head", "receipt", "lack"),
    [
        ("fbl.example", "", FAILED, Unproven.NOT_ALIGNED),
        ("fbl.example", "", None, Unproven.NO_RESULTS),
        ("fbl.example", "", SesReceipt("pass", "fail", "pass", ""), Unproven.NOT_A_SOURCE),  # SPF alone
        (
            "fbl.example",
            "",
            SesReceipt("pass", "pass", "gray", "a@fbl.example"),
            Unproven.NOT_A_SOURCE,
        ),  # whose DKIM?
        ("fbl.example", f"{RESULTS}spf=pass smtp.mailfrom=a@fbl.example", None, Unproven.NOT_A_SOURCE),
        ("e.example", "", SesReceipt("pass", "pass", "pass", ""), Unproven.NOT_A_SOURCE),
        ("e.example", f"{RESULTS}dkim=pass header.d=fbl.example", None, Unproven.NOT_ALIGNED),
        ("notfbl.example", "", SesReceipt("pass", "pass", "pass", ""), Unproven.NOT_A_SOURCE),
        (
            "y.example",
            "",
            SesReceipt("pass", "pass", "pass", ""),
            Unproven.NOT_A_SOURCE,
        ),  # where people have mailboxes
        ("y.example", f"{RESULTS}dkim=pass header.d=y.example", None, Unproven.NOT_A_SOURCE),
        ("arf.y.example", f"{RESULTS}spf=pass smtp.mailfrom=y.example", None, Unproven.NOT_A_SOURCE),
    ],
)
def test_forged_report_is_other_mail_and_suppresses_no_address(
    desk: Desk, source: str, head: str, receipt: SesReceipt | None, lack: Unproven
) -> None:
    text = (f"{head}\r\n" if head else "") + REPORT.format(source=source, more="")
    assert desk.take(text, receipt) == {}
    assert desk.intake.tally.unproven == {lack: 1}
    assert desk.intake.tally.kinds == {"other": 1}


def test_delivery_report_suppresses_no_address_whatever_its_proof(desk: Desk) -> None:
    assert desk.take(BOUNCE, PASSED) == {}
    assert desk.intake.tally.kinds == {"delivery_report": 1}
