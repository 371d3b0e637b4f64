"""Servers in separate processes, for benchmarks: a sandbox, or a sink over HTTP or HTTPS."""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from bench import ROOT


@contextmanager
def run_sandbox(*options: str) -> Iterator[tuple[dict[str, str], subprocess.Popen[str], Path]]:
    """Run a sandbox, without a rate limit unless an option sets one.

    Yields the environment for AWS clients, the process, and the folder of its record.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "engine", "sandbox", "--port", "0", "--json", "--workspace", folder, *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            server = json.loads(process.stdout.readline())
            try:
                yield os.environ | server["environment"], process, Path(server["record"])
            finally:
                process.terminate()


@dataclass(frozen=True)
class SinkFigures:
    """What a sink has received and used.

    Attributes:
        messages: single calls, and the entries of bulk calls.
        body_bytes: of all calls.
        cpu_seconds: of its process.
    """

    messages: int
    body_bytes: int
    cpu_seconds: float


@dataclass(frozen=True)
class SinkServer:
    """A sink in another process.

    Attributes:
        url: the endpoint for SES.
        authority: the file of the authority that its certificate is from; None over plain HTTP.
    """

    url: str
    authority: Path | None

    def read_figures(self) -> SinkFigures:
        """Return what it has received and used until now."""
        trust = None if self.authority is None else ssl.create_default_context(cafile=str(self.authority))
        with urllib.request.urlopen(f"{self.url}/figures", context=trust) as answer:  # noqa: S310 - its own URL
            return SinkFigures(**json.load(answer))


@contextmanager
def run_sink(latency_seconds: float, *, tls: bool = False) -> Iterator[SinkServer]:
    """Run a sink without a rate limit, see bench.sink; over HTTPS with a certificate that is made for it."""
    with tempfile.TemporaryDirectory() as folder:
        command, authority = [sys.executable, "-m", "bench.sink", str(latency_seconds)], None
        if tls:
            command.append(str(_make_certificate(Path(folder))))
            authority = Path(folder) / "authority.pem"
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            try:
                port = int(process.stdout.readline())
                yield SinkServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}", authority)
            finally:
                process.terminate()


def _make_certificate(folder: Path) -> Path:
    """Write an authority, and a certificate from it for this machine; return the file of certificate and key."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    certificate = folder / "certificate.pem"
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return certificate


def make_environment(sink: SinkServer) -> dict[str, str]:
    """Return the environment in which any AWS client, of Python or Node, uses the sink."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIDBENCH", "AWS_SECRET_ACCESS_KEY": "secret"}
    region = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1"}  # Node's SDK reads only the second one
    trust = {}
    if sink.authority is not None:
        trust = {"AWS_CA_BUNDLE": str(sink.authority), "NODE_EXTRA_CA_CERTS": str(sink.authority)}
    return os.environ | keys | region | trust | {"AWS_ENDPOINT_URL_SESV2": sink.url}
