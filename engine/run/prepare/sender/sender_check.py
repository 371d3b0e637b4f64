"""The rules of Gmail, Yahoo and Microsoft, for one campaign: what `check` shows in full, and a launch in short.

DNS is asked and the unsubscribe link is tested only where mail goes to real receivers: not for the sandbox, an outbox
or an endpoint of this machine, unless `[dns] nameservers` names servers for it.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from engine.account.client import Endpoint
from engine.account.identities import find_sender_identity
from engine.audience.providers import name_receiver
from engine.authentication.alignment import clean_domain
from engine.authentication.domains.dmarc_record import DmarcRecord, Policy, find_dmarc_record
from engine.authentication.domains.facts import DomainFacts, add_identity, describe_domain
from engine.authentication.domains.launch_checks import check_mail_from
from engine.authentication.resolver import DnsResolver, Resolver
from engine.authentication.results import RuleResult, Verdict
from engine.authentication.sender_evidence import is_sender_aligned, list_domain_evidence
from engine.authentication.sender_rules import BULK_MESSAGES, Evidence, RuleRow, judge_evidence, list_failures
from engine.campaign.lint_findings import LintFindings
from engine.campaign.spec import Campaign
from engine.campaign.spec_values import TOKEN_PLACEHOLDER
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.delivery.outbound import Outbound
from engine.errors import ServiceError
from engine.feedback.unsubscribe.probe import probe_link
from engine.feedback.unsubscribe.tokens import make_probe
from engine.ledger.database import Ledger
from engine.ledger.event_counts import sum_receivers
from engine.logs import get_logger
from engine.run.prepare.preflight import is_local, reaches_receivers
from engine.run.prepare.routes import naming_region
from engine.run.prepare.sender.region_evidence import merge_evidence
from engine.run.prepare.sender.sender_content import judge_content, judge_spam_rates
from engine.settings import Settings

log = get_logger()

SPAM_DAYS = 30
_LAUNCH_SECONDS = 3.0  # for all questions to DNS before a launch
_REJECTS = "REJECT_MESSAGE"
_READY = "SUCCESS"


class SenderDomain(Struct, frozen=True):
    """What SES and DNS say about the sender's domain.

    Attributes:
        facts: of SES.
        record: the DMARC record that applies; None for none.
        results: of the checks of MAIL FROM and DMARC.
        rejects: SES refuses every message, because the MAIL FROM domain is not ready.
    """

    facts: DomainFacts
    record: DmarcRecord | None
    results: tuple[RuleResult, ...]
    rejects: bool = False


async def judge_sender(  # noqa: PLR0913 - what the rules are about, named one by one
    campaign: Campaign,
    outbounds: Sequence[Outbound],
    *,
    findings: LintFindings,
    html_bytes: int,
    keys: tuple[bytes, ...],
    ledger: Ledger | None,
    endpoint: Endpoint | None,
    settings: Settings,
    now: datetime,
) -> tuple[RuleRow, ...]:
    """Judge a campaign by the sender rules.

    Args:
        campaign: as it is checked.
        outbounds: its destination, or one in each of its regions; at least one.
        findings: what lint found in the sample.
        html_bytes: of the largest HTML part in it.
        keys: that sign its unsubscribe links; none where it has no links of its own.
        ledger: with the events of the last days; None for none.
        endpoint: the embedded sandbox.
        settings: with the name servers.
        now: the time.

    Raises:
        ServiceError: SES cannot be reached.
    """
    evidence = list(judge_content(campaign.spec, findings, html_bytes))
    reaching = [one for one in outbounds if reaches_receivers(one, endpoint, settings)]
    if reaching:
        resolver = DnsResolver(settings.dns.nameservers)
        domains, probed = await asyncio.gather(
            _read_sender_domains(reaching, resolver), _probe(campaign, keys, reaching[0].endpoint, resolver)
        )
        evidence += [*_list_evidence(domains), *probed, *_judge_transport(reaching[0])]
        if ledger is not None:
            evidence += judge_spam_rates(_sum_by_receiver(ledger, now))
    return judge_evidence(evidence)


async def _read_sender_domains(outbounds: Sequence[Outbound], resolver: Resolver) -> dict[str, SenderDomain]:
    """Ask all regions at once; return what each says.

    Raises:
        ServiceError: SES cannot be reached in one of them; the text names it.
    """

    async def read(outbound: Outbound) -> SenderDomain:
        with naming_region(outbound.region):
            return await read_sender_domain(outbound, resolver)

    found = await asyncio.gather(*map(read, outbounds))
    return {one.region: domain for one, domain in zip(outbounds, found, strict=True)}


def _list_evidence(domains: Mapping[str, SenderDomain]) -> list[Evidence]:
    return merge_evidence(
        {region: [*list_domain_evidence(one.facts, one.record, one.results)] for region, one in domains.items()}
    )


async def read_sender_domain(outbound: Outbound, resolver: Resolver) -> SenderDomain:
    """Ask SES for the identity of the sender, then DNS for MAIL FROM and DMARC.

    Raises:
        ServiceError: SES cannot be reached.
    """
    address, client = outbound.spec.sender_address, outbound.client
    domain = clean_domain(address.rpartition("@")[2])
    region = "" if client is None else str(client.meta.region_name or "")
    facts, rejects = describe_domain(domain, region=region), False
    found = None if client is None else await find_sender_identity(client, address)
    if found is not None:
        name, identity = found
        facts = add_identity(facts, name.rpartition("@")[2], identity)
        attributes: Mapping[str, Any] = identity.get("MailFromAttributes") or {}
        rejects = (
            bool(attributes.get("MailFromDomain"))
            and attributes.get("BehaviorOnMxFailure") == _REJECTS
            and attributes.get("MailFromDomainStatus") != _READY
        )
    (_, mail_from), (record, dmarc) = await asyncio.gather(
        check_mail_from(resolver, facts), find_dmarc_record(resolver, domain)
    )
    return SenderDomain(facts, record, (*mail_from, dmarc), rejects)


async def _probe(campaign: Campaign, keys: tuple[bytes, ...], endpoint: str, resolver: Resolver) -> list[Evidence]:
    spec = campaign.spec
    if not keys or spec.unsubscribe is None or spec.unsubscribe.url is None:
        return []
    token = make_probe(TokenSigner(keys), spec.suppression.topic or campaign.name)
    url = TOKEN_PLACEHOLDER.sub(lambda _: token, spec.unsubscribe.url)
    found = await probe_link(url, may_be_local=is_local(urlsplit(endpoint).hostname or ""), resolver=resolver)
    return [Evidence(found.code, found.verdict, found.what, found.where, found.remedy)]


def _judge_transport(outbound: Outbound) -> Iterator[Evidence]:
    if outbound.server is not None:
        what, remedy = "the connections of your server to receivers are not known", "examine a message that arrived"
        yield Evidence("tls", Verdict.UNKNOWN, what, outbound.endpoint, remedy)
        yield Evidence("reverse_dns", Verdict.UNKNOWN, what, outbound.endpoint, remedy)
        return
    yield Evidence("tls", Verdict.PASS, "SES sends over TLS to every receiver that offers it", "SES")
    yield Evidence("reverse_dns", Verdict.PASS, "the IP addresses of SES have names that lead back to them", "SES")


def _sum_by_receiver(ledger: Ledger, now: datetime) -> dict[str, tuple[int, int]]:
    """Return delivered messages and complaints by the receiver's name, such as Yahoo."""
    sums: dict[str, tuple[int, int]] = {}
    with ledger.read() as tx:
        counted = sum_receivers(tx, now - timedelta(days=SPAM_DAYS))
    for domain, counts in counted.items():
        name = name_receiver(domain)
        delivered, complained = sums.get(name, (0, 0))
        sums[name] = delivered + counts["delivered"], complained + counts["complained"]
    return sums


