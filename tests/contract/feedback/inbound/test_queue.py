"""Received mail out of SQS and S3 as others speak them: moto's servers."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from support import s3
from support.clock import VirtualClock

from engine.feedback.events.queue import Pulled, open_sqs, pull
from engine.feedback.inbound.authority import MailTrust
from engine.feedback.inbound.intake import InboundIntake
from engine.feedback.inbound.objects import ByteBudget, ObjectReader
from engine.feedback.inbound.pull import InboundPull
from engine.ledger.database import open_ledger
from engine.stopping.stop import Stop
from engine.store.folder import FolderStore
from engine.store.s3_client import open_s3

MAIL = b"Authentication-Results: amazonses.com; dmarc=pass header.from=b.example;\r\nFrom: p%d@b.example\r\n"


def name(key: str, bucket: str = s3.BUCKET) -> str:
    action = {"type": "S3", "bucketName": bucket, "objectKey": key}
    return json.dumps({"notificationType": "Received", "mail": {"messageId": key}, "receipt": {"action": action}})


async def test_mails_are_read_from_the_bucket_and_a_missing_one_set_aside(
    moto: str, tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (s3.environment(moto) | {"AWS_ENDPOINT_URL_SQS": moto}).items():
        monkeypatch.setenv(variable, value)
    size, count = 20_000, 12
    budget = ByteBudget(3 * size)
    with closing(s3.open_client(moto)) as objects, closing(boto3.client("sqs", endpoint_url=moto)) as queues:
        objects.create_bucket(Bucket="theirs")
        for number in range(count):
            body = MAIL % number + b"Subject: unsubscribe\r\n\r\n" + b"x" * size
            objects.put_object(Bucket=s3.BUCKET, Key=f"in/{number}", Body=body)
            objects.put_object(Bucket="theirs", Key=f"in/{number}", Body=MAIL % 99 + b"Subject: stop\r\n\r\n")
        queue = queues.create_queue(QueueName="inbound")["QueueUrl"]
        for key in (*(f"in/{number}" for number in range(count)), "in/gone"):
            queues.send_message(QueueUrl=queue, MessageBody=name(key))
        queues.send_message(QueueUrl=queue, MessageBody=name("in/0", "theirs"))
        ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        intake = InboundIntake(ledger, None, set, lambda _: False, clock, lambda *_: None)
        with closing(ObjectReader([s3.BUCKET], open_s3, budget)) as reader:
            desk = InboundPull(
                intake, MailTrust("amazonses.com"), lambda _: None, reader, FolderStore(tmp_path / "store")
            )

            async def take(bodies: Any) -> set[int]:
                return desk.process(bodies)

            async with open_sqs(queue) as client:
                pulled = await pull(client, queue, take, follow=False, stop=Stop(), poll_seconds=1, most_messages=5)
    ledger.close()
    assert pulled == Pulled(count + 2, 0, 0)
    assert (intake.tally.suppressed, intake.tally.kinds) == (count, {"unsubscribe": count})
    assert sum(intake.tally.refused.values()) == 2
    assert size <= budget.most_held <= budget.limit
    assert {path.name.rpartition("-")[0] for path in (tmp_path / "store/inbound-refused").iterdir()} == {
        "bucket",
        "unreadable",
    }


async def test_what_must_stay_is_not_deleted_and_bodies_are_bounded(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in (s3.environment(moto) | {"AWS_ENDPOINT_URL_SQS": moto}).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("engine.feedback.events.queue.MOST_MESSAGE_BYTES", 1000)
    monkeypatch.setattr("engine.feedback.events.queue.MOST_HELD_BYTES", 25_000)
    taken: list[list[str]] = []

    async def take(bodies: Any) -> set[int]:
        taken.append(bodies)
        return {number for number, body in enumerate(bodies) if body.startswith("stay")}

    with closing(boto3.client("sqs", endpoint_url=moto)) as queues:
        queue = queues.create_queue(QueueName="stay")["QueueUrl"]
        for number in range(60):
            queues.send_message(QueueUrl=queue, MessageBody=("stay" if number % 20 == 0 else "done").ljust(1000, "x"))
        async with open_sqs(queue) as client:
            pulled = await pull(client, queue, take, follow=False, stop=Stop(), poll_seconds=1)
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        left = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=counts)["Attributes"]
    assert pulled == Pulled(60, 0, 3)
    assert sum(map(int, left.values())) == 3
    assert max(sum(map(len, bodies)) for bodies in taken) <= 25_000
