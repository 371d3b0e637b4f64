"""Queues that `events pull` and `inbound pull` read, and queues of messages that nobody could read."""

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.existing import find, make_step
from engine.account.setup.labels import block_label, logical_id
from engine.account.setup.policies import Statement, find_missing, make_policy, merge, read_policy, write_policy
from engine.account.setup.resource import Place, SetupStep

RETENTION_SECONDS = 14 * 86400  # SQS's longest
WAIT_SECONDS = 20  # of a long poll: SQS's longest
VISIBILITY_SECONDS = 120
# A message stays in the queue while the ledger or the store cannot be reached, and each pull receives it again:
# with fewer attempts an outage of an hour would move all messages away.
ATTEMPTS = 1000
_ABSENT = ("NonExistentQueue", "QueueDoesNotExist")


class Queue(Struct, frozen=True):
    """A queue of SQS.

    Attributes:
        place: where it is.
        name: of the queue.
        statements: of its policy: who may send to it.
        dead_letters: the name of the queue that takes a message after ATTEMPTS; empty for none.
    """

    place: Place
    name: str
    statements: tuple[Statement, ...] = ()
    dead_letters: str = ""

    @property
    def kind(self) -> str:
        """What it is."""
        return "SQS queue"

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.place.arn("sqs", self.name)

    @property
    def url(self) -> str:
        """Its URL, as `[events] queue` takes it."""
        domain = "amazonaws.com.cn" if self.place.partition == "aws-cn" else "amazonaws.com"
        return f"https://sqs.{self.place.region}.{domain}/{self.place.account}/{self.name}"

    @property
    def logical_ids(self) -> tuple[str, ...]:
        """Its ids in a CloudFormation template: queue and policy."""
        policy = (logical_id("QueuePolicy", self.name),) if self.statements else ()
        return (logical_id("Queue", self.name), *policy)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses in a Terraform configuration: queue and policy."""
        label = block_label(self.name)
        policy = (f"aws_sqs_queue_policy.{label}",) if self.statements else ()
        return (f"aws_sqs_queue.{label}", *policy)

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        found = await self._read(await services.open("sqs"))
        return make_step(self, exists=found is not None, details=self._describe(found or {}))

    async def apply(self, services: AwsServices) -> None:
        """Create it, or set what differs."""
        client = await services.open("sqs")
        found = await self._read(client)
        if found is None:
            await client.create_queue(QueueName=self.name, Attributes=self._choose({}))
        elif changes := self._choose(found):
            url = (await client.get_queue_url(QueueName=self.name))["QueueUrl"]
            await client.set_queue_attributes(QueueUrl=url, Attributes=changes)

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return the queue, and its policy."""
        properties: dict[str, Any] = {"QueueName": self.name}
        for name, value in self._wanted({}).items():
            properties[name] = (
                value == "true" if value in ("true", "false") else int(value) if value.isdigit() else json.loads(value)
            )
        queue: dict[str, Any] = {"Type": "AWS::SQS::Queue", "Properties": properties}
        if self.dead_letters:
            queue["DependsOn"] = [logical_id("Queue", self.dead_letters)]
        ids = self.logical_ids
        if not self.statements:
            return {ids[0]: queue}
        policy = {"Queues": [{"Ref": ids[0]}], "PolicyDocument": make_policy(self.statements)}
        return {ids[0]: queue, ids[1]: {"Type": "AWS::SQS::QueuePolicy", "Properties": policy}}

    def to_terraform(self) -> Mapping[str, Any]:
        """Return the queue, and its policy."""
        label = block_label(self.name)
        queue: dict[str, Any] = {
            "name": self.name,
            "message_retention_seconds": RETENTION_SECONDS,
            "receive_wait_time_seconds": WAIT_SECONDS,
            "visibility_timeout_seconds": VISIBILITY_SECONDS,
            "sqs_managed_sse_enabled": True,
        }
        if self.dead_letters:
            queue["redrive_policy"] = self._redrive()
            queue["depends_on"] = [f"aws_sqs_queue.{block_label(self.dead_letters)}"]
        blocks: dict[str, Any] = {"aws_sqs_queue": {label: queue}}
        if self.statements:
            policy = write_policy(make_policy(self.statements))
            blocks["aws_sqs_queue_policy"] = {label: {"queue_url": f"${{aws_sqs_queue.{label}.url}}", "policy": policy}}
        return blocks

    async def _read(self, client: Any) -> Mapping[str, str] | None:
        answer = await find(client.get_queue_url(QueueName=self.name), *_ABSENT)
        if answer is None:
            return None
        named = await find(client.get_queue_attributes(QueueUrl=answer["QueueUrl"], AttributeNames=["All"]), *_ABSENT)
        return None if named is None else named.get("Attributes", {})

    def _wanted(self, found: Mapping[str, str]) -> dict[str, str]:
        wanted = {
            "MessageRetentionPeriod": str(RETENTION_SECONDS),
            "ReceiveMessageWaitTimeSeconds": str(WAIT_SECONDS),
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
        }
        if not found.get("KmsMasterKeyId"):  # a key of one's own stays
            wanted["SqsManagedSseEnabled"] = "true"
        if self.dead_letters:
            wanted["RedrivePolicy"] = self._redrive()
        return wanted

    def _redrive(self) -> str:
        return json.dumps(
            {"deadLetterTargetArn": self.place.arn("sqs", self.dead_letters), "maxReceiveCount": ATTEMPTS}
        )

    def _choose(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return the attributes that must be set."""
        chosen = {
            name: value for name, value in self._wanted(found).items() if _parse(found.get(name)) != _parse(value)
        }
        policy = read_policy(found.get("Policy"), self.name)
        if find_missing(policy, self.statements):
            chosen["Policy"] = write_policy(merge(policy, self.statements))
        return chosen

    def _describe(self, found: Mapping[str, str]) -> list[str]:
        missing = find_missing(read_policy(found.get("Policy"), self.name), self.statements)
        changes = [(name, value) for name, value in self._choose(found).items() if name != "Policy"]
        return [
            *(
                f"{name}: {found[name]} -> {value}" if found.get(name) else f"{name}: {value}"
                for name, value in changes
            ),
            *(f"Policy: statement {sid}" for sid in missing),
        ]


def _parse(value: str | None) -> Any:
    """Read an attribute, so that differences of spacing and order do not count."""
    if value is None or not value.startswith("{"):
        return value
    try:
        parsed = json.loads(value)
    except ValueError:
        return value
    return {key: str(one) for key, one in parsed.items()}
