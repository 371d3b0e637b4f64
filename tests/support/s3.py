"""S3 servers for tests: moto's, SeaweedFS on a real disk, and one with wrong answers to conditional writes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread
from typing import IO, Any

import boto3
import pytest
from botocore.config import Config

from support.credentials import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from support.postgres import free_port

BUCKET = "mailrun"


def environment(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def open_client(url: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(retries={"total_max_attempts": 1}, request_checksum_calculation="when_required"),
    )


@contextmanager
def _served(command: list[str], url: str) -> Iterator[str]:
    # SeaweedFS reads its administrator's keys from AWS's variables; it may ignore a file of them while it starts.
    keys = os.environ | environment(url)
    with TemporaryFile() as log, subprocess.Popen(command, stdout=log, stderr=log, env=keys) as process:
        try:
            _make_bucket(url, process, log)
            yield url
        finally:
            process.kill()  # SeaweedFS takes 25 seconds to end
            process.wait(30)


def _make_bucket(url: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    client, pause, deadline, refused = open_client(url), Event(), time.monotonic() + 60, "not asked"
    try:
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                pytest.fail(f"the S3 server did not come up ({refused}): {log.read()[-3000:].decode(errors='replace')}")
            try:
                client.create_bucket(Bucket=BUCKET)
            except Exception as error:  # noqa: BLE001 - it is starting
                refused = str(error)
                pause.wait(0.2)
            else:
                return
    finally:
        client.close()


@contextmanager
def run_moto() -> Iterator[str]:
    port = free_port()
    program = str(Path(sys.executable).with_name("moto_server"))
    with _served([program, "-H", "127.0.0.1", "-p", str(port)], f"http://127.0.0.1:{port}") as url:
        yield url


@contextmanager
def run_seaweedfs(folder: Path) -> Iterator[str]:
    ports = [free_port() for _ in range(8)]
    program = str(Path(sys.executable).with_name("weed"))
    options = [
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={ports[0]}",
        f"-volume.port={ports[1]}",
        f"-filer.port={ports[2]}",
        f"-s3.port={ports[3]}",
        f"-master.port.grpc={ports[4]}",
        f"-volume.port.grpc={ports[5]}",
        f"-filer.port.grpc={ports[6]}",
        f"-s3.port.grpc={ports[7]}",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=20",
        "-master.telemetry=false",
        "-filer",
        "-s3",
        "-s3.port.iceberg=0",  # these two have fixed ports, which two servers cannot share
        "-s3.port.lance=0",
    ]
    with _served([program, "server", *options], f"http://127.0.0.1:{ports[3]}") as url:
        yield url


class _Liar(BaseHTTPRequestHandler):
    """Answers success to every PUT, whatever its conditions."""

    objects: dict[str, bytes]

    def do_PUT(self) -> None:
        self.objects[self.path.partition("?")[0]] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"")

    def do_GET(self) -> None:
        data = self.objects.get(self.path.partition("?")[0])
        self._answer(404 if data is None else 200, data or b"<Error><Code>NoSuchKey</Code></Error>")

    def do_DELETE(self) -> None:
        self.objects.pop(self.path.partition("?")[0], None)
        self._answer(204, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _Failing(_Liar):
    """Answers 503 to the first requests, then refuses a second create; the reply to one create is lost."""

    failures = 3
    lose_next_create = False

    def do_PUT(self) -> None:
        cls = type(self)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if cls.failures > 0:
            cls.failures -= 1
            self._answer(503, b"<Error><Code>SlowDown</Code></Error>")
            return
        path = self.path.partition("?")[0]
        if self.headers.get("If-None-Match") and path in self.objects:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        self.objects[path] = body
        if cls.lose_next_create and self.headers.get("If-None-Match"):
            cls.lose_next_create = False
            self.close_connection = True
            return
        self._answer(200, b"")


@contextmanager
def run_double(kind: type[_Liar]) -> Iterator[str]:
    handler = type(kind.__name__, (kind,), {"objects": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


LIAR, FAILING = _Liar, _Failing
