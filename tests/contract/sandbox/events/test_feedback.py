"""Feedback of the sandbox over real HTTP: its queue, its certificate, its control endpoint and files."""

import asyncio
import gzip
import threading
import urllib.request
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import orjson
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from support.credentials import CREDENTIALS, bearer
from support.ses import open_ses
from support.sqs import open_sqs

from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.events.behaviour import Behaviour
from engine.sandbox.server import SandboxSettings

TEXT = {"Data": "x"}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[EmbeddedSandbox]:
    with run(tmp_path) as running:
        yield running


@contextmanager
def run(folder: Path, **settings: Any) -> Iterator[EmbeddedSandbox]:
    behaviour = Behaviour.from_document(settings.pop("behaviour", {}))
    given = {"max_send_rate": 10_000.0, "max_24_hour_send": -1.0, **settings}
    with run_in_thread(
        SandboxSettings(record_folder=folder, behaviour=behaviour, credentials=CREDENTIALS, **given)
    ) as running:
        yield running


def send(sandbox: EmbeddedSandbox, *addresses: str, **more: Any) -> list[str]:
    content = {"Simple": {"Subject": TEXT, "Body": {"Text": TEXT}}}
    with open_ses(sandbox) as ses:
        return [
            ses.send_email(
                FromEmailAddress="n@acme.example", Destination={"ToAddresses": [to]}, Content=content, **more
            )["MessageId"]
            for to in addresses
        ]


def drain(sandbox: EmbeddedSandbox) -> list[dict[str, Any]]:
    """Receive and delete everything; return the bodies."""
    bodies: list[dict[str, Any]] = []
    with closing(open_sqs(sandbox.url)) as sqs:
        while messages := sqs.receive_message(QueueUrl=sandbox.queue_url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [orjson.loads(message["Body"]) for message in messages]
            entries = [{"Id": str(at), "ReceiptHandle": m["ReceiptHandle"]} for at, m in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=sandbox.queue_url, Entries=entries)
    return bodies


def control(sandbox: EmbeddedSandbox, method: str, path: str, document: Any = None) -> tuple[int, Any]:
    body = None if document is None else orjson.dumps(document)
    with closing(HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)) as connection:
        connection.request(method, path, body=body, headers=bearer(sandbox))
        reply = connection.getresponse()
        return reply.status, orjson.loads(reply.read())


@pytest.mark.parametrize(("version", "digest"), [("1", hashes.SHA1()), ("2", hashes.SHA256())])  # noqa: S303 - as SNS
def test_sns_message_is_signed_by_the_certificate_of_the_sandbox(
    tmp_path: Path, version: str, digest: hashes.HashAlgorithm
) -> None:
    with run(tmp_path, behaviour={"envelope": "sns", "signature_version": version}) as sandbox:
        (message_id,) = send(sandbox, "a@b.example")
        bodies = drain(sandbox)
        assert bodies[0]["SigningCertURL"].startswith(sandbox.url + "/")
        with urllib.request.urlopen(bodies[0]["SigningCertURL"]) as answer:  # noqa: S310 - loopback
            key: Any = x509.load_pem_x509_certificate(answer.read()).public_key()
    for body in bodies:
        assert (body["Type"], body["SignatureVersion"]) == ("Notification", version)
        names = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
        text = "".join(f"{name}\n{body[name]}\n" for name in names)
        key.verify(b64decode(body["Signature"]), text.encode(), PKCS1v15(), digest)
        assert orjson.loads(body["Message"])["mail"]["messageId"] == message_id


def test_an_eventbridge_envelope_has_the_record_as_its_detail(tmp_path: Path) -> None:
    with run(tmp_path, behaviour={"envelope": "eventbridge"}) as sandbox:
        send(sandbox, "bounce@simulator.amazonses.com")
        bodies = drain(sandbox)
    assert [body["detail-type"] for body in bodies] == ["Email Sent", "Email Bounced"]
    assert bodies[1]["detail"]["eventType"] == "Bounce"
    assert bodies[1]["source"] == "aws.ses"


def test_the_behaviour_is_changed_while_it_runs(sandbox: EmbeddedSandbox) -> None:
    status, told = control(sandbox, "PUT", "/_sandbox/behaviour", {"envelope": "raw", "default": {"open": 1}})
    assert (status, told["default"]) == (200, {"open": 1.0})
    send(sandbox, "a@b.example")
    assert [body["eventType"] for body in drain(sandbox)] == ["Send", "Delivery", "Open"]
    status, told = control(sandbox, "PUT", "/_sandbox/behaviour", {"default": {"opens": 1}})
    assert status == 400
    assert "opens" in told["message"]
    assert control(sandbox, "GET", "/_sandbox/behaviour")[1]["default"] == {"open": 1.0}


