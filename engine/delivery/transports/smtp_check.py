"""Check whether an SMTP server accepts mail: connect, TLS, AUTH, MAIL FROM, RSET. Nothing is sent."""

import ssl
from collections.abc import Iterator

import aiosmtplib

from engine.delivery.smtp_replies import is_passing
from engine.delivery.transports.smtp_server import SmtpServer, open_client
from engine.errors import ConfigurationError, MailrunError, ServiceError, UnreachableError

CONNECT_SECONDS = 10.0  # for each step

_URL, _LOGIN = "MAILRUN_SMTP_URL", "MAILRUN_SMTP_USERNAME and MAILRUN_SMTP_PASSWORD"


async def check_server(server: SmtpServer, sender: str) -> None:
    """Check that a server can be reached, accepts the login, and accepts mail from a sender.

    Args:
        server: where, and how to log in.
        sender: the bare address of `from`.

    Raises:
        ServiceError: it cannot be reached, or does not accept the sender.
        UnreachableError: it refuses temporarily (4xx): it may accept later.
        ConfigurationError: TLS or the login fails.
    """
    client = open_client(server, timeout=CONNECT_SECONDS)
    try:
        await client.connect()
        if not client.last_ehlo_response:
            await client.ehlo()
    except (aiosmtplib.SMTPException, OSError) as error:
        client.close()
        raise _describe_connect(error, server) from error
    try:
        answer = await client.execute_command(b"MAIL", b"FROM:<" + sender.encode() + b">")
        if answer.code != aiosmtplib.SMTPStatus.completed:
            raise _describe_sender(answer.code, _flatten(answer.message), server, sender)
        await client.execute_command(b"RSET")
        await client.quit()
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _unreachable(server, f"the connection was lost at MAIL FROM: {error}") from error
    finally:
        client.close()


def _describe_connect(error: Exception, server: SmtpServer) -> MailrunError:
    refused = next((e for e in _chain(error) if isinstance(e, ssl.SSLError)), None)
    if refused is not None:
        return ConfigurationError(
            f"TLS with the SMTP server {server.url} fails: {getattr(refused, 'verify_message', '') or refused}",
            where=_URL,
            remedy="name a host that the certificate is for, or its issuer's certificates in MAILRUN_SMTP_CA_BUNDLE;"
            " smtp:// is STARTTLS, smtps:// is TLS from the first byte",
        )
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) and error.code >= 500:
        return ConfigurationError(
            f"the SMTP server {server.url} refuses the login: {error.code} {_flatten(error.message)}",
            where=_LOGIN,
            remedy="correct user name and password" + (" (of this region)" if server.ses else ""),
        )
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _refuse(error.code, _flatten(error.message), server)
    text = str(error).lower()
    if "starttls" in text:
        return ConfigurationError(
            f"the SMTP server {server.url} does not offer STARTTLS",
            where=_URL,
            remedy="write smtps://HOST:465 for TLS from the first byte, or smtp+plain://HOST for no TLS",
        )
    if "auth" in text:
        return ConfigurationError(
            f"the SMTP server {server.url} offers no login that mailrun supports: {error}",
            where=_LOGIN,
            remedy="unset both if it needs no login, or use TLS: many servers offer a login only over TLS",
        )
    return _unreachable(server, str(error) or type(error).__name__)


def _refuse(code: int, text: str, server: SmtpServer) -> MailrunError:
    what = f"the SMTP server {server.url} refuses the connection: {code} {text}"
    if is_passing(code):
        return UnreachableError(what, where=_URL, remedy="launch again later")
    return ServiceError(
        what, where=_URL, remedy="read the server's reply; it may accept connections only from certain hosts"
    )


def _describe_sender(code: int, text: str, server: SmtpServer, sender: str) -> MailrunError:
    what = f"the SMTP server {server.url} does not accept mail from {sender}: {code} {text}"
    if is_passing(code):
        return UnreachableError(what, where="MAIL FROM", remedy="launch again later")
    if code in (530, 535, 538):
        return ConfigurationError(what, where=_LOGIN, remedy="set both: the server requires a login")
    return ServiceError(
        what, where="campaign.toml: from", remedy="verify the sender or its domain with the server, or change `from`"
    )


def _unreachable(server: SmtpServer, text: str) -> ServiceError:
    return ServiceError(
        f"the SMTP server {server.url} cannot be reached: {text}",
        where=_URL,
        remedy="check host, port, scheme and network; cloud providers close port 25: use 587 or 465",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _flatten(text: str) -> str:
    return " ".join(text.split())[:500]
