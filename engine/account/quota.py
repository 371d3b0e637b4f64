"""The account's limits: send rate, 24-hour quota, and whether it may send at all."""

from typing import Any

from msgspec import Struct

from engine.account.client import translate_aws_errors
from engine.account.unknown_operation import UnknownOperationError, is_unknown_operation
from engine.errors import MailrunError, ServiceError

UNLIMITED = -1  # how SES writes an unlimited 24-hour quota


class AccountQuota(Struct, frozen=True):
    """The part of GetAccount's answer that sending needs.

    Attributes:
        max_send_rate: recipients a second.
        max_24_hours: recipients in any 24 hours; None is unlimited.
        sent_24_hours: recipients in the last 24 hours, by every sender of the account; SES updates it late.
        production: False while the account is in the SES sandbox.
        sending_enabled: False while sending is paused.
        enforcement: HEALTHY, PROBATION or SHUTDOWN.
    """

    max_send_rate: float
    max_24_hours: float | None
    sent_24_hours: float
    production: bool
    sending_enabled: bool
    enforcement: str

    @property
    def left_24_hours(self) -> float | None:
        """Recipients that may still be sent now; None is unlimited."""
        return None if self.max_24_hours is None else max(0.0, self.max_24_hours - self.sent_24_hours)


async def read_quota(client: Any) -> AccountQuota:
    """Read the account's limits. SES allows GetAccount once a second.

    Raises:
        ServiceError: SES cannot be reached or refuses the credentials.
        ConfigurationError: there are no credentials.
        UnknownOperationError: the endpoint is not SES, and does not support the operation.
    """
    try:
        with translate_aws_errors("SES"):
            account = await client.get_account()
    except ServiceError as error:
        if is_unknown_operation(error, client):
            raise UnknownOperationError(client, "GetAccount") from error
        raise
    limits = account.get("SendQuota", {})
    max_24_hours = limits.get("Max24HourSend", UNLIMITED)
    return AccountQuota(
        max_send_rate=limits.get("MaxSendRate", 1.0),
        max_24_hours=None if max_24_hours == UNLIMITED else max_24_hours,
        sent_24_hours=limits.get("SentLast24Hours", 0.0),
        production=account.get("ProductionAccessEnabled", True),
        sending_enabled=account.get("SendingEnabled", True),
        enforcement=account.get("EnforcementStatus", "HEALTHY"),
    )


async def find_production_access(client: Any) -> bool | None:
    """Find out whether the account has left the SES sandbox; None where SES does not say."""
    try:
        return (await read_quota(client)).production
    except MailrunError:
        return None  # it may not be read, or the endpoint is not SES: what is asked for goes on


def refuse_if_stopped(quota: AccountQuota) -> None:
    """Check that the account may send.

    Raises:
        ServiceError: sending is paused, or SES has shut the account down.
    """
    if quota.enforcement == "SHUTDOWN":
        raise ServiceError(
            "SES has shut down sending for this account",
            where="GetAccount: EnforcementStatus SHUTDOWN",
            remedy="see the case in the AWS Support Center; launch again when it is resolved",
        )
    if quota.max_send_rate <= 0:
        raise ServiceError(
            "the account cannot send: its send rate is 0",
            where="GetAccount: MaxSendRate",
            remedy="see the account's limits in the SES console; launch again when it may send",
        )
    if not quota.sending_enabled:
        raise ServiceError(
            "sending is paused for this account",
            where="GetAccount: SendingEnabled false",
            remedy="find out why, then enable it: aws sesv2 put-account-sending-attributes --sending-enabled",
        )
