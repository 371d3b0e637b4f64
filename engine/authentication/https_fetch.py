"""Files that DNS records name, fetched over HTTPS within limits."""

import ssl
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct

FETCH_SECONDS = 10.0  # for one file


class Fetched(Struct, frozen=True):
    """A file.

    Attributes:
        body: its bytes.
        media_type: as the server states, such as image/svg+xml.
    """

    body: bytes
    media_type: str = ""


class FetchFailure(Struct, frozen=True):
    """Why there is no file.

    Attributes:
        what: a sentence.
        is_certain: whether receivers fail too; False for a network that may be at fault.
    """

    what: str
    is_certain: bool


FetchResult: TypeAlias = Fetched | FetchFailure


class Fetch(Protocol):
    """What fetches files."""

    async def __call__(self, url: str, *, limit: int, redirects: int = 0) -> FetchResult:
        """Fetch a file.

        Args:
            url: https only.
            limit: bytes; a longer file is a failure.
            redirects: that are followed.
        """
        ...


class HttpsFetch:
    """Fetches over HTTPS, with certificates checked.

    Args:
        context: of TLS; None for the system's certificates.
        seconds: for one file.
    """

    def __init__(self, context: ssl.SSLContext | None = None, seconds: float = FETCH_SECONDS) -> None:
        self._context, self._seconds = context, seconds

    async def __call__(self, url: str, *, limit: int, redirects: int = 0) -> FetchResult:
        """Fetch a file; see Fetch."""
        if not is_https(url):
            return FetchFailure("the address does not begin with https://", is_certain=True)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context or ssl.create_default_context()),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,  # a short file may decompress to any length
            trust_env=True,
        )
        async with session:
            try:
                return await _read(session, url, limit, redirects)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                return _explain(error, self._seconds, redirects)


def _explain(error: Exception, seconds: float, redirects: int) -> FetchFailure:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or "not valid"
            return FetchFailure(f"the certificate of the server is not accepted: {reason}", is_certain=True)
        case aiohttp.TooManyRedirects():
            return FetchFailure(f"the server redirects more than {redirects} times", is_certain=True)
        case aiohttp.InvalidURL():
            return FetchFailure("the address is not a valid URL", is_certain=True)
        case TimeoutError():
            return FetchFailure(f"the server does not answer within {seconds:g} seconds", is_certain=False)
    return FetchFailure(f"the server cannot be reached: {type(error).__name__}", is_certain=False)


def is_https(url: str) -> bool:
    """Return whether a URL is absolute, and of the scheme https."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname)


async def _read(session: aiohttp.ClientSession, url: str, limit: int, redirects: int) -> FetchResult:
    async with session.get(url, allow_redirects=redirects > 0, max_redirects=redirects + 1) as response:
        if response.url.scheme != "https":
            return FetchFailure("the server redirects to an address without TLS", is_certain=True)
        if response.status in range(500, 600):
            return FetchFailure(f"the server answers {response.status}", is_certain=False)
        if response.status != 200:
            return FetchFailure(f"the server answers {response.status}", is_certain=True)
        body = bytearray()
        async for chunk in response.content.iter_chunked(1 << 14):
            body += chunk
            if len(body) > limit:
                return FetchFailure(f"the file has more than {limit:,} bytes", is_certain=True)
        return Fetched(bytes(body), response.content_type)
