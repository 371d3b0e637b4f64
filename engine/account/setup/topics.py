"""Topics of SNS that SES publishes to, and the subscriptions of queues to them."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.existing import find, make_step
from engine.account.setup.labels import block_label, logical_id
from engine.account.setup.policies import Statement, find_missing, make_policy, merge, read_policy, write_policy
from engine.account.setup.queues import Queue
from engine.account.setup.resource import Place, SetupStep

SIGNATURE_VERSION = "2"  # SHA-256
_ABSENT = ("NotFound", "NotFoundException")
_MOST_PAGES = 100  # of 100 subscriptions


class Topic(Struct, frozen=True):
    """A Standard topic: SES does not publish to FIFO topics.

    Attributes:
        place: where it is.
        name: of the topic.
        statements: of its policy: who may publish to it.
    """

    place: Place
    name: str
    statements: tuple[Statement, ...]

    @property
    def kind(self) -> str:
        """What it is."""
        return "SNS topic"

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.place.arn("sns", self.name)

    @property
    def logical_ids(self) -> tuple[str, ...]:
        """Its ids in a CloudFormation template: topic and policy."""
        return (logical_id("Topic", self.name), logical_id("TopicPolicy", self.name))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses in a Terraform configuration: topic and policy."""
        label = block_label(self.name)
        return (f"aws_sns_topic.{label}", f"aws_sns_topic_policy.{label}")

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        found = await self._read(await services.open("sns"))
        details = self._describe(found or {})
        return make_step(self, exists=found is not None, details=details)

    async def apply(self, services: AwsServices) -> None:
        """Create it, or set what differs."""
        client = await services.open("sns")
        found = await self._read(client)
        if found is None:
            await client.create_topic(Name=self.name, Attributes={"SignatureVersion": SIGNATURE_VERSION})
            found = await self._read(client) or {}  # with the policy that SNS gives to new topics
        if _signature_version(found) != SIGNATURE_VERSION:
            await client.set_topic_attributes(
                TopicArn=self.arn, AttributeName="SignatureVersion", AttributeValue=SIGNATURE_VERSION
            )
        policy = read_policy(found.get("Policy"), self.name)
        if find_missing(policy, self.statements):
            await client.set_topic_attributes(
                TopicArn=self.arn, AttributeName="Policy", AttributeValue=write_policy(merge(policy, self.statements))
            )

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return the topic, and its policy."""
        topic, policy = self.logical_ids
        return {
            topic: {
                "Type": "AWS::SNS::Topic",
                "Properties": {"TopicName": self.name, "SignatureVersion": SIGNATURE_VERSION},
            },
            policy: {
                "Type": "AWS::SNS::TopicPolicy",
                "Properties": {"Topics": [{"Ref": topic}], "PolicyDocument": make_policy(self.statements)},
            },
        }

    def to_terraform(self) -> Mapping[str, Any]:
        """Return the topic, and its policy."""
        label = block_label(self.name)
        policy = write_policy(make_policy(self.statements))
        return {
            "aws_sns_topic": {label: {"name": self.name, "signature_version": int(SIGNATURE_VERSION)}},
            "aws_sns_topic_policy": {label: {"arn": f"${{aws_sns_topic.{label}.arn}}", "policy": policy}},
        }

    async def _read(self, client: Any) -> Mapping[str, str] | None:
        answer = await find(client.get_topic_attributes(TopicArn=self.arn), *_ABSENT)
        return None if answer is None else answer["Attributes"]

    def _describe(self, found: Mapping[str, str]) -> list[str]:
        version = _signature_version(found)
        missing = find_missing(read_policy(found.get("Policy"), self.name), self.statements)
        changed = [] if version == SIGNATURE_VERSION else [f"SignatureVersion: {version} -> {SIGNATURE_VERSION}"]
        return [*changed, *(f"Policy: statement {sid}" for sid in missing)]


class Subscription(Struct, frozen=True):
    """The subscription of a queue to a topic. In the same account SNS asks for no confirmation.

    Attributes:
        topic: what is subscribed to.
        queue: what receives.
        raw: SNS delivers the message alone. Without it, SNS signs what it delivers, and `events pull` and
            `inbound pull` verify the signature: nobody else who may write to the queue is believed.
    """

    topic: Topic
    queue: Queue
    raw: bool = False

    @property
    def kind(self) -> str:
        """What it is."""
        return "SNS subscription"

    @property
    def name(self) -> str:
        """Topic and queue."""
        return f"{self.topic.name} -> {self.queue.name}"

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        client = await services.open("sns")
        arn = await self._find(client)
        is_raw = None if arn is None else await self._is_raw(client, arn)
        wanted = f"raw message delivery: {_on(self.raw)}"
        if is_raw is None:
            return make_step(self, exists=False, details=[wanted])
        details = [] if is_raw == self.raw else [f"raw message delivery: {_on(is_raw)} -> {_on(self.raw)}"]
        return make_step(self, exists=True, details=details)

    async def apply(self, services: AwsServices) -> None:
        """Subscribe the queue, or switch raw delivery."""
        client = await services.open("sns")
        arn, wanted = await self._find(client), str(self.raw).lower()
        if arn is None:
            await client.subscribe(
                TopicArn=self.topic.arn,
                Protocol="sqs",
                Endpoint=self.queue.arn,
                Attributes={"RawMessageDelivery": wanted},
                ReturnSubscriptionArn=True,
            )
        elif await self._is_raw(client, arn) != self.raw:
            await client.set_subscription_attributes(
                SubscriptionArn=arn, AttributeName="RawMessageDelivery", AttributeValue=wanted
            )

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return the subscription."""
        topic, queue = self.topic.logical_ids[0], self.queue.logical_ids[0]
        return {
            logical_id("Subscription", self.queue.name): {
                "Type": "AWS::SNS::Subscription",
                "DependsOn": list(self.queue.logical_ids[1:]),
                "Properties": {
                    "TopicArn": {"Ref": topic},
                    "Protocol": "sqs",
                    "Endpoint": {"Fn::GetAtt": [queue, "Arn"]},
                    "RawMessageDelivery": self.raw,
                },
            }
        }

    def to_terraform(self) -> Mapping[str, Any]:
        """Return the subscription."""
        return {
            "aws_sns_topic_subscription": {
                block_label(self.queue.name): {
                    "topic_arn": f"${{{self.topic.addresses[0]}.arn}}",
                    "protocol": "sqs",
                    "endpoint": f"${{{self.queue.addresses[0]}.arn}}",
                    "raw_message_delivery": self.raw,
                    "depends_on": list(self.queue.addresses[1:]),
                }
            }
        }

    async def _find(self, client: Any) -> str | None:
        token: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            page = await find(client.list_subscriptions_by_topic(TopicArn=self.topic.arn, **token), *_ABSENT) or {}
            for one in page.get("Subscriptions", ()):
                if one.get("Protocol") == "sqs" and one.get("Endpoint") == self.queue.arn:
                    return str(one["SubscriptionArn"])
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}
        return None

    async def _is_raw(self, client: Any, arn: str) -> bool | None:
        answer = await find(client.get_subscription_attributes(SubscriptionArn=arn), *_ABSENT)
        return None if answer is None else str(answer["Attributes"].get("RawMessageDelivery", "")).lower() == "true"


def _signature_version(found: Mapping[str, str]) -> str:
    """Return a topic's version; where SNS does not name it, either version is as good to `events pull`."""
    return found.get("SignatureVersion", SIGNATURE_VERSION)


def _on(value: bool) -> str:  # noqa: FBT001 - a value to write
    return "on" if value else "off"
