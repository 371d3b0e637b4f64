"""Which SMTP server, and how to log in: the one that the settings name, or SES's own in the account's region."""

import hmac
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiosmtplib

from engine.account.client import OpenAccount, translate_aws_errors
from engine.errors import ConfigurationError
from engine.settings import Settings

_KINDS = {"smtp": ("starttls", 587), "smtps": ("tls", 465), "smtp+plain": ("none", 25)}
_SES_PORT = 587
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """A server to hand messages to.

    Attributes:
        host: name or address.
        port: TCP port.
        security: `starttls` (required), `tls` from the first byte, or `none`.
        username: None to hand over without logging in.
        password: its secret.
        ca_bundle: path of a file of PEM certificates; None for the machine's own.
        ses: it is SES's, which accepts X-SES headers and sets Date and Message-ID.
    """

    host: str
    port: int
    security: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None
    ses: bool = False

    @property
    def url(self) -> str:
        """The server, without secrets."""
        scheme = next(scheme for scheme, (security, _) in _KINDS.items() if security == self.security)
        return f"{scheme}://{self.host}:{self.port}"


def parse_server(settings: Settings) -> SmtpServer:
    """Read the settings' server: `smtp://HOST[:587]` with STARTTLS, `smtps://HOST[:465]`, or `smtp+plain://HOST`.

    Raises:
        ConfigurationError: it is none of these, carries a secret, or a password would cross the network unencrypted.
    """
    where = "MAILRUN_SMTP_URL"
    parts = urlsplit(settings.smtp_url)
    if parts.scheme not in _KINDS or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ConfigurationError(
            "the URL of the SMTP server is invalid",
            where=where,
            remedy=f"write {' or '.join(f'{scheme}://HOST:PORT' for scheme in _KINDS)}",
        )
    if parts.username or parts.password:
        raise ConfigurationError(
            "the URL of the SMTP server carries credentials, which appear in logs and process lists",
            where=where,
            remedy="put them into MAILRUN_SMTP_USERNAME and MAILRUN_SMTP_PASSWORD",
        )
    security, usual_port = _KINDS[parts.scheme]
    try:
        port = parts.port or usual_port
    except ValueError:
        raise ConfigurationError("the SMTP server's port is invalid", where=where, remedy="give 1 to 65535") from None
    ses = parts.hostname.startswith("email-smtp.") and parts.hostname.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    password = settings.smtp_password.get_secret_value() or None
    if password and security == "none" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(
            "the SMTP password would cross the network unencrypted", where=where, remedy="use smtp:// or smtps://"
        )
    return SmtpServer(
        host=parts.hostname,
        port=port,
        security=security,
        username=settings.smtp_username or None,
        password=password,
        ca_bundle=settings.smtp_ca_bundle or None,
        ses=ses,
    )


async def find_ses_server(account: OpenAccount) -> SmtpServer:
    """Make SES's own server in the account's region, with the password that belongs to the credentials.

    Raises:
        ConfigurationError: no credentials, or temporary ones, which SES's SMTP does not accept; or an endpoint of the
            API that is not the region's usual one.
    """
    region = account.control_plane.meta.region_name
    with translate_aws_errors("SES"):
        frozen = None if account.credentials is None else await account.credentials.get_frozen_credentials()
    if frozen is None or frozen.token:
        raise ConfigurationError(
            "SES's SMTP accepts only the access key of an IAM user, and these credentials are "
            + ("missing" if frozen is None else "temporary"),
            where="AWS environment variables, profile or role",
            remedy='use transport = "ses", or set MAILRUN_SMTP_URL, MAILRUN_SMTP_USERNAME and MAILRUN_SMTP_PASSWORD',
        )
    suffix = ".cn" if region.startswith("cn-") else ""
    api = urlsplit(account.control_plane.meta.endpoint_url).hostname
    if api != f"email.{region}.amazonaws.com{suffix}":
        raise ConfigurationError(
            f"the AWS endpoint is {api}, and its SMTP server cannot be determined",
            where="AWS_ENDPOINT_URL*, FIPS or dual-stack of the AWS configuration",
            remedy='set MAILRUN_SMTP_URL to that server, or use transport = "ses"',
        )
    return SmtpServer(
        host=f"email-smtp.{region}.amazonaws.com{suffix}",
        port=_SES_PORT,
        security="starttls",
        username=frozen.access_key,
        password=derive_password(frozen.secret_key, region),
        ca_bundle=account.verify if isinstance(account.verify, str) else None,
        ses=True,
    )


def derive_password(secret_key: str, region: str) -> str:
    """Derive the SES SMTP password of an IAM secret key in a region.

    Source: SES developer guide, "Obtaining Amazon SES SMTP credentials by converting existing AWS credentials".

    >>> derive_password("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
    'BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9'
    """
    key = b"AWS4" + secret_key.encode()
    for part in ("11111111", region, "ses", "aws4_request", "SendRawEmail"):
        key = hmac.digest(key, part.encode(), "sha256")
    return b64encode(b"\x04" + key).decode()


def open_client(server: SmtpServer, *, timeout: float, tls: ssl.SSLContext | None = None) -> aiosmtplib.SMTP:
    """Make a client that connects, negotiates TLS and logs in as a server requires it.

    Args:
        server: where.
        timeout: seconds for each step.
        tls: of make_tls_context; created if it is None.

    Raises:
        ConfigurationError: the CA bundle cannot be read.
    """
    return aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.security == "tls",
        start_tls=server.security == "starttls",
        tls_context=tls or make_tls_context(server),
        username=server.username,
        password=server.password,
        timeout=timeout,
        local_hostname=None,
    )


def make_tls_context(server: SmtpServer) -> ssl.SSLContext | None:
    """Make the TLS context that verifies the server; None for a server without TLS.

    Raises:
        ConfigurationError: the CA bundle cannot be read.
    """
    if server.security == "none":
        return None
    try:
        return ssl.create_default_context(cafile=server.ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"the CA bundle cannot be read: {error}",
            where=str(server.ca_bundle),
            remedy="name a file of PEM certificates",
        ) from None
