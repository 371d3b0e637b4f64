"""The event destination of a configuration set: which events SES publishes, and where to."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.existing import error_code, find, make_step
from engine.account.setup.labels import block_label, logical_id
from engine.account.setup.resource import SetupStep
from engine.errors import MailrunError

# All that SES knows. With OPEN and CLICK, SES adds a pixel and rewrites links.
EVENT_TYPES = (
    "SEND", "REJECT", "BOUNCE", "COMPLAINT", "DELIVERY", "OPEN", "CLICK", "RENDERING_FAILURE", "DELIVERY_DELAY",
    "SUBSCRIPTION",
)  # fmt: skip
# A new role takes seconds until every service sees it; until then SES refuses the destination.
ROLE_WAITS_SECONDS = (2.0, 4.0, 8.0, 16.0)


class Target(Struct, frozen=True):
    """Where SES publishes to, in the words of the API, of CloudFormation and of Terraform.

    Attributes:
        api: member of EventDestination, such as SnsDestination, and its value.
        cloudformation: property of the destination and its value.
        terraform: block of the destination and its arguments.
        logical_ids: of what must exist before, in CloudFormation.
        addresses: of what must exist before, in Terraform.
        needs_role: SES assumes a role to publish.
    """

    api: tuple[str, Mapping[str, str]]
    cloudformation: tuple[str, Mapping[str, str]]
    terraform: tuple[str, Mapping[str, str]]
    logical_ids: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    needs_role: bool = False


class EventDestination(Struct, frozen=True):
    """An event destination.

    Attributes:
        configuration_set: whose events are published.
        title: of the destination.
        target: where to.
        types: which events.
    """

    configuration_set: str
    title: str
    target: Target
    types: tuple[str, ...] = EVENT_TYPES

    @property
    def kind(self) -> str:
        """What it is."""
        return "event destination"

    @property
    def name(self) -> str:
        """The configuration set and its own name."""
        return f"{self.configuration_set}/{self.title}"

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        found = await self._read(await services.open("sesv2"))
        return make_step(self, exists=found is not None, details=self._describe(found or {}))

    async def apply(self, services: AwsServices) -> None:
        """Create it, or update it as a whole."""
        client = await services.open("sesv2")
        found = await self._read(client)
        if found is not None and not self._describe(found):
            return
        call = client.create_configuration_set_event_destination
        if found is not None:
            call = client.update_configuration_set_event_destination
        for wait in (*(ROLE_WAITS_SECONDS if self.target.needs_role else ()), None):
            try:
                await call(
                    ConfigurationSetName=self.configuration_set,
                    EventDestinationName=self.title,
                    EventDestination=self._wanted(),
                )
            except MailrunError as error:
                if wait is None or error_code(error) != "BadRequestException":
                    raise
                await services.clock.sleep(wait)
            else:
                return

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return the destination."""
        name, value = self.target.cloudformation
        destination: dict[str, Any] = {
            "Type": "AWS::SES::ConfigurationSetEventDestination",
            "Properties": {
                "ConfigurationSetName": self.configuration_set,
                "EventDestination": {
                    "Name": self.title,
                    "Enabled": True,
                    "MatchingEventTypes": [_write_camel(kind) for kind in self.types],
                    name: dict(value),
                },
            },
        }
        if self.target.logical_ids:
            destination["DependsOn"] = list(self.target.logical_ids)
        return {logical_id("EventDestination", self.title): destination}

    def to_terraform(self) -> Mapping[str, Any]:
        """Return the destination."""
        name, value = self.target.terraform
        block: dict[str, Any] = {
            "configuration_set_name": self.configuration_set,
            "event_destination_name": self.title,
            "event_destination": {"enabled": True, "matching_event_types": list(self.types), name: dict(value)},
        }
        if self.target.addresses:
            block["depends_on"] = list(self.target.addresses)
        return {"aws_sesv2_configuration_set_event_destination": {block_label(self.title): block}}

    async def _read(self, client: Any) -> Mapping[str, Any] | None:
        answer = await find(
            client.get_configuration_set_event_destinations(ConfigurationSetName=self.configuration_set),
            "NotFoundException",
        )
        known = () if answer is None else answer.get("EventDestinations", ())
        return next((one for one in known if one.get("Name") == self.title), None)

    def _wanted(self) -> dict[str, Any]:
        name, value = self.target.api
        return {"Enabled": True, "MatchingEventTypes": list(self.types), name: dict(value)}

    def _describe(self, found: Mapping[str, Any]) -> list[str]:
        name, value = self.target.api
        details = []
        if not found.get("Enabled"):
            details.append("Enabled: no -> yes" if found else "Enabled: yes")
        if missing := [kind for kind in self.types if kind not in found.get("MatchingEventTypes", ())]:
            details.append(f"events: {', '.join(missing)}")
        if unwanted := [kind for kind in found.get("MatchingEventTypes", ()) if kind not in self.types]:
            details.append(f"events, not any more: {', '.join(unwanted)}")
        if dict(found.get(name) or {}) != dict(value):
            details.append(f"{name}: {', '.join(value.values())}")
        return details


def _write_camel(kind: str) -> str:
    """Write a type of event as CloudFormation has it.

    >>> _write_camel("RENDERING_FAILURE")
    'renderingFailure'
    """
    first, *rest = kind.lower().split("_")
    return first + "".join(map(str.capitalize, rest))
