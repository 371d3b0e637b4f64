"""The SES account: its settings as botocore resolves them, and its calls other than sends.

botocore reads files, starts programs and waits for servers, so everything that may block runs in a thread. There are
few such calls: the quota now and then, and the identities once. Sends go by the lean client of delivery, which needs
only the resolved settings and the credentials from here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import botocore.exceptions
from botocore.config import Config
from botocore.credentials import Credentials
from msgspec import Struct

from engine.account.answers import call_and_read, refuse_other_text
from engine.account.credentials import SpacedCredentials
from engine.account.permissions import explain_denied, is_denied
from engine.account.session import make_session
from engine.errors import ConfigurationError, MailrunError, ServiceError, docs_page, escape_controls
from engine.on_demand import OnDemand
from engine.stopping.abandonable import DaemonThread, run_in_daemon_thread
from engine.system.proxies import explain_proxy
from engine.transaction_guard import refuse_in_transaction

CONNECTIONS = 64  # connections of aiobotocore's client for sends, where the lean client cannot be used
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 20  # of silence; SES answers in well under a second
# Every call but sends is limited to one a second for the whole account, and is safe to retry.
CONTROL_PLANE_RETRIES = {"total_max_attempts": 4, "mode": "standard"}

CONTROL_PLANE = Config(
    connect_timeout=CONNECT_TIMEOUT_SECONDS, read_timeout=READ_TIMEOUT_SECONDS, retries={**CONTROL_PLANE_RETRIES}
)
NO_PROXIES = Config(proxies={})  # the embedded sandbox is on this machine, where no proxy can reach it
_DUAL_STACK_HOSTS = (".api.aws", ".api.amazonwebservices.com.cn")
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")

open_sends = OnDemand("engine.account.async_client:open_sends")  # few accounts need it, and it takes long to import


class ThreadedClient:
    """botocore's client with asynchronous methods: its calls run in a thread, and a stop may abandon them.

    Args:
        client: of botocore.
        thread: where they run.
    """

    def __init__(self, client: Any, thread: DaemonThread) -> None:
        self._client = client
        self._thread = thread
        self.meta = client.meta
        refuse_other_text(client)

    def resolve_endpoint(self, operation: str, **parameters: Any) -> Any:
        """Apply botocore's endpoint rules to a call that is not made: its URL, and how it is signed.

        Args:
            operation: such as SendEmail.
            parameters: of the call.

        Raises:
            botocore.exceptions.BotoCoreError: the rules do not allow it.
        """
        model = self._client.meta.service_model.operation_model(operation)
        rules = self._client._ruleset_resolver  # noqa: SLF001 - botocore publishes it nowhere else
        return rules.construct_endpoint(operation_model=model, call_args=parameters, request_context={})

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        """Return the method of an operation, such as `get_account`."""
        method, meta = getattr(self._client, operation), self._client.meta
        name = meta.method_to_api_mapping[operation]
        shape = meta.service_model.operation_model(name).output_shape

        def call(**parameters: Any) -> Awaitable[Any]:
            return self._thread.run(partial(call_and_read, method, shape, f"SES {name}", parameters))

        return call


class OpenAccount(Struct, frozen=True):
    """The open client and its resolved settings.

    Attributes:
        control_plane: the client for every call but sends.
        open_send_client: opens aiobotocore's client for sends, which never repeats one, where the lean client cannot be
            used; returns it with its credentials.
        credentials: `await credentials.get_frozen_credentials()` renews them when due; None where there are none.
        proxy: the proxy that requests to SES go through; None where there is none.
        verify: path of the CA bundle, True for botocore's own, False for no verification.
        client_certificate: for mutual TLS; None where there is none.
        dropped: settings that the endpoint's own URL overrides: FIPS, dual-stack.
    """

    control_plane: Any
    open_send_client: Callable[[], Awaitable[tuple[Any, Any]]]
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
async def open_account(endpoint: Endpoint | None = None, *, region: str | None = None) -> AsyncIterator[OpenAccount]:
    """Open the account.

    Region, credentials, profile, endpoint (`AWS_ENDPOINT_URL_SESV2`), proxies and CA bundle are what botocore resolves.

    Args:
        endpoint: replaces what botocore resolves.
        region: replaces the one that botocore resolves, or that of the endpoint.

    Raises:
        ConfigurationError: no region, partial credentials, or a profile that does not exist.
    """
    if endpoint is not None and region is not None:
        endpoint = Endpoint(endpoint.url, region, endpoint.access_key_id, endpoint.secret_access_key)
    async with AsyncExitStack() as stack:
        calls = stack.enter_context(closing(DaemonThread("account")))
        with translate_aws_errors("SES"):
            client, found = await calls.run(partial(_open, endpoint, region))
        stack.callback(client.close)
        renewals = stack.enter_context(closing(DaemonThread("credentials")))

        async def open_send_client() -> tuple[Any, Any]:
            opened: tuple[Any, Any] = await stack.enter_async_context(open_sends(endpoint, region))
            return opened

        http = client._endpoint.http_session  # noqa: SLF001 - botocore publishes its proxy and CA bundle nowhere else
        yield OpenAccount(
            control_plane=ThreadedClient(client, calls),
            open_send_client=open_send_client,
            credentials=None if found is None else SpacedCredentials(found, renewals),
            proxy=http._proxy_config.proxy_url_for(client.meta.endpoint_url),  # noqa: SLF001 - as above
            verify=http._verify,  # noqa: SLF001 - as above
            client_certificate=client.meta.config.client_cert,
            dropped=() if endpoint is not None else find_dropped(client),
        )


def _open(endpoint: Endpoint | None, region: str | None) -> tuple[Any, Any]:
    """Make botocore's client, and find the credentials."""
    session = make_session()
    with refuse_bad_endpoint("sesv2"):
        if endpoint is None:
            return session.create_client("sesv2", region, config=CONTROL_PLANE), session.get_credentials()
        config, given = CONTROL_PLANE.merge(NO_PROXIES), give_endpoint(endpoint)
        keys = Credentials(endpoint.access_key_id, endpoint.secret_access_key)
        return session.create_client("sesv2", config=config, **given), keys


