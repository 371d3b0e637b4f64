"""The sender rules as a table: what a receiver requires fails, what it recommends is advice, the unknown stays so."""

import pytest
from msgspec.structs import replace

from engine.authentication.domains.dmarc_record import DmarcRecord
from engine.authentication.domains.facts import DkimFacts, DomainFacts
from engine.authentication.results import RuleResult, Verdict
from engine.authentication.sender_evidence import is_sender_aligned, list_domain_evidence
from engine.authentication.sender_rules import SENDER_RULES, Demand, Evidence, Receiver, judge_evidence, list_failures

SIGNS = DkimFacts(enabled=True, status="SUCCESS", tokens=("a", "b", "c"))
FACTS = DomainFacts(
    domain="acme.example",
    from_domain="acme.example",
    reply_domain="acme.example",
    mail_from="bounce.acme.example",
    mail_from_status="SUCCESS",
    is_identity=True,
    sends=True,
    dkim=SIGNS,
)
RECORD = DmarcRecord("acme.example", "v=DMARC1; p=none", {"v": "DMARC1", "p": "none"}, is_own=True)
STRICT = replace(RECORD, tags=RECORD.tags | {"adkim": "s", "aspf": "s"})
PASSED = (RuleResult("spf_record", Verdict.PASS, "one"), RuleResult("dmarc_record", Verdict.PASS, "v=DMARC1; p=none"))
UNSIGNED = replace(FACTS, dkim=replace(SIGNS, status="PENDING"))
NO_MAIL_FROM = replace(UNSIGNED, mail_from="", mail_from_status="")


def judge(
    facts: DomainFacts, record: DmarcRecord | None = RECORD, results: tuple[RuleResult, ...] = PASSED
) -> dict[str, Verdict]:
    return {one.code: one.verdict for one in list_domain_evidence(facts, record, results)}


@pytest.mark.parametrize("code", SENDER_RULES)
def test_failure_is_a_fail_where_required_and_advice_elsewhere(code: str) -> None:
    (row,) = judge_evidence([Evidence(code, Verdict.FAIL, "it is broken")])
    for receiver, demand in SENDER_RULES[code].demands.items():
        assert row.verdicts[receiver] is (Verdict.FAIL if demand is Demand.REQUIRED else Verdict.ADVICE)
        assert row.to_json()["receivers"][receiver]["source"].startswith("https://")
    assert bool(list_failures([row])) is (Demand.REQUIRED in SENDER_RULES[code].demands.values())


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.UNKNOWN, Verdict.ADVICE])
def test_what_is_not_a_failure_fails_nowhere(verdict: Verdict) -> None:
    rows = judge_evidence(Evidence(code, verdict, "so it is") for code in SENDER_RULES)
    assert {row.verdict for row in rows} == {verdict}
    assert [row.rule.code for row in rows] == list(SENDER_RULES)


def test_evidence_about_one_receiver_concerns_no_other() -> None:
    (row,) = judge_evidence([Evidence("spam_rate", Verdict.FAIL, "0.4 %", receiver=Receiver.YAHOO)])
    assert row.verdicts == {Receiver.YAHOO: Verdict.FAIL}


def test_domain_in_order_passes() -> None:
    assert set(judge(FACTS).values()) == {Verdict.PASS}


@pytest.mark.parametrize(
    ("facts", "record", "aligned"),
    [
        (FACTS, RECORD, True),
        (UNSIGNED, RECORD, True),  # MAIL FROM is
        (UNSIGNED, STRICT, False),  # a subdomain is not, where aspf=s
        (NO_MAIL_FROM, RECORD, False),
        (replace(UNSIGNED, mail_from_status="FAILED"), RECORD, False),
        (replace(FACTS, from_domain="news.acme.example"), RECORD, True),
        (replace(FACTS, from_domain="news.acme.example"), STRICT, False),
        (replace(FACTS, dkim=None), RECORD, None),
    ],
)
def test_alignment_follows_identity_and_record(facts: DomainFacts, record: DmarcRecord, aligned: bool | None) -> None:  # noqa: FBT001 - a case
    assert is_sender_aligned(facts, record) is aligned
    expected = {True: Verdict.PASS, False: Verdict.FAIL, None: Verdict.UNKNOWN}[aligned]
    assert judge(facts, record)["alignment"] is expected


def test_unsigned_mail_fails_dkim_though_spf_is_aligned() -> None:
    found = judge(UNSIGNED)
    assert (found["dkim"], found["alignment"]) == (Verdict.FAIL, Verdict.PASS)


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.UNKNOWN])
def test_spf_record_counts_where_mail_from_is_used(verdict: Verdict) -> None:
    results = (RuleResult("spf_record", verdict, "no record"), *PASSED)
    assert judge(FACTS, results=results)["spf"] is verdict
    assert judge(replace(FACTS, mail_from=""), results=results)["spf"] is Verdict.PASS
    assert judge(UNSIGNED, results=results)["alignment"] is verdict


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.UNKNOWN, Verdict.PASS])
def test_dmarc_is_as_dns_says(verdict: Verdict) -> None:
    assert judge(FACTS, None, (RuleResult("dmarc_record", verdict, "so it is"),))["dmarc"] is verdict
