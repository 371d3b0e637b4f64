"""Before anything is frozen or sent: may this account send this campaign to these people?"""

from pathlib import Path
from typing import Any

import polars as pl

from engine.account.identities import SIMULATOR, list_verified, refuse_if_unverified
from engine.account.quota import Quota, read_quota, refuse_if_stopped
from engine.errors import ServiceError


async def check_account(client: Any, sender_address: str) -> Quota:
    """Check that the account may send, and from this sender.

    Raises:
        ServiceError: SES cannot be reached, or the account may not send.
        ConfigurationError: no credentials or region.
    """
    quota = await read_quota(client)
    refuse_if_stopped(quota)
    await refuse_if_unverified(client, sender_address, "campaign.toml: from")
    return quota


async def check_recipients(client: Any, quota: Quota, plan: Path) -> None:
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
            f"the account is in the SES sandbox, and {unverified} of {total} recipients are not verified"
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
