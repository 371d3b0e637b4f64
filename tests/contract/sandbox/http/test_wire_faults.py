"""Every fault of the sandbox, as boto3 and aiobotocore report it, and whether the message was accepted."""

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import boto3
import orjson
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from support.credentials import bearer

from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.http.record import read_record
from engine.sandbox.server import SandboxSettings

RETRIES = {"total_max_attempts": 1, "mode": "standard"}
READ_TIMEOUT_SECONDS = 0.5
TEXT = {"Data": "x"}
SIMPLE = {"Simple": {"Subject": TEXT, "Body": {"Text": TEXT}}}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[EmbeddedSandbox]:
    with run_in_thread(SandboxSettings(record_folder=tmp_path, max_send_rate=1000)) as running:
        yield running


@pytest.fixture
def ses(sandbox: EmbeddedSandbox) -> Iterator[Any]:
    config = Config(retries=RETRIES, read_timeout=READ_TIMEOUT_SECONDS)
    with closing(boto3.client("sesv2", config=config, **connection_of(sandbox))) as client:
        yield client


def connection_of(sandbox: EmbeddedSandbox) -> dict[str, str]:
    return {
        "endpoint_url": sandbox.url,
        "region_name": sandbox.region,
        "aws_access_key_id": sandbox.access_key_id,
        "aws_secret_access_key": sandbox.secret_access_key,
    }


def queue(sandbox: EmbeddedSandbox, **fault: Any) -> None:
    with closing(HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)) as connection:
        connection.request("POST", "/_sandbox/faults", body=orjson.dumps(fault), headers=bearer(sandbox))
        reply = connection.getresponse()
        assert reply.status == 201, reply.read()
        reply.read()


def request_to(address: str) -> dict[str, Any]:
    return {
        "FromEmailAddress": "n@acme.example",
        "Destination": {"ToAddresses": [address]},
        "Content": SIMPLE,
    }


def send(ses: Any, address: str = "ann@b.example") -> Any:
    return ses.send_email(**request_to(address))


def accepted(folder: Path) -> int:
    return len(list(read_record(folder)))


@pytest.mark.parametrize(
    ("kind", "code", "status", "accepts"),
    [
        ("throttle", "TooManyRequestsException", 429, 0),
        ("internal_error", "InternalFailure", 500, 0),
        ("internal_error_after", "InternalFailure", 500, 1),
        ("bad_gateway", "502", 502, 0),
        ("bad_gateway_after", "502", 502, 1),
        ("unavailable", "ServiceUnavailable", 503, 0),
        ("unavailable_after", "503", 503, 1),
        ("gateway_timeout", "504", 504, 0),
        ("gateway_timeout_after", "504", 504, 1),
        ("reject", "MessageRejected", 400, 0),
        ("pause_account", "SendingPausedException", 400, 0),
        ("suspend_account", "AccountSuspendedException", 400, 0),
    ],
)
def test_a_fault_answers_with_its_status_and_accepts_or_not(
    *, sandbox: EmbeddedSandbox, ses: Any, tmp_path: Path, kind: str, code: str, status: int, accepts: int
) -> None:
    queue(sandbox, kind=kind)
    with pytest.raises(ClientError) as caught:
        send(ses)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["Error"]["Code"] == code
    assert accepted(tmp_path) == accepts


@pytest.mark.parametrize(
    ("kind", "error", "accepts"),
    [
        ("drop_before", ConnectionClosedError, 0),
        ("drop_after", ConnectionClosedError, 1),
        ("reset_after", ConnectionClosedError, 1),
        ("no_answer", ReadTimeoutError, 1),
    ],
)
def test_boto3_meets_a_broken_connection(
    *, sandbox: EmbeddedSandbox, ses: Any, tmp_path: Path, kind: str, error: type[Exception], accepts: int
) -> None:
    queue(sandbox, kind=kind)
    with pytest.raises(error):
        send(ses)
    assert accepted(tmp_path) == accepts
    assert send(ses)["MessageId"]


@pytest.mark.parametrize("kind", ["cut_200", "empty_200", "html_200"])
def test_boto3_reads_a_damaged_200_as_success_without_id(
    sandbox: EmbeddedSandbox, ses: Any, tmp_path: Path, kind: str
) -> None:
    queue(sandbox, kind=kind)
    assert "MessageId" not in send(ses)
    assert accepted(tmp_path) == 1
    assert send(ses)["MessageId"]


