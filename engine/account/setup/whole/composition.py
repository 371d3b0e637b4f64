"""The resources of a wanted state, in the order in which they are created."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.account.services import AwsServices
from engine.account.setup.buckets import Bucket
from engine.account.setup.event_bridge import list_event_bridge_resources
from engine.account.setup.events_queue import list_queue_resources
from engine.account.setup.firehose import list_firehose_resources
from engine.account.setup.inbound import list_inbound_resources
from engine.account.setup.queues import Queue
from engine.account.setup.resource import Place, Resource
from engine.account.setup.sending.configuration_set import ConfigurationSetResource
from engine.account.setup.sending.identity import IdentityResource
from engine.account.setup.sending.mail_from import MailFromResource
from engine.account.setup.wanted import EventsService, WantedState


def list_resources(wanted: WantedState, place: Place, key_file: Path) -> tuple[Resource, ...]:
    """List them.

    Args:
        wanted: the wanted state.
        place: where all are; its account matters only for events and received mail.
        key_file: of the DKIM key that `dkim_selector` names.
    """
    return (
        ConfigurationSetResource(wanted),
        *_list_events(wanted, place),
        IdentityResource(wanted, key_file),
        MailFromResource(wanted),
        *_list_inbound(wanted, place),
    )


async def find_place(services: AwsServices, wanted: WantedState) -> Place:
    """Find where the resources of a wanted state are.

    STS is asked for the account only where ARNs are needed; it answers everyone.

    Raises:
        MailrunError: STS refuses or cannot be reached.
    """
    region = (await services.open("sesv2")).meta.region_name
    if wanted.events is None and not wanted.inbound_domain:
        return Place("", region)
    caller = await (await services.open("sts")).get_caller_identity()
    return Place(str(caller["Account"]), region, str(caller["Arn"]).split(":")[1])


def list_notes(wanted: WantedState, resources: Sequence[Resource]) -> tuple[str, ...]:
    """Say what a person should know about a wanted state, a sentence each."""
    notes = []
    if wanted.events is None:
        notes.append("This set-up publishes no events. To read bounces, complaints and deliveries, add --events sqs.")
    else:
        notes.append("The events OPEN and CLICK are tracked: SES rewrites links and adds an image to HTML mail.")
    if wanted.inbound_domain:
        queue = _find_queues(resources)[wanted.inbound_name]
        notes.append(f"Read received mail with: mailrun inbound pull --queue {queue}")
    return tuple(notes)


def list_settings(wanted: WantedState, resources: Sequence[Resource]) -> dict[str, dict[str, Any]]:
    """List the settings with which mailrun reads what the set-up makes.

    Returns:
        Values by section and key of mailrun.toml.
    """
    settings: dict[str, dict[str, Any]] = {}
    queue = _find_queues(resources).get(wanted.events_name)
    if wanted.events is not None and queue is not None:
        settings["events"] = {"queue": queue}
    if wanted.inbound_domain:
        bucket = [one.name for one in resources if isinstance(one, Bucket)][-1]
        settings["inbound"] = {"buckets": [bucket]}
    return settings


def _find_queues(resources: Sequence[Resource]) -> dict[str, str]:
    return {one.name: one.url for one in resources if isinstance(one, Queue)}


def _list_events(wanted: WantedState, place: Place) -> tuple[Resource, ...]:
    name, configuration_set = wanted.events_name, wanted.configuration_set
    match wanted.events:
        case EventsService.SQS:
            return list_queue_resources(place, name, configuration_set)
        case EventsService.EVENTBRIDGE:
            return list_event_bridge_resources(place, name, configuration_set)
        case EventsService.FIREHOSE:
            return list_firehose_resources(place, name, configuration_set, wanted.find_events_bucket(place))
    return ()


def _list_inbound(wanted: WantedState, place: Place) -> tuple[Resource, ...]:
    if not wanted.inbound_domain:
        return ()
    name, bucket = wanted.inbound_name, wanted.find_inbound_bucket(place)
    return list_inbound_resources(place, name, wanted.inbound_domain, bucket, rule_set=wanted.inbound_rule_set)