def test_permanent_bounces_and_complaints_are_suppressed(tmp_path: Path) -> None:
    domains = {
        "bad.example": {"bounces": {"Permanent/General": 1}},
        "full.example": {"bounces": {"Transient/MailboxFull": 1}},
        "angry.example": {"complaints": {"abuse": 1}},
        "glad.example": {"complaints": {"not-spam": 1}},
    }
    with run(tmp_path, behaviour={"envelope": "raw", "domains": domains}) as sandbox:
        addresses = [f"A@{domain}" for domain in domains]
        send(sandbox, *addresses, "bounce@simulator.amazonses.com")
        with open_ses(sandbox) as ses:
            listed = ses.list_suppressed_destinations()["SuppressedDestinationSummaries"]
        assert {one["EmailAddress"]: one["Reason"] for one in listed} == {
            "A@bad.example": "BOUNCE",
            "A@angry.example": "COMPLAINT",
        }
        drain(sandbox)
        send(sandbox, "a@BAD.example")
        assert drain(sandbox)[-1]["bounce"]["bounceSubType"] == "OnAccountSuppressionList"


def test_a_configuration_sets_destinations_choose_what_is_published(tmp_path: Path) -> None:
    with run(tmp_path, behaviour={"envelope": "raw"}) as sandbox, open_ses(sandbox) as ses:
        destination = {
            "Enabled": True,
            "MatchingEventTypes": ["BOUNCE"],
            "SnsDestination": {"TopicArn": "arn:aws:sns:us-east-1:123456789012:t"},
        }
        named = {"ConfigurationSetName": "cs", "EventDestinationName": "d"}
        ses.create_configuration_set_event_destination(**named, EventDestination=destination)
        with pytest.raises(ses.exceptions.AlreadyExistsException):
            ses.create_configuration_set_event_destination(**named, EventDestination=destination)
        (told,) = ses.get_configuration_set_event_destinations(ConfigurationSetName="cs")["EventDestinations"]
        assert told == {"Name": "d", **destination}
        to = ["bounce@simulator.amazonses.com", "a@b.example"]
        send(sandbox, *to, ConfigurationSetName="cs")
        assert [body["eventType"] for body in drain(sandbox)] == ["Bounce"]
        both = destination | {"MatchingEventTypes": ["BOUNCE", "DELIVERY"]}
        ses.update_configuration_set_event_destination(**named, EventDestination=both)
        send(sandbox, *to, ConfigurationSetName="cs")
        assert [body["eventType"] for body in drain(sandbox)] == ["Bounce", "Delivery"]
        ses.delete_configuration_set_event_destination(**named)
        with pytest.raises(ses.exceptions.NotFoundException):
            ses.update_configuration_set_event_destination(**named, EventDestination=both)
        send(sandbox, "a@b.example", ConfigurationSetName="cs")
        assert [body["eventType"] for body in drain(sandbox)] == ["Send", "Delivery"]


def test_firehose_writes_what_has_happened_in_lines_that_may_be_compressed(tmp_path: Path) -> None:
    with run(tmp_path / "r", firehose_folder=tmp_path / "f", firehose_gzip=True) as sandbox:
        send(sandbox, "a@b.example", "c@b.example")
        status, told = control(sandbox, "POST", "/_sandbox/firehose")
        assert status == 200
        (file,) = told["files"]
        lines = [orjson.loads(line) for line in gzip.decompress(Path(file).read_bytes()).splitlines()]
        assert Counter(line["eventType"] for line in lines) == {"Send": 2, "Delivery": 2}
        assert control(sandbox, "POST", "/_sandbox/firehose")[1] == {"files": []}
        send(sandbox, "d@b.example")
    assert len(list((tmp_path / "f").rglob("*.gz"))) == 2


def test_an_unsigned_or_wrongly_signed_call_is_refused(sandbox: EmbeddedSandbox) -> None:
    client = boto3.client(
        "sqs",
        endpoint_url=sandbox.url,
        region_name="us-east-1",
        aws_access_key_id=sandbox.access_key_id,
        aws_secret_access_key="another",
    )
    with closing(client), pytest.raises(client.exceptions.ClientError) as caught:
        client.list_queues()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


async def test_a_waiting_receiver_gets_an_event_at_once(sandbox: EmbeddedSandbox) -> None:
    """By aiobotocore, as mailrun pulls."""
    arguments = {
        "endpoint_url": sandbox.url,
        "region_name": "us-east-1",
        "aws_access_key_id": sandbox.access_key_id,
        "aws_secret_access_key": sandbox.secret_access_key,
    }
    async with AioSession().create_client("sqs", config=AioConfig(read_timeout=30), **arguments) as sqs:
        waiting = asyncio.create_task(sqs.receive_message(QueueUrl=sandbox.queue_url, WaitTimeSeconds=20))
        await asyncio.sleep(0)
        sender = threading.Thread(target=send, args=(sandbox, "a@b.example"))
        sender.start()
        received = await asyncio.wait_for(waiting, 15)
        sender.join()
    assert len(received["Messages"]) == 1


def test_next_sandbox_of_a_record_has_the_events_not_yet_received(tmp_path: Path) -> None:
    with run(tmp_path) as sandbox:
        send(sandbox, "a@b.example")
        drain(sandbox)
        send(sandbox, "c@b.example")
    with run(tmp_path, behaviour={"envelope": "raw"}) as sandbox:
        assert {body["mail"]["destination"][0] for body in drain(sandbox)} == {"c@b.example"}
