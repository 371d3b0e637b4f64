"""Addresses that a server listens at, on loopback."""

import socket

import pytest
from aiohttp import web

from engine.errors import ConfigurationError
from engine.http.listening import listen


async def answer(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


@pytest.mark.parametrize(("host", "start"), [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
async def test_port_zero_gives_the_url_of_a_free_port(host: str, start: str):
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    url = await listen(runner, host, 0, server="it", remedy="")
    await runner.cleanup()
    assert url.startswith(start)
    assert int(url.removeprefix(start)) > 0


async def test_port_in_use_is_a_problem_with_its_place_and_remedy():
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match="the dashboard cannot listen: the port is in use") as raised:
            await listen(runner, "127.0.0.1", port, server="the dashboard", remedy="choose another address")
    await runner.cleanup()
    assert (raised.value.where, raised.value.remedy) == (f"127.0.0.1:{port}", "choose another address")
