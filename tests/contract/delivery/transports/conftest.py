"""Transports run on the event loop of a launch; the carrier on asyncio's own as well."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from engine.delivery.transports.carrier import Carrier
from engine.delivery.transports.connection import take_into
from engine.delivery.transports.http_answer import HttpAnswer
from engine.system.event_loop import make_loop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    del config
    both = item.path.name.startswith("test_carrier")
    return {"launch": make_loop} | ({"asyncio": asyncio.new_event_loop} if both else {})


@pytest.fixture(params=["post", "begin"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Post requests as they are, or without a task wherever `Carrier.begin` sends them at once."""
    post = Carrier.post

    async def begin(carrier: Carrier, head: bytes, body: bytes) -> HttpAnswer:
        answered: asyncio.Future[HttpAnswer] = carrier.loop.create_future()
        return await answered if carrier.begin(head, body, take_into(answered)) else await post(carrier, head, body)

    if request.param == "begin":
        monkeypatch.setattr(Carrier, "post", begin)
