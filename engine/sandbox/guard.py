"""Who may use the pages and the control endpoint: this machine's programs and its browser, but no foreign web page."""

from urllib.parse import urlsplit

from aiohttp import web

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback_name(host: str) -> bool:
    """Say whether a host name or address means this machine."""
    return host in _LOOPBACK_NAMES or (host.startswith("127.") and host.replace(".", "").isdecimal())


def is_foreign(request: web.BaseRequest) -> bool:
    """Say whether a request comes from a web page elsewhere: by its Host (DNS rebinding) or its Origin."""
    origin = request.headers.get("Origin")
    if not is_loopback_name(_host_of("//" + request.headers.get("Host", ""))):
        return True
    return origin is not None and (
        not is_loopback_name(_host_of(origin)) or urlsplit(origin).netloc != request.headers.get("Host")
    )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
