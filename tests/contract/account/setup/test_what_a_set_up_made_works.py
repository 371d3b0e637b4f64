"""Events and mails go through what a set-up made, and `events pull` and `inbound pull` read them."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.aws import ACCOUNT, PLACE, REGION, SET, TestAccount
from support.events import make_event, make_mail
from support.feedback import open_desk
from support.setups import EVENTS, INBOUND, inbound, through_event_bridge, through_firehose, through_queue

from engine.account.setup.queues import Queue
from engine.feedback.events.envelopes import Quarantined, open_body
from engine.feedback.events.queue import open_sqs, pull
from engine.feedback.events.signatures import SnsVerifier, own_account_topics
from engine.feedback.inbound.notifications import open_notification
from engine.stopping.stop import Stop

BOUNCE = make_event("Bounce", make_mail("0100-1", "ann@b.example", {"ses:configuration-set": SET}))
BUCKET, EVENTS_BUCKET = f"{INBOUND}-{ACCOUNT}-{REGION}", f"{EVENTS}-{ACCOUNT}-{REGION}"
MAIL = b"Authentication-Results: amazonses.com; dmarc=pass header.from=b.example;\r\nFrom: ann@b.example\r\n\r\nstop"


@pytest.fixture
def fetch(account: TestAccount) -> Any:
    """Fetches the certificates with which moto signs, from where SNS has them."""

    def read(url: str) -> bytes:
        path = url.rpartition("/")[2]
        scope = f"AWS4-HMAC-SHA256 Credential=any/20261124/{REGION}/sns/aws4_request, "  # moto finds the service by it
        request = urllib.request.Request(f"{account.url}/{path}", headers={"Authorization": scope})  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return bytes(answer.read())

    return read


def publish(account: TestAccount, name: str, document: dict[str, Any]) -> str:
    """Publish as SES does; return the queue's URL."""
    account.boto("sns").publish(TopicArn=PLACE.arn("sns", name), Message=json.dumps(document))
    return str(account.boto("sqs").get_queue_url(QueueName=name)["QueueUrl"])


async def receive(queue: str) -> list[str]:
    taken: list[str] = []

    async def take(bodies: Sequence[str]) -> None:
        taken.extend(bodies)

    async with open_sqs(queue) as client:
        await pull(client, queue, take, follow=False, stop=Stop(), poll_seconds=1)
    return taken


def run(folder: Path, settings: str, *arguments: str) -> dict[str, Any]:
    (folder / "campaigns").mkdir(exist_ok=True)
    (folder / "mailrun.toml").write_text(settings)
    command = [sys.executable, "-m", "engine", *arguments, "--workspace", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def permit_plain_http(account: TestAccount, bucket: str) -> None:
    """Let the test speak HTTP with a bucket: moto enforces the policy, which refuses it."""
    s3 = account.boto("s3")
    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket=bucket, Key="any", Body=b"any")
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    kept = [one for one in policy["Statement"] if one["Effect"] == "Allow"]
    s3.delete_bucket_policy(Bucket=bucket)
    if kept:
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({**policy, "Statement": kept}))


async def test_signed_events_of_the_topic_are_believed_without_a_setting(
    account: TestAccount, tmp_path: Path, fetch: Any
):
    """The topics that are trusted by default are those of the queue's account."""
    await account.apply(through_queue(PLACE))
    bodies = await receive(publish(account, EVENTS, BOUNCE))
    verify = SnsVerifier(own_account_topics(Queue(PLACE, EVENTS).url), fetch)
    opened = [open_body(body, verify) for body in bodies]
    assert len(opened) == 1
    assert not isinstance(opened[0], Quarantined)
    with open_desk(tmp_path) as desk:
        desk.intake.take(opened, "a test")
        assert len(desk.read_state()["volume"]) == 1


async def test_event_with_another_signature_is_not_believed(account: TestAccount, fetch: Any):
    await account.apply(through_queue(PLACE))
    (body,) = await receive(publish(account, EVENTS, BOUNCE))
    forged = json.dumps(json.loads(body) | {"Message": json.dumps(BOUNCE | {"eventType": "Complaint"})})
    opened = open_body(forged, SnsVerifier(own_account_topics(Queue(PLACE, EVENTS).url), fetch))
    assert isinstance(opened, Quarantined)
    assert opened.is_forged


async def test_events_pull_reads_raw_events_of_the_topic(account: TestAccount, tmp_path: Path):
    await account.apply(through_queue(PLACE, raw=True))
    queue = publish(account, EVENTS, BOUNCE)
    assert run(tmp_path, "", "events", "pull", "--queue", queue)["events"] == 1


async def test_events_pull_reads_what_event_bridge_delivers(account: TestAccount, tmp_path: Path):
    """Only of this configuration set."""
    await account.apply(through_event_bridge(PLACE))
    other = make_event("Bounce", make_mail("0100-2", "bob@b.example", {"ses:configuration-set": "other"}))
    account.boto("events").put_events(
        Entries=[
            {"Source": "aws.ses", "DetailType": "Email Bounced", "Detail": json.dumps(event)}
            for event in (BOUNCE, other)
        ]
    )
    queue = account.boto("sqs").get_queue_url(QueueName=EVENTS)["QueueUrl"]
    assert run(tmp_path, "", "events", "pull", "--queue", queue)["events"] == 1


async def test_events_import_reads_what_firehose_wrote(account: TestAccount, tmp_path: Path):
    await account.apply(through_firehose(PLACE))
    permit_plain_http(account, EVENTS_BUCKET)
    events = (BOUNCE, make_event("Open", make_mail("0100-1", "ann@b.example")))
    records = [{"Data": json.dumps(event).encode() + b"\n"} for event in events]
    account.boto("firehose").put_record_batch(DeliveryStreamName=EVENTS, Records=records)
    assert run(tmp_path, "", "events", "import", f"s3://{EVENTS_BUCKET}/ses-events/")["events"] == 2


def notify(account: TestAccount) -> str:
    """Store a mail and notify the topic, as the receipt rule says."""
    rule = account.boto("ses").describe_receipt_rule(RuleSetName="mailrun", RuleName=INBOUND)["Rule"]
    action = rule["Actions"][0]["S3Action"]
    key = f"{action['ObjectKeyPrefix']}m-1"
    account.boto("s3").put_object(Bucket=action["BucketName"], Key=key, Body=MAIL)
    receipt = {"action": {"type": "S3", "bucketName": action["BucketName"], "objectKey": key}}
    document = {"notificationType": "Received", "mail": {"messageId": "m-1"}, "receipt": receipt}
    return publish(account, INBOUND, document)


async def test_inbound_pull_reads_the_mail_that_was_stored(
    account: TestAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MAILRUN_UNSUBSCRIBE_KEYS", "k" * 43)
    await account.apply(inbound(PLACE, raw=True))
    permit_plain_http(account, BUCKET)
    settings = f'[inbound]\nbuckets = ["{BUCKET}"]\nraw_delivery = true\n'
    document = run(tmp_path, settings, "inbound", "pull", "--queue", notify(account))
    assert (document["mails"], document["refused"]) == (1, {})


async def test_notification_of_mail_is_signed(account: TestAccount, fetch: Any):
    """SES's verdicts on a mail count only then."""
    await account.apply(inbound(PLACE))
    permit_plain_http(account, BUCKET)
    (body,) = await receive(notify(account))
    found = open_notification(body, SnsVerifier(own_account_topics(Queue(PLACE, INBOUND).url), fetch))
    assert found is not None
    assert found.is_signed
    assert found.place == (BUCKET, "mails/m-1")
