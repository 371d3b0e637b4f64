"""The operations of SQS that the sandbox supports, in its JSON protocol.

Source: SQS API reference; AWS JSON protocol 1.0. Only what a consumer of events and the sender of a test need.
"""

import re
from collections.abc import Awaitable, Callable
from hashlib import md5
from typing import Any

import orjson

from engine.clock import Clock
from engine.sandbox.events.event_records import ACCOUNT_ID, REGION
from engine.sandbox.http.replies import ApiError, SandboxReply, result
from engine.sandbox.ses.members import items, optional, required
from engine.sandbox.sqs.queues import MOST_VISIBILITY_SECONDS, QueueMessage, SandboxQueue

TARGET = "AmazonSQS."
MOST_AT_ONCE = 10
MOST_WAIT_SECONDS = 20
MOST_BODY_BYTES = 1024 * 1024
LOOK_AGAIN_SECONDS = 1.0  # another process may have written to the record

# The codes that older clients expect, from SQS's query protocol.
_QUERY_CODES = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")

Wait = Callable[[float], Awaitable[bool]]  # up to so many seconds, for something new; False: the server stops
Request = dict[str, Any]


class Sqs:
    """Answers the calls of SQS clients.

    Args:
        events: the queue of events, which always exists.
        seconds_to_event: how long it is to the next event; None while none is to be expected.
        clock: time.
        wait: waits for the next message, for long polling.
    """

    def __init__(
        self, events: SandboxQueue, *, seconds_to_event: Callable[[], float | None], clock: Clock, wait: Wait
    ) -> None:
        self._queues = {events.name: events}
        self._events = events
        self._seconds_to_event = seconds_to_event
        self._clock = clock
        self._wait = wait
        self._operations: dict[str, Callable[[Request, str], dict[str, Any]]] = {
            "CreateQueue": self._create_queue,
            "DeleteQueue": self._delete_queue,
            "ListQueues": self._list_queues,
            "GetQueueUrl": self._get_queue_url,
            "GetQueueAttributes": self._get_attributes,
            "SendMessage": self._send,
            "SendMessageBatch": self._send_batch,
            "DeleteMessage": self._delete,
            "DeleteMessageBatch": self._delete_batch,
            "ChangeMessageVisibility": self._change,
            "ChangeMessageVisibilityBatch": self._change_batch,
            "PurgeQueue": self._purge,
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of all operations."""
        return ("ReceiveMessage", *self._operations)

    async def answer(self, operation: str, body: bytes, url: str) -> SandboxReply:
        """Answer one call.

        Args:
            operation: its name.
            body: the JSON document.
            url: of this server.
        """
        try:
            request = _parse(body)
            if operation == "ReceiveMessage":
                return result(await self._receive(request))
            if operation not in self._operations:
                return sqs_error(
                    ApiError("UnknownOperationException", f"{operation} is not an operation of this server.")
                )
            return result(self._operations[operation](request, url))
        except ApiError as error:
            return sqs_error(error)

    async def _receive(self, request: Request) -> dict[str, Any]:
        queue = self._find(request)
        most = _integer(request, "MaxNumberOfMessages", 1, least=1, most=MOST_AT_ONCE)
        seconds = _integer(request, "WaitTimeSeconds", queue.wait_seconds, least=0, most=MOST_WAIT_SECONDS)
        hidden = request.get("VisibilityTimeout")
        if hidden is not None:
            hidden = _integer(request, "VisibilityTimeout", 0, least=0, most=MOST_VISIBILITY_SECONDS)
        deadline = self._clock.monotonic() + seconds
        while True:
            messages = queue.receive(most, visibility_seconds=hidden)
            left = deadline - self._clock.monotonic()
            if messages or left <= 0 or not await self._wait(min(left, self._pause(queue))):
                break
        names = {*items(request, "AttributeNames", str), *items(request, "MessageSystemAttributeNames", str)}
        return {"Messages": [_describe(message, names) for message in messages]} if messages else {}

    def _pause(self, queue: SandboxQueue) -> float:
        """Return how long to wait before the next look for messages."""
        next_event = self._seconds_to_event() if queue is self._events else None
        known = [at for at in (next_event, queue.seconds_to_visible()) if at is not None]
        return min(LOOK_AGAIN_SECONDS, *(max(at, 0.001) for at in known), LOOK_AGAIN_SECONDS)

    def _create_queue(self, request: Request, url: str) -> dict[str, Any]:
        name = required(request, "QueueName", str)
        if _NAME.fullmatch(name) is None:
            raise _invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
        if name not in self._queues:
            queue = SandboxQueue(name, self._clock, self._clock.now())
            given = optional(request, "Attributes", dict) or {}
            numbers = {key: int(value) for key, value in given.items() if str(value).isdecimal()}
            queue.visibility_seconds = numbers.get("VisibilityTimeout", queue.visibility_seconds)
            queue.wait_seconds = min(numbers.get("ReceiveMessageWaitTimeSeconds", 0), MOST_WAIT_SECONDS)
            self._queues[name] = queue
        return {"QueueUrl": queue_url(url, name)}

    def _delete_queue(self, request: Request, _: str) -> dict[str, Any]:
        queue = self._find(request)
        if queue is self._events:
            raise _invalid("the queue of events cannot be deleted")
        del self._queues[queue.name]
        return {}

    def _list_queues(self, request: Request, url: str) -> dict[str, Any]:
        prefix = optional(request, "QueueNamePrefix", str) or ""
        urls = [queue_url(url, name) for name in sorted(self._queues) if name.startswith(prefix)]
        return {"QueueUrls": urls} if urls else {}

    def _get_queue_url(self, request: Request, url: str) -> dict[str, Any]:
        return {"QueueUrl": queue_url(url, self._named(required(request, "QueueName", str)).name)}

    def _get_attributes(self, request: Request, _: str) -> dict[str, Any]:
        queue, wanted = self._find(request), items(request, "AttributeNames", str)
        visible, hidden = queue.counts()
        attributes = {
            "QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{queue.name}",
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(hidden),
            "ApproximateNumberOfMessagesDelayed": "0",
            "CreatedTimestamp": str(int(queue.created_at.timestamp())),
            "LastModifiedTimestamp": str(int(queue.created_at.timestamp())),
            "VisibilityTimeout": str(queue.visibility_seconds),
            "MaximumMessageSize": str(MOST_BODY_BYTES),
            "MessageRetentionPeriod": "345600",
            "DelaySeconds": "0",
            "ReceiveMessageWaitTimeSeconds": str(queue.wait_seconds),
        }
        kept = {name: value for name, value in attributes.items() if "All" in wanted or name in wanted}
        return {"Attributes": kept} if kept else {}

    def _send(self, request: Request, _: str) -> dict[str, Any]:
        return self._send_one(self._find(request), request)

    def _send_one(self, queue: SandboxQueue, entry: Request) -> dict[str, Any]:
        body = required(entry, "MessageBody", str).encode()
        if not 1 <= len(body) <= MOST_BODY_BYTES:
            raise _invalid(f"One or more parameters are invalid. The message has 1 to {MOST_BODY_BYTES} bytes.")
        delay = _integer(entry, "DelaySeconds", 0, least=0, most=900)
        message_id = queue.send(body, delay_seconds=delay)
        return {"MD5OfMessageBody": md5(body, usedforsecurity=False).hexdigest(), "MessageId": message_id}

    def _send_batch(self, request: Request, _: str) -> dict[str, Any]:
        queue = self._find(request)
        return _in_batch(request, lambda entry: self._send_one(queue, entry))

    def _delete(self, request: Request, _: str) -> dict[str, Any]:
        self._find(request).delete(required(request, "ReceiptHandle", str))
        return {}

    def _delete_batch(self, request: Request, _: str) -> dict[str, Any]:
        queue = self._find(request)
        return _in_batch(request, lambda entry: queue.delete(required(entry, "ReceiptHandle", str)))

    def _change(self, request: Request, _: str) -> dict[str, Any]:
        return self._change_one(self._find(request), request)

    def _change_one(self, queue: SandboxQueue, entry: Request) -> dict[str, Any]:
        seconds = _integer(entry, "VisibilityTimeout", 0, least=0, most=MOST_VISIBILITY_SECONDS)
        queue.change_visibility(required(entry, "ReceiptHandle", str), seconds)
        return {}

    def _change_batch(self, request: Request, _: str) -> dict[str, Any]:
        queue = self._find(request)
        return _in_batch(request, lambda entry: self._change_one(queue, entry))

    def _purge(self, request: Request, _: str) -> dict[str, Any]:
        self._find(request).purge()
        return {}

    def _find(self, request: Request) -> SandboxQueue:
        return self._named(required(request, "QueueUrl", str).rpartition("/")[2])

    def _named(self, name: str) -> SandboxQueue:
        if name not in self._queues:
            raise ApiError("QueueDoesNotExist", "The specified queue does not exist.")
        return self._queues[name]


def queue_url(url: str, name: str) -> str:
    """Return the URL of a queue of this server."""
    return f"{url}/{ACCOUNT_ID}/{name}"


def sqs_error(error: ApiError) -> SandboxReply:
    """Return an error as SQS words it."""
    code = "InvalidParameterValue" if error.code == "BadRequestException" else error.code
    body = {"__type": f"com.amazonaws.sqs#{code}", "message": error.message}
    return SandboxReply(error.status, orjson.dumps(body), code, query_error=f"{_QUERY_CODES.get(code, code)};Sender")


def _in_batch(request: Request, act: Callable[[Request], dict[str, Any] | None]) -> dict[str, Any]:
    entries = items(request, "Entries", dict)
    if not entries:
        raise ApiError("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > MOST_AT_ONCE:
        raise ApiError(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {MOST_AT_ONCE}. You have sent {len(entries)}.",
        )
    ids = [required(entry, "Id", str) for entry in entries]
    if len(set(ids)) < len(ids):
        raise ApiError("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
    successful, failed = [], []
    for name, entry in zip(ids, entries, strict=True):
        try:
            successful.append({"Id": name, **(act(entry) or {})})
        except ApiError as error:
            failed.append({"Id": name, "SenderFault": True, "Code": error.code, "Message": error.message})
    return {"Successful": successful, **({"Failed": failed} if failed else {})}


def _describe(message: QueueMessage, names: set[str]) -> dict[str, Any]:
    attributes = {
        "SenderId": "AIDASANDBOX",
        "SentTimestamp": str(int(message.sent_at.timestamp() * 1000)),
        "ApproximateReceiveCount": str(message.received),
        "ApproximateFirstReceiveTimestamp": str(int(message.first_received_at.timestamp() * 1000)),
    }
    kept = {name: value for name, value in attributes.items() if "All" in names or name in names}
    return {
        "MessageId": message.message_id,
        "ReceiptHandle": message.handle,
        "MD5OfBody": message.md5,
        "Body": message.body.decode(),
        **({"Attributes": kept} if kept else {}),
    }


def _parse(body: bytes) -> Request:
    try:
        document = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise ApiError("SerializationException", "The body of the request is not a JSON object.")
    return document


def _integer(request: Request, name: str, default: int, *, least: int, most: int) -> int:
    value = request.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _invalid(
            f"Value {value} for parameter {name} is invalid. Reason: Must be between {least} and {most}, if provided."
        )
    return value


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterValue", message)
