"""The life of a sandbox: where it listens, how it starts and stops, what survives its end."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from support.credentials import ACCESS_KEY_ID, CREDENTIALS, SECRET_ACCESS_KEY

from engine.errors import ConfigurationError
from engine.sandbox.embedded import run_in_thread
from engine.sandbox.http.record import FILE_NAME, read_record
from engine.sandbox.server import REGION, Sandbox, SandboxSettings

ONE_TRY = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=10)
TEXT = {"Data": "x"}
SERVE = """
import asyncio, sys
from pathlib import Path
from engine.sandbox.server import Sandbox, SandboxSettings

async def main():
    folder, *credentials = sys.argv[1:]
    settings = SandboxSettings(Path(folder), max_send_rate=1000, credentials=dict([credentials]))
    async with Sandbox(settings) as sandbox:
        print(sandbox.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def client_of(url: str) -> Any:
    return boto3.client(
        "sesv2",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=ONE_TRY,
    )


def send(ses: Any, to: str = "ann@b.example") -> str:
    content = {"Simple": {"Subject": TEXT, "Body": {"Text": TEXT}}}
    reply = ses.send_email(FromEmailAddress="n@acme.example", Destination={"ToAddresses": [to]}, Content=content)
    return str(reply["MessageId"])


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "mail.example"])  # noqa: S104 - must be refused
async def test_sandbox_listens_on_loopback_only(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"loopback only.*use host 127\.0\.0\.1"):
        await Sandbox(SandboxSettings(record_folder=tmp_path, host=host)).start()


async def test_a_port_in_use_is_a_configuration_error_with_a_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port is in use \(127\.0\.0\.1:{port}\).*another port"):
            await Sandbox(SandboxSettings(record_folder=tmp_path, port=port)).start()


def test_embedded_sandbox_that_cannot_start_says_why(tmp_path: Path) -> None:
    threads = threading.active_count()
    with (
        pytest.raises(ConfigurationError, match="loopback only"),
        run_in_thread(SandboxSettings(record_folder=tmp_path, host="192.0.2.1")),
    ):
        pass
    assert threading.active_count() == threads


async def test_a_stopped_sandbox_may_be_stopped_again(tmp_path: Path) -> None:
    sandbox = Sandbox(SandboxSettings(record_folder=tmp_path))
    await sandbox.start()
    await sandbox.stop()
    await sandbox.stop()


async def test_a_call_that_is_never_answered_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    sandbox = Sandbox(SandboxSettings(record_folder=tmp_path, latency_seconds=3600))
    await sandbox.start()
    host, port = sandbox.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /v2/email/account HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await writer.drain()
    async with asyncio.timeout(10):
        await sandbox.stop()
    writer.close()
    await writer.wait_closed()


def test_parallel_clients_get_every_message_on_record_once(tmp_path: Path) -> None:
    with (
        run_in_thread(
            SandboxSettings(record_folder=tmp_path, max_send_rate=10_000, credentials=CREDENTIALS)
        ) as sandbox,
        closing(client_of(sandbox.url)) as ses,
        ThreadPoolExecutor(8) as pool,
    ):
        ids = list(pool.map(lambda number: send(ses, f"a{number}@b.example"), range(200)))
    recorded = [message["message_id"] for message in read_record(tmp_path)]
    assert len(set(ids)) == 200
    assert sorted(ids) == sorted(recorded)


def test_record_survives_kill_9_and_is_shared_by_servers(tmp_path: Path) -> None:
    servers = [
        subprocess.Popen(
            [sys.executable, "-c", SERVE, str(tmp_path), ACCESS_KEY_ID, SECRET_ACCESS_KEY],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ids = []
    for server in servers:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with closing(client_of(url)) as ses:
            ids += [send(ses) for _ in range(10)]
    for server in servers:
        server.send_signal(signal.SIGKILL)
        server.communicate()
    assert [message["message_id"] for message in read_record(tmp_path)] == ids


def test_message_that_cannot_be_recorded_is_not_accepted(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).symlink_to("/dev/full")
    with (
        run_in_thread(SandboxSettings(record_folder=tmp_path, credentials=CREDENTIALS)) as sandbox,
        closing(client_of(sandbox.url)) as ses,
        pytest.raises(ClientError, match="cannot write its record") as caught,
    ):
        send(ses)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
