"""SQS servers for tests: the sandbox's own, and moto's as an independent one."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import boto3
from botocore.config import Config

from engine.sandbox.embedded import run_in_thread
from engine.sandbox.server import SandboxSettings
from support.credentials import ACCESS_KEY_ID, CREDENTIALS, SECRET_ACCESS_KEY
from support.postgres import free_port


def open_sqs(url: str) -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
    )


@contextmanager
def run_sandbox_sqs(folder: Path) -> Iterator[str]:
    with run_in_thread(SandboxSettings(record_folder=folder, credentials=CREDENTIALS)) as server:
        yield server.url


@contextmanager
def run_moto_sqs(_: Path) -> Iterator[str]:
    port = free_port()
    program = str(Path(sys.executable).with_name("moto_server"))
    command = [program, "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    pause, deadline = Event(), time.monotonic() + 60
    with closing(open_sqs(url)) as client:
        while True:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            try:
                client.list_queues()
            except Exception:  # noqa: BLE001 - it is starting
                pause.wait(0.2)
            else:
                return
