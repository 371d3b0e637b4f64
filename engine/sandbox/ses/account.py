"""An SES account: what it may send, to which recipients, and how much of its limits is used."""

from collections.abc import Sequence
from typing import Any

from engine.clock import Clock
from engine.sandbox.dedicated.addresses import DedicatedAddresses
from engine.sandbox.http.replies import ApiError, message_rejected, quota_exceeded, rate_exceeded
from engine.sandbox.ses.configuration_sets import ConfigurationSets
from engine.sandbox.ses.identity.identities import Identities
from engine.sandbox.ses.limits import RateBucket, RollingQuota, SlidingSecond
from engine.sandbox.ses.simulator import fate_of, is_simulator
from engine.sandbox.ses.suppression import SandboxSuppressionList

ENFORCEMENT_STATUSES = ("HEALTHY", "PROBATION", "SHUTDOWN")
MAX_NAMED_IDENTITIES = 3  # of those that are not verified; the real text also ends in "..." after some


class SandboxAccount:
    """The state of an account, and its decisions about what to accept.

    Args:
        bucket: the send rate.
        quota: the 24-hour quota.
        identities: what may be sent from and, in sandbox mode, to.
        configuration_sets: what may be sent through.
        production_access: False puts the account into sandbox mode.
        clock: time, for the statistics.
        dedicated: its dedicated IP addresses and pools; None for none.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, one per part of an account
        self,
        *,
        bucket: RateBucket,
        quota: RollingQuota,
        identities: Identities,
        configuration_sets: ConfigurationSets,
        production_access: bool,
        clock: Clock,
        dedicated: DedicatedAddresses | None = None,
    ) -> None:
        self.bucket = bucket
        self.quota = quota
        self.identities = identities
        self.configuration_sets = configuration_sets
        self.suppression = SandboxSuppressionList()
        self.dedicated = dedicated or DedicatedAddresses()
        self.production_access = production_access
        self.sending_enabled = True
        self.reachable = True
        self.enforcement_status = "HEALTHY"
        self.vdm_enabled = False
        self.fixed_rates = dict[str, float]()  # BOUNCE or COMPLAINT, 0 to 1, instead of the computed one
        self.accepted_messages = 0
        self.accepted_recipients = 0
        self.throttled_calls = 0
        self.quota_refusals = 0
        self.sliding_second = SlidingSecond(clock)

    def check_may_send(self, sender: str, *, configuration_set: str | None, region: str) -> None:
        """Refuse a call that the state of the account, the sender or the configuration set does not allow.

        Raises:
            ApiError: AccountSuspendedException, SendingPausedException, NotFoundException or MessageRejected.
        """
        if self.enforcement_status == "SHUTDOWN":
            raise ApiError("AccountSuspendedException", "Sending is permanently restricted for this account.")
        if not self.sending_enabled:
            raise ApiError("SendingPausedException", "Email sending is disabled for this account.")
        self.configuration_sets.check_may_send(configuration_set)
        if not self.identities.covers(sender):
            raise not_verified([sender], region)

    def check_recipients(self, recipients: Sequence[str], *, region: str) -> None:
        """Refuse recipients that an account in sandbox mode may not send to."""
        if self.production_access:
            return
        foreign = [address for address in recipients if not (is_simulator(address) or self.identities.covers(address))]
        if foreign:
            raise not_verified(foreign, region)

    def take(self, recipients: Sequence[str]) -> str:
        """Count a message against quota and rate.

        Returns:
            The fate of the message.

        Raises:
            ApiError: LimitExceededException or TooManyRequestsException; then nothing was counted.
        """
        real = sum(not is_simulator(address) for address in recipients)
        if not self.quota.has_room(real):
            self.quota_refusals += 1
            raise quota_exceeded()
        if not self.bucket.has_tokens():
            raise self.throttle()
        self.bucket.take(len(recipients))
        self.quota.add(real)
        return fate_of(recipients, suppressed=self.suppression.lowered)

    def choose_outgoing(self, configuration_set: str | None, recipients: Sequence[str]) -> str:
        """Return the IP address that a message leaves from: of its configuration set's pool."""
        options = {} if configuration_set is None else self.configuration_sets.get(configuration_set)
        return self.dedicated.choose(options.get("DeliveryOptions", {}).get("SendingPoolName"), recipients)

    def throttle(self) -> ApiError:
        """Count a throttled call and return its error."""
        self.throttled_calls += 1
        return rate_exceeded()

    def count_accepted(self, recipients: int) -> None:
        """Count a message that is on record."""
        self.accepted_messages += 1
        self.accepted_recipients += recipients
        self.sliding_second.add(recipients)

    def document(self) -> dict[str, Any]:
        """Return the document of GetAccount."""
        return {
            "DedicatedIpAutoWarmupEnabled": self.dedicated.auto_warmup,
            "EnforcementStatus": self.enforcement_status,
            "ProductionAccessEnabled": self.production_access,
            "SendQuota": {
                "Max24HourSend": float(self.quota.maximum),
                "MaxSendRate": float(self.bucket.rate),
                "SentLast24Hours": float(self.quota.sent),
            },
            "SendingEnabled": self.sending_enabled and self.enforcement_status != "SHUTDOWN",
            "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
            "VdmAttributes": {"VdmEnabled": "ENABLED" if self.vdm_enabled else "DISABLED"},
        }


def not_verified(addresses: Sequence[str], region: str) -> ApiError:
    """Return the error for addresses that no verified identity covers."""
    named = ", ".join(addresses[:MAX_NAMED_IDENTITIES]) + (", ..." if len(addresses) > MAX_NAMED_IDENTITIES else "")
    return message_rejected(
        f"Email address is not verified. The following identities failed the check in region {region.upper()}: {named}"
    )