async def refuse_certain_rejection(outbounds: Sequence[Outbound], *, recipients: int, settings: Settings) -> None:
    """Refuse a launch whose mail is certainly rejected; log what a large one breaks.

    Certain are: SES itself refuses while MAIL FROM is not ready; or nothing is aligned and the DMARC record asks
    receivers to reject such mail. DNS has a few seconds, and a question without an answer refuses nothing.

    Args:
        outbounds: the SES account whose mail reaches receivers, or those of the regions that can send.
        recipients: of the plan.
        settings: with the name servers.

    Raises:
        ServiceError: the mail is certainly rejected; the text names the region, where there are several.
    """
    resolver = DnsResolver(settings.dns.nameservers, query_seconds=_LAUNCH_SECONDS, all_seconds=_LAUNCH_SECONDS)
    try:
        found = await _read_sender_domains(outbounds, resolver)
    except ServiceError as error:  # the account has been checked: sending shows whether it works
        log.warning("sender.unknown", note=f"the sender rules are not checked: {error.what}")
        return
    for region, domain in found.items():
        with naming_region(region):
            _refuse_certain(domain)
    rows = judge_evidence(_list_evidence(found))
    if recipients < BULK_MESSAGES:
        return
    for row in list_failures(rows):
        by = ", ".join(row.list_receivers(Verdict.FAIL))
        one = row.evidence
        log.warning("sender.rule", what=f"{one.what}; {by} may reject this run", where=one.where, do=one.remedy)


def _refuse_certain(found: SenderDomain) -> None:
    facts, record = found.facts, found.record
    if found.rejects:
        state = facts.mail_from_status.lower().replace("_", " ")
        raise ServiceError(
            f"SES refuses mail while the MAIL FROM domain {facts.mail_from} is not ready ({state})",
            where=f"identity {facts.domain}: BehaviorOnMxFailure REJECT_MESSAGE",
            remedy="publish the MX record of the MAIL FROM domain, or set BehaviorOnMxFailure to USE_DEFAULT_VALUE",
        )
    is_reject = record is not None and record.find_policy() is Policy.REJECT
    if is_reject and record is not None and is_sender_aligned(facts, record) is False:
        raise ServiceError(
            f"receivers reject this mail: neither DKIM nor MAIL FROM is aligned with {facts.from_domain}, and its DMARC"
            " record asks them to reject such mail",
            where=record.where,
            remedy=f"turn on DKIM for {facts.from_domain} in SES: mailrun ses verify {facts.from_domain} shows what is"
            " missing",
        )
