"""A received message: what its signatures cover, whether they are aligned, and what its header says."""

import asyncio
import re
from collections.abc import Mapping

import pytest
from support.signed_mails import (
    LETTER,
    NOW,
    ONE_CLICK,
    SES_FIELDS,
    TableResolver,
    make_key,
    make_ses_mail,
    make_zone,
    sign,
)

from engine.authentication.messages.examination import MessageExamination, examine_message
from engine.authentication.messages.fields import MOST_FIELDS, MOST_MESSAGE_BYTES
from engine.authentication.results import Verdict
from engine.errors import DataError

RAW = LETTER.replace("\n", "\r\n").encode()


def examine(
    raw: bytes, records: Mapping[tuple[str, str], str] | None = None, silent: tuple[str, ...] = ()
) -> MessageExamination:
    resolver = TableResolver(make_zone() if records is None else records, silent)
    return asyncio.run(examine_message(raw, resolver, NOW, "letter.eml"))


def verdicts(found: MessageExamination, code: str) -> list[Verdict]:
    return [one.verdict for one in found.results if one.code == code]


def failures(found: MessageExamination) -> set[str]:
    return {one.code for one in found.results if one.verdict is Verdict.FAIL}


def test_message_of_ses_passes_with_both_signatures() -> None:
    found = examine(make_ses_mail())
    assert (found.passes, failures(found)) == (True, set())
    assert [(one.signature.domain, one.state, one.key_bits) for one in found.signatures] == [
        ("acme.example", "valid", 2048),
        ("amazonses.com", "valid", 2048),
    ]
    assert [found.is_aligned(one.signature) for one in found.signatures] == [True, False]
    assert verdicts(found, "one_click_signed") == verdicts(found, "alignment") == [Verdict.PASS]
    assert verdicts(found, "spf") == [Verdict.UNKNOWN]  # the receiver stated nothing


@pytest.mark.parametrize("left_out", ONE_CLICK)
def test_message_fails_when_one_click_headers_are_not_signed(left_out: str) -> None:
    fields = tuple(name for name in SES_FIELDS + ONE_CLICK if name != left_out)
    found = examine(sign(RAW, fields=fields))
    assert failures(found) == {"one_click_signed"}
    (one,) = [one for one in found.results if one.code == "one_click_signed"]
    assert one.receivers == ("gmail", "yahoo")


def test_message_needs_only_one_signature_that_covers_one_click() -> None:
    found = examine(sign(sign(RAW, "amazonses.com", "ses1"), fields=SES_FIELDS))
    assert verdicts(found, "one_click_signed") == [Verdict.PASS]


def test_changed_body_breaks_the_signatures_and_alignment() -> None:
    found = examine(make_ses_mail().replace(b"Hello Ann", b"Hello Eve"))
    assert {one.reason for one in found.signatures} == {"the body was changed after it was signed"}
    assert failures(found) == {"dkim", "alignment", "one_click_signed"}


def test_changed_header_breaks_the_signature() -> None:
    found = examine(sign(RAW).replace(b"Subject: Hello", b"Subject: Buy"))
    assert "header was changed" in found.signatures[0].reason


def test_signature_is_unknown_when_dns_does_not_answer() -> None:
    found = examine(sign(RAW), silent=("s1._domainkey.acme.example", "_dmarc.acme.example"))
    assert found.passes
    for code in ("dkim", "alignment", "dmarc_record", "one_click_signed"):
        assert verdicts(found, code) == [Verdict.UNKNOWN]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "DNS has no key at s1._domainkey.acme.example"),
        ("v=DKIM1; p=", "the key is revoked"),
        ("k=rsa; p=bm8=", "the key in p= cannot be read"),
        ("k=rsa; p=%%%", "the key in p= cannot be read"),
        ("k=unheard; p=bm8=", "the type of the key"),
    ],
)
def test_signature_is_invalid_without_a_usable_key(record: str | None, reason: str) -> None:
    name = ("s1._domainkey.acme.example", "TXT")
    zone = {key: value for key, value in make_zone().items() if key != name} | ({name: record} if record else {})
    found = examine(sign(RAW), zone)
    assert found.signatures[0].state == "invalid"
    assert failures(found) >= {"alignment"}
    assert found.signatures[0].reason.startswith(reason)


def test_short_key_is_advice_and_tag_l_fails() -> None:
    zone = {
        ("s1._domainkey.acme.example", "TXT"): make_key(1024)[1],
        ("_dmarc.acme.example", "TXT"): "v=DMARC1; p=none",
    }
    found = examine(sign(RAW, bits=1024, has_length=True), zone)
    assert verdicts(found, "dkim_key_length") == [Verdict.ADVICE]
    assert failures(found) == {"dkim_body_length"}


