"""Every check of a sending domain, the slow ones too."""

import asyncio

from engine.authentication.domains.bimi import check_bimi
from engine.authentication.domains.dkim_records import check_dkim_records
from engine.authentication.domains.dmarc import check_reports, judge_alignment, judge_extent, judge_policy, judge_syntax
from engine.authentication.domains.dmarc_record import DmarcRecord, find_dmarc_record
from engine.authentication.domains.facts import DomainFacts
from engine.authentication.domains.launch_checks import check_mail_from
from engine.authentication.domains.reply_security import check_reply_security
from engine.authentication.domains.sender_domain import check_sender_domain
from engine.authentication.domains.signing_status import judge_signing
from engine.authentication.domains.spf_lookups import check_lookups
from engine.authentication.https_fetch import Fetch
from engine.authentication.resolver import Absence, Absent, Resolver
from engine.authentication.results import RuleResult, Verdict


async def check_domain(resolver: Resolver, facts: DomainFacts, fetch: Fetch | None = None) -> list[RuleResult]:
    """Check all of a sending domain.

    Args:
        resolver: asks DNS; its time limits are those of the check.
        facts: of the domain.
        fetch: fetches the logo of BIMI and the policy of MTA-STS; None for a check without them.
    """
    dkim, mail_from, (record, dmarc), sender, replies = await asyncio.gather(
        check_dkim_records(resolver, facts),
        _check_envelope(resolver, facts),
        find_dmarc_record(resolver, facts.from_domain),
        check_sender_domain(resolver, facts.from_domain),
        check_reply_security(resolver, facts.reply_domain, fetch),
    )
    return [
        *judge_signing(facts),
        *dkim,
        *mail_from,
        dmarc,
        *await _check_dmarc(resolver, facts, record),
        *_judge_alignment(facts, record, dmarc),
        sender,
        *await check_bimi(resolver, facts.from_domain, record, fetch),
        *replies,
    ]


async def _check_envelope(resolver: Resolver, facts: DomainFacts) -> list[RuleResult]:
    record, results = await check_mail_from(resolver, facts)
    return [*results, *await check_lookups(resolver, facts.mail_from, record)] if record else results


async def _check_dmarc(resolver: Resolver, facts: DomainFacts, record: DmarcRecord | None) -> list[RuleResult]:
    if record is None:
        return []
    found = await resolver.query(facts.from_domain, "A")
    exists = not (isinstance(found, Absent) and found.reason is Absence.NXDOMAIN)
    policy = judge_policy(record, facts.from_domain, domain_exists=exists)
    if policy.verdict is Verdict.FAIL:
        return [policy]
    return [judge_syntax(record), policy, *judge_extent(record), *await check_reports(resolver, record)]


def _judge_alignment(facts: DomainFacts, record: DmarcRecord | None, dmarc: RuleResult) -> list[RuleResult]:
    """Judge alignment, unless the record that could ask for strict alignment is not known."""
    return [] if dmarc.verdict is Verdict.UNKNOWN else judge_alignment(facts, record)
