"""The addresses and domains that the account may send from and, in the SES sandbox, send to."""

from typing import Any

from engine.account.client import translate_aws_errors
from engine.account.reply_codes import read_code
from engine.account.unknown_operation import UnknownOperationError, find_variable, is_unknown_operation
from engine.errors import ServiceError
from engine.logs import get_logger
from engine.masking import show_address

log = get_logger()

SIMULATOR = "simulator.amazonses.com"


def covering_identities(address: str) -> list[str]:
    """List the identities that can cover an address: the address, its domain, the parent domains; one must be verified.

    An address identity is case-sensitive and covers its +labels
    (https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html).

    >>> covering_identities("Ann+news@mail.acme.example")
    ['Ann+news@mail.acme.example', 'Ann@mail.acme.example', 'mail.acme.example', 'acme.example']
    """
    local, _, domain = address.rpartition("@")
    addresses = [address] if "+" not in local else [address, f"{local.partition('+')[0]}@{domain}"]
    labels = domain.lower().split(".")
    return addresses + [".".join(labels[i:]) for i in range(len(labels) - 1)]


async def refuse_if_unverified(client: Any, address: str, key: str) -> None:
    """Check that the account may send from an address.

    Args:
        client: an SES client.
        address: the bare address.
        key: the key of campaign.toml that names it, for the message.

    Raises:
        ServiceError: neither the address nor one of its domains is a verified identity.
    """
    show_address(address)
    for identity in covering_identities(address):
        try:
            with translate_aws_errors("SES"):
                found = await client.get_email_identity(EmailIdentity=identity)
        except ServiceError as error:
            if is_unknown_operation(error, client):
                note = f"{UnknownOperationError(client, 'GetEmailIdentity').what}: whether {key} is verified is unknown"
                log.warning("sender.unknown", note=note, where=find_variable())
                return
            match read_code(error):
                case "NotFoundException":
                    continue
                case "AccessDeniedException" | "AccessDenied":
                    return  # reading identities is not permitted, sending may be; the first reply shows it
            raise
        if found.get("VerifiedForSendingStatus"):
            return
    raise ServiceError(
        f"the sender {address} is not verified in this account and region",
        where=key,
        remedy="verify the address or its domain in SES, or set `from` in campaign.toml to a verified address",
    )


async def find_identity(client: Any, domain: str) -> tuple[str, dict[str, Any]] | None:
    """Find the identity that covers a domain: the domain itself, or the nearest domain above it.

    Args:
        client: an SES client of AwsServices.
        domain: in lower case.

    Returns:
        Its name and the reply of GetEmailIdentity; None where the account has none.
    """
    labels = domain.split(".")
    for name in (".".join(labels[i:]) for i in range(len(labels) - 1)):
        try:
            return name, await client.get_email_identity(EmailIdentity=name)
        except ServiceError as error:
            if read_code(error) != "NotFoundException":
                raise
    return None


async def find_sender_identity(client: Any, address: str) -> tuple[str, dict[str, Any]] | None:
    """Find the domain identity that signs for an address: its domain's, or the nearest above it; else the address's.

    Args:
        client: an SES client.
        address: the bare address of `from`.

    Returns:
        Its name and the reply of GetEmailIdentity; None where there is none, it may not be read, or the endpoint
        does not support the operation.

    Raises:
        ServiceError: SES cannot be reached.
    """
    names = covering_identities(address)
    domains, addresses = [name for name in names if "@" not in name], [name for name in names if "@" in name]
    for name in (*domains, *addresses):
        try:
            with translate_aws_errors("SES"):
                return name, await client.get_email_identity(EmailIdentity=name)
        except ServiceError as error:
            if is_unknown_operation(error, client) or read_code(error) in ("AccessDeniedException", "AccessDenied"):
                return None
            if read_code(error) != "NotFoundException":
                raise
    return None


async def list_verified(client: Any) -> set[str]:
    """List the identities that are verified for sending: domains in lower case, addresses as they are."""
    verified: set[str] = set()
    token: dict[str, str] = {}
    while True:
        with translate_aws_errors("SES"):
            page = await client.list_email_identities(PageSize=1000, **token)
        for identity in page.get("EmailIdentities", []):
            name = identity["IdentityName"]
            if identity.get("VerificationStatus") == "SUCCESS" or identity.get("SendingEnabled"):
                verified.add(name if "@" in name else name.lower())
        if not page.get("NextToken"):
            return verified
        token = {"NextToken": page["NextToken"]}
