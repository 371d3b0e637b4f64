"""All checks of a sending domain: what receivers find in DNS, and what SES says."""

import asyncio

from engine.authentication.domains.dmarc_record import find_dmarc_record
from engine.authentication.domains.facts import DomainFacts
from engine.authentication.domains.mail_from import judge_mail_from, judge_mx
from engine.authentication.domains.signing_status import judge_signing
from engine.authentication.domains.spf_record import judge_terms, read_spf_record
from engine.authentication.resolver import Resolver
from engine.authentication.results import RuleResult


async def check_domain_quickly(resolver: Resolver, facts: DomainFacts) -> list[RuleResult]:
    """Check what a launch repeats: the states that SES reports, SPF and MX of MAIL FROM, and that DMARC is there.

    Needs about ten questions to DNS, and imports little. The whole is check_domain in all_checks.py.
    """
    mail_from, (_, dmarc) = await asyncio.gather(
        check_mail_from(resolver, facts), find_dmarc_record(resolver, facts.from_domain)
    )
    return [*judge_signing(facts), *mail_from[1], dmarc]


async def check_mail_from(resolver: Resolver, facts: DomainFacts) -> tuple[str, list[RuleResult]]:
    """Check MX and SPF of the MAIL FROM domain.

    Returns:
        Its SPF record, empty where there is not exactly one; and the results.
    """
    results = [judge_mail_from(facts)]
    if not facts.mail_from:
        return "", results
    mx, txt = await asyncio.gather(resolver.query(facts.mail_from, "MX"), resolver.query(facts.mail_from, "TXT"))
    results.append(judge_mx(facts, mx))
    record = read_spf_record(facts.mail_from, txt)
    if isinstance(record, RuleResult):
        return "", [*results, record]
    return record, [*results, *judge_terms(facts.mail_from, record)]
