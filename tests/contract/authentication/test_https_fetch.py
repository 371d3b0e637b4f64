"""Files over HTTPS from a server on loopback, with a certificate authority of the test."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme
from aiohttp import web

from engine.authentication.https_fetch import Fetched, FetchFailure, FetchResult, HttpsFetch

CA = trustme.CA()


@pytest.fixture
def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


@pytest.fixture
async def base() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/logo.svg":
                return web.Response(body=b"<svg/>", content_type="image/svg+xml")
            case "/large":
                return web.Response(body=b"x" * 5000)
            case "/once":
                raise web.HTTPFound("/logo.svg")
            case "/loop":
                raise web.HTTPFound("/loop")
            case "/plain":
                raise web.HTTPFound(f"http://localhost:{request.url.port}/logo.svg")
            case "/slow":
                await asyncio.sleep(30)
            case "/broken":
                return web.Response(status=503)
        return web.Response(status=404)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("localhost").configure_cert(context)
    application = web.Application()
    application.router.add_route("GET", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    yield f"https://localhost:{runner.addresses[0][1]}"
    await runner.cleanup()


async def fetch(context: ssl.SSLContext | None, url: str, *, limit: int = 1000, redirects: int = 0) -> FetchResult:
    return await HttpsFetch(context, seconds=0.5)(url, limit=limit, redirects=redirects)


async def test_fetch_reads_a_file(base: str, trusting: ssl.SSLContext):
    assert await fetch(trusting, f"{base}/logo.svg") == Fetched(b"<svg/>", "image/svg+xml")
    assert await fetch(trusting, f"{base}/once", redirects=1) == Fetched(b"<svg/>", "image/svg+xml")


@pytest.mark.parametrize(
    ("path", "words", "is_certain"),
    [
        ("/missing", "404", True),
        ("/broken", "503", False),
        ("/large", "more than 1,000 bytes", True),
        ("/once", "302", True),
        ("/slow", "0.5 seconds", False),
    ],
)
async def test_fetch_says_why_there_is_no_file(
    base: str, trusting: ssl.SSLContext, path: str, words: str, *, is_certain: bool
):
    found = await fetch(trusting, base + path)
    assert isinstance(found, FetchFailure)
    assert words in found.what
    assert found.is_certain is is_certain


@pytest.mark.parametrize("path", ["/loop", "/plain"])
async def test_fetch_follows_redirects_within_limits(base: str, trusting: ssl.SSLContext, path: str):
    assert isinstance(await fetch(trusting, base + path, redirects=3), FetchFailure)


async def test_fetch_refuses_a_certificate_that_is_not_trusted(base: str):
    found = await fetch(None, f"{base}/logo.svg")
    assert isinstance(found, FetchFailure)
    assert "certificate" in found.what
    assert found.is_certain


@pytest.mark.parametrize("url", ["http://localhost/x", "file:///etc/passwd", "https://", "https://[::1", "", "//x/y"])
async def test_fetch_needs_https(url: str):
    found = await fetch(None, url)
    assert isinstance(found, FetchFailure)
    assert found.is_certain


async def test_fetch_proves_nothing_when_no_server_listens():
    found = await fetch(None, "https://127.0.0.1:9/logo.svg")
    assert isinstance(found, FetchFailure)
    assert not found.is_certain
