"""What a DMARC record asks for: policy, reports, and whether our mail aligns."""

import asyncio
import re

from msgspec import Struct

from engine.authentication.alignment import is_aligned
from engine.authentication.domains.dmarc_record import DmarcRecord, Policy
from engine.authentication.domains.facts import DomainFacts
from engine.authentication.domains.rules import give_advice, give_fail, give_pass, give_unknown, show
from engine.authentication.resolver import Answer, Records, Resolver, Unknown
from engine.authentication.results import RuleResult
from engine.authentication.tag_list import starts_with_version
from engine.on_demand import OnDemand

_REPORT_URI = re.compile(r"mailto:[^@\s!,]+@([A-Za-z0-9.-]+)(![0-9]+[kmgtKMGT]?)?", re.IGNORECASE)
_DESTINATIONS_MAXIMUM = 5  # that are looked up
# checkdmarc takes a second to import.
_FIND_FAULT = OnDemand("engine.authentication.domains.dmarc_syntax:find_dmarc_fault")


def judge_policy(record: DmarcRecord, from_domain: str, *, domain_exists: bool = True) -> RuleResult:
    """Judge the policy that applies; a policy that cannot be read is an error of syntax."""
    policy = record.find_policy(domain_exists=domain_exists)
    if policy is None:
        fault = "has no valid policy (p=)" if record.tags else "is not a list of tags, or repeats a tag"
        what = f"the record {fault}: {show(record.text)}"
        return give_fail("dmarc_syntax", what, record.where, "write p=none, p=quarantine or p=reject after v=DMARC1;")
    if policy is Policy.NONE:
        what = f"the policy for {from_domain} is none: receivers deliver mail that others send in your name"
        remedy = "read the reports; when all of your mail passes, change the policy to quarantine, then to reject"
        return give_advice("dmarc_policy", what, record.where, remedy)
    return give_pass("dmarc_policy", f"the policy for {from_domain} is {policy}", record.where)


def judge_syntax(record: DmarcRecord) -> RuleResult:
    """Judge the whole syntax of a record."""
    fault = _FIND_FAULT(record.text, record.domain)
    if fault:
        return give_fail("dmarc_syntax", f"the record is not valid: {show(fault)}", record.where, "correct the record")
    return give_pass("dmarc_syntax", "the record is valid", record.where)


def judge_extent(record: DmarcRecord) -> list[RuleResult]:
    """Judge whether the policy applies to all mail: pct (RFC 7489) and t (RFC 9989)."""
    if record.tags.get("t", "n").lower() == "y":
        what = "the record is marked as a test (t=y): receivers apply the next weaker policy"
        return [give_advice("dmarc_pct", what, record.where, "remove t=y when your mail passes")]
    if "pct" not in record.tags:
        return []
    if record.tags["pct"] == "100":
        return [give_pass("dmarc_pct", "the policy applies to all mail", record.where)]
    what = f"the policy applies to {show(record.tags['pct'])} percent of mail; RFC 9989 has removed the tag pct"
    return [give_advice("dmarc_pct", what, record.where, "remove pct")]


def judge_alignment(facts: DomainFacts, record: DmarcRecord | None) -> list[RuleResult]:
    """Judge alignment by DKIM and by SPF: one of them is enough, and none fails."""
    dkim = _Method("dkim", "DKIM", "adkim", facts.domain, f"d={facts.domain}")
    spf = _Method("spf", "SPF", "aspf", facts.mail_from, f"MAIL FROM {facts.mail_from or 'amazonses.com'}")
    return [
        _judge_method(one, facts, record, other=other.name if _aligns(other, facts, record) else "")
        for one, other in ((dkim, spf), (spf, dkim))
    ]


class _Method(Struct, frozen=True):
    """A way to pass DMARC: its code and name, its tag, the domain that it authenticates, and how to name that."""

    code: str
    name: str
    tag: str
    domain: str
    label: str


def _aligns(method: _Method, facts: DomainFacts, record: DmarcRecord | None) -> bool:
    strict = record is not None and record.is_strict(method.tag)
    return bool(method.domain) and is_aligned(method.domain, facts.from_domain, strict=strict)


def _judge_method(method: _Method, facts: DomainFacts, record: DmarcRecord | None, other: str) -> RuleResult:
    code = f"dmarc_{method.code}_alignment"
    strict = record is not None and record.is_strict(method.tag)
    where = record.where if record is not None and strict else facts.from_domain
    manner = "strict" if strict else "relaxed"
    if _aligns(method, facts, record):
        return give_pass(code, f"{method.label} aligns with From {facts.from_domain} ({manner})", where)
    what = f"{method.label} does not align with From {facts.from_domain} ({manner})"
    remedy = f"change {method.tag} to r" if strict and method.domain else ""
    if other:
        remedy = remedy or f"set up a MAIL FROM domain below {facts.from_domain}"
        return give_advice(code, f"{what}; DMARC passes by {other} alone", where, remedy)
    return give_fail(code, what, where, remedy or f"send from an address at {facts.domain}")


async def check_reports(resolver: Resolver, record: DmarcRecord) -> list[RuleResult]:
    """Check where aggregate reports go, and that a receiver in another organization has agreed (RFC 7489 7.1)."""
    text = record.tags.get("rua", "")
    if not text:
        remedy = "add rua=mailto:ADDRESS: the reports show who sends as you, and what fails"
        return [give_advice("dmarc_reports", "the record asks for no reports (rua)", record.where, remedy)]
    uris = [uri.strip() for uri in text.split(",")]
    matches = [_REPORT_URI.fullmatch(uri) for uri in uris]
    if None in matches:
        what = f"rua is not a list of mailto: addresses: {show(uris[matches.index(None)])}"
        return [give_advice("dmarc_reports", what, record.where, "write rua=mailto:ADDRESS,mailto:ADDRESS")]
    domains = list(dict.fromkeys(match[1].lower() for match in matches if match))[:_DESTINATIONS_MAXIMUM]
    external = [one for one in domains if not is_aligned(one, record.domain, strict=False)]
    names = [f"{record.domain}._report._dmarc.{one}" for one in external]
    answers = await asyncio.gather(*(resolver.query(name, "TXT") for name in names))
    results = [judge_permission(*one) for one in zip(external, names, answers, strict=True)]
    return results or [give_pass("dmarc_reports", f"reports go to {show(', '.join(domains))}", record.where)]


def judge_permission(receiver: str, name: str, answer: Answer) -> RuleResult:
    """Judge whether a domain accepts the reports of another organization."""
    if isinstance(answer, Unknown):
        return give_unknown("dmarc_reports", answer, "TXT")
    if isinstance(answer, Records) and any(starts_with_version(value, "DMARC1") for value in answer.values):
        return give_pass("dmarc_reports", f"{receiver} accepts the reports", name)
    what = f"{receiver} does not accept the reports: none are sent there"
    return give_advice("dmarc_reports", what, name, f'the owner of {receiver} adds: {name} TXT "v=DMARC1"')
