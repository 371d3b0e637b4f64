"""Received mail: SES stores it in a bucket and notifies a queue by SNS, which `inbound pull` reads."""

from engine.account.setup.buckets import Bucket
from engine.account.setup.events_queue import make_queues, make_topic
from engine.account.setup.policies import SES, bucket_arn, permit_service
from engine.account.setup.receipt_rules import ActiveReceiptRuleSet, ReceiptRule, ReceiptRuleSet
from engine.account.setup.resource import Place, Resource
from engine.account.setup.topics import Subscription

PREFIX = "mails/"


def list_inbound_resources(  # noqa: PLR0913 - names
    place: Place, name: str, recipient: str, bucket: str, *, rule_set: str, raw: bool = False
) -> tuple[Resource, ...]:
    """List, in order, what brings mail for a domain or an address to a bucket and a queue.

    Args:
        place: where all are.
        name: of the queue, the topic and the receipt rule.
        recipient: the domain or address whose mail is received.
        bucket: its name.
        rule_set: of the rule. One rule set is active in an account and region: several set-ups share one.
        raw: SNS does not sign the notifications; `inbound pull` then needs `[inbound] raw_delivery`.
    """
    source = place.arn("ses", f"receipt-rule-set/{rule_set}:receipt-rule/{name}")
    stored = bucket_arn(place, bucket)
    permit = permit_service("MailrunSes", SES, "s3:PutObject", f"{stored}/{PREFIX}*", place=place, source=source)
    topic = make_topic(place, name, source)
    dead, queue = make_queues(place, name, topic)
    box = Bucket(place, bucket, (permit,))
    rules = ReceiptRuleSet(rule_set)
    return (
        dead,
        queue,
        topic,
        Subscription(topic, queue, raw),
        box,
        rules,
        ReceiptRule(rules, name, recipient, box, topic, PREFIX),
        ActiveReceiptRuleSet(rules),
    )
