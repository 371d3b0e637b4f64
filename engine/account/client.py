"""Reaching SES: one async client, made as botocore resolves everything, without a retry of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import botocore.exceptions
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession

from engine.errors import ConfigurationError, MailrunError, ServiceError

CONNECTIONS = 64  # of this client, which reads the account, and sends only where the lean way cannot
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 20  # of silence; SES answers in well under a second


class KnownSession(AIOHTTPSession):  # type: ignore[misc] # aiobotocore publishes no types
    """aiobotocore's HTTP session; it remembers what was resolved for it: proxies, CA bundle, client certificate."""

    made: "list[KnownSession]"

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.given = given
        self.made.append(self)


def _make_config(made: list[KnownSession]) -> AioConfig:
    # botocore's own retries send a message again whose reply was lost; every retry is decided by the engine.
    return AioConfig(
        max_pool_connections=CONNECTIONS,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
        parameter_validation=False,
        http_session_cls=type("Session", (KnownSession,), {"made": made}),
    )


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """An open client, and what it stands on.

    Attributes:
        client: aiobotocore's client for sesv2.
        credentials: botocore's; `await credentials.get_frozen_credentials()` refreshes them when they are due.
        proxy: the proxy that requests to SES go through; None for none.
        verify: path of the CA bundle, True for botocore's own, False for none.
        client_certificate: for mutual TLS; None for none.
    """

    client: Any
    credentials: Any
    proxy: str | None
    verify: bool | str
    client_certificate: Any


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A given SES instead of the one that botocore would resolve: the embedded sandbox."""

    url: str
    region: str
    access_key_id: str
    secret_access_key: str


@asynccontextmanager
async def open_account(endpoint: Endpoint | None = None) -> AsyncIterator[OpenAccount]:
    """Open the SES v2 client, with what botocore resolved for it.

    Region, credentials, profile, endpoint (`AWS_ENDPOINT_URL_SESV2`), proxies and CA bundle are what botocore resolves.

    Args:
        endpoint: where to send instead.

    Raises:
        ConfigurationError: no region, no or partial credentials, a profile that does not exist.
    """
    given = (
        {}
        if endpoint is None
        else {
            "endpoint_url": endpoint.url,
            "region_name": endpoint.region,
            "aws_access_key_id": endpoint.access_key_id,
            "aws_secret_access_key": endpoint.secret_access_key,
        }
    )
    with translate_aws_errors("SES"):
        made: list[KnownSession] = []
        session = AioSession()
        context = session.create_client("sesv2", config=_make_config(made), **given)
        client = await context.__aenter__()
        credentials = await session.get_credentials() if endpoint is None else _give_keys(endpoint)
    http = made[0].given
    proxy = (http["proxies"] or {}).get(urlsplit(client.meta.endpoint_url).scheme)
    try:
        yield OpenAccount(client, credentials, proxy, http["verify"], http["client_cert"])
    finally:
        await context.__aexit__(None, None, None)


def _give_keys(endpoint: Endpoint) -> Any:
    return AioCredentials(endpoint.access_key_id, endpoint.secret_access_key)


@asynccontextmanager
async def open_client(endpoint: Endpoint | None = None) -> AsyncIterator[Any]:
    """Open the SES v2 client alone; see open_account."""
    async with open_account(endpoint) as account:
        yield account.client


@contextmanager
def translate_aws_errors(what: str) -> Iterator[None]:
    """Turn botocore's errors of control-plane calls into mailrun's own: the one border for them.

    Sends are not among them: their errors are replies with a meaning, see delivery.
    """
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _translate_reply(error, what) from error
    except botocore.exceptions.BotoCoreError as error:
        raise _translate_client(error, what) from error


def _translate_client(error: botocore.exceptions.BotoCoreError, what: str) -> MailrunError:
    e = botocore.exceptions
    match error:
        case (
            e.NoCredentialsError()
            | e.PartialCredentialsError()
            | e.CredentialRetrievalError()
            | e.TokenRetrievalError()
        ):
            return ConfigurationError(
                f"no AWS credentials: {error}",
                where="AWS environment variables, profile or role",
                remedy="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; to try without: --sandbox",
            )
        case e.ProfileNotFound() | e.ConfigParseError() | e.ConfigNotFound():
            return ConfigurationError(str(error), where="AWS_PROFILE", remedy="name a profile of ~/.aws/config")
        case e.NoRegionError() | e.InvalidRegionError() | e.UnknownRegionError():
            return ConfigurationError(
                f"no AWS region: {error}",
                where="AWS_DEFAULT_REGION, or the profile",
                remedy="set AWS_DEFAULT_REGION to the region of the SES account",
            )
        case e.HTTPClientError() | e.EndpointConnectionError():
            return ServiceError(
                f"{what} cannot be reached: {error}",
                where=str(error.kwargs.get("endpoint_url", "")),
                remedy="check the network and the endpoint",
            )
        case _:
            return ConfigurationError(
                f"the AWS configuration is wrong: {error}", remedy="correct it as the message says"
            )


def _translate_reply(error: botocore.exceptions.ClientError, what: str) -> MailrunError:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    return ServiceError(
        f"{what} answered {code}: {message}",
        where=error.operation_name,
        remedy="check the credentials and their permissions (docs/iam.md lists them)"
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403)
        else "see the message; launch again when it is mended",
    )
