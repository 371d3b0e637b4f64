"""Async clients of AWS by aiobotocore, for what the lean client and calls in threads do not serve.

These are queues, the sync of suppressions, and sends that need all of botocore. A launch imports this only where it
sends in that way: importing it costs as much as all other work of a small launch.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession

from engine.account.client import (
    CONNECT_TIMEOUT_SECONDS,
    CONNECTIONS,
    CONTROL_PLANE_RETRIES,
    NO_PROXIES,
    READ_TIMEOUT_SECONDS,
    Endpoint,
    give_endpoint,
    refuse_bad_endpoint,
    translate_aws_errors,
)
from engine.account.credentials import SpacedCredentials

_NAMES = {"sesv2": "SES", "sqs": "SQS"}

# botocore would retry a send whose reply was lost, and the message would arrive twice. The engine decides every retry.
SENDS = AioConfig(
    max_pool_connections=CONNECTIONS,
    connect_timeout=CONNECT_TIMEOUT_SECONDS,
    read_timeout=READ_TIMEOUT_SECONDS,
    retries={"total_max_attempts": 1, "mode": "standard"},
    parameter_validation=False,
)
CONTROL_PLANE = AioConfig(
    connect_timeout=CONNECT_TIMEOUT_SECONDS, read_timeout=READ_TIMEOUT_SECONDS, retries={**CONTROL_PLANE_RETRIES}
)


@asynccontextmanager
async def open_client(config: AioConfig, endpoint: Endpoint | None = None) -> AsyncIterator[Any]:
    """Open an SES v2 client.

    Region, credentials, profile, endpoint (`AWS_ENDPOINT_URL_SESV2`), proxies and CA bundle are what botocore resolves.

    Args:
        config: SENDS or CONTROL_PLANE.
        endpoint: replaces what botocore resolves.

    Raises:
        ConfigurationError: no region, no or partial credentials, a profile that does not exist.
    """
    async with open_aws_client(AioSession(), "sesv2", config, endpoint) as client:
        yield client


@asynccontextmanager
async def open_sends(
    endpoint: Endpoint | None, region: str | None = None
) -> AsyncIterator[tuple[Any, SpacedCredentials | None]]:
    """Open a client for sends, which never repeats one, with the credentials that it uses; see open_client."""
    session = AioSession()
    named = {"region_name": region} if region is not None and endpoint is None else {}
    async with open_aws_client(session, "sesv2", SENDS, endpoint, **named) as client:
        with translate_aws_errors("SES"):
            if endpoint is None:
                found = await session.get_credentials()
            else:
                found = AioCredentials(endpoint.access_key_id, endpoint.secret_access_key)
        yield client, None if found is None else SpacedCredentials(found)


@asynccontextmanager
async def open_aws_client(
    session: AioSession, service: Literal["sesv2", "sqs"], config: AioConfig, endpoint: Endpoint | None, **more: Any
) -> AsyncIterator[Any]:
    """Open a client as botocore resolves it, or of the embedded sandbox, which is never reached through a proxy.

    Args:
        session: of aiobotocore.
        service: as botocore names it.
        config: of the client.
        endpoint: the embedded sandbox; None for the one that botocore resolves.
        more: further arguments of `create_client`.

    Raises:
        ConfigurationError: no credentials or region, or an endpoint that is not a URL.
    """
    if endpoint is not None:
        config = config.merge(NO_PROXIES)
        more |= give_endpoint(endpoint)
    with translate_aws_errors(_NAMES[service]):
        context = session.create_client(service, config=config, **more)
        with refuse_bad_endpoint(service):
            client = await context.__aenter__()
    try:
        yield client
    finally:
        await context.__aexit__(None, None, None)
