"""Receipt rules of SES, by its API v1: the API v2 has none."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.buckets import Bucket
from engine.account.setup.existing import find, make_step
from engine.account.setup.labels import block_label, logical_id
from engine.account.setup.resource import SetupStep
from engine.account.setup.topics import Topic

_NO_SET, _NO_RULE = ("RuleSetDoesNotExist", "RuleSetDoesNotExistException"), ("RuleDoesNotExist",)


class ReceiptRuleSet(Struct, frozen=True):
    """A receipt rule set."""

    name: str

    @property
    def kind(self) -> str:
        """What it is."""
        return "receipt rule set"

    @property
    def logical_ids(self) -> tuple[str, ...]:
        """Its id in a CloudFormation template."""
        return (logical_id("ReceiptRuleSet", self.name),)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its address in a Terraform configuration."""
        return (f"aws_ses_receipt_rule_set.{block_label(self.name)}",)

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        return make_step(self, exists=await self._exists(services), details=())

    async def apply(self, services: AwsServices) -> None:
        """Create it."""
        if not await self._exists(services):
            client = await services.open("ses")
            await client.create_receipt_rule_set(RuleSetName=self.name)

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return the rule set."""
        properties = {"RuleSetName": self.name}
        return {self.logical_ids[0]: {"Type": "AWS::SES::ReceiptRuleSet", "Properties": properties}}

    def to_terraform(self) -> Mapping[str, Any]:
        """Return the rule set."""
        return {"aws_ses_receipt_rule_set": {block_label(self.name): {"rule_set_name": self.name}}}

    async def _exists(self, services: AwsServices) -> bool:
        client = await services.open("ses")
        return await find(client.describe_receipt_rule_set(RuleSetName=self.name), *_NO_SET) is not None


class ReceiptRule(Struct, frozen=True):
    """A rule that stores mail in a bucket and notifies a topic. It comes first in its set, and ends nothing.

    Other recipients and actions of an existing rule stay: a second domain is added to it.

    Attributes:
        rule_set: that it belongs to.
        name: of the rule.
        recipient: the domain or address whose mail it is for.
        bucket: where SES stores the mail.
        topic: that SES notifies of each mail.
        prefix: of the objects.
    """

    rule_set: ReceiptRuleSet
    name: str
    recipient: str
    bucket: Bucket
    topic: Topic
    prefix: str

    @property
    def kind(self) -> str:
        """What it is."""
        return "receipt rule"

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        found = await self._read(services)
        return make_step(self, exists=found is not None, details=self._describe(found or {}))

    async def apply(self, services: AwsServices) -> None:
        """Create it, or replace it in its place."""
        client = await services.open("ses")
        found = await self._read(services)
        if found is None:
            await client.create_receipt_rule(RuleSetName=self.rule_set.name, Rule=self._wanted({}))
        elif self._describe(found):
            await client.update_receipt_rule(RuleSetName=self.rule_set.name, Rule=self._wanted(found))

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return the rule."""
        return {
            logical_id("ReceiptRule", self.name): {
                "Type": "AWS::SES::ReceiptRule",
                "DependsOn": [*self.rule_set.logical_ids, *self.bucket.logical_ids, *self.topic.logical_ids],
                "Properties": {"RuleSetName": self.rule_set.name, "Rule": self._wanted({})},
            }
        }

    def to_terraform(self) -> Mapping[str, Any]:
        """Return the rule."""
        return {
            "aws_ses_receipt_rule": {
                block_label(self.name): {
                    "name": self.name,
                    "rule_set_name": f"${{{self.rule_set.addresses[0]}.rule_set_name}}",
                    "recipients": [self.recipient],
                    "enabled": True,
                    "scan_enabled": True,
                    "tls_policy": "Optional",
                    "s3_action": {
                        "position": 1,
                        "bucket_name": f"${{{self.bucket.addresses[0]}.id}}",
                        "object_key_prefix": self.prefix,
                        "topic_arn": f"${{{self.topic.addresses[0]}.arn}}",
                    },
                    "depends_on": [*self.bucket.addresses[1:], *self.topic.addresses[1:]],
                }
            }
        }

    def _wanted(self, found: Mapping[str, Any]) -> dict[str, Any]:
        action = {"BucketName": self.bucket.name, "ObjectKeyPrefix": self.prefix, "TopicArn": self.topic.arn}
        recipients = list(found.get("Recipients", []))
        others = [
            one for one in found.get("Actions", []) if (one.get("S3Action") or {}).get("TopicArn") != self.topic.arn
        ]
        return {
            "Name": self.name,
            "Enabled": True,
            "TlsPolicy": "Optional",  # an unsubscribe request must not fail for a sender without TLS
            "Recipients": recipients if self.recipient in recipients else [*recipients, self.recipient],
            "Actions": [{"S3Action": action}, *others],
            "ScanEnabled": True,
        }

    async def _read(self, services: AwsServices) -> Mapping[str, Any] | None:
        client = await services.open("ses")
        call = client.describe_receipt_rule(RuleSetName=self.rule_set.name, RuleName=self.name)
        answer = await find(call, *_NO_SET, *_NO_RULE)
        return None if answer is None else answer["Rule"]

    def _describe(self, found: Mapping[str, Any]) -> list[str]:
        defaults = {"Enabled": False, "TlsPolicy": "Optional", "ScanEnabled": False, "Recipients": [], "Actions": []}
        now = {**defaults, **found} if found else {}
        return [
            f"{name}: {now[name]} -> {value}" if name in now else f"{name}: {value}"
            for name, value in self._wanted(found).items()
            if now.get(name) != value and name != "Name"
        ]


class ActiveReceiptRuleSet(Struct, frozen=True):
    """The rule set that is active. Where another one is, it stays: replacing it would stop somebody's mail.

    Attributes:
        rule_set: that should be active.
    """

    rule_set: ReceiptRuleSet

    @property
    def kind(self) -> str:
        """What it is."""
        return "active receipt rule set"

    @property
    def name(self) -> str:
        """The name of the rule set."""
        return self.rule_set.name

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        active = await self._read(services)
        conflict = "" if active in ("", self.name) else _explain_conflict(active, self.name)
        return make_step(self, exists=bool(active), details=() if active else ("active: yes",), conflict=conflict)

    async def apply(self, services: AwsServices) -> None:
        """Activate it, unless another one is active."""
        if not await self._read(services):
            client = await services.open("ses")
            await client.set_active_receipt_rule_set(RuleSetName=self.name)

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return nothing: CloudFormation cannot activate a rule set."""
        return {}

    def to_terraform(self) -> Mapping[str, Any]:
        """Return nothing: Terraform would replace the active one, whatever it is."""
        return {}

    async def _read(self, services: AwsServices) -> str:
        client = await services.open("ses")
        answer = await client.describe_active_receipt_rule_set()
        return str((answer.get("Metadata") or {}).get("Name") or "")


def _explain_conflict(active: str, wanted: str) -> str:
    return (
        f"The receipt rule set {active} is active, and only one can be: {wanted} receives no mail. To add the rule to"
        f' {active}, set [ses] inbound_rule_set = "{active}" in mailrun.toml and run the set-up again; or activate'
        f" {wanted} instead: aws ses set-active-receipt-rule-set --rule-set-name {wanted}"
    )
