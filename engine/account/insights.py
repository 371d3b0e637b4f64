"""GetEmailAddressInsights: whether SES expects that an address can be reached.

Source: https://docs.aws.amazon.com/ses/latest/dg/email-validation-api.html. Each call is charged; a call looks up one
address. Of `IsValid`, HIGH is good; of the risks such as `IsDisposable`, HIGH is bad.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import botocore.exceptions
from msgspec import Struct

from engine.account.services import AwsServices
from engine.errors import ServiceError

USD_PER_LOOKUP = 0.01  # https://aws.amazon.com/ses/pricing/
LOOKUPS_A_SECOND = 1.0  # as for all operations without a quota of their own
_LEVELS = ("LOW", "MEDIUM", "HIGH")
_GOOD = {"HasValidSyntax": "syntax", "HasValidDnsRecords": "DNS records", "MailboxExists": "mailbox exists"}
_RISKS = {"IsRoleAddress": "role address", "IsDisposable": "disposable", "IsRandomInput": "random text"}


class AddressInsight(Struct, frozen=True):
    """What SES says of an address.

    Attributes:
        valid: LOW, MEDIUM or HIGH confidence that it can be reached; None where SES gave without a verdict.
        reasons: what speaks against it, such as "mailbox exists: LOW".
    """

    valid: str | None
    reasons: tuple[str, ...] = ()


async def look_up_addresses(
    services: AwsServices, addresses: Iterable[str]
) -> AsyncIterator[tuple[str, AddressInsight]]:
    """Look addresses up, one after the other, as fast as SES allows.

    Yields:
        Each address and its insight. An address that SES cannot parse has without a verdict.

    Raises:
        ServiceError: SES cannot be reached, refuses, or throttles for too long.
        ConfigurationError: no credentials or region.
    """
    client = await services.open("sesv2")
    for address in addresses:
        try:
            answer = await client.get_email_address_insights(EmailAddress=address)
        except ServiceError as error:
            if not _is_bad_request(error):
                raise
            answer = {}
        yield address, read_insight(answer)


def read_insight(answer: Any) -> AddressInsight:
    """Read an answer; what is missing or unknown in it is without a verdict.

    >>> read_insight({"MailboxValidation": {"IsValid": {"ConfidenceVerdict": "LOW"},
    ...     "Evaluations": {"MailboxExists": {"ConfidenceVerdict": "LOW"}}}})
    AddressInsight(valid='LOW', reasons=('mailbox exists: LOW',))
    """
    found = _member(answer, "MailboxValidation")
    checks = _member(found, "Evaluations")
    bad = [f"{word}: LOW" for name, word in _GOOD.items() if _level(checks, name) == "LOW"]
    bad += [f"{word}: HIGH" for name, word in _RISKS.items() if _level(checks, name) == "HIGH"]
    return AddressInsight(_level(found, "IsValid"), tuple(bad))


def _level(source: dict[str, Any], name: str) -> str | None:
    level = _member(source, name).get("ConfidenceVerdict")
    return level if level in _LEVELS else None


def _member(source: Any, name: str) -> dict[str, Any]:
    value = source.get(name) if isinstance(source, dict) else None
    return value if isinstance(value, dict) else {}


def _is_bad_request(error: ServiceError) -> bool:
    cause = error.__cause__
    return isinstance(cause, botocore.exceptions.ClientError) and cause.response["Error"].get("Code") in (
        "BadRequestException",
        "ValidationException",
    )
