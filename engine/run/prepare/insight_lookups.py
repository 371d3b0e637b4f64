"""Lookups of addresses by SES (`[audience.checks] insights`): priced, made, and their answers kept in the store."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import polars as pl

from engine.account.client import Endpoint
from engine.account.insights import LOOKUPS_A_SECOND, USD_PER_LOOKUP, AddressInsight, look_up_addresses
from engine.account.services import open_services
from engine.logs import get_logger
from engine.progress import step
from engine.quantities import format_count
from engine.run.prepare.insights import AskInsights
from engine.store.insights import ANSWERED, write_insights
from engine.store.port import Store

log = get_logger()

_SAVED_AT_ONCE = 50  # answers: at most so many are paid for again after a crash


def describe_price(count: int) -> str:
    """Say what lookups cost, before they are made.

    >>> describe_price(800)
    '800 addresses, at USD 0.01 each: USD 8.00, in about 14 minutes'
    """
    minutes = max(1, -(-count // int(60 * LOOKUPS_A_SECOND)))
    return (
        f"{format_count(count, 'address', 'addresses')}, at USD {USD_PER_LOOKUP:g} each:"
        f" USD {count * USD_PER_LOOKUP:,.2f}, in about {format_count(minutes, 'minute')}"
    )


def make_ask(endpoint: Endpoint | None, now: Callable[[], datetime]) -> AskInsights:
    """Make the function that asks an account.

    Args:
        endpoint: the embedded sandbox; None for what botocore resolves.
        now: the wall clock.
    """

    def ask(addresses: pl.DataFrame, store: Store) -> None:
        log.warning("insights.priced", note=f"SES looks up {describe_price(addresses.height)}")
        asyncio.run(_ask(addresses, store, endpoint, now))

    return ask


async def _ask(addresses: pl.DataFrame, store: Store, endpoint: Endpoint | None, now: Callable[[], datetime]) -> None:
    keys = dict(addresses.select("address", "key").iter_rows())
    pending: list[tuple[str, AddressInsight]] = []

    def save() -> None:
        if pending:
            rows = [(key, insight.valid, ", ".join(insight.reasons)) for key, insight in pending]
            write_insights(store, pl.DataFrame(rows, schema=ANSWERED, orient="row"), now())
            pending.clear()

    with step("asking SES about addresses", "addresses", len(keys)) as asking:
        try:
            async with open_services(endpoint) as services:
                async for address, insight in look_up_addresses(services, keys):
                    pending.append((keys[address], insight))
                    asking.advance()
                    if len(pending) >= _SAVED_AT_ONCE:
                        save()
        finally:
            save()  # they are paid for
