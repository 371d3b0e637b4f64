"""Events through EventBridge into a queue: a rule of the default bus, the only one that SES publishes to."""

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.event_destination import EventDestination, Target
from engine.account.setup.events_queue import make_dead_letters
from engine.account.setup.existing import find, make_step
from engine.account.setup.labels import block_label, logical_id
from engine.account.setup.policies import EVENTBRIDGE, permit_service
from engine.account.setup.queues import Queue
from engine.account.setup.resource import Place, Resource, SetupStep
from engine.errors import ServiceError

TARGET = "mailrun"
_ABSENT = "ResourceNotFoundException"
_DESCRIPTION = "Events of SES for mailrun"
_MOST_PAGES = 10


def list_event_bridge_resources(place: Place, name: str, configuration_set: str) -> tuple[Resource, ...]:
    """List, in order, what brings the events of a configuration set to a queue by EventBridge.

    Args:
        place: where all are.
        name: of the queue, the rule and the event destination.
        configuration_set: whose events are published.
    """
    rule_arn = place.arn("events", f"rule/{name}")
    statement = permit_service(
        "MailrunRule", EVENTBRIDGE, "sqs:SendMessage", place.arn("sqs", name), place=place, source=rule_arn
    )
    dead = make_dead_letters(place, name)
    queue = Queue(place, name, (statement,), dead_letters=dead.name)
    rule = BusRule(place, name, configuration_set, queue)
    bus = place.arn("events", "event-bus/default")
    target = Target(
        api=("EventBridgeDestination", {"EventBusArn": bus}),
        cloudformation=("EventBridgeDestination", {"EventBusArn": bus}),
        terraform=("event_bridge_destination", {"event_bus_arn": bus}),
        logical_ids=(logical_id("Rule", name),),
        addresses=(f"aws_cloudwatch_event_target.{block_label(name)}",),
    )
    return (dead, queue, rule, EventDestination(configuration_set, name, target))


class BusRule(Struct, frozen=True):
    """A rule of the default bus that sends the events of a configuration set to a queue.

    Other configuration sets that the rule names stay in it.

    Attributes:
        place: where it is.
        name: of the rule.
        configuration_set: whose events match; SES names it in the tag `ses:configuration-set` of each event.
        queue: its target.
    """

    place: Place
    name: str
    configuration_set: str
    queue: Queue

    @property
    def kind(self) -> str:
        """What it is."""
        return "EventBridge rule"

    @property
    def pattern(self) -> dict[str, Any]:
        """Which events match."""
        return _make_pattern([self.configuration_set])

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        client = await services.open("events")
        found = await self._read(client)
        details = [*self._describe(found or {}), *await self._describe_target(client, found)]
        return make_step(self, exists=found is not None, details=details)

    async def apply(self, services: AwsServices) -> None:
        """Create or change the rule and its own target; other targets stay."""
        client = await services.open("events")
        found = await self._read(client)
        if found is None or self._describe(found):
            given = {"Description": (found or {}).get("Description") or _DESCRIPTION}
            if (found or {}).get("RoleArn"):
                given["RoleArn"] = (found or {})["RoleArn"]
            await client.put_rule(
                Name=self.name, EventPattern=json.dumps(self._widen(found or {})), State="ENABLED", **given
            )
        if await self._describe_target(client, found):
            answer = await client.put_targets(Rule=self.name, Targets=[self._target()])
            if answer.get("FailedEntryCount"):
                why = answer["FailedEntries"][0].get("ErrorMessage", "")
                raise ServiceError(
                    f"EventBridge refused the queue as a target: {why}",
                    where=self.name,
                    remedy="correct what the message names, then run the same command again",
                )

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return the rule with its target."""
        queue, policy = self.queue.logical_ids
        return {
            logical_id("Rule", self.name): {
                "Type": "AWS::Events::Rule",
                "DependsOn": [policy],
                "Properties": {
                    "Name": self.name,
                    "Description": _DESCRIPTION,
                    "EventPattern": self.pattern,
                    "State": "ENABLED",
                    "Targets": [{"Id": TARGET, "Arn": {"Fn::GetAtt": [queue, "Arn"]}}],
                },
            }
        }

    def to_terraform(self) -> Mapping[str, Any]:
        """Return the rule, and its target."""
        label = block_label(self.name)
        return {
            "aws_cloudwatch_event_rule": {
                label: {
                    "name": self.name,
                    "description": _DESCRIPTION,
                    "event_pattern": json.dumps(self.pattern),
                    "state": "ENABLED",
                }
            },
            "aws_cloudwatch_event_target": {
                label: {
                    "rule": f"${{aws_cloudwatch_event_rule.{label}.name}}",
                    "target_id": TARGET,
                    "arn": f"${{{self.queue.addresses[0]}.arn}}",
                    "depends_on": list(self.queue.addresses[1:]),
                }
            },
        }

    def _target(self) -> dict[str, str]:
        return {"Id": TARGET, "Arn": self.queue.arn}

    async def _read(self, client: Any) -> Mapping[str, Any] | None:
        return await find(client.describe_rule(Name=self.name), _ABSENT)

    def _describe(self, found: Mapping[str, Any]) -> list[str]:
        wanted = self._widen(found)
        details = [] if _read_pattern(found) == wanted else [f"EventPattern: {json.dumps(wanted)}"]
        state = found.get("State")
        return (
            details if state == "ENABLED" else [*details, f"State: {state} -> ENABLED" if state else "State: ENABLED"]
        )

    def _widen(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return the pattern for this configuration set and for those that the rule names already."""
        pattern = _read_pattern(found)
        try:
            named = pattern["detail"]["mail"]["tags"]["ses:configuration-set"]
        except (KeyError, TypeError):
            return self.pattern
        if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
            return self.pattern
        widened = _make_pattern(named if self.configuration_set in named else [*named, self.configuration_set])
        return widened if pattern == _make_pattern(named) else self.pattern

    async def _describe_target(self, client: Any, found: Mapping[str, Any] | None) -> list[str]:
        targets = [] if found is None else await self._list_targets(client)
        return [] if self._target() in targets else [f"target: {self.queue.arn}"]

    async def _list_targets(self, client: Any) -> list[Any]:
        targets: list[Any] = []
        token: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            page = await find(client.list_targets_by_rule(Rule=self.name, **token), _ABSENT) or {}
            targets += page.get("Targets", ())
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}
        return targets


def _make_pattern(configuration_sets: list[str]) -> dict[str, Any]:
    return {"source": ["aws.ses"], "detail": {"mail": {"tags": {"ses:configuration-set": configuration_sets}}}}


def _read_pattern(found: Mapping[str, Any]) -> Any:
    try:
        return json.loads(found.get("EventPattern") or "null")
    except ValueError:
        return None
