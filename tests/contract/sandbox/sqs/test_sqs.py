"""One suite for SQS servers: a consumer of events can rely on the same for the sandbox and for moto."""

from collections.abc import Iterator
from contextlib import closing
from hashlib import md5
from itertools import count
from typing import Any

import pytest
from support.sqs import open_sqs, run_moto_sqs, run_sandbox_sqs

_NAMES = (f"queue-{number}" for number in count())


@pytest.fixture(scope="module", params=[run_sandbox_sqs, run_moto_sqs], ids=["sandbox", "moto"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with request.param(tmp_path_factory.mktemp("sqs")) as url:
        yield url


@pytest.fixture
def sqs(server: str) -> Iterator[Any]:
    with closing(open_sqs(server)) as client:
        yield client


@pytest.fixture
def queue(sqs: Any) -> str:
    return str(sqs.create_queue(QueueName=next(_NAMES))["QueueUrl"])


def receive(sqs: Any, queue: str, **more: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = sqs.receive_message(
        QueueUrl=queue, **{"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"], **more}
    ).get("Messages", [])
    return messages


def test_a_queue_is_found_by_its_name_and_listed(sqs: Any, queue: str) -> None:
    name = queue.rpartition("/")[2]
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == queue
    assert queue in sqs.list_queues(QueueNamePrefix=name)["QueueUrls"]
    assert sqs.create_queue(QueueName=name)["QueueUrl"] == queue
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="nowhere")


def test_a_message_comes_as_it_was_sent_with_its_digest_and_counts(sqs: Any, queue: str) -> None:
    body = '{"a": "é €"}'
    sent = sqs.send_message(QueueUrl=queue, MessageBody=body)
    digest = md5(body.encode(), usedforsecurity=False).hexdigest()
    assert sent["MD5OfMessageBody"] == digest
    (message,) = receive(sqs, queue)
    assert (message["Body"], message["MD5OfBody"]) == (body, digest)
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert int(message["Attributes"]["SentTimestamp"]) > 1_600_000_000_000


def test_received_message_is_hidden_until_its_timeout(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="one")
    (first,) = receive(sqs, queue, VisibilityTimeout=600)
    assert not receive(sqs, queue)
    counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "0"
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "1"
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = receive(sqs, queue)
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    assert again["MessageId"] == first["MessageId"]
    assert again["ReceiptHandle"] != first["ReceiptHandle"]


def test_a_deleted_message_never_comes_again(sqs: Any, queue: str) -> None:
    sqs.send_message_batch(
        QueueUrl=queue, Entries=[{"Id": str(number), "MessageBody": f"m{number}"} for number in range(10)]
    )
    taken: list[dict[str, Any]] = []
    while len(taken) < 10:
        taken += receive(sqs, queue, VisibilityTimeout=600)
    entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(taken[1:])]
    answer = sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
    assert {one["Id"] for one in answer["Successful"]} == {str(number) for number in range(9)}
    assert not answer.get("Failed")
    sqs.change_message_visibility_batch(
        QueueUrl=queue, Entries=[{"Id": "a", "ReceiptHandle": taken[0]["ReceiptHandle"], "VisibilityTimeout": 0}]
    )
    (left,) = receive(sqs, queue)
    assert left["Body"] == taken[0]["Body"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=left["ReceiptHandle"])
    assert not receive(sqs, queue)


def test_a_purged_queue_is_empty(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="one")
    sqs.purge_queue(QueueUrl=queue)
    assert not receive(sqs, queue)


def test_more_than_ten_at_once_are_refused(sqs: Any, queue: str) -> None:
    entries = [{"Id": str(number), "MessageBody": "x"} for number in range(11)]
    with pytest.raises(sqs.exceptions.TooManyEntriesInBatchRequest):
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    with pytest.raises(sqs.exceptions.ClientError):
        sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=11)
    twice = [{"Id": "a", "MessageBody": "x"}, {"Id": "a", "MessageBody": "y"}]
    with pytest.raises(sqs.exceptions.BatchEntryIdsNotDistinct):
        sqs.send_message_batch(QueueUrl=queue, Entries=twice)


def test_a_foreign_receipt_handle_is_refused(sqs: Any, queue: str) -> None:
    with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid):
        sqs.delete_message(QueueUrl=queue, ReceiptHandle="nonsense")
    with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle="nonsense", VisibilityTimeout=0)


def test_a_message_sent_with_a_delay_is_not_there_yet(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="later", DelaySeconds=900)
    assert not receive(sqs, queue)