def test_expired_signature_is_invalid() -> None:
    signed = sign(RAW)
    expired = re.sub(rb"; t=(\d+)", rb"; t=1500000000; x=1600000000", signed)
    found = examine(expired)
    assert found.signatures[0].state == "invalid"
    assert found.signatures[0].signature.expires_at is not None


def test_added_field_that_is_not_signed_is_reported() -> None:
    found = examine(b"Subject: Win\r\n" + sign(RAW))
    assert verdicts(found, "dkim_duplicate") == [Verdict.FAIL]


def test_second_from_fails() -> None:
    assert "from_header" in failures(examine(b"From: eve@evil.example\r\n" + sign(RAW)))


@pytest.mark.parametrize(
    ("policy", "domain", "expected"),
    [
        ("v=DMARC1; p=none", "mail.acme.example", Verdict.PASS),
        ("v=DMARC1; p=none; adkim=s", "mail.acme.example", Verdict.FAIL),
        ("v=DMARC1; p=none; adkim=s", "acme.example", Verdict.PASS),
        ("v=DMARC1; p=none", "other.example", Verdict.FAIL),
    ],
)
def test_alignment_follows_the_dmarc_record(policy: str, domain: str, expected: Verdict) -> None:
    zone = {(f"s1._domainkey.{domain}", "TXT"): make_key(2048)[1], ("_dmarc.acme.example", "TXT"): policy}
    assert verdicts(examine(sign(RAW, domain), zone), "alignment") == [expected]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Received-SPF: pass (domain of 0102@mail.acme.example designates 192.0.2.7)", [Verdict.PASS, Verdict.PASS]),
        ("Received-SPF: softfail envelope-from=0102@mail.acme.example;", [Verdict.FAIL, Verdict.FAIL]),
        ("Authentication-Results: mx.r.example; spf=pass smtp.mailfrom=a@amazonses.com", [Verdict.PASS, Verdict.FAIL]),
        ("Authentication-Results: mx.r.example; spf=temperror", [Verdict.UNKNOWN, Verdict.FAIL]),
    ],
)
def test_spf_counts_as_the_receiver_states_it(field: str, expected: list[Verdict]) -> None:
    found = examine(field.encode() + b"\r\n" + RAW)
    assert verdicts(found, "spf") + verdicts(found, "alignment") == expected


@pytest.mark.parametrize(
    ("field", "results"),
    [
        (
            (
                "amazonses.com; spf=pass (spfCheck: domain of mail.acme.example designates 192.0.2.1 as permitted)"
                " client-ip=192.0.2.1; envelope-from=b@mail.acme.example; helo=mx.acme.example;"
                " dkim=pass header.i=@acme.example; dmarc=pass header.from=acme.example;"
            ),
            [("spf", "pass", "mail.acme.example"), ("dkim", "pass", "acme.example"), ("dmarc", "pass", "acme.example")],
        ),
        (
            (
                "atlas.yahoo.example; dkim=pass header.i=@acme.example header.s=s1; spf=pass"
                " smtp.mailfrom=mail.acme.example; dmarc=pass(p=NONE) header.from=acme.example;"
            ),
            [("dkim", "pass", "acme.example"), ("spf", "pass", "mail.acme.example"), ("dmarc", "pass", "acme.example")],
        ),
        (
            (
                "mx.google.example; dkim=pass header.i=@acme.example header.s=one header.b=AbCd; spf=pass (domain of"
                " b@mail.acme.example designates 192.0.2.1 as permitted sender) smtp.mailfrom=b@mail.acme.example"
            ),
            [("dkim", "pass", "acme.example"), ("spf", "pass", "mail.acme.example")],
        ),
        ("mx.r.example 1; none", []),
    ],
)
def test_results_are_read_as_large_receivers_write_them(field: str, results: list[tuple[str, str, str]]) -> None:
    stated = examine(f"Authentication-Results: {field}\r\n".encode() + RAW).stated
    assert [(one.method, one.result, one.domain) for one in stated.results] == results
    assert stated.problem == ""
    assert stated.server == field.partition(";")[0].partition(" ")[0]


