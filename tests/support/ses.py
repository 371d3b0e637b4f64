"""The independent client of the sandbox: boto3, which makes one attempt at each request."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3
from botocore.config import Config

from engine.sandbox.embedded import EmbeddedSandbox

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
