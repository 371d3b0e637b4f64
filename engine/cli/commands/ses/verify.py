"""`mailrun ses verify`."""

import asyncio
from pathlib import Path
from typing import Any

import botocore.exceptions
import msgspec
from msgspec import Struct

from engine.account.identities import find_identity
from engine.account.services import open_services
from engine.account.setup.whole.wanted_reading import read_domain
from engine.addresses.mailbox import domain_of, parse_mailbox
from engine.authentication.domains.all_checks import check_domain
from engine.authentication.domains.facts import DomainFacts, add_identity, describe_domain
from engine.authentication.https_fetch import HttpsFetch
from engine.authentication.resolver import DnsResolver
from engine.authentication.result_lines import count_verdicts, write_results
from engine.authentication.results import RuleResult, Verdict
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import read_settings
from engine.cli.suggestions import write_command
from engine.errors import ConfigurationError, ExitCode, UsageError
from engine.on_demand import OnDemand
from engine.settings import Settings, load_settings

_NO_ACCOUNT = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.NoRegionError,
)
_VERIFY_MESSAGE = OnDemand("engine.cli.commands.ses.verify_message:verify_message")  # dkimpy is for messages alone


class _Verified(Struct, frozen=True):
    facts: DomainFacts
    results: list[RuleResult]
    note: str  # why SES is not called; empty where it is


@with_common
def ses_verify(
    common: Common, domain: str | None, sender: str | None, mail_from: str | None, message: Path | None
) -> int:
    """Check a domain in SES and DNS, or a message; print the results; return the exit code."""
    settings = _read_settings(common)
    if message is not None:
        if domain or sender or mail_from:
            remedy = "give either the message or a domain: the message names its own"
            raise UsageError("a message and a domain are given", where="--message", remedy=remedy)
        return int(_VERIFY_MESSAGE(message, common, settings))
    name = domain or settings.ses.domain
    if not name:
        raise UsageError("no domain is given", remedy="name one, or set `domain` in [ses] of mailrun.toml")
    facts = _describe(_read_domain(name, "DOMAIN"), sender, mail_from)
    verified = asyncio.run(_verify(facts, settings))
    if common.json:
        print_json(_to_json(verified))
    else:
        print_lines(*_write(verified))
    failed = any(one.verdict is Verdict.FAIL for one in verified.results)
    return ExitCode.UNAVAILABLE if failed else ExitCode.FINISHED


def _read_settings(common: Common) -> Settings:
    """Read the settings of the workspace; without one, those of the environment."""
    try:
        return read_settings(common)
    except UsageError:
        if common.workspace is not None:
            raise
        return load_settings(Path.cwd())


def _describe(domain: str, sender: str | None, mail_from: str | None) -> DomainFacts:
    from_domain = domain
    if sender:
        try:
            from_domain = domain_of(parse_mailbox(sender).address)
        except ValueError as error:
            raise UsageError(f"the address {error.args[0]}", where="--from", remedy=error.args[1]) from None
        from_domain = _read_domain(from_domain, "--from")
    envelope = ""
    if mail_from:
        is_whole = mail_from == domain or mail_from.lower().endswith("." + domain)
        envelope = _read_domain(mail_from if is_whole else f"{mail_from}.{domain}", "--mail-from")
    return describe_domain(domain, from_domain=from_domain, mail_from=envelope)


def _read_domain(text: str, where: str) -> str:
    try:
        return read_domain(text, where)
    except ConfigurationError as error:  # an argument of the command line is its user's mistake
        raise UsageError(error.what, where=where, remedy=error.remedy) from None


async def _verify(facts: DomainFacts, settings: Settings) -> _Verified:
    facts, note = await _ask_ses(facts, settings)
    results = await check_domain(DnsResolver(settings.dns.nameservers), facts, HttpsFetch())
    return _Verified(facts, results, note)


async def _ask_ses(facts: DomainFacts, settings: Settings) -> tuple[DomainFacts, str]:
    """Add what SES says; without credentials or a region, what mailrun.toml says."""
    try:
        async with open_services() as services:
            client = await services.open("sesv2")
            facts = msgspec.structs.replace(facts, region=client.meta.region_name)
            found = await find_identity(client, facts.domain)
    except ConfigurationError as error:
        if not isinstance(error.__cause__, _NO_ACCOUNT):
            raise
        if not facts.mail_from and facts.domain == settings.ses.domain and settings.ses.mail_from:
            facts = msgspec.structs.replace(facts, mail_from=f"{settings.ses.mail_from}.{facts.domain}")
        return facts, error.what
    name, identity = found or (facts.domain, None)
    return add_identity(facts, name, identity), ""


def _to_json(verified: _Verified) -> dict[str, Any]:
    facts, results = verified.facts, verified.results
    return {
        "domain": facts.domain,
        "from_domain": facts.from_domain,
        "mail_from": facts.mail_from,
        "region": facts.region,
        "asked_ses": facts.has_account,
        "ready": not any(one.verdict is Verdict.FAIL for one in results),
        "results": msgspec.to_builtins(results),
    }


def _write(verified: _Verified) -> list[str]:
    facts = verified.facts
    place = f"SES in {facts.region}" if facts.has_account else f"DNS alone; SES is not called: {verified.note}"
    lines = [f"{facts.domain}, From {facts.from_domain}, in {place}", "", *write_results(verified.results), ""]
    counted = count_verdicts(verified.results)
    if any(one.verdict is Verdict.UNKNOWN for one in verified.results):
        counted += "; unknown: DNS or SES gave no answer, which proves nothing"
    return [*lines, counted, _suggest(verified)]


def _suggest(verified: _Verified) -> str:
    """Suggest the next command: the set-up, this one again, or the check of a campaign."""
    failed = {one.code for one in verified.results if one.verdict is Verdict.FAIL}
    domain = verified.facts.domain
    if "identity_status" in failed and not verified.facts.is_identity:
        return f"next: {write_command('ses', 'setup', domain)}"
    if failed:
        return f"next: correct what fails; when DNS has the records: {write_command('ses', 'verify', domain)}"
    return f"next: {write_command('check', 'CAMPAIGN')}"
