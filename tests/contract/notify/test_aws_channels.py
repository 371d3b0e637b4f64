"""Notifications by SNS, through moto, and by e-mail, through the sandbox."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.clock import VirtualClock
from support.credentials import ACCESS_KEY_ID, CREDENTIALS, SECRET_ACCESS_KEY

from engine.notify.channels import hand_over
from engine.notify.notice import make_test_notice
from engine.notify.webhook import TargetAnswer
from engine.notify_targets.target import NotifyTarget
from engine.sandbox.embedded import run_in_thread
from engine.sandbox.http.record import read_record
from engine.sandbox.server import SandboxSettings
from engine.settings import Settings

REGION = "eu-west-1"


@pytest.fixture
def account(aws: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    aws.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
    aws.setenv("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
    return aws


@pytest.fixture
def subscribed(moto: str) -> Iterator[tuple[str, str, Any]]:
    """A topic, the URL of a queue that gets its messages, and a client of SQS."""
    known = {
        "endpoint_url": moto,
        "region_name": REGION,
        "aws_access_key_id": ACCESS_KEY_ID,
        "aws_secret_access_key": SECRET_ACCESS_KEY,
    }
    sns, sqs = boto3.client("sns", **known), boto3.client("sqs", **known)
    topic = sns.create_topic(Name="mailrun-notices")["TopicArn"]
    queue = sqs.create_queue(QueueName="notices")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    yield topic, queue, sqs
    sqs.close()
    sns.close()


def hand(folder: Path, document: dict[str, Any], occurrence: str = "1" * 32) -> TargetAnswer:
    target, clock = NotifyTarget.model_validate(document), VirtualClock()
    notice = make_test_notice("ops", clock.now(), "", occurrence)
    return asyncio.run(hand_over("ops", target, notice, Settings(workspace=folder), clock))


def test_sns_topic_gets_json_and_a_subject(
    account: pytest.MonkeyPatch, moto: str, subscribed: tuple[str, str, Any], tmp_path: Path
):
    account.setenv("AWS_ENDPOINT_URL_SNS", moto)
    account.setenv("AWS_DEFAULT_REGION", "us-east-1")  # the topic's own region counts
    topic, queue, sqs = subscribed
    answer = hand(tmp_path, {"kind": "sns", "topic": topic})
    assert answer.accepted, answer.text
    (received,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    envelope = json.loads(received["Body"])
    notice = json.loads(envelope["Message"])
    if "default" in notice:  # moto passes on the whole message of MessageStructure = json
        notice = json.loads(notice["default"])
    assert (notice["id"], notice["event"]) == ("1" * 32 + "-ops", "test")
    assert envelope["Subject"].startswith("[mailrun] This is a test")
    assert envelope["MessageAttributes"]["event"]["Value"] == "test"
    missing = hand(tmp_path, {"kind": "sns", "topic": f"{topic}-gone"})
    assert not missing.accepted
    assert "NotFound" in missing.text or "not" in missing.text.lower()


def test_email_is_sent_through_ses_and_belongs_to_no_run(account: pytest.MonkeyPatch, tmp_path: Path):
    record = tmp_path / "record"
    with run_in_thread(SandboxSettings(record_folder=record, credentials=CREDENTIALS)) as sandbox:
        account.setenv("AWS_ENDPOINT_URL_SESV2", sandbox.url)
        target = {"kind": "email", "from": "Acme <ops@acme.example>", "to": ["night@acme.example", "b@acme.example"]}
        answer = hand(tmp_path, target)
        assert answer.accepted, answer.text
    (sent,) = read_record(record)
    shown = json.dumps(sent)
    assert "night@acme.example" in shown
    assert "[mailrun] This is a test" in shown
    assert not sent.get("tags")  # its events are of no run, and no campaign's figures count it


def test_ses_that_is_away_is_an_answer(account: pytest.MonkeyPatch, tmp_path: Path):
    account.setenv("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:1")
    answer = hand(tmp_path, {"kind": "email", "from": "a@acme.example", "to": ["b@acme.example"]})
    assert not answer.accepted
    assert "127.0.0.1" in answer.text
