"""MTA-STS and TLS reports of the domain that receives replies: mail to it is sent over TLS (RFC 8461, RFC 8460)."""

import asyncio

import checkdmarc.mta_sts
import checkdmarc.smtp_tls_reporting

from engine.authentication.domains.rules import give_advice, give_pass, give_unknown, give_unknown_because, show
from engine.authentication.https_fetch import Fetch, FetchFailure, FetchResult
from engine.authentication.resolver import Answer, Records, Resolver, Unknown
from engine.authentication.results import RuleResult
from engine.authentication.tag_list import starts_with_version

_POLICY_BYTES_MAXIMUM = 64_000  # RFC 8461 3.3: at least 64 KB
_LENGTH_MAXIMUM = 4096  # characters of a record that are parsed


async def check_reply_security(resolver: Resolver, domain: str, fetch: Fetch | None) -> list[RuleResult]:
    """Check the records, and the policy of MTA-STS where there is something to fetch it with."""
    sts, reports = await asyncio.gather(
        resolver.query(f"_mta-sts.{domain}", "TXT"), resolver.query(f"_smtp._tls.{domain}", "TXT")
    )
    result = judge_sts_record(f"_mta-sts.{domain}", sts)
    if result is None:
        url = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
        found = None if fetch is None else await fetch(url, limit=_POLICY_BYTES_MAXIMUM)
        result = judge_sts_policy(f"_mta-sts.{domain}", url, found)
    return [result, judge_report_record(f"_smtp._tls.{domain}", reports)]


def judge_sts_record(name: str, answer: Answer) -> RuleResult | None:
    """Judge the record; None where it is valid, and the policy decides."""
    remedy = 'publish "v=STSv1; id=NUMBER" and a policy, so that replies to you are sent over TLS'
    if isinstance(answer, Unknown):
        return give_unknown("mta_sts", answer, "MTA-STS")
    records = [one for one in _list_values(answer) if starts_with_version(one, "STSv1")]
    if len(records) != 1:
        what = f"there are {len(records)} MTA-STS records" if records else "there is no MTA-STS record"
        return give_advice("mta_sts", what, name, remedy)
    try:
        checkdmarc.mta_sts.parse_mta_sts_record(records[0][:_LENGTH_MAXIMUM])
    except checkdmarc.mta_sts.MTASTSError:
        return give_advice("mta_sts", f"the MTA-STS record is not valid: {show(records[0])}", name, remedy)
    return None


def judge_sts_policy(name: str, url: str, found: FetchResult | None) -> RuleResult:
    """Judge the policy file; None where it is not fetched."""
    if found is None:
        return give_pass("mta_sts", "the record is valid; its policy is not fetched", name)
    if isinstance(found, FetchFailure):
        if found.is_certain:
            return give_advice("mta_sts", f"there is no policy: {found.what}", url, "publish the policy there")
        return give_unknown_because("mta_sts", found.what, url, "run the command again")
    try:
        text = found.body.decode("utf-8", "replace")
        mode = str(checkdmarc.mta_sts.parse_mta_sts_policy(text)["policy"]["mode"])
    except (checkdmarc.mta_sts.MTASTSError, KeyError, ValueError):
        return give_advice("mta_sts", "the policy is not valid", url, "correct the file")
    if mode != "enforce":
        what = f"the policy has the mode {show(mode)}: mail is also sent without TLS"
        return give_advice("mta_sts", what, url, "change the mode to enforce when the TLS reports are good")
    return give_pass("mta_sts", "the policy asks for TLS", url)


def judge_report_record(name: str, answer: Answer) -> RuleResult:
    """Judge the record that asks for TLS reports."""
    remedy = 'publish "v=TLSRPTv1; rua=mailto:ADDRESS"'
    if isinstance(answer, Unknown):
        return give_unknown("tls_rpt", answer, "TLS report")
    records = [one for one in _list_values(answer) if starts_with_version(one, "TLSRPTv1")]
    if len(records) != 1:
        what = f"there are {len(records)} records for TLS reports" if records else "no TLS reports are asked for"
        return give_advice("tls_rpt", what, name, remedy)
    try:
        checkdmarc.smtp_tls_reporting.parse_smtp_tls_reporting_record(records[0][:_LENGTH_MAXIMUM])
    except checkdmarc.smtp_tls_reporting.SMTPTLSReportingError:
        return give_advice("tls_rpt", f"the record is not valid: {show(records[0])}", name, remedy)
    return give_pass("tls_rpt", "TLS reports are asked for", name)


def _list_values(answer: Answer) -> tuple[str, ...]:
    return answer.values if isinstance(answer, Records) else ()
