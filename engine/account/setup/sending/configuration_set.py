"""The configuration set: TLS policy, pool, reputation metrics, suppression and the domain of tracked links.

What the wanted state does not name stays as it is; a call of SES replaces all options of a kind, so the others are
given again (https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_PutConfigurationSetDeliveryOptions.html).
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.existing import find
from engine.account.setup.resource import Action, SetupStep
from engine.account.setup.sending.changes import Change, create, describe_change, describe_step, make_changes
from engine.account.setup.wanted import TlsPolicy, WantedState
from engine.errors import ConfigurationError

REASONS = ("BOUNCE", "COMPLAINT")  # that suppress an address
_OWN_POOLS = frozenset({"ses-shared-pool", "ses-default-dedicated-pool"})  # of every account


class ConfigurationSetResource(Struct, frozen=True):
    """The wanted configuration set."""

    wanted: WantedState
    kind: str = "configuration set"

    @property
    def name(self) -> str:
        """Its name."""
        return self.wanted.configuration_set

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account.

        Raises:
            ConfigurationError: the wanted pool does not exist.
        """
        await self._check_pool(services)
        found = await self._read(services)
        if found is None:
            return SetupStep(Action.CREATE, self.kind, self.name, _describe(self.wanted))
        return describe_step(self.kind, self.name, find_changes(found, self.wanted), _note(found))

    async def apply(self, services: AwsServices) -> None:
        """Create it, or make its changes."""
        client = await services.open("sesv2")
        found = await self._read(services)
        if found is None:
            options = _make_options(self.wanted)
            if await create(client.create_configuration_set(ConfigurationSetName=self.name, **options)):
                return
            found = await self._read(services)
        await make_changes(services, find_changes(found or {}, self.wanted))

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return it as a resource of a template."""
        return {
            "ConfigurationSet": {
                "Type": "AWS::SES::ConfigurationSet",
                "Properties": {"Name": self.name, **_make_options(self.wanted)},
            }
        }

    def to_terraform(self) -> Mapping[str, Any]:
        """Return it as a resource of Terraform."""
        wanted = self.wanted
        block: dict[str, Any] = {
            "configuration_set_name": self.name,
            "delivery_options": {
                "tls_policy": (wanted.tls or TlsPolicy.OPTIONAL).value,
                **({"sending_pool_name": wanted.pool} if wanted.pool else {}),
            },
            "reputation_options": {"reputation_metrics_enabled": True},
            "suppression_options": {"suppressed_reasons": list(REASONS)},
        }
        if wanted.tracking_domain:
            block["tracking_options"] = {"custom_redirect_domain": wanted.tracking_domain}
        return {"aws_sesv2_configuration_set": {"mailrun": block}}

    async def _read(self, services: AwsServices) -> Mapping[str, Any] | None:
        client = await services.open("sesv2")
        return await find(client.get_configuration_set(ConfigurationSetName=self.name), "NotFoundException")

    async def _check_pool(self, services: AwsServices) -> None:
        pool = self.wanted.pool
        if not pool or pool in _OWN_POOLS:
            return
        client = await services.open("sesv2")
        if await find(client.get_dedicated_ip_pool(PoolName=pool), "NotFoundException") is None:
            raise ConfigurationError(
                f"the account has no pool {pool}",
                where="--pool, or [ses] pool",
                remedy=f"create it with `mailrun ses pools create {pool}`, or leave it out for shared addresses",
            )


def find_changes(found: Mapping[str, Any], wanted: WantedState) -> tuple[Change, ...]:
    """Find what to change in a configuration set.

    Args:
        found: the document of GetConfigurationSet.
        wanted: the wanted state.
    """
    made = (_deliver(found, wanted), _measure(found), _suppress(found), _track(found, wanted))
    name = {"ConfigurationSetName": wanted.configuration_set}
    return tuple(Change(detail, method, name | parameters) for detail, method, parameters in filter(None, made))


_Found = tuple[str, str, dict[str, Any]] | None  # detail, method, parameters


def _deliver(found: Mapping[str, Any], wanted: WantedState) -> _Found:
    is_set = found.get("DeliveryOptions") or {}
    tls, pool = is_set.get("TlsPolicy") or TlsPolicy.OPTIONAL.value, is_set.get("SendingPoolName") or ""
    details = []
    if wanted.tls is not None and wanted.tls.value != tls:
        details.append(describe_change("TLS policy", tls, wanted.tls.value))
    if wanted.pool and wanted.pool != pool:
        details.append(describe_change("pool", pool, wanted.pool))
    if not details:
        return None
    new_pool = wanted.pool or pool
    return (
        "; ".join(details),
        "put_configuration_set_delivery_options",
        {
            "TlsPolicy": tls if wanted.tls is None else wanted.tls.value,
            **({"SendingPoolName": new_pool} if new_pool else {}),
            **_keep(is_set, "MaxDeliverySeconds"),
        },
    )


def _measure(found: Mapping[str, Any]) -> _Found:
    if (found.get("ReputationOptions") or {}).get("ReputationMetricsEnabled"):
        return None
    return (
        "reputation metrics: off -> on",
        "put_configuration_set_reputation_options",
        {"ReputationMetricsEnabled": True},
    )


def _suppress(found: Mapping[str, Any]) -> _Found:
    is_set = found.get("SuppressionOptions") or {}
    reasons = is_set.get("SuppressedReasons")
    if reasons is not None and set(reasons) == set(REASONS):
        return None
    old = "those of the account" if reasons is None else ", ".join(sorted(reasons)) or "none"
    return (
        describe_change("reasons that suppress an address", old, ", ".join(REASONS)),
        "put_configuration_set_suppression_options",
        {"SuppressedReasons": list(REASONS), **_keep(is_set, "SuppressionScope", "ValidationOptions")},
    )


def _track(found: Mapping[str, Any], wanted: WantedState) -> _Found:
    is_set = found.get("TrackingOptions") or {}
    old = is_set.get("CustomRedirectDomain")
    if not wanted.tracking_domain or wanted.tracking_domain == old:
        return None
    return (
        describe_change("domain of tracked links", old, wanted.tracking_domain),
        "put_configuration_set_tracking_options",
        {"CustomRedirectDomain": wanted.tracking_domain, **_keep(is_set, "HttpsPolicy")},
    )


def _keep(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options.get(name) is not None}


def _note(found: Mapping[str, Any]) -> tuple[str, ...]:
    sending = (found.get("SendingOptions") or {}).get("SendingEnabled")
    return ("sending through it is switched off, and stays so",) if sending is False else ()


def _make_options(wanted: WantedState) -> dict[str, Any]:
    options: dict[str, Any] = {
        "DeliveryOptions": {
            "TlsPolicy": (wanted.tls or TlsPolicy.OPTIONAL).value,
            **({"SendingPoolName": wanted.pool} if wanted.pool else {}),
        },
        "ReputationOptions": {"ReputationMetricsEnabled": True},
        "SuppressionOptions": {"SuppressedReasons": list(REASONS)},
    }
    if wanted.tracking_domain:
        options["TrackingOptions"] = {"CustomRedirectDomain": wanted.tracking_domain}
    return options


def _describe(wanted: WantedState) -> tuple[str, ...]:
    return (
        f"TLS policy: {(wanted.tls or TlsPolicy.OPTIONAL).value}",
        *((f"pool: {wanted.pool}",) if wanted.pool else ()),
        "reputation metrics: on",
        f"reasons that suppress an address: {', '.join(REASONS)}",
        *((f"domain of tracked links: {wanted.tracking_domain}",) if wanted.tracking_domain else ()),
    )
