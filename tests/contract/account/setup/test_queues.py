"""A queue of SQS: created, compared, changed back, resumed."""

import json
from collections.abc import Callable

import pytest
from support.aws import PLACE, apply, open_boto, plan, prove_resumable

from engine.account.services import open_services
from engine.account.setup.policies import SNS, permit_service
from engine.account.setup.queues import Queue
from engine.account.setup.resource import Action

Empty = Callable[[], None]
DEAD = Queue(PLACE, "events-dead")
OWN = permit_service(
    "MailrunTopic", SNS, "sqs:SendMessage", PLACE.arn("sqs", "events"), place=PLACE, source=PLACE.arn("sns", "events")
)
QUEUE = Queue(PLACE, "events", (OWN,), dead_letters="events-dead")
FOREIGN = {
    "Sid": "theirs",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
    "Action": "sqs:SendMessage",
    "Resource": "*",
}
WIDE = json.dumps({"Version": "2012-10-17", "Statement": [{**OWN, "Action": "sqs:*"}]})


def read(name: str = "events") -> dict[str, str]:
    sqs = open_boto("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return dict(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])


def write(**attributes: str) -> None:
    """Set attributes; with the policy, which moto 5.2.5 forgets otherwise."""
    attributes = {"Policy": read()["Policy"]} | attributes
    sqs = open_boto("sqs")
    sqs.set_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName="events")["QueueUrl"], Attributes=attributes)


@pytest.mark.usefixtures("account")
async def test_queue_is_created_with_its_policy_and_then_kept():
    assert await plan([DEAD, QUEUE]) == [Action.CREATE, Action.CREATE]
    await apply([DEAD, QUEUE])
    found = read()
    assert found["QueueArn"] == QUEUE.arn
    assert found["MessageRetentionPeriod"] == "1209600"
    assert found["SqsManagedSseEnabled"] == "true"
    assert json.loads(found["RedrivePolicy"]) == {"deadLetterTargetArn": DEAD.arn, "maxReceiveCount": 1000}
    assert json.loads(found["Policy"])["Statement"] == [OWN]
    assert await plan([DEAD, QUEUE]) == [Action.KEEP, Action.KEEP]


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("MessageRetentionPeriod", "3600", "MessageRetentionPeriod: 3600 -> 1209600"),
        ("ReceiveMessageWaitTimeSeconds", "1", "ReceiveMessageWaitTimeSeconds: 1 -> 20"),
        ("SqsManagedSseEnabled", "false", "SqsManagedSseEnabled: false -> true"),
        ("Policy", WIDE, "Policy: statement MailrunTopic"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("account")
async def test_changed_attribute_is_found_and_changed_back(name: str, value: str, detail: str):
    await apply([DEAD, QUEUE])
    write(**{name: value})
    async with open_services() as services:
        step = await QUEUE.compare(services)
        assert (step.action, step.details) == (Action.CHANGE, (detail,))
        await QUEUE.apply(services, step)
        assert not {detail} & set((await QUEUE.compare(services)).details)
    await apply([QUEUE])  # moto has forgotten the policy
    assert await plan([DEAD, QUEUE]) == [Action.KEEP, Action.KEEP]


@pytest.mark.usefixtures("account")
async def test_statement_of_another_survives():
    await apply([DEAD, QUEUE])
    write(Policy=json.dumps({"Version": "2012-10-17", "Statement": [FOREIGN]}))
    await apply([DEAD, QUEUE])
    assert json.loads(read()["Policy"])["Statement"] == [FOREIGN, OWN]


@pytest.mark.usefixtures("account")
async def test_key_of_the_owner_is_kept():
    await apply([DEAD, QUEUE])
    write(KmsMasterKeyId="alias/acme", SqsManagedSseEnabled="false")
    assert await plan([QUEUE]) == [Action.KEEP]


@pytest.mark.usefixtures("account")
async def test_comparing_creates_nothing():
    await plan([DEAD, QUEUE])
    assert open_boto("sqs").list_queues().get("QueueUrls", []) == []


async def test_interrupted_apply_resumes(account: Empty):
    assert await prove_resumable([DEAD, QUEUE], account) == 2
