"""The two ways to carry a call to SES: the lean client, and aiobotocore where something needs all of botocore."""

import asyncio
import ssl
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import botocore.httpsession
import orjson

from engine.account.client import OpenAccount
from engine.account.send_endpoint import NotLeanError, SendEndpoint, resolve_sends
from engine.delivery.pacing.concurrency import find_most
from engine.delivery.transports.carrier import Carrier
from engine.delivery.transports.connection import NeverSentError, Take
from engine.delivery.transports.http_answer import HttpAnswer
from engine.delivery.transports.ses import Caller, CredentialsError
from engine.delivery.transports.sigv4 import Keys, Signer
from engine.errors import ConfigurationError
from engine.logs import get_logger
from engine.on_demand import OnDemand

if TYPE_CHECKING:
    from engine.delivery.transports.sigv4a import AsymmetricSigner

CALL_TIMEOUT_SECONDS = 60  # a whole call by aiobotocore; its own timeouts bound the parts, but not the sum
RENEWAL_SECONDS = 30.0  # for the issuer of new credentials: STS, a metadata service, a program
KEYS_SECONDS = 1.0  # how long keys are used before they are read again; credentials are renewed long before they expire

# After it a new connection follows the DNS record, which SES changes where a region fails. AWS asks for 60 s at most
# of DNS caching, and short keep-alive: https://docs.aws.amazon.com/ses/latest/dg/global-endpoints.html
MULTI_REGION_SECONDS = 60.0

_UNREACHABLE = (  # what issues credentials
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.MetadataRetrievalError,
)

_make_asymmetric_signer = OnDemand("engine.delivery.transports.sigv4a:AsymmetricSigner")  # few campaigns need it

log = get_logger()


async def read_credentials(credentials: Any) -> Any:
    """Read botocore's credentials; botocore renews them when they are due.

    Raises:
        NeverSentError: the issuer could not be reached, or did not answer in time.
        CredentialsError: there are none, or they cannot be renewed.
    """
    try:
        async with asyncio.timeout(RENEWAL_SECONDS):
            return await credentials.get_frozen_credentials()
    except (TimeoutError, *_UNREACHABLE) as error:
        raise NeverSentError(f"the credentials could not be renewed: {type(error).__name__}: {error}") from error
    except Exception as error:  # botocore passes on whatever a provider of credentials raises
        raise CredentialsError(f"the credentials could not be renewed: {type(error).__name__}: {error}") from error


class LeanCaller:
    """Signs and sends by itself; reads the credentials again every second.

    Args:
        resolved: where sends go and how they are signed.
        credentials: botocore's.
        carrier: connections to the endpoint.
        now: Unix time, for signatures.
    """

    def __init__(
        self, resolved: SendEndpoint, credentials: Any, carrier: Carrier, now: Callable[[], float] = time.time
    ) -> None:
        self._credentials = credentials
        self._carrier = carrier
        self._now = now
        content_type = resolved.headers["Content-Type"]
        self._signer: Signer | AsymmetricSigner = (
            _make_asymmetric_signer(resolved.authority, service=resolved.service, content_type=content_type)
            if resolved.is_multi_region
            else Signer(resolved.authority, region=resolved.region, service=resolved.service, content_type=content_type)
        )
        same = {"Host": resolved.authority, **resolved.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in same.items())
        self._paths = resolved.paths
        self._starts = {name: f"POST {path} HTTP/1.1\r\n{lines}".encode() for name, path in resolved.paths.items()}
        self._keys: Keys | None = None
        self._keys_at = float("-inf")
        self._renewing = asyncio.Lock()

    async def call(self, operation: str, body: bytes) -> HttpAnswer:
        """Send one request; see Caller.call."""
        now = self._now()
        if self._keys is None or not 0 <= now - self._keys_at < KEYS_SECONDS:
            await self._renew_keys()
        assert self._keys is not None  # noqa: S101 - just renewed, or raised
        return await self._carrier.post(self.write_head(operation, body, self._keys, now), body)

    @property
    def is_ready(self) -> bool:
        """Return whether `begin` is likely to send at once; see Caller."""
        return self._keys is not None and self._carrier.is_ready

    def begin(self, operation: str, body: bytes, take: Take) -> bool:
        """Send one request at once; see Caller.begin."""
        now, keys = self._now(), self._keys
        if keys is None or not 0 <= now - self._keys_at < KEYS_SECONDS:
            return False
        return self._carrier.begin(self.write_head(operation, body, keys, now), body, take)

    def write_head(self, operation: str, body: bytes, keys: Keys, now: float) -> bytes:
        """Write request line and headers."""
        signed = self._signer.sign(self._paths[operation], body, keys, now)
        return b"%b%bContent-Length: %d\r\n\r\n" % (self._starts[operation], signed, len(body))

    async def _renew_keys(self) -> None:
        async with self._renewing:
            now = self._now()
            if self._keys is not None and 0 <= now - self._keys_at < KEYS_SECONDS:
                return
            frozen = await read_credentials(self._credentials)
            keys = Keys(frozen.access_key, frozen.secret_key, frozen.token or None)
            if keys != self._keys:  # else the signer would derive its key again
                self._keys = keys
            self._keys_at = now


