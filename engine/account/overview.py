"""The account at a glance: limits, identities and configuration sets."""

from typing import Any

from msgspec import Struct

from engine.account.quota import AccountQuota, read_quota
from engine.account.services import AwsServices

PAGE = 1000  # entries a page of a list


class IdentityState(Struct, frozen=True):
    """An identity as ListEmailIdentities shows it.

    Attributes:
        name: domain or address.
        kind: EMAIL_ADDRESS, DOMAIN or MANAGED_DOMAIN.
        status: of its verification: PENDING, SUCCESS, FAILED, TEMPORARY_FAILURE or NOT_STARTED.
        sends: whether it may be sent from.
    """

    name: str
    kind: str
    status: str
    sends: bool


class AccountOverview(Struct, frozen=True):
    """The account at a glance.

    Attributes:
        region: of the account.
        quota: limits and state.
        identities: in SES's order.
        configuration_sets: their names.
    """

    region: str
    quota: AccountQuota
    identities: tuple[IdentityState, ...]
    configuration_sets: tuple[str, ...]


async def read_overview(services: AwsServices) -> AccountOverview:
    """Read it, with three kinds of calls.

    Raises:
        ServiceError: SES cannot be reached, or refuses.
        ConfigurationError: there are no credentials or no region.
    """
    client = await services.open("sesv2")
    quota = await read_quota(client)
    identities = await list_pages(client, "list_email_identities", "EmailIdentities")
    sets = await list_pages(client, "list_configuration_sets", "ConfigurationSets")
    return AccountOverview(
        region=client.meta.region_name,
        quota=quota,
        identities=tuple(
            IdentityState(
                name=found["IdentityName"],
                kind=found.get("IdentityType", ""),
                status=found.get("VerificationStatus", ""),
                sends=bool(found.get("SendingEnabled")),
            )
            for found in identities
        ),
        configuration_sets=tuple(sets),
    )


async def list_pages(client: Any, method: str, member: str, **parameters: Any) -> list[Any]:
    """Read all pages of a list.

    Args:
        client: of services.py.
        method: such as list_email_identities.
        member: of the answer, which holds the entries.
        parameters: of each call.
    """
    entries: list[Any] = []
    token: dict[str, str] = {}
    while True:
        page = await getattr(client, method)(PageSize=PAGE, **parameters, **token)
        entries += page.get(member, [])
        if not page.get("NextToken"):
            return entries
        token = {"NextToken": page["NextToken"]}
