"""Async clients of SES, configured by botocore; the client for sends never retries by itself."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import botocore.exceptions
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession

from engine.account.credentials import SpacedCredentials
from engine.errors import ConfigurationError, MailrunError, ServiceError, docs_page
from engine.system.proxies import explain_proxy
from engine.transaction_guard import refuse_in_transaction

CONNECTIONS = 64  # connections of this client, which reads the account, and sends only where the lean client cannot
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 20  # of silence; SES answers in well under a second

_NAMES = {"sesv2": "SES", "sqs": "SQS"}
_DUAL_STACK_HOSTS = (".api.aws", ".api.amazonwebservices.com.cn")
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")

# botocore would retry a send whose reply was lost, and the message would arrive twice. The engine decides every retry.
SENDS = AioConfig(
    max_pool_connections=CONNECTIONS,
    connect_timeout=CONNECT_TIMEOUT_SECONDS,
    read_timeout=READ_TIMEOUT_SECONDS,
    retries={"total_max_attempts": 1, "mode": "standard"},
    parameter_validation=False,
)
# Every other call is limited to one a second for the whole account, and is safe to retry.
CONTROL_PLANE = AioConfig(
    connect_timeout=CONNECT_TIMEOUT_SECONDS,
    read_timeout=READ_TIMEOUT_SECONDS,
    retries={"total_max_attempts": 4, "mode": "standard"},
)

NO_PROXIES = AioConfig(proxies={})  # the embedded sandbox is on this machine, where no proxy can reach it


class ResolvedSession(AIOHTTPSession):  # type: ignore[misc] # aiobotocore publishes no types
    """aiobotocore's HTTP session; records its resolved settings: proxies, CA bundle, client certificate."""

    made: "list[ResolvedSession]"

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.given = given
        self.made.append(self)


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """The open clients and their resolved settings.

    Attributes:
        control_plane: aiobotocore's client for every call but sends.
        open_send_client: opens its client for sends, which never repeats one, where the lean client cannot be used.
        credentials: `await credentials.get_frozen_credentials()` renews them when due; None where there are none.
        proxy: the proxy that requests to SES go through; None where there is none.
        verify: path of the CA bundle, True for botocore's own, False for no verification.
        client_certificate: for mutual TLS; None where there is none.
        dropped: settings that the endpoint's own URL overrides: FIPS, dual-stack.
    """

    control_plane: Any
    open_send_client: Callable[[], Awaitable[Any]]
    credentials: Any
    proxy: str | None
    verify: bool | str
    client_certificate: Any
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint that replaces the one that botocore would resolve: the embedded sandbox."""

    url: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


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
async def open_account(endpoint: Endpoint | None = None) -> AsyncIterator[OpenAccount]:
    """Open the client for control-plane calls, with its resolved settings; see open_client."""
    made: list[ResolvedSession] = []
    session = AioSession()
    recording = AioConfig(http_session_cls=type("Session", (ResolvedSession,), {"made": made}))
    async with AsyncExitStack() as stack:

        async def open_sends() -> Any:
            return await stack.enter_async_context(open_aws_client(session, "sesv2", SENDS, endpoint))

        opening = open_aws_client(session, "sesv2", CONTROL_PLANE.merge(recording), endpoint)
        client = await stack.enter_async_context(opening)
        with translate_aws_errors("SES"):
            found = await session.get_credentials() if endpoint is None else _give_keys(endpoint)
        credentials = None if found is None else SpacedCredentials(found)
        http = made[0].given
        proxy = (http["proxies"] or {}).get(urlsplit(client.meta.endpoint_url).scheme)
        dropped = () if endpoint is not None else find_dropped(client)
        yield OpenAccount(client, open_sends, credentials, proxy, http["verify"], http["client_cert"], dropped)


def find_dropped(client: Any) -> tuple[str, ...]:
    """Name the settings that a client's endpoint ignores: botocore drops them where its URL is configured."""
    config, host = client.meta.config, urlsplit(client.meta.endpoint_url).hostname or ""
    ignored = {
        "AWS_USE_FIPS_ENDPOINT": config.use_fips_endpoint and "fips" not in host,
        "AWS_USE_DUALSTACK_ENDPOINT": config.use_dualstack_endpoint and not host.endswith(_DUAL_STACK_HOSTS),
    }
    return tuple(name for name, is_dropped in ignored.items() if is_dropped)


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
        more |= {
            "endpoint_url": endpoint.url,
            "region_name": endpoint.region,
            "aws_access_key_id": endpoint.access_key_id,
            "aws_secret_access_key": endpoint.secret_access_key,
        }
    with translate_aws_errors(_NAMES[service]):
        context = session.create_client(service, config=config, **more)
        try:
            client = await context.__aenter__()
        except ValueError as error:  # what botocore raises for an endpoint that is not a URL
            raise ConfigurationError(
                f"the AWS configuration is wrong: {error}",
                where=f"AWS_ENDPOINT_URL_{service.upper()}, or the profile",
                remedy="write the endpoint as https://host or http://host:port",
            ) from error
    try:
        yield client
    finally:
        await context.__aexit__(None, None, None)


