"""Where sends go: the endpoint, the signing scope and the headers of a send, as botocore resolves them.

Botocore applies endpoint rules, `AWS_ENDPOINT_URL*`, FIPS, dual-stack and profiles to every request. So botocore builds
one request of each kind, which is captured just before it would be sent.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from engine.account.client import OpenAccount, translate_aws_errors

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<signed>[^,]+), Signature=[0-9a-f]{64}"
)
_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")  # the same before and after normalising
_SIGNED = {"content-type;host;x-amz-date", "content-type;host;x-amz-date;x-amz-security-token"}
# These are made for every request, or belong to the connection; botocore's other headers are kept.
_OWN = {
    "authorization",
    "content-length",
    "x-amz-date",
    "x-amz-security-token",
    "host",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "expect",
}
_SAMPLES: Mapping[str, dict[str, Any]] = {
    "SendEmail": {"Content": {"Simple": {"Subject": {"Data": "-"}, "Body": {"Text": {"Data": "-"}}}}},
    "SendBulkEmail": {"DefaultContent": {"Template": {"TemplateName": "-"}}, "BulkEmailEntries": [{"Destination": {}}]},
}


class SendEndpoint(Struct, frozen=True):
    """Where sends go and how they are signed.

    Attributes:
        scheme: http or https.
        host: name or address.
        port: TCP port.
        authority: as in the Host header.
        paths: operation -> path, percent-encoded.
        headers: those that are the same in every request, without what signing adds.
        region: of the credential scope.
        service: of the credential scope.
        is_multi_region: it is signed for every region, with Signature Version 4A.
    """

    scheme: str
    host: str
    port: int
    authority: str
    paths: Mapping[str, str]
    headers: Mapping[str, str]
    region: str
    service: str
    is_multi_region: bool = False


class NotLeanError(Exception):
    """The lean client does not support the resolved settings; the text names the reason."""


class _CapturedError(Exception):
    """Raised in botocore to return a request before it is sent."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request


async def resolve_sends(account: OpenAccount, endpoint_id: str | None = None) -> SendEndpoint:
    """Resolve where sends go, and how they are signed; nothing is sent.

    Args:
        account: the open account.
        endpoint_id: of a multi-region endpoint of SES; None for the region's own.

    Raises:
        NotLeanError: a proxy, a client certificate, or a signature of another kind.
        ConfigurationError: no credentials, no region, or an endpoint that is not a URL.
    """
    if account.proxy:
        raise NotLeanError("SES is reached through a proxy")
    if account.client_certificate:
        raise NotLeanError("SES is reached with a client certificate")
    requests = {name: await _capture(account.control_plane, name) for name in _SAMPLES}
    single = requests["SendEmail"]
    headers = {name: _to_text(value) for name, value in single.headers.items()}
    scope = _AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
    if scope is None or scope["signed"] not in _SIGNED:
        raise NotLeanError("sends are not signed with Signature Version 4 over the usual headers")
    url = single.url if endpoint_id is None else _resolve_multi_region(account, endpoint_id)
    parts = urlsplit(url)
    paths = {name: urlsplit(request.url).path for name, request in requests.items()}
    same_host = urlsplit(requests["SendBulkEmail"].url).netloc == urlsplit(single.url).netloc
    if parts.query or "@" in parts.netloc or not same_host or not all(map(_PLAIN_PATH.fullmatch, paths.values())):
        raise NotLeanError(f"the URL of the endpoint {parts.hostname} has an unusual form")
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = parts.port or usual
    name = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
    return SendEndpoint(
        scheme=parts.scheme,
        host=str(parts.hostname),
        port=port,
        authority=name if port == usual else f"{name}:{port}",
        paths=paths,
        headers={name: value for name, value in headers.items() if name.lower() not in _OWN},
        region=scope["region"],
        service=scope["service"],
        is_multi_region=endpoint_id is not None,
    )


def _resolve_multi_region(account: OpenAccount, endpoint_id: str) -> str:
    """Return the URL of a multi-region endpoint. Its paths and headers are those of the region's own.

    botocore makes such a request only with a library that mailrun does not need, so its endpoint rules are asked.
    """
    with translate_aws_errors("SES"):
        found = account.control_plane.resolve_endpoint("SendEmail", EndpointId=endpoint_id)
    schemes = [(one["name"], one.get("signingRegionSet")) for one in found.properties.get("authSchemes", ())]
    if schemes != [("sigv4a", ["*"])]:
        raise NotLeanError("sends through a multi-region endpoint are not signed with Signature Version 4A")
    return str(found.url)


async def _capture(client: Any, operation: str) -> Any:
    """Let botocore make a request, and return it before it is sent."""

    def take(request: Any, **_: object) -> None:
        raise _CapturedError(request)

    event = f"before-send.sesv2.{operation}"
    client.meta.events.register(event, take)
    method = {"SendEmail": client.send_email, "SendBulkEmail": client.send_bulk_email}[operation]
    try:
        with translate_aws_errors("SES"):
            await method(**_SAMPLES[operation])
    except _CapturedError as captured:
        return captured.request
    finally:
        client.meta.events.unregister(event, take)
    raise NotLeanError("botocore did not call the handler of before-send")


def _to_text(value: str | bytes) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else value
