"""Calls a second that the sandbox answers on one core: signed SendEmail calls on kept connections.

The calls come from another process. The sandbox must not limit another benchmark.
"""

import asyncio
import os
import subprocess
import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.servers import run_sandbox

CALLS = 10_000
CONNECTIONS = 16
BODY_CHARACTERS = 3_500


def main() -> None:
    with run_sandbox() as (environment, process, _):
        os.sched_setaffinity(process.pid, {0})
        before = _read_cpu_seconds(process)
        seconds = asyncio.run(_send_all(environment))
        micros = (_read_cpu_seconds(process) - before) / CALLS * 1e6
    print(f"sandbox: {CALLS / seconds:,.0f} SendEmail calls a second on one core, {micros:,.0f} µs CPU a call")


async def _send_all(environment: dict[str, str]) -> float:
    url = environment["AWS_ENDPOINT_URL_SESV2"]
    request = _sign(url, environment)
    host, port = url.removeprefix("http://").split(":")
    connections = [await asyncio.open_connection(host, int(port)) for _ in range(CONNECTIONS)]
    begun = time.perf_counter()
    await asyncio.gather(*(_send(*connection, request, CALLS // CONNECTIONS) for connection in connections))
    seconds = time.perf_counter() - begun
    for _, writer in connections:
        writer.close()
    return seconds


def _sign(url: str, environment: dict[str, str]) -> bytes:
    text = "x" * BODY_CHARACTERS
    body = (
        '{"FromEmailAddress":"a@acme.example","Destination":{"ToAddresses":["b@example.com"]},"Content":{"Simple":'
        f'{{"Subject":{{"Data":"Hello"}},"Body":{{"Text":{{"Data":"{text}"}}}}}}}}}}'
    )
    kind = {"Content-Type": "application/json"}
    request = AWSRequest("POST", url + "/v2/email/outbound-emails", data=body, headers=kind)
    keys = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(keys, "ses", environment["AWS_DEFAULT_REGION"]).add_auth(request)
    headers = {"Host": url.removeprefix("http://"), "Content-Length": str(len(body)), **dict(request.headers.items())}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /v2/email/outbound-emails HTTP/1.1\r\n{head}\r\n{body}".encode()


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, calls: int) -> None:
    for _ in range(calls):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))


def _read_cpu_seconds(process: subprocess.Popen[str]) -> float:
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
