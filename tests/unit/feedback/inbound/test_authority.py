"""Mail without our token suppresses only its proven sender, or the address in a report of a configured source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.mails import PASSED, RESULTS, SERVER, TRUST, WISH
from support.work import count_lines

from engine.feedback.inbound.authority import MailTrust, ReceivedMail, SesReceipt, Unproven, identify_sender
from engine.feedback.inbound.intake import judge


@pytest.mark.parametrize(
    "sender",
    [
        "ann@b.example, evil@e.example",
        '"ann@b.example" <evil@e.example>',
        "evil@e.example (ann@b.example)",
        "<@e.example:ann@b.example>",
        "ann@b.example <evil@b.example.e.example>",
        "ann@b.example\r\nfrom : evil@e.example",
        "ann@b.example\r\nSubject: x\rFrom: evil@e.example",
        "ann@b.example\r\nSubject: x\r\r\nFrom: evil@e.example",
        "undisclosed",
        "",
    ],
)
def test_ambiguous_from_proves_no_sender(sender: str) -> None:
    found = identify_sender(ReceivedMail(f"From: {sender}\r\n\r\n".encode(), PASSED), TRUST)
    assert (found.address, found.unproven) == (None, Unproven.SENDER_UNCLEAR)


@pytest.mark.parametrize(
    "sender", ['"ann@b.example" <ann@b.example>', "=?utf-8?q?Ann?= <ann@b.example>", "ann@b.example"]
)
def test_a_from_that_names_its_own_domain_twice_is_clear(sender: str) -> None:
    assert identify_sender(ReceivedMail(f"From: {sender}\r\n\r\n".encode(), PASSED), TRUST).unproven is None


@given(st.binary(max_size=300), st.text(max_size=200), st.sampled_from(["pass", "fail", ""]))
def test_whatever_a_mail_holds_judging_it_never_raises(raw: bytes, text: str, verdict: str) -> None:
    trust = MailTrust(SERVER, (text, "fbl.example"))
    for mail in (raw, f"{RESULTS}{text}\r\nFrom: {text}\r\n\r\n".encode("utf-8", "surrogatepass"), WISH.encode() + raw):
        judge(ReceivedMail(mail, SesReceipt(verdict, verdict, verdict, text)), trust)


@pytest.mark.parametrize(
    "piece", ["(", ")", '"', "\\", ";", "a=b ", " = ", "a@b.example,", "<a@b.example> ", "@", "é", "(;"]
)
@pytest.mark.parametrize("field", [RESULTS, "Authentication-Results: x;", "From: ", "X-Y: "])
def test_twice_the_header_takes_at_most_two_and_a_half_times_the_work(field: str, piece: str) -> None:
    def judge_one(size: int) -> int:
        value = piece * (size // len(piece))
        raw = f"{field}{value}\r\nFrom: a@b.example\r\n\r\n".encode()
        return count_lines(lambda: identify_sender(ReceivedMail(raw, PASSED), TRUST))

    assert judge_one(6000) <= 2.5 * judge_one(3000)


def test_bounded_part_of_a_header_is_read() -> None:
    def judge_one(size: int) -> int:
        received = ReceivedMail((RESULTS + "a" * size).encode(), PASSED)
        return count_lines(lambda: identify_sender(received, TRUST))

    assert judge_one(10**6) <= judge_one(10**5) == judge_one(10**5 + 1000)
