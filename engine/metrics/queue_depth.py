"""How many messages wait in an SQS queue, beside the command that reads it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import botocore.exceptions

from engine.metrics.meter import Meter
from engine.stopping.stop import Stop

LOOK_SECONDS = 15.0


@asynccontextmanager
async def watched(client: Any, queue: str, meter: Meter, stop: Stop) -> AsyncIterator[None]:
    """Read the depth of a queue regularly while the block runs and somebody monitors it.

    Args:
        client: of SQS.
        queue: its URL.
        meter: receives the number.
        stop: ends the reading.
    """
    if not meter.is_read:
        yield
        return
    reading = asyncio.create_task(_watch(client, queue, meter, stop), name="queue depth")
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def _watch(client: Any, queue: str, meter: Meter, stop: Stop) -> None:
    """Read until stopped; end where SQS does not tell it: that needs the permission sqs:GetQueueAttributes."""
    wanted = "ApproximateNumberOfMessages"
    while not stop.requested:
        try:
            answer = await client.get_queue_attributes(QueueUrl=queue, AttributeNames=[wanted])
            meter.queue_messages = int(answer["Attributes"][wanted])
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, KeyError, ValueError):
            return
        await stop.wait(LOOK_SECONDS)
