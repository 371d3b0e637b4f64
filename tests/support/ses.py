"""The independent client of the sandbox: boto3, which makes one attempt at each request."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3
from botocore.config import Config

from engine.sandbox.embedded import EmbeddedSandbox
from support.paths import ROOT

ONE_TRY = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=30)


@contextmanager
def open_ses(sandbox: EmbeddedSandbox) -> Iterator[Any]:
    """Open a client of a sandbox, with its credentials."""
    client = boto3.client(
        "sesv2",
        endpoint_url=sandbox.url,
        region_name=sandbox.region,
        aws_access_key_id=sandbox.access_key_id,
        aws_secret_access_key=sandbox.secret_access_key,
        config=ONE_TRY,
    )
    with closing(client):
        yield client


# What a process that has AWS's own library beside boto3 does: only there does boto3 sign with SigV4a.
_WITH_CRT = """
import json, sys
import boto3
from botocore.exceptions import ClientError
call = json.load(sys.stdin)
client = boto3.client("sesv2", **call["client"])
try:
    answer = getattr(client, call["operation"])(**call["arguments"])
except ClientError as refused:
    answer = {"Error": refused.response["Error"]}
answer.pop("ResponseMetadata", None)
json.dump(answer, sys.stdout)
"""


def call_with_crt(sandbox: EmbeddedSandbox, operation: str, **arguments: Any) -> Any:
    """Call an operation with boto3 and AWS's own library, which SigV4a needs; returns the answer or `Error`."""
    client = {
        "endpoint_url": sandbox.url,
        "region_name": sandbox.region,
        "aws_access_key_id": sandbox.access_key_id,
        "aws_secret_access_key": sandbox.secret_access_key,
    }
    done = subprocess.run(
        [sys.executable, "-c", _WITH_CRT],
        input=json.dumps({"client": client, "operation": operation, "arguments": arguments}),
        env={**os.environ, "PYTHONPATH": str(ROOT / ".venv" / "crt")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
