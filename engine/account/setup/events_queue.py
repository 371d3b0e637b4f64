"""Events through SNS into a queue: SES does not write to a queue itself."""

from engine.account.setup.event_destination import EventDestination, Target
from engine.account.setup.policies import SES, SNS, configuration_set_arn, permit_service
from engine.account.setup.queues import Queue
from engine.account.setup.resource import Place, Resource
from engine.account.setup.topics import Subscription, Topic


def list_queue_resources(place: Place, name: str, configuration_set: str, *, raw: bool = False) -> tuple[Resource, ...]:
    """List, in order, what publishes the events of a configuration set to a queue by SNS.

    Args:
        place: where all are.
        name: of the queue, the topic and the event destination.
        configuration_set: whose events are published.
        raw: SNS does not sign what it delivers; see Subscription.
    """
    topic = make_topic(place, name, configuration_set_arn(place, configuration_set))
    dead, queue = make_queues(place, name, topic)
    return (
        dead,
        queue,
        topic,
        Subscription(topic, queue, raw),
        EventDestination(configuration_set, name, target(topic)),
    )


def make_topic(place: Place, name: str, source: str) -> Topic:
    """Make a topic that SES may publish to, for one configuration set or receipt rule.

    Args:
        place: where it is.
        name: of the topic.
        source: the ARN of the configuration set or receipt rule.
    """
    statement = permit_service("MailrunSes", SES, "sns:Publish", place.arn("sns", name), place=place, source=source)
    return Topic(place, name, (statement,))


def make_queues(place: Place, name: str, topic: Topic) -> tuple[Queue, Queue]:
    """Make a queue that only a topic may send to, after the queue of its dead letters."""
    statement = permit_service(
        "MailrunTopic", SNS, "sqs:SendMessage", place.arn("sqs", name), place=place, source=topic.arn
    )
    dead = make_dead_letters(place, name)
    return dead, Queue(place, name, (statement,), dead_letters=dead.name)


def make_dead_letters(place: Place, name: str) -> Queue:
    """Make the queue of the messages that could not be read from another one."""
    return Queue(place, f"{name}-dead-letters")


def target(topic: Topic) -> Target:
    """Return the topic as the target of an event destination."""
    return Target(
        api=("SnsDestination", {"TopicArn": topic.arn}),
        cloudformation=("SnsDestination", {"TopicARN": topic.arn}),
        terraform=("sns_destination", {"topic_arn": topic.arn}),
        logical_ids=topic.logical_ids,
        addresses=topic.addresses,
    )
