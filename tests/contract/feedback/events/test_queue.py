"""Events out of SQS as others speak it: moto's server; what is pulled is durable before it is deleted."""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from support import s3
from support.events import make_event_of
from support.world import RUN, World, finish, wait_until

from engine.errors import ConfigurationError, PausedError
from engine.feedback.events import queue as feedback_queue
from engine.feedback.events.queue import Pulled, open_sqs, pull
from engine.stopping.stop import Stop, StopCause, StopReason


@pytest.fixture
def sqs(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in s3.environment(moto).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", moto)
    client = boto3.client("sqs", endpoint_url=moto)
    yield client
    client.close()


@pytest.fixture
def queue(sqs: Any, tmp_path: Path) -> str:
    return str(sqs.create_queue(QueueName=tmp_path.name[-60:].replace(".", "-"))["QueueUrl"])


def send(sqs: Any, queue: str, bodies: Sequence[str]) -> None:
    for at in range(0, len(bodies), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[at : at + 10])]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)


def count_messages(sqs: Any, queue: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(map(int, sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()))


async def pull_all(queue: str, taken: list[str], stop: Stop | None = None, *, follow: bool = False) -> Pulled:
    async def take(bodies: Sequence[str]) -> None:
        taken.extend(bodies)

    async with open_sqs(queue) as client:
        return await pull(client, queue, take, follow=follow, stop=stop or Stop(), poll_seconds=1)


async def test_a_queue_is_pulled_until_it_is_idle_and_what_was_taken_is_deleted(sqs: Any, queue: str):
    bodies = [f"body {number}" for number in range(47)]
    send(sqs, queue, bodies)
    taken: list[str] = []
    pulled = await pull_all(queue, taken)
    # A queue delivers at least once: moto gives a message to two requests if they meet.
    assert pulled == Pulled(len(taken), 0)
    assert set(taken) == set(bodies)
    assert count_messages(sqs, queue) == 0


async def test_what_could_not_be_kept_is_not_deleted(sqs: Any, queue: str):
    send(sqs, queue, ["one", "two"])

    async def fail(_: Sequence[str]) -> None:
        raise PausedError("the disk is full", remedy="free some space")

    async with open_sqs(queue) as client:
        with pytest.raises(PausedError):
            await pull(client, queue, fail, follow=False, stop=Stop(), poll_seconds=1)
    assert count_messages(sqs, queue) == 2


async def test_undeleted_message_is_retried_and_then_reported(sqs: Any, queue: str):
    send(sqs, queue, ["one", "two", "three"])
    async with open_sqs(queue) as client:
        calls: list[int] = []
        delete = client.delete_message_batch

        async def refuse_some(**given: Any) -> Any:
            calls.append(len(given["Entries"]))
            if len(calls) > 1:
                given["Entries"] = given["Entries"][:1]  # one succeeds
            else:
                given["Entries"] = given["Entries"][:2]
            answer = await delete(**given)
            failed = [{"Id": "2", "Code": "InternalError", "SenderFault": False}] if len(calls) == 1 else []
            return answer | {"Failed": failed}

        client.delete_message_batch = refuse_some
        taken: list[str] = []

        async def take(bodies: Sequence[str]) -> None:
            taken.extend(bodies)

        pulled = await pull(client, queue, take, follow=False, stop=Stop(), poll_seconds=1)
    assert (pulled, calls, len(taken)) == (Pulled(3, 0), [3, 1], 3)
    assert count_messages(sqs, queue) == 0

    async def refuse(**_: Any) -> Any:
        return {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}

    send(sqs, queue, ["four"])
    async with open_sqs(queue) as client:
        client.delete_message_batch = refuse
        assert await pull(client, queue, take, follow=False, stop=Stop(), poll_seconds=1) == Pulled(1, 1)


async def test_following_pull_ends_at_once_when_stopped_while_it_waits(queue: str):
    stop = Stop()
    stop.request(StopReason(StopCause.SIGNAL, "stopped"))
    assert await pull_all(queue, [], stop, follow=True) == Pulled(0, 0)


async def test_missing_queue_is_named(queue: str):
    with pytest.raises(ConfigurationError, match="no such queue"):
        await pull_all(queue + "-not", [])


def test_the_reply_to_a_long_poll_is_waited_for_longer_than_the_poll():
    assert feedback_queue._CONFIG.read_timeout > feedback_queue.LONG_POLL_SECONDS


def test_events_of_every_envelope_are_pulled_by_the_command(sqs: Any, queue: str, moto: str, world: World):
    world.write_people(12)
    world.settings |= {"AWS_ENDPOINT_URL_SQS": moto, "MAILRUN_EVENTS_QUEUE": queue}
    assert world.launch().code == 0
    raw, bridged = ([make_event_of(entry, kind) for entry in world.accepted()] for kind in ("Delivery", "Complaint"))
    bridged = [{"detail-type": "Email Complaint Received", "source": "aws.ses", "detail": event} for event in bridged]
    notices = ["Successfully validated SNS topic for Amazon SES event publishing."]
    forged = {"Type": "Notification", "Message": json.dumps(raw[0]), "TopicArn": "arn:aws:sns:eu-west-1:1:x"}
    bodies = [json.dumps(event) for event in (*raw, *bridged)]
    send(sqs, queue, [*bodies, *bodies[:5], *notices, json.dumps(forged)])
    pulled = world.run("events", "pull", "--json")
    assert pulled.code == 65, pulled.stderr
    # At least: SQS may give a message twice, and moto sometimes does so with ten calls at once.
    assert pulled.json["documents"] >= 31
    assert pulled.json["notices"] >= 1
    assert pulled.json["forged"] >= 1
    assert (pulled.json["matched"], pulled.json["changed"], pulled.json["suppressed"]) == (24, 12, 12)
    assert count_messages(sqs, queue) == 0
    told = world.run("status", RUN, "--json").json
    assert (told["delivered"], told["complained"]) == (12, 12)


def test_following_pull_takes_new_messages_and_stops_in_order(sqs: Any, queue: str, moto: str, world: World):
    world.write_people(3)
    world.settings |= {"AWS_ENDPOINT_URL_SQS": moto}
    assert world.launch().code == 0
    following = world.fork("events", "pull", "--queue", queue, "--follow", "--json")
    for entry in world.accepted():
        send(sqs, queue, [json.dumps(make_event_of(entry, "Delivery"))])
    wait_until(lambda: world.run("status", RUN, "--json").json["delivered"] == 3)
    following.terminate()
    ended = finish(following, 15)
    assert (ended.code, ended.json["changed"]) == (0, 3)


def test_what_firehose_wrote_is_imported_out_of_a_bucket(sqs: Any, moto: str, world: World, tmp_path: Path):
    del sqs  # its environment is S3's
    client = s3.open_client(moto)
    world.write_people(30)
    world.settings |= s3.environment(moto)
    assert world.launch().code == 0
    entries = world.accepted()
    for hour, kind in enumerate(("Delivery", "Open", "Bounce")):
        data = "".join(json.dumps(make_event_of(entry, kind)) for entry in entries).encode()
        key = f"{tmp_path.name}/2026/11/24/{hour:02d}/stream-1"
        client.put_object(Bucket=s3.BUCKET, Key=key, Body=gzip.compress(data) if hour else data)
    client.close()
    taken = world.run("events", "import", f"s3://{s3.BUCKET}/{tmp_path.name}/", "--json")
    assert (taken.code, taken.json["matched"], taken.json["suppressed"]) == (0, 90, 30), taken.stderr
    missing = world.run("events", "import", f"s3://{s3.BUCKET}/{tmp_path.name}-none/")
    assert missing.code == 65
