"""Whether the domain of the From address exists and can receive replies."""

import asyncio

from engine.authentication.domains.rules import explain_absence, give_fail, give_pass, give_unknown
from engine.authentication.resolver import Absence, Absent, Answer, Records, Resolver, Unknown, read_exchangers
from engine.authentication.results import RuleResult


async def check_sender_domain(resolver: Resolver, domain: str) -> RuleResult:
    """Look up MX, A and AAAA of the From domain."""
    mx, *addresses = await asyncio.gather(*(resolver.query(domain, kind) for kind in ("MX", "A", "AAAA")))
    return judge_sender_domain(domain, mx, addresses)


def judge_sender_domain(domain: str, mx: Answer, addresses: list[Answer]) -> RuleResult:
    """Judge the answers (RFC 5321 5.1, RFC 7505 4.2)."""
    if isinstance(mx, Records):
        hosts = [one.host for one in read_exchangers(mx)]
        if any(hosts):
            return give_pass("from_domain", "the domain receives replies", domain)
        what = "the domain says that it receives no mail (null MX): receivers may reject mail from it"
        return give_fail("from_domain", what, domain, "replace the null MX by a server that receives replies")
    if any(isinstance(one, Records) for one in addresses):
        return give_pass("from_domain", "the domain has an address", domain)
    if unknown := next((one for one in (mx, *addresses) if isinstance(one, Unknown)), None):
        return give_unknown("from_domain", unknown, "MX or address")
    what = explain_absence(mx, "MX") if isinstance(mx, Absent) else ""
    if isinstance(mx, Absent) and mx.reason is Absence.NODATA:
        what = "the domain has neither an MX record nor an address"
    return give_fail("from_domain", what, domain, "add an MX record: receivers reject mail from such domains")
