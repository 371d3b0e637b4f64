"""A resource of the wanted state, and what it takes to reach that state."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct

from engine.account.services import AwsServices


class Action(StrEnum):
    """What a resource needs. Nothing is ever deleted."""

    CREATE = "create"
    CHANGE = "change"
    KEEP = "keep"


class SetupStep(Struct, frozen=True):
    """What one resource needs.

    Attributes:
        action: create, change or keep.
        kind: of the resource, as SES's documentation names it, such as "configuration set".
        name: of the resource, such as "marketing".
        details: what will be set or changed, a line each, such as "TLS policy: OPTIONAL -> REQUIRE".
        conflict: what is in the way and what to do, as a sentence each; `apply` leaves it as it is.
    """

    action: Action
    kind: str
    name: str
    details: tuple[str, ...] = ()
    conflict: str = ""


class Place(Struct, frozen=True):
    """Where resources are: ARNs follow from it and from names, so that a plan needs nothing that does not exist yet.

    Attributes:
        account: the 12 digits of the account.
        region: such as eu-west-1.
        partition: aws, aws-cn or aws-us-gov.
    """

    account: str
    region: str
    partition: str = "aws"

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """Write an ARN.

        Args:
            service: such as sqs.
            resource: such as mailrun-events.
            region: another one than the place's; empty for a global resource.

        >>> Place("123456789012", "eu-west-1").arn("sqs", "mailrun-events")
        'arn:aws:sqs:eu-west-1:123456789012:mailrun-events'
        """
        return f"arn:{self.partition}:{service}:{self.region if region is None else region}:{self.account}:{resource}"


class Resource(Protocol):
    """A resource of the wanted state."""

    @property
    def kind(self) -> str:
        """What it is, as SES's documentation names it, such as "configuration set"."""

    @property
    def name(self) -> str:
        """Its name in the account."""

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare the wanted state with the account; changes nothing."""

    async def apply(self, services: AwsServices) -> None:
        """Read the resource again, and create or change it; safe to repeat after any failure."""

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return the resources of a CloudFormation template: logical id to Type and Properties."""

    def to_terraform(self) -> Mapping[str, Any]:
        """Return the `resource` blocks of Terraform's JSON syntax: type to name to arguments."""
