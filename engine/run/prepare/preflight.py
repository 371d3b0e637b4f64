"""Checks before anything is frozen or sent: the account may send this campaign, and its recipients can opt out."""

import re
from bisect import bisect_left
from collections.abc import Callable
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import polars as pl

from engine.account.client import Endpoint
from engine.account.identities import SIMULATOR, list_verified, refuse_if_unverified
from engine.account.quota import AccountQuota, refuse_if_stopped
from engine.campaign.lint_findings import LintFinding, LintFindings, Severity
from engine.campaign.render_error import RenderError
from engine.campaign.unsubscribe_links import LONGEST_LINK
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.delivery.outbound import Outbound
from engine.errors import ConfigurationError, ServiceError, UnreachableError
from engine.feedback.unsubscribe.tokens import find_token, verify_token
from engine.logs import get_logger
from engine.on_demand import OnDemand
from engine.quantities import format_count
from engine.settings import Settings

log = get_logger()

_check_server = OnDemand("engine.delivery.transports.smtp_check:check_server")  # SMTP alone needs it
_read_mail = OnDemand("engine.feedback.inbound.mail:read_mail")  # unsubscribe addresses alone need it

LONGEST_ADDRESS = 320  # bytes: 64 before the @ and 255 after it, RFC 5321 4.5.3.1
LONG_LINK = "long_unsubscribe_link"  # the code of the finding


async def check_account(outbound: Outbound, sender_address: str) -> AccountQuota:
    """Check that the account may send, and from this sender.

    Args:
        outbound: the destination: an account, an SMTP server, or files.
        sender_address: the bare address of `from`.

    Raises:
        ServiceError: SES or the server cannot be reached, or may not be sent through.
        ConfigurationError: no credentials or region, or the server refuses them.
        UnreachableError: the SMTP server refuses for now.
    """
    quota = await outbound.read_quota()
    refuse_if_stopped(quota)
    if outbound.client is not None:
        await check_sender(outbound, sender_address)
    if outbound.server is not None:
        await _check_server(outbound.server, sender_address)
    return quota


async def check_account_or_wait(outbound: Outbound, sender_address: str) -> AccountQuota:
    """Check as `check_account` does, but an SMTP server that is busy now is not an error: sending waits for it."""
    try:
        return await check_account(outbound, sender_address)
    except UnreachableError as error:
        log.warning("server.busy", note=f"{error.what}; sending retries it")
        return await outbound.read_quota()


def reaches_receivers(outbound: Outbound, endpoint: Endpoint | None, settings: Settings) -> bool:
    """Return whether mail goes to real receivers, so that DNS and links may be asked."""
    if endpoint is not None or outbound.spec.delivery.transport == "outbox":
        return False
    return bool(settings.dns.nameservers) or not is_local(urlsplit(outbound.endpoint).hostname or "")


