"""Set-ups with the names of the examples: what the tests apply, compare and write as files."""

from collections.abc import Callable

from engine.account.setup.event_bridge import list_event_bridge_resources
from engine.account.setup.events_queue import list_queue_resources
from engine.account.setup.firehose import list_firehose_resources
from engine.account.setup.inbound import list_inbound_resources
from engine.account.setup.resource import Place, Resource
from support.aws import SET

Setup = Callable[[Place], tuple[Resource, ...]]
EVENTS, INBOUND = "mailrun-events", "mailrun-inbound"


def through_queue(place: Place, *, raw: bool = False) -> tuple[Resource, ...]:
    return list_queue_resources(place, EVENTS, SET, raw=raw)


def through_event_bridge(place: Place) -> tuple[Resource, ...]:
    return list_event_bridge_resources(place, EVENTS, SET)


def through_firehose(place: Place) -> tuple[Resource, ...]:
    return list_firehose_resources(place, EVENTS, SET, f"{EVENTS}-{place.account}-{place.region}")


def inbound(place: Place, *, raw: bool = False) -> tuple[Resource, ...]:
    bucket = f"{INBOUND}-{place.account}-{place.region}"
    return list_inbound_resources(place, INBOUND, "reply.acme.example", bucket, rule_set="mailrun", raw=raw)


SETUPS: dict[str, Setup] = {
    "sqs": through_queue,
    "eventbridge": through_event_bridge,
    "firehose": through_firehose,
    "inbound": inbound,
}