def give_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """Return the arguments of `create_client` for an endpoint of one's own."""
    return {
        "endpoint_url": endpoint.url,
        "region_name": endpoint.region,
        "aws_access_key_id": endpoint.access_key_id,
        "aws_secret_access_key": endpoint.secret_access_key,
    }


@contextmanager
def refuse_bad_endpoint(service: str) -> Iterator[None]:
    """Refuse an endpoint that is not a URL, while a client is made.

    Args:
        service: as botocore names it.

    Raises:
        ConfigurationError: botocore has found such an endpoint.
    """
    try:
        yield
    except ValueError as error:  # what botocore raises for it
        raise ConfigurationError(
            f"the AWS configuration is wrong: {error}",
            where=f"AWS_ENDPOINT_URL_{service.upper()}, or the profile",
            remedy="write the endpoint as https://host or http://host:port",
        ) from error


def find_dropped(client: Any) -> tuple[str, ...]:
    """Name the settings that a client's endpoint ignores: botocore drops them where its URL is configured."""
    config, host = client.meta.config, urlsplit(client.meta.endpoint_url).hostname or ""
    ignored = {
        "AWS_USE_FIPS_ENDPOINT": config.use_fips_endpoint and "fips" not in host,
        "AWS_USE_DUALSTACK_ENDPOINT": config.use_dualstack_endpoint and not host.endswith(_DUAL_STACK_HOSTS),
    }
    return tuple(name for name, is_dropped in ignored.items() if is_dropped)


def is_of_aws(client: Any) -> bool:
    """Return whether a client's endpoint is AWS's own."""
    return (urlsplit(client.meta.endpoint_url).hostname or "").endswith(_AWS_HOSTS)


async def find_account_id(client: Any) -> str:
    """Return the id of a client's account; empty where its endpoint is not AWS's.

    The credentials have it (`AWS_ACCOUNT_ID`, a profile, a role), or else STS, which needs no permission.

    Args:
        client: of an account without an endpoint of its own.

    Raises:
        ConfigurationError: no credentials.
        ServiceError: STS cannot be reached, or refuses.
    """
    if not is_of_aws(client):
        return ""
    with translate_aws_errors("STS"):
        return await run_in_daemon_thread(partial(_read_account_id, client.meta.region_name), name="account id")


def _read_account_id(region: str) -> str:
    session = make_session()
    credentials = session.get_credentials()
    frozen = None if credentials is None else credentials.get_frozen_credentials()
    if frozen is not None and frozen.account_id:
        return str(frozen.account_id)
    with closing(session.create_client("sts", config=CONTROL_PLANE, region_name=region)) as sts:
        return str(sts.get_caller_identity()["Account"])


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
    code, message = (escape_controls(error.response["Error"].get(name, "")) for name in ("Code", "Message"))
    if message.lstrip().startswith("<"):  # a proxy's or another server's page
        message = "a web page instead of an answer of SES; the endpoint may be wrong"
    if is_denied(code):
        remedy = (
            f"{escape_controls(explain_denied(error))}; {docs_page('reference/iam.md')} lists what each command needs"
        )
    elif error.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403):
        remedy = f"check the credentials and their permissions; {docs_page('reference/iam.md')} lists them"
    else:
        remedy = "fix the cause that the message names, then run the same command again"
    return ServiceError(f"{what} answered {code}: {message}", where=error.operation_name, remedy=remedy)
