"""Tests an unsubscribe link as a receiver would use it: one POST of RFC 8058, with a token that changes nothing.

The URL is the campaign's own, and still nothing but one answer's status is read: redirects are not followed, cookies
are not kept, and addresses of private networks are not asked, because receivers cannot reach them.

Source: RFC 8058 3.1 (https), 3.2 (the request; no cookies, no redirect).
"""

import asyncio
import socket
import ssl
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from engine.authentication.resolver import Records, Resolver, Unknown
from engine.authentication.results import RuleResult, Verdict
from engine.errors import escape_controls

CODE = "one_click_answers"
SECONDS = 10.0
_RECEIVERS = ("gmail", "yahoo")
_SOURCE = "RFC 8058 3.2"
_WHERE = "campaign.toml, [unsubscribe] url"
_OK, _REDIRECTS, _NOT_FOUND, _LATER = range(200, 300), range(300, 400), 404, 503
_Address = IPv4Address | IPv6Address


async def probe_link(url: str, *, may_be_local: bool, resolver: Resolver, seconds: float = SECONDS) -> RuleResult:
    """Send the request of one-click unsubscribing to a link, once.

    Args:
        url: with the token of `make_probe`.
        may_be_local: whether the link may lead to this machine, as in a trial.
        resolver: tells a host that does not exist from one that could not be looked up; this machine may not.
        seconds: for all of it.

    Returns:
        Pass; fail where a receiver would fail as well; unknown where this machine cannot tell.
    """
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(seconds):
            host = parts.hostname or ""
            addresses = await _look_up(host, parts.port or 443) or await _ask_dns(host, resolver)
            if not isinstance(addresses, list):
                return addresses
            if problem := _find_problem(addresses, parts.scheme, may_be_local=may_be_local):
                return problem
            return _judge(await _post(url, addresses))
    except TimeoutError:
        return _unknown(f"the server did not answer within {seconds:g} seconds")
    except (aiohttp.ClientError, ValueError, OSError) as error:
        return _explain(error, _show(parts.hostname))


def _explain(error: Exception, host: str) -> RuleResult:
    match error:
        case socket.gaierror():
            return _unknown(f"the host {host} could not be looked up")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return _fail(f"the TLS connection fails: {_show(error)}", "install a certificate that is publicly trusted")
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return _fail("the server refuses the connection", "start mailrun unsubscribe-server behind this URL")
        case aiohttp.ClientConnectorError(os_error=problem):
            return _unknown(f"the server cannot be reached from here: {_show(problem)}")
    return _fail(f"the server's answer is not HTTP: {type(error).__name__}", "check the server behind this URL")


async def _look_up(host: str, port: int) -> list[_Address]:
    """Look a host up as this machine does; empty where it finds no such name."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NONAME:
            raise
        return []
    return list(dict.fromkeys(ip_address(str(address[0]).partition("%")[0]) for *_, address in found))


async def _ask_dns(host: str, resolver: Resolver) -> list[_Address] | RuleResult:
    """Ask the name servers for a host that this machine cannot resolve: without a network it resolves none."""
    answers = [await resolver.query(host, kind) for kind in ("A", "AAAA")]
    found = [ip_address(text) for answer in answers if isinstance(answer, Records) for text in answer.values]
    if found:
        return found
    if any(isinstance(answer, Unknown) for answer in answers):
        return _unknown(f"the host {_show(host)} could not be looked up")
    return _fail(f"the host {_show(host)} does not exist", "correct the url, or publish its address")


def _find_problem(addresses: list[_Address], scheme: str, *, may_be_local: bool) -> RuleResult | None:
    """Return why the link is not asked; None where it may be."""
    is_local = all(address.is_loopback for address in addresses)
    if is_local and not may_be_local:
        return _fail(
            "the link leads to this machine, and receivers cannot reach it", "set the public URL of the server"
        )
    if scheme != "https" and not is_local:
        return _fail("the link is not https", "use an https URL")
    if not is_local and any(not address.is_global or address.is_multicast for address in addresses):
        return _unknown("the host is in a private network from here, and was not asked")
    return None


async def _post(url: str, addresses: list[_Address]) -> int:
    connector = aiohttp.TCPConnector(resolver=_Pinned(addresses), ssl=make_tls_context(), force_close=True)
    async with (
        aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
        ) as session,
        session.post(url, data={"List-Unsubscribe": "One-Click"}, allow_redirects=False) as response,
    ):
        return response.status


def make_tls_context() -> ssl.SSLContext:
    """Return the TLS settings: the certificates that the system trusts; SSL_CERT_FILE names others."""
    return ssl.create_default_context()


class _Pinned(AbstractResolver):
    """Answers with the addresses that were judged: a second look-up could give others."""

    def __init__(self, addresses: list[_Address]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """There is nothing to close."""


def _judge(status: int) -> RuleResult:
    if status in _OK:
        what = f"the link answers the request of one-click unsubscribing with {status}"
        return RuleResult(CODE, Verdict.PASS, what, _WHERE, source=_SOURCE)
    if status in _REDIRECTS:
        return _fail(
            f"the link answers with a redirect ({status}), and receivers do not follow one",
            "let the URL itself answer POST, with its scheme, host and path exactly as the server has them",
        )
    if status == _NOT_FOUND:
        return _fail(
            "the link answers 404: the server does not recognise the token",
            "start it with the unsubscribe keys that sign the links of this campaign; see mailrun unsubscribe-server",
        )
    if status == _LATER:
        return _fail("the link answers 503: the server cannot record opt-outs now", "let it reach the ledger")
    return _fail(f"the link answers {status}", "let the URL answer POST with 200, without a login")


def _fail(what: str, remedy: str) -> RuleResult:
    return RuleResult(CODE, Verdict.FAIL, what, _WHERE, _RECEIVERS, remedy, _SOURCE)


def _unknown(what: str) -> RuleResult:
    return RuleResult(CODE, Verdict.UNKNOWN, what, _WHERE, (), "test the link from outside your network", _SOURCE)


def _show(text: object) -> str:
    return escape_controls(str(text))[:200]
