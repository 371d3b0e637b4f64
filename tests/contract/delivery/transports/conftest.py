"""Transports run on the event loop of a launch; the carrier on asyncio's own as well."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from engine.system.event_loop import make_loop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    del config
    both = item.path.name.startswith("test_carrier")
    return {"launch": make_loop} | ({"asyncio": asyncio.new_event_loop} if both else {})
