"""The account at a glance: limits, identities and configuration sets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.account.permissions import is_denied
from engine.account.quota import AccountQuota, read_quota
from engine.account.reply_codes import read_code
from engine.account.services import AwsServices
from engine.errors import MailrunError

PAGE = 1000  # entries a page of a list
MOST_DETAILED = 20  # identities whose details are read: SES permits one call a second


class IdentityDetails(Struct, frozen=True):
    """What GetEmailIdentity says of an identity.

    Attributes:
        dkim: state of its DKIM records: PENDING, SUCCESS, FAILED, TEMPORARY_FAILURE or NOT_STARTED; OFF where SES does
            not sign.
        mail_from: its MAIL FROM domain; empty for that of SES.
        mail_from_status: of the MX record of `mail_from`: PENDING, SUCCESS, FAILED or TEMPORARY_FAILURE.
        configuration_set: its default; empty for none.
    """

    dkim: str
    mail_from: str
    mail_from_status: str
    configuration_set: str


class IdentityState(Struct, frozen=True):
    """An identity as ListEmailIdentities shows it.

    Attributes:
        name: domain or address.
        kind: EMAIL_ADDRESS, DOMAIN or MANAGED_DOMAIN.
        status: of its verification: PENDING, SUCCESS, FAILED, TEMPORARY_FAILURE or NOT_STARTED.
        sends: whether it may be sent from.
        details: None where they were not read: beyond MOST_DETAILED, or not permitted.
    """

    name: str
    kind: str
    status: str
    sends: bool
    details: IdentityDetails | None = None


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


async def read_overview(services: AwsServices, report: Callable[[int, int], None]) -> AccountOverview:
    """Read it, with three kinds of calls and one for each of the first MOST_DETAILED identities.

    Args:
        services: of the account.
        report: called before each identity whose details are read, with its number and how many there are to read.

    Raises:
        ServiceError: SES cannot be reached, or refuses.
        ConfigurationError: there are no credentials or no region.
    """
    client = await services.open("sesv2")
    quota = await read_quota(client)
    identities = [_read_state(one) for one in await list_pages(client, "list_email_identities", "EmailIdentities")]
    sets = await list_pages(client, "list_configuration_sets", "ConfigurationSets")
    return AccountOverview(
        region=client.meta.region_name,
        quota=quota,
        identities=(*await _add_details(client, identities[:MOST_DETAILED], report), *identities[MOST_DETAILED:]),
        configuration_sets=tuple(sets),
    )


def _read_state(found: Mapping[str, Any]) -> IdentityState:
    return IdentityState(
        name=found["IdentityName"],
        kind=found.get("IdentityType", ""),
        status=found.get("VerificationStatus", ""),
        sends=bool(found.get("SendingEnabled")),
    )


async def _add_details(
    client: Any, identities: Sequence[IdentityState], report: Callable[[int, int], None]
) -> list[IdentityState]:
    detailed = []
    for number, identity in enumerate(identities, 1):
        report(number, len(identities))
        try:
            found = await client.get_email_identity(EmailIdentity=identity.name)
        except MailrunError as error:
            code = read_code(error)
            if code != "NotFoundException" and not is_denied(code):  # it has just been deleted, or may not be read
                raise
            detailed.append(identity)
        else:
            detailed.append(replace(identity, details=_read_details(found)))
    return detailed


def _read_details(found: Mapping[str, Any]) -> IdentityDetails:
    dkim, mail_from = found.get("DkimAttributes") or {}, found.get("MailFromAttributes") or {}
    return IdentityDetails(
        dkim=dkim.get("Status", "NOT_STARTED") if dkim.get("SigningEnabled") else "OFF",
        mail_from=mail_from.get("MailFromDomain", ""),
        mail_from_status=mail_from.get("MailFromDomainStatus", ""),
        configuration_set=found.get("ConfigurationSetName", ""),
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
