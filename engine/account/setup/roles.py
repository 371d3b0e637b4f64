"""Roles of IAM that a service assumes to do one thing."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.existing import find, make_step
from engine.account.setup.labels import block_label, logical_id
from engine.account.setup.policies import Statement, find_missing, make_policy, merge, read_policy, write_policy
from engine.account.setup.resource import Place, SetupStep

POLICY = "mailrun"  # the name of the role's inline policy
_ABSENT = "NoSuchEntity"


class Role(Struct, frozen=True):
    """A role.

    Attributes:
        place: of the resources that it is for; roles are of a whole account, so their names contain the region.
        purpose: the first part of its name, such as mailrun-events-ses.
        trust: which service may assume it, for what.
        permissions: what it may do.
    """

    place: Place
    purpose: str
    trust: Statement
    permissions: tuple[Statement, ...]

    @property
    def kind(self) -> str:
        """What it is."""
        return "IAM role"

    @property
    def name(self) -> str:
        """Purpose and region."""
        return f"{self.purpose}-{self.place.region}"

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.place.arn("iam", f"role/{self.name}", region="")

    @property
    def logical_ids(self) -> tuple[str, ...]:
        """Its id in a CloudFormation template."""
        return (logical_id("Role", self.purpose),)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses in a Terraform configuration: role and policy."""
        label = block_label(self.purpose)
        return (f"aws_iam_role.{label}", f"aws_iam_role_policy.{label}")

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        client = await services.open("iam")
        trust, permissions = await self._read(client)
        missing = [
            f"trust policy: statement {sid}" for sid in find_missing(read_policy(trust, self.name), [self.trust])
        ]
        missing += [f"policy {POLICY}: statement {sid}" for sid in find_missing(permissions, self.permissions)]
        return make_step(self, exists=trust is not None, details=missing)

    async def apply(self, services: AwsServices) -> None:
        """Create it, and write the policies that differ."""
        client = await services.open("iam")
        trust, permissions = await self._read(client)
        wanted = write_policy(merge(read_policy(trust, self.name), [self.trust]))
        if trust is None:
            await client.create_role(RoleName=self.name, AssumeRolePolicyDocument=wanted)
        elif find_missing(read_policy(trust, self.name), [self.trust]):
            await client.update_assume_role_policy(RoleName=self.name, PolicyDocument=wanted)
        if find_missing(permissions, self.permissions):
            document = write_policy(merge(permissions, self.permissions))
            await client.put_role_policy(RoleName=self.name, PolicyName=POLICY, PolicyDocument=document)

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return the role."""
        properties = {
            "RoleName": self.name,
            "AssumeRolePolicyDocument": make_policy([self.trust]),
            "Policies": [{"PolicyName": POLICY, "PolicyDocument": make_policy(self.permissions)}],
        }
        return {self.logical_ids[0]: {"Type": "AWS::IAM::Role", "Properties": properties}}

    def to_terraform(self) -> Mapping[str, Any]:
        """Return the role, and its policy."""
        label = block_label(self.purpose)
        policy = write_policy(make_policy(self.permissions))
        return {
            "aws_iam_role": {label: {"name": self.name, "assume_role_policy": write_policy(make_policy([self.trust]))}},
            "aws_iam_role_policy": {label: {"name": POLICY, "role": f"${{aws_iam_role.{label}.id}}", "policy": policy}},
        }

    async def _read(self, client: Any) -> tuple[Any, dict[str, Any]]:
        """Return the trust policy, None without a role, and the inline policy."""
        found = await find(client.get_role(RoleName=self.name), _ABSENT)
        if found is None:
            return None, read_policy(None)
        inline = await find(client.get_role_policy(RoleName=self.name, PolicyName=POLICY), _ABSENT) or {}
        return found["Role"]["AssumeRolePolicyDocument"], read_policy(inline.get("PolicyDocument"), self.name)