def test_only_the_topmost_authentication_results_count() -> None:
    top = b"Authentication-Results: mx.r.example; dmarc=fail header.from=acme.example\r\n"
    forged = b"Authentication-Results: mx.r.example; dmarc=pass header.from=acme.example\r\n"
    found = examine(top + forged + sign(RAW))
    assert (found.stated.server, found.stated.others) == ("mx.r.example", 1)
    assert failures(found) == {"receiver_results"}


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("<https://u.acme", "<http://u.acme", "one_click_headers"),
        ("=One-Click", "=One-click", "one_click_headers"),
        ("List-Unsubscribe-Post: List-Unsubscribe=One-Click\n", "", "one_click_headers"),
        ("Date: Tue", "Date: noon, Tue", "date_header"),
        ("Message-ID: <0102018@eu-west-1.amazonses.com>\n", "", "message_id"),
        ("Hello Ann", "a" * 999, "line_lengths"),
        ("Acme News <news@acme.example>", "a@acme.example, b@evil.example", "from_header"),
    ],
)
def test_each_wrong_header_fails(before: str, after: str, code: str) -> None:
    assert before in LETTER
    assert code in failures(examine(LETTER.replace(before, after).encode()))


def test_message_without_list_headers_gets_advice() -> None:
    text = re.sub(r"List-[^\n]*\n", "", LETTER)
    found = examine(sign(text.replace("\n", "\r\n").encode(), fields=SES_FIELDS))
    assert found.passes
    assert verdicts(found, "one_click_headers") == verdicts(found, "list_id") == [Verdict.ADVICE]
    assert not verdicts(found, "one_click_signed")


def test_control_characters_are_never_shown_raw() -> None:
    hostile = "\x1b]0;owned\x07"
    text = LETTER.replace("=One-Click", hostile).replace("<news.acme", f"<{hostile}")
    raw = f"Authentication-Results: mx{hostile}; dkim=pass\nReceived-SPF: pass x{hostile}\n{text}".encode()
    signed = b"DKIM-Signature: v=1; a=rsa\x1b[1m; d=acme.example; s=s1; b=x; bh=y; h=from\r\n" + raw
    shown = repr([(one.what, one.where, one.remedy) for one in examine(signed).results])
    assert "\\x1b" not in shown.replace("\\\\x1b", "")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\nbody",
        b" folded\r\n",
        b"no field at all\r\n\r\n",
        b"A: b\r\n" * (MOST_FIELDS + 1),
        b"A: " + b"b" * 300_000,
        b"A: b\r\n\r\n" + bytes(MOST_MESSAGE_BYTES),
    ],
    ids=["empty", "no-header", "folded", "no-field", "many", "large-header", "huge"],
)
def test_what_is_not_a_message_is_refused(raw: bytes) -> None:
    with pytest.raises(DataError) as error:
        examine(raw)
    assert error.value.where == "letter.eml"


def test_thousands_of_signatures_are_bounded() -> None:
    one = b"DKIM-Signature: v=1; a=rsa-sha256; d=%d.example; s=s; b=YQ==; bh=YQ==; h=from\r\n"
    resolver = TableResolver({})
    raw = b"".join(one % i for i in range(900)) + RAW
    found = asyncio.run(examine_message(raw, resolver, NOW, "letter.eml"))
    assert (len(found.signatures), found.unread_signatures) == (16, 884)
    assert len(resolver.asked) < 30


@pytest.mark.parametrize(
    "field",
    [
        b"DKIM-Signature: v=1; a=rsa-sha256; d=acme.example; s=s1; h=from; bh=YQ==; b=" + b" " * 3900 + b"!",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=acme.example; s=s1; h=from; bh=YQ==; b=" + b"\r\n " * 1200 + b"!",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=acme.example; s=s1; bh=YQ==; b=YQ==; h=" + b"a:" * 1900,
        b"ARC-Seal: i=" + b"9" * 5000 + b"; d=x.example; s=s",
        b"ARC-Seal: i=2147483647; a=rsa-sha256; cv=pass; d=x.example; s=s; b=YQ==",
        b"Authentication-Results: " + b"(" * 8000,
        b"From: " + b"<" * 1900,
        b"List-Unsubscribe: " + b"<" * 8000,
    ],
    ids=["spaces", "folds", "names", "arc-number", "arc-many", "comments", "from", "links"],
)
@pytest.mark.timeout(20)
def test_hostile_fields_are_judged_in_bounded_time(field: bytes) -> None:
    assert examine(field + b"\r\n" + RAW).results


@pytest.mark.timeout(20)
def test_body_of_white_space_is_not_verified() -> None:
    raw = sign(RAW) + b" " * 2_000_000
    found = examine(raw)
    assert found.signatures[0].state == "unknown"
    assert "white space" in found.signatures[0].reason
