"""Evidence of content and of complaints: what a receiver would see of this campaign."""

import pytest

from engine.authentication.results import Verdict
from engine.authentication.sender_rules import CLIPPED_BYTES, Receiver
from engine.campaign.lint_findings import LintFinding, LintFindings, Severity
from engine.campaign.spec import parse_spec
from engine.run.prepare.sender.sender_content import FEWEST_DELIVERED, judge_content, judge_spam_rates

CAMPAIGN = """\
from = "Acme <news@acme.example>"
subject = "Hello"
{}
[audience]
source = "people.csv"
[content]
text = "body.txt.j2"
"""
OWN = '[unsubscribe]\nurl = "https://acme.example/{{ token }}"\n'
MAILTO = '[unsubscribe]\nmailto = "u@acme.example"\n'
OF_SES = '[unsubscribe]\nses_contact_list = "news"\n'


def judge(section: str, html_bytes: int = 0, *findings: LintFinding) -> dict[str, Verdict]:
    found = LintFindings()
    found.extend(findings)
    head, tail = ('kind = "transactional"\n', "") if not section else ("", section)
    spec = parse_spec(CAMPAIGN.format(head) + tail, file="campaign.toml")
    return {one.code: one.verdict for one in judge_content(spec, found, html_bytes)}


@pytest.mark.parametrize(("section", "expected"), [(OWN, "pass"), (OF_SES, "pass"), (MAILTO, "fail")])
def test_one_click_needs_an_https_link(section: str, expected: str) -> None:
    assert judge(section)["one_click_headers"] == expected


def test_transactional_mail_needs_no_unsubscribe_link() -> None:
    assert judge("") == {}


def test_hidden_unsubscribe_link_fails() -> None:
    hidden = LintFinding(Severity.ERROR, "no_unsubscribe_link", "it is hidden", "show it")
    assert (judge(OWN)["visible_link"], judge(OWN, 0, hidden)["visible_link"]) == (Verdict.PASS, Verdict.FAIL)


@pytest.mark.parametrize(("size", "expected"), [(1, "pass"), (CLIPPED_BYTES, "pass"), (CLIPPED_BYTES + 1, "fail")])
def test_html_is_clipped_from_102_kilobytes_on(size: int, expected: str) -> None:
    assert judge(OWN, size)["message_size"] == expected


@pytest.mark.parametrize(
    ("delivered", "complained", "expected"),
    [
        (0, 0, "unknown"),
        (FEWEST_DELIVERED - 1, 99, "unknown"),
        (10_000, 9, "pass"),
        (10_000, 10, "advice"),
        (10_000, 29, "advice"),
        (10_000, 30, "fail"),
    ],
)
def test_spam_rate_is_judged_at_its_thresholds(delivered: int, complained: int, expected: str) -> None:
    found = {one.receiver: one for one in judge_spam_rates({"Yahoo": (delivered, complained)})}
    assert found[Receiver.YAHOO].verdict == expected
    assert found[Receiver.MICROSOFT].verdict is Verdict.UNKNOWN
    assert found[Receiver.GMAIL].verdict is Verdict.UNKNOWN
    assert "Gmail reports no complaints" in found[Receiver.GMAIL].what
