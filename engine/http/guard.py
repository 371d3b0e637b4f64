"""Which requests an HTTP server on this machine answers, on every path.

A web page elsewhere can make a browser send requests to a server on loopback, and with DNS rebinding even read the
answers: it gives its own name the address 127.0.0.1. A page cannot make a browser send another Host than the name in
the page's address, nor hide that a request comes from another page: Origin (RFC 6454) and Sec-Fetch-Site (W3C Fetch
Metadata).
"""

import re
from collections.abc import Awaitable, Callable, Collection
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from aiohttp import web
from multidict import CIMultiDictProxy

from engine.http.connections import BoundedServer, ConnectionBounds
from engine.http.log import make_server_logger
from engine.logs import get_logger

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

WRONG_HOST = (
    "The Host of this request is not a name of this server. Use the address that it printed when it started, or allow"
    " the name with --allow-host.\n"
)
OTHER_PAGE = "This request comes from another web page, which this server does not answer.\n"

_LOOPBACK_NAMES = frozenset({"localhost", "::1"})
_OWN_SITES = frozenset({"same-origin", "none"})  # none: a person typed or opened the address
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")  # RFC 9110 7.2
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class RequestGuard:
    """Decides which requests a server answers.

    Args:
        host: the address or name that the server listens on. On loopback it answers to the names of loopback, on
            any other address to that address and to all IP addresses, which no other page can use as its name.
        allowed_hosts: further names that it answers to, such as the one that a proxy passes on. Without a port.
        is_public: each request proves by itself what it may do, so that it does not matter which page a request comes
            from nor, where no names are given, which Host it has: a Host that a proxy passes on must never cost an
            opt-out.
    """

    def __init__(self, host: str, *, allowed_hosts: Collection[str] = (), is_public: bool = False) -> None:
        self._is_public = is_public
        self._is_local = is_loopback_name(host)
        self._every_name = is_public and not allowed_hosts
        self._names = {host.lower(), *(name.lower() for name in allowed_hosts)}

    def find_refusal(self, headers: CIMultiDictProxy[str]) -> str:
        """Return why a request is refused; empty where it is answered."""
        hosts = headers.getall("Host", [])
        if self._is_public:
            # A request without Host does not come from a browser; load balancers check the health of a server that way.
            return "" if self._every_name or all(self._knows(_name_of(host)) for host in hosts) else WRONG_HOST
        if len(hosts) != 1 or not self._knows(_name_of(hosts[0])):
            return WRONG_HOST
        sites, origins = headers.getall("Sec-Fetch-Site", []), headers.getall("Origin", [])
        if not _OWN_SITES.issuperset(sites):
            return OTHER_PAGE
        host = hosts[0].lower()
        is_own = all(origin.lower() in (f"http://{host}", f"https://{host}") for origin in origins)
        return "" if is_own else OTHER_PAGE

    def _knows(self, name: str) -> bool:
        is_ours = is_loopback_name(name) or name in self._names
        return is_ours or (not self._is_local and _is_address(name))


def make_server(
    handle: Handle, guard: RequestGuard, *, bounds: ConnectionBounds | None = None, **options: Any
) -> web.Server:
    """Return a server that checks every request by a guard first.

    Args:
        handle: answers a request.
        guard: decides which requests reach it.
        bounds: of its connections; None for a server that only this machine reaches.
        **options: of aiohttp's server.
    """

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        refusal = guard.find_refusal(request.headers)
        if not refusal:
            return await handle(request)
        get_logger().warning("http.refused", host=request.headers.get("Host", "")[:100], why=refusal.strip())
        response = web.Response(status=403, text=refusal, headers=_HEADERS)
        response.force_close()  # its body is not read
        return response

    quiet: dict[str, Any] = {"access_log": None, "logger": make_server_logger()}  # paths hold tokens
    return (
        web.Server(answer, **quiet, **options) if bounds is None else BoundedServer(answer, bounds, **quiet, **options)
    )


@lru_cache(maxsize=256)
def is_loopback_name(host: str) -> bool:
    """Return whether a host name or address is this machine's."""
    return host.lower() in _LOOPBACK_NAMES or (_is_address(host) and ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _name_of(host: str) -> str:
    """Return the name or address in a Host header, without its port; empty where it is malformed."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""