class BotocoreCaller:
    """Sends by aiobotocore, at several times the CPU: it parses the JSON that was written for the lean client."""

    def __init__(self, client: Any, credentials: Any) -> None:
        self._credentials = credentials
        self._methods = {"SendEmail": client.send_email, "SendBulkEmail": client.send_bulk_email}
        self.is_ready = False

    def begin(self, operation: str, body: bytes, take: Take) -> bool:  # noqa: ARG002 - a Caller's signature
        """Send nothing: aiobotocore needs a task."""
        return False

    async def call(self, operation: str, body: bytes) -> HttpAnswer:
        """Send one request; see Caller.call."""
        parameters = _to_parameters(orjson.loads(body))
        await read_credentials(self._credentials)  # else a failure of STS would look like one of SES
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                found = await self._methods[operation](**parameters)
        except botocore.exceptions.ClientError as error:
            return _to_answer(error)
        return HttpAnswer(200, "", orjson.dumps({k: v for k, v in found.items() if k != "ResponseMetadata"}))


def _to_parameters(document: dict[str, Any]) -> dict[str, Any]:
    """Attachments are bytes for botocore, which writes them as base64 itself."""
    content: dict[str, Any] = document.get("Content", document.get("DefaultContent", {}))
    inner: dict[str, Any] = next(iter(content.values()), {})
    for attachment in inner.get("Attachments", ()):
        attachment["RawContent"] = b64decode(attachment["RawContent"])
    return document


def _to_answer(error: botocore.exceptions.ClientError) -> HttpAnswer:
    found = error.response.get("Error", {})
    code = str(found.get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # Where the reply carries no code, botocore puts the status there.
    return HttpAnswer(status, "" if code.isdigit() else code, orjson.dumps({"message": str(found.get("Message", ""))}))


class OpenCaller:
    """A caller and its open connections.

    Attributes:
        caller: carries the calls.
        lean: whether it is the lean client.
    """

    def __init__(self, caller: Caller, carrier: Carrier | None) -> None:
        self.caller = caller
        self.lean = carrier is not None
        self._carrier = carrier

    def close(self) -> None:
        """Close every connection."""
        if self._carrier is not None:
            self._carrier.close()


async def open_caller(account: OpenAccount, endpoint_id: str | None = None) -> OpenCaller:
    """Choose how calls to SES are carried: lean, or by aiobotocore where something needs it, which is logged.

    Args:
        account: the open account.
        endpoint_id: of a multi-region endpoint of SES, which the lean client alone reaches.

    Raises:
        ConfigurationError: no credentials, no region, a CA bundle that cannot be read, or a multi-region endpoint that
            the lean client cannot be used with.
    """
    if account.dropped:
        log.warning(
            "delivery.endpoint",
            settings=", ".join(account.dropped),
            note=f"{' and '.join(account.dropped)} has no effect: the endpoint's own URL is configured "
            f"({account.control_plane.meta.endpoint_url}), and AWS's libraries use that URL unchanged",
            do="set AWS_ENDPOINT_URL to such an endpoint, or remove it and the profile's endpoint_url",
        )
    try:
        resolved = await resolve_sends(account, endpoint_id)
    except NotLeanError as reason:
        if endpoint_id is not None:
            raise refuse_endpoint_id(endpoint_id, reason) from None
        log.warning(
            "delivery.not_lean",
            reason=str(reason),
            note=f"{reason}: calls go through aiobotocore, at several times the CPU",
        )
        client, credentials = await account.open_send_client()
        return OpenCaller(BotocoreCaller(client, credentials), None)
    tls = _make_tls_context(account.verify) if resolved.scheme == "https" else None
    longest = MULTI_REGION_SECONDS if resolved.is_multi_region else None
    carrier = Carrier(
        host=resolved.host, port=resolved.port, tls=tls, most_open=2 * find_most(), longest_seconds=longest
    )
    return OpenCaller(LeanCaller(resolved, account.credentials, carrier), carrier)


def refuse_endpoint_id(endpoint_id: str, reason: NotLeanError) -> ConfigurationError:
    """Return why a multi-region endpoint cannot be used: aiobotocore has no Signature Version 4A of its own."""
    return ConfigurationError(
        f"the multi-region endpoint {endpoint_id} cannot be used here: {reason}",
        where="campaign.toml: [delivery] endpoint_id",
        remedy="let the workers reach the endpoint directly (NO_PROXY=amazonaws.com, no client certificate, a plain"
        " endpoint URL), or remove endpoint_id: the mail then goes through one region",
    )


def _make_tls_context(verify: bool | str) -> ssl.SSLContext:  # noqa: FBT001 - botocore's own value
    """Make the context that botocore would use: its CA bundle, or the one that is configured."""
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    path = Path(botocore.httpsession.get_cert_path(verify))
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=str(path))
        return ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"the CA bundle cannot be read: {error}",
            where=f"{path} (AWS_CA_BUNDLE, or ca_bundle of the profile)",
            remedy="name a file of PEM certificates",
        ) from None
