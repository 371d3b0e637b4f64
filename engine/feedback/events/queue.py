"""Reads messages from an SQS queue by long polling; deletes a message only when it is durable here.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
A queue delivers at least once and in no order. A message that is not deleted is delivered again, without effect.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import botocore.exceptions
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from msgspec import Struct

from engine.account.async_client import open_aws_client
from engine.account.client import Endpoint, translate_aws_errors
from engine.errors import ConfigurationError
from engine.logs import get_logger
from engine.stopping.stop import Stop

LONG_POLL_SECONDS = 20  # the longest wait that SQS supports
# A long poll queries all servers of a queue (SQS Developer Guide, "Short and long polling"): an empty answer is final.
IDLE_POLL_SECONDS = 2
VISIBILITY_SECONDS = 120  # a batch is durable, and deleted, in much less
MESSAGES_AT_ONCE = 2000
MOST_MESSAGE_BYTES = 1024 * 1024  # SQS's limit
MOST_HELD_BYTES = 128 * 1024 * 1024  # of bodies at one time
_CALLS_AT_ONCE = 10
_IN_A_CALL = 10  # SQS's limit for one request
_DELETE_ATTEMPTS = 3
_QUEUE = re.compile(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com")
_CONFIG = AioConfig(
    connect_timeout=5,
    read_timeout=LONG_POLL_SECONDS + 15,  # a long poll that finds nothing is not a timeout
    max_pool_connections=_CALLS_AT_ONCE + 1,
    retries={"total_max_attempts": 4, "mode": "standard"},
)

log = get_logger()

Take = Callable[[Sequence[str]], Awaitable[Collection[int] | None]]
"""Processes the bodies of messages; when it returns, they are durable, except those whose numbers it returns."""


class Pulled(Struct, frozen=True):
    """The result of a pull.

    Attributes:
        messages: received.
        undeleted: messages that SQS did not delete: they are delivered again, without effect.
        kept: messages that stay in the queue, because `take` could not process them.
    """

    messages: int
    undeleted: int
    kept: int = 0


def choose_poll(*, follow: bool) -> int:
    """Return how many seconds to wait for an empty queue: few if the pull ends then."""
    return LONG_POLL_SECONDS if follow else IDLE_POLL_SECONDS


@asynccontextmanager
async def open_sqs(queue: str, endpoint: Endpoint | None = None) -> AsyncIterator[Any]:
    """Open an SQS client for the queue's region; credentials and `AWS_ENDPOINT_URL_SQS` as botocore resolves them.

    Args:
        queue: its URL.
        endpoint: the embedded sandbox instead.

    Raises:
        ConfigurationError: no region, no credentials.
    """
    region = _QUEUE.match(queue)
    given = {"region_name": region[1]} if region and endpoint is None else {}
    async with open_aws_client(AioSession(), "sqs", _CONFIG, endpoint, **given) as client:
        yield client


async def pull(  # noqa: PLR0913 - from where, to whom, how long
    client: Any,
    queue: str,
    take: Take,
    *,
    follow: bool,
    stop: Stop,
    poll_seconds: int = LONG_POLL_SECONDS,
    most_messages: int = MESSAGES_AT_ONCE,
) -> Pulled:
    """Process messages until the queue is idle, or until stopped.

    Args:
        client: of SQS.
        queue: its URL.
        take: processes a batch of bodies.
        follow: continue when the queue is idle.
        stop: ends it between two batches, or while it waits.
        poll_seconds: how long to wait for messages before the queue counts as idle.
        most_messages: messages in a batch; fewer where they have more than `MOST_HELD_BYTES` together.

    Raises:
        ConfigurationError: there is no such queue.
        ServiceError: SQS cannot be reached, or refuses.
        MailrunError: of `take`; its messages are not deleted, and are delivered again.
    """
    messages = undeleted = kept_in_all = 0
    with translate_aws_errors("SQS"):
        while not stop.requested:
            batch = await _receive_unless_stopped(client, queue, poll_seconds, stop)
            if not batch:
                if follow:
                    continue
                break
            await _receive_more(client, queue, batch, most_messages)
            kept = await take([message["Body"] for message in batch]) or ()
            messages += len(batch)
            kept_in_all += len(kept)
            handles = [message["ReceiptHandle"] for number, message in enumerate(batch) if number not in kept]
            undeleted += await _delete(client, queue, handles)
    return Pulled(messages, undeleted, kept_in_all)


async def _receive_unless_stopped(client: Any, queue: str, wait_seconds: int, stop: Stop) -> list[dict[str, Any]]:
    receiving = asyncio.ensure_future(_receive(client, queue, wait_seconds))
    stopping = asyncio.ensure_future(stop.wait(wait_seconds + _CONFIG.read_timeout))
    await asyncio.wait([receiving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not receiving.done():
        receiving.cancel()  # messages in an interrupted answer are delivered again
        return []
    return receiving.result()


async def _receive(client: Any, queue: str, wait_seconds: int) -> list[dict[str, Any]]:
    try:
        answer = await client.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=_IN_A_CALL,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=VISIBILITY_SECONDS,
        )
    except botocore.exceptions.ClientError as error:
        if "NonExistentQueue" in error.response["Error"].get("Code", "") or "QueueDoesNotExist" in str(error):
            raise ConfigurationError(
                "there is no such queue", where=queue, remedy="check --queue, or [events] queue in mailrun.toml"
            ) from error
        raise
    return list(answer.get("Messages", ()))


async def _receive_more(client: Any, queue: str, batch: list[dict[str, Any]], most_messages: int) -> None:
    """Fill a batch with further messages, without waiting, up to its limits."""
    while len(batch) < most_messages:
        held = sum(len(message["Body"]) for message in batch)
        calls = min(_CALLS_AT_ONCE, (MOST_HELD_BYTES - held) // (_IN_A_CALL * MOST_MESSAGE_BYTES))
        found = await asyncio.gather(*(_receive(client, queue, 0) for _ in range(calls)))
        batch += [message for some in found for message in some]
        if not calls or not all(found):
            return


async def _delete(client: Any, queue: str, handles: Sequence[str]) -> int:
    """Delete messages in batches; returns how many SQS did not delete."""
    batches = [handles[at : at + _IN_A_CALL] for at in range(0, len(handles), _IN_A_CALL)]
    left = 0
    for at in range(0, len(batches), _CALLS_AT_ONCE):
        some = batches[at : at + _CALLS_AT_ONCE]
        left += sum(await asyncio.gather(*(_delete_batch(client, queue, batch) for batch in some)))
    if left:
        log.warning("events.undeleted", messages=left, note="they are delivered again, without effect")
    return left


async def _delete_batch(client: Any, queue: str, handles: Sequence[str]) -> int:
    for _ in range(_DELETE_ATTEMPTS):
        entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
        answer = await client.delete_message_batch(QueueUrl=queue, Entries=entries)
        handles = [handles[int(failed["Id"])] for failed in answer.get("Failed", ())]
        if not handles:
            return 0
    return len(handles)
