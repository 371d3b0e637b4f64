"""A queue of SQS: created, compared, changed back, resumed."""

import json

import pytest
from support.aws import PLACE, TestAccount

from engine.account.setup.policies import SNS, permit_service
from engine.account.setup.queues import Queue
from engine.account.setup.resource import Action

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


def read(account: TestAccount, name: str = "events") -> dict[str, str]:
    sqs = account.boto("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return dict(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])


def write(account: TestAccount, **attributes: str) -> None:
    """Set attributes; with the policy, which moto 5.2.5 forgets otherwise."""
    attributes = {"Policy": read(account)["Policy"]} | attributes
    sqs = account.boto("sqs")
    sqs.set_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName="events")["QueueUrl"], Attributes=attributes)


async def test_queue_is_created_with_its_policy_and_then_kept(account: TestAccount):
    assert await account.plan([DEAD, QUEUE]) == [Action.CREATE, Action.CREATE]
    await account.apply([DEAD, QUEUE])
    found = read(account)
    assert found["QueueArn"] == QUEUE.arn
    assert found["MessageRetentionPeriod"] == "1209600"
    assert found["SqsManagedSseEnabled"] == "true"
    assert json.loads(found["RedrivePolicy"]) == {"deadLetterTargetArn": DEAD.arn, "maxReceiveCount": 1000}
    assert json.loads(found["Policy"])["Statement"] == [OWN]
    assert await account.plan([DEAD, QUEUE]) == [Action.KEEP, Action.KEEP]


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("MessageRetentionPeriod", "3600", "MessageRetentionPeriod: 3600 -> 1209600"),
        ("ReceiveMessageWaitTimeSeconds", "1", "ReceiveMessageWaitTimeSeconds: 1 -> 20"),
        ("SqsManagedSseEnabled", "false", "SqsManagedSseEnabled: false -> true"),
        ("Policy", WIDE, "Policy: statement MailrunTopic"),
    ],
)  # fmt: skip
async def test_changed_attribute_is_found_and_changed_back(account: TestAccount, name: str, value: str, detail: str):
    await account.apply([DEAD, QUEUE])
    write(account, **{name: value})
    step = await QUEUE.compare(account.services)
    assert (step.action, step.details) == (Action.CHANGE, (detail,))
    await QUEUE.apply(account.services)
    assert not {detail} & set((await QUEUE.compare(account.services)).details)
    await account.apply([QUEUE])  # moto has forgotten the policy
    assert await account.plan([DEAD, QUEUE]) == [Action.KEEP, Action.KEEP]


async def test_statement_of_another_survives(account: TestAccount):
    await account.apply([DEAD, QUEUE])
    write(account, Policy=json.dumps({"Version": "2012-10-17", "Statement": [FOREIGN]}))
    await account.apply([DEAD, QUEUE])
    assert json.loads(read(account)["Policy"])["Statement"] == [FOREIGN, OWN]


async def test_key_of_the_owner_is_kept(account: TestAccount):
    await account.apply([DEAD, QUEUE])
    write(account, KmsMasterKeyId="alias/acme", SqsManagedSseEnabled="false")
    assert await account.plan([QUEUE]) == [Action.KEEP]


async def test_comparing_creates_nothing(account: TestAccount):
    await account.plan([DEAD, QUEUE])
    assert account.boto("sqs").list_queues().get("QueueUrls", []) == []


async def test_interrupted_apply_resumes(account: TestAccount):
    assert await account.prove_resumable([DEAD, QUEUE]) == 2