@pytest.mark.parametrize(
    ("kind", "error", "inner", "accepts"),
    [
        ("drop_before", ConnectionClosedError, aiohttp.ServerDisconnectedError, 0),
        ("drop_after", ConnectionClosedError, aiohttp.ServerDisconnectedError, 1),
        ("reset_after", EndpointConnectionError, aiohttp.ClientOSError, 1),
        ("cut_200", ConnectionClosedError, aiohttp.ClientPayloadError, 1),
        ("no_answer", ReadTimeoutError, aiohttp.SocketTimeoutError, 1),
    ],
)
async def test_aiobotocore_meets_a_broken_connection(
    *,
    sandbox: EmbeddedSandbox,
    tmp_path: Path,
    kind: str,
    error: type[Exception],
    inner: type[Exception],
    accepts: int,
) -> None:
    queue(sandbox, kind=kind)
    config = AioConfig(retries=RETRIES, read_timeout=READ_TIMEOUT_SECONDS)
    async with get_session().create_client("sesv2", config=config, **connection_of(sandbox)) as client:
        with pytest.raises(error) as caught:
            await client.send_email(**request_to("ann@b.example"))
        assert isinstance(caught.value.kwargs["error"], inner)  # type: ignore[attr-defined]  # botocore's errors keep it
        assert accepted(tmp_path) == accepts
        assert (await client.send_email(**request_to("ann@b.example")))["MessageId"]


@pytest.mark.parametrize("kind", ["empty_200", "html_200"])
async def test_aiobotocore_reads_a_damaged_200_as_success_without_id(
    sandbox: EmbeddedSandbox, tmp_path: Path, kind: str
) -> None:
    queue(sandbox, kind=kind)
    config = AioConfig(retries=RETRIES)
    async with get_session().create_client("sesv2", config=config, **connection_of(sandbox)) as client:
        assert "MessageId" not in await client.send_email(**request_to("ann@b.example"))
    assert accepted(tmp_path) == 1


def test_a_paused_account_stays_paused(sandbox: EmbeddedSandbox, ses: Any) -> None:
    queue(sandbox, kind="pause_account")
    for _ in range(2):
        with pytest.raises(ses.exceptions.SendingPausedException):
            send(ses)
    assert ses.get_account()["SendingEnabled"] is False


def test_a_suspended_account_is_shut_down(sandbox: EmbeddedSandbox, ses: Any) -> None:
    queue(sandbox, kind="suspend_account", after=1)
    assert send(ses)["MessageId"]
    with pytest.raises(ses.exceptions.AccountSuspendedException):
        send(ses)
    assert ses.get_account()["EnforcementStatus"] == "SHUTDOWN"


def test_a_poison_recipient_is_rejected_each_time_and_the_others_are_not(
    sandbox: EmbeddedSandbox, ses: Any, tmp_path: Path
) -> None:
    queue(sandbox, kind="reject", count=None, match="poison")
    for _ in range(2):
        with pytest.raises(ses.exceptions.MessageRejected):
            send(ses, "poison@b.example")
    entries = [{"Destination": {"ToAddresses": [f"{name}@b.example"]}} for name in ("ann", "poison", "bob")]
    content = {"Template": {"TemplateContent": {"Subject": "s", "Text": "t"}, "TemplateData": "{}"}}
    reply = ses.send_bulk_email(FromEmailAddress="n@acme.example", DefaultContent=content, BulkEmailEntries=entries)
    statuses = [result["Status"] for result in reply["BulkEmailEntryResults"]]
    assert statuses == ["SUCCESS", "MESSAGE_REJECTED", "SUCCESS"]
    assert [message["to"] for message in read_record(tmp_path)] == [["ann@b.example"], ["bob@b.example"]]


def test_a_lost_reply_to_a_bulk_call_leaves_all_of_it_accepted(
    sandbox: EmbeddedSandbox, ses: Any, tmp_path: Path
) -> None:
    queue(sandbox, kind="drop_after")
    entries = [{"Destination": {"ToAddresses": [f"a{number}@b.example"]}} for number in range(50)]
    content = {"Template": {"TemplateContent": {"Subject": "s", "Text": "t"}, "TemplateData": "{}"}}
    with pytest.raises(ConnectionClosedError):
        ses.send_bulk_email(FromEmailAddress="n@acme.example", DefaultContent=content, BulkEmailEntries=entries)
    assert accepted(tmp_path) == 50


def test_an_after_fault_waits_for_a_call_that_is_accepted(sandbox: EmbeddedSandbox, ses: Any, tmp_path: Path) -> None:
    queue(sandbox, kind="drop_after")
    queue(sandbox, kind="throttle")
    with pytest.raises(ses.exceptions.TooManyRequestsException):
        send(ses)
    with pytest.raises(ConnectionClosedError):
        send(ses)
    assert accepted(tmp_path) == 1
