"""A world whose events are pulled while a run is under way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from engine.sandbox.events.behaviour import Behaviour
from support.world import World, open_world


@contextmanager
def open_feedback_world(folder: Path, behaviour: dict[str, Any], **more: Any) -> Iterator[World]:
    """A world whose events are pulled."""
    with open_world(folder, behaviour=Behaviour.from_document(behaviour), **more) as world:
        world.settings["AWS_ENDPOINT_URL_SQS"] = world.server.url
        yield world


@contextmanager
def pulling(world: World) -> Iterator[None]:
    """Pull events in another process until the test ends."""
    process = world.start("events", "pull", "--queue", world.server.queue_url, "--follow", "--json")
    try:
        yield
    finally:
        process.terminate()
        process.communicate(timeout=60)


def add_to_campaign(world: World, text: str) -> None:
    toml = (world.campaign / "campaign.toml").read_text()
    world.write("campaigns/hello/campaign.toml", toml + text)


def list_turns(world: World) -> list[tuple[int, str]]:
    """List row and address of all recipients, in the plan's order."""
    return list(
        pl.read_parquet(world.run_folder / "plan" / "recipients-*.parquet").select("row", "address").iter_rows()
    )