def is_local(host: str) -> bool:
    """Return whether a host is this machine, by its name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost")


async def check_sender(outbound: Outbound, address: str) -> None:
    """Check that the account may send from an address; for a server other than SES, a failed check is only logged."""
    try:
        await refuse_if_unverified(outbound.client, address, "campaign.toml: from")
    except ServiceError as error:
        if not outbound.given_warnings:
            raise
        log.warning("sender.unknown", note=f"{error.what}, according to {outbound.endpoint}; sending anyway")


async def check_recipients(client: Any, quota: AccountQuota, plan: Path) -> None:
    """Check that an account in the SES sandbox may send to everybody in a plan.

    Raises:
        ServiceError: some recipients are neither verified nor the mailbox simulator.
    """
    if quota.production:
        return
    unverified, total, example = count_unverified(plan, await list_verified(client))
    if unverified:
        local, _, domain = example.rpartition("@")
        raise ServiceError(
            f"the account is in the SES sandbox, and not verified: {unverified:,} of {format_count(total, 'recipient')}"
            f" (the first is {local[:1]}***@{domain})",
            where="GetAccount: ProductionAccessEnabled false",
            remedy="request production access, or send to verified addresses and the mailbox simulator only;"
            " to try the campaign without SES: --sandbox",
        )


def count_unverified(plan: Path, verified: set[str]) -> tuple[int, int, str]:
    """Count the recipients that an account in the SES sandbox may not send to.

    Args:
        plan: the folder with recipients-*.parquet.
        verified: domains in lower case, addresses as they are.

    Returns:
        How many are not covered, how many recipients there are, and the first that is not covered.
    """
    domains = {name for name in verified if "@" not in name} | {SIMULATOR}
    addresses = verified - domains
    domain = pl.col("address").str.extract(r"@([^@]+)$").str.to_lowercase()
    unlabelled = pl.col("address").str.replace(r"\+[^@]*@", "@")
    covered = (
        domain.is_in(domains)
        | pl.any_horizontal(pl.lit(value=False), *(domain.str.ends_with(f".{d}") for d in sorted(domains)))
        | pl.col("address").is_in(addresses)
        | unlabelled.is_in(addresses)
    )
    rows = pl.scan_parquet(plan / "recipients-*.parquet")
    found = rows.select(
        pl.len().alias("total"),
        (~covered).sum().alias("unverified"),
        pl.col("address").filter(~covered).first().alias("example"),
    ).collect()
    total, unverified, example = found.row(0)
    return unverified, total, example or ""


def check_unsubscribe_links(list_unsubscribe: str, signer: TokenSigner, address: str, topic: str) -> None:
    """Check that a message's unsubscribe link or mail works, with the request that a mail program would send.

    Args:
        list_unsubscribe: the header's value.
        signer: verifies its tokens.
        address: whose message it is.
        topic: the campaign's.

    Raises:
        ConfigurationError: a click or a mail would not unsubscribe this address from this topic.
    """
    for url in re.findall("<([^>]*)>", list_unsubscribe):
        is_mail = url.startswith("mailto:")
        if (_mail_to if is_mail else _click)(url, signer) != [(address, topic)]:
            key = "mailto" if is_mail else "url"
            raise ConfigurationError(
                f"the unsubscribe link does not work: {'mailrun inbound' if is_mail else 'the unsubscribe server'} does"
                " not recognise the campaign's own link",
                where=f"campaign.toml, [unsubscribe] {key}",
                remedy=f"simplify the {key}: {{{{ token }}}} in the path or the query of the link is recognised",
            )


def find_longest_address(offer: Callable[[str], object]) -> int:
    """Find the longest address whose unsubscribe link fits into its header.

    Args:
        offer: makes the header's value for an address; raises RenderError where the link is too long.

    Returns:
        Bytes of UTF-8; 0 where no link fits.
    """

    def is_too_long(length: int) -> bool:
        try:
            offer("a" * length)
        except RenderError:
            return True
        return False

    return bisect_left(range(1, LONGEST_ADDRESS + 1), True, key=is_too_long)  # noqa: FBT003 - what is searched for


def check_link_lengths(offer: Callable[[str], object], plan: Path, campaign_file: str) -> LintFindings:
    """Check that unsubscribe links fit into their header.

    Args:
        offer: as in find_longest_address.
        plan: the folder with recipients-*.parquet.
        campaign_file: the campaign.toml, for the finding.

    Returns:
        A finding, counted once for each recipient whose link is too long.

    Raises:
        ConfigurationError: the link is too long for every recipient.
    """
    findings, longest = LintFindings(), find_longest_address(offer)
    if longest >= LONGEST_ADDRESS:
        return findings
    is_too_long = pl.col("address").str.len_bytes() > longest
    rows = pl.scan_parquet(plan / "recipients-*.parquet")
    total, count, row = (
        rows.select(pl.len(), is_too_long.sum(), pl.col("row").filter(is_too_long).min()).collect().row(0)
    )
    where = f"{campaign_file}, [unsubscribe]"
    what = f"the unsubscribe link is longer than the {LONGEST_LINK} characters that SES accepts"
    if count and count == total:
        raise ConfigurationError(f"{what}, for every recipient", where=where, remedy="shorten url or mailto")
    if count:
        remedy = "shorten url or mailto; these recipients fail"
        findings.add(LintFinding(Severity.ERROR, LONG_LINK, what, remedy, where), row, times=count)
    return findings


def _click(url: str, signer: TokenSigner) -> list[tuple[str, str]]:
    """Return the token's address and topic that one click on a link unsubscribes."""
    parts = urlsplit(url)
    found = find_token(f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", signer)
    return [] if found is None else [(found.address, found.topic)]


def _mail_to(url: str, signer: TokenSigner) -> list[tuple[str, str]]:
    """Return the token's address and topic that the mail of a mailto: link unsubscribes."""
    to, _, query = url.removeprefix("mailto:").partition("?")
    mail = EmailMessage()
    mail["From"], mail["To"] = "somebody@client.example", unquote(to)
    mail["Subject"] = unquote(query.removeprefix("subject="))
    tokens = _read_mail(mail.as_bytes()).tokens
    return [(found.address, found.topic) for token in tokens if (found := verify_token(token, signer))]