def is_of_aws(client: Any) -> bool:
    """Return whether a client's endpoint is AWS's own."""
    return (urlsplit(client.meta.endpoint_url).hostname or "").endswith(_AWS_HOSTS)


async def find_account_id(client: Any) -> str:
    """Return the id of a client's account; empty where its endpoint is not AWS's.

    The credentials have it (`AWS_ACCOUNT_ID`, a profile, a role), or else STS, which needs no permission.

    Args:
        client: of open_client, without an endpoint of its own.

    Raises:
        ConfigurationError: no credentials.
        ServiceError: STS cannot be reached, or refuses.
    """
    if not is_of_aws(client):
        return ""
    session = AioSession()
    with translate_aws_errors("STS"):
        credentials = await session.get_credentials()
        frozen = None if credentials is None else await credentials.get_frozen_credentials()
        if frozen is not None and frozen.account_id:
            return str(frozen.account_id)
        async with session.create_client("sts", config=CONTROL_PLANE, region_name=client.meta.region_name) as sts:
            return str((await sts.get_caller_identity())["Account"])


def _give_keys(endpoint: Endpoint) -> Any:
    return AioCredentials(endpoint.access_key_id, endpoint.secret_access_key)


@contextmanager
def translate_aws_errors(what: str) -> Iterator[None]:
    """Translate botocore's errors of control-plane calls to mailrun's own; the only place that does.

    Errors of sends are replies with a meaning: see delivery.

    Raises:
        MailrunError: which one, the reply or botocore's error decides.
    """
    refuse_in_transaction(what)
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
                remedy="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without AWS, use --sandbox",
            )
        case e.ProfileNotFound() | e.ConfigParseError() | e.ConfigNotFound():
            return ConfigurationError(str(error), where="AWS_PROFILE", remedy="name a profile of ~/.aws/config")
        case e.NoRegionError() | e.InvalidRegionError() | e.UnknownRegionError():
            return ConfigurationError(
                f"no AWS region: {error}",
                where="AWS_DEFAULT_REGION, or the profile",
                remedy="set AWS_DEFAULT_REGION to the region of the SES account",
            )
        case e.HTTPClientError() | e.ConnectionError():
            return ServiceError(
                f"{what} cannot be reached: {error}",
                where=str(error.kwargs.get("endpoint_url", "")),
                remedy=explain_proxy(error, "check the network and the endpoint"),
            )
        case _:
            return ConfigurationError(
                f"the AWS configuration is wrong: {error}",
                remedy="correct the setting that the message names, then run the same command again",
            )


def _translate_reply(error: botocore.exceptions.ClientError, what: str) -> MailrunError:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if message.lstrip().startswith("<"):  # a proxy's or another server's page
        message = "a web page instead of an answer of SES; the endpoint may be wrong"
    return ServiceError(
        f"{what} answered {code}: {message}",
        where=error.operation_name,
        remedy=f"check the credentials and their permissions; {docs_page('reference/iam.md')} lists them"
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403)
        else "fix the cause that the message names, then run the same command again",
    )
